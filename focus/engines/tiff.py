"""TIFF files of faxes as such: which pages are whole, how large they are, and what a crash has left of one (TIFF 6.0).

Only the directories are read, not the images: for that, these files need not be trusted, nor anything be installed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from focus.engines.fax import DocumentError

#: A file with more pages than that is none of ours, or goes in circles.
MAX_PAGES = 10_000
_MAX_ENTRIES = 256
_MAX_VALUES = 1_000_000

_WIDTH, _LENGTH, _STRIPS, _STRIP_SIZES, _X, _Y, _UNIT = 256, 257, 273, 279, 282, 283, 296
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_CENTIMETRE = 3


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is whole: `size` in pixels, `resolution` in dots per inch (0 where it is not said); across, down."""

    size: tuple[int, int]
    resolution: tuple[int, int]


def read(path: Path) -> tuple[Page, ...]:
    """The whole pages of a file, up to the first that is not. Raises `DocumentError` where it is no TIFF at all."""
    with path.open("rb") as file:
        return tuple(directory.page for directory in _directories(file))


def recover(path: Path) -> tuple[Page, ...]:
    """Make a file that was not finished one that ends with its last whole page; what pages these are.

    Where there are none, the file stays as it is: it is of no use. Raises `DocumentError` where it is no TIFF at all.
    """
    with path.open("r+b") as file:
        directories = list(_directories(file))
        if directories:
            last = directories[-1]
            file.seek(last.link)
            file.write(struct.pack(last.order + "I", 0))
            file.truncate(max(directory.end for directory in directories))
            file.flush()
            os.fsync(file.fileno())
    return tuple(directory.page for directory in directories)


class _Incomplete(Exception):
    """What should be there is not."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """One page's; where it says where the next one is, and the end of all that belongs to it, as offsets."""

    page: Page
    order: str
    link: int
    end: int


def _directories(file: BinaryIO) -> Iterator[_Directory]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(header[:4])
    if order is None or len(header) < 8:
        raise DocumentError("the file is no TIFF")
    (offset,) = struct.unpack(order + "I", header[4:])
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        try:
            directory = _directory(file, size, order, offset)
        except (_Incomplete, struct.error):
            return
        yield directory
        file.seek(directory.link)
        (offset,) = struct.unpack(order + "I", file.read(4))


def _directory(file: BinaryIO, size: int, order: str, offset: int) -> _Directory:
    (count,) = struct.unpack(order + "H", _at(file, offset, 2))
    if count > _MAX_ENTRIES:
        raise _Incomplete
    link = offset + 2 + 12 * count
    _at(file, link, 4)
    end = link + 4
    values: dict[int, tuple[float, ...]] = {}
    for index in range(count):
        entry = offset + 2 + 12 * index
        tag, kind, number = struct.unpack(order + "HHI", _at(file, entry, 8))
        if kind not in _TYPES or number > _MAX_VALUES:
            raise _Incomplete
        form = order + _TYPES[kind] * number
        length = struct.calcsize(form)
        if length > 4:
            (place,) = struct.unpack(order + "I", _at(file, entry + 8, 4))
            end = max(end, place + length)
        else:
            place = entry + 8
        values[tag] = struct.unpack(form, _at(file, place, length))
    strips, sizes = values.get(_STRIPS, ()), values.get(_STRIP_SIZES, ())
    if not strips or len(strips) != len(sizes) or not all(sizes):  # 0: it could not be written
        raise _Incomplete
    end = max(end, *(int(strip + length) for strip, length in zip(strips, sizes, strict=True)))
    if end > size:
        raise _Incomplete
    width, height = (int(values.get(tag, (0,))[0]) for tag in (_WIDTH, _LENGTH))
    if not width or not height:
        raise _Incomplete
    page = Page((width, height), (_per_inch(values, _X), _per_inch(values, _Y)))
    return _Directory(page, order, link, end)


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise _Incomplete
    return data


def _per_inch(values: dict[int, tuple[float, ...]], tag: int) -> int:
    """A resolution as it is written, a fraction or a number, for an inch or a centimetre."""
    given = values.get(tag, ())
    if not given or (len(given) == 2 and not given[1]):
        return 0
    value = given[0] / given[1] if len(given) == 2 else given[0]
    if values.get(_UNIT, (2,))[0] == _CENTIMETRE:
        value *= 2.54
    return round(value) if 0 < value < 1e6 else 0  # which NaN is not, either
