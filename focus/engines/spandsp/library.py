"""libspandsp, loaded when it is first needed: it is LGPL, and neither linked with nor part of what we install.

What is called is declared by who calls it, in C, as the header has it. Calls release the GIL, so that a thread in the
library holds up nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from cffi import FFI

#: The interface of version 0.0.6; of version 3, which has another, this is `.so.3`.
NAME = "libspandsp.so.2"
_INSTALL = "Debian has it in the package libspandsp2"


class LibraryMissing(Exception):
    """libspandsp cannot be used here; the message says why and what helps."""


@dataclass(frozen=True, slots=True)
class Library:
    """`ffi` makes and converts C values; `lib` has the functions, as attributes."""

    ffi: Any
    lib: Any


@cache
def load(declarations: str) -> Library:
    """The library, with the functions and types of `declarations`, each of which is there.

    What comes of one call goes with that one's `ffi` only. Raises `LibraryMissing`.
    """
    return load_from(NAME, declarations)


def load_from(name: str, declarations: str) -> Library:
    """As `load`, from the library of that name or path."""
    ffi = FFI()
    ffi.cdef(declarations)
    try:
        lib = ffi.dlopen(name)
    except OSError as error:
        raise LibraryMissing(f"{name} cannot be loaded ({error}); {_INSTALL}") from None
    for function in dir(lib):
        try:
            getattr(lib, function)
        except AttributeError:
            raise LibraryMissing(f"{name} is another version than 0.0.6: it has no {function}; {_INSTALL}") from None
    return Library(ffi, lib)
