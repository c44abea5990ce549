"""Documents of all kinds, and what is none, made into faxes by a real process."""

from __future__ import annotations

import asyncio
import importlib.util
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from PIL import Image, ImageDraw
from PIL.TiffImagePlugin import TiffImageFile

from focus.engines import tiff
from focus.engines.documents import Limits, Preparation
from focus.engines.fax import BadHeader, BadPages, Document, DocumentError, EngineMissing, FaxError
from tests.engines.faxes import FINE, STANDARD, page, pages_of, same, write

A4_POINTS = (595, 842)


async def prepared(tmp_path: Path, *documents: Document, limits: Limits | None = None) -> list[Image.Image]:
    path = tmp_path / "prepared.tiff"
    done = await Preparation(limits).prepare(documents, path)
    pages = pages_of(path)
    assert done.path == path
    assert path.stat().st_mode & 0o777 == 0o600
    assert done.pages == len(pages) == len(tiff.read(path))
    for image in pages:
        assert image.mode == "1"
        assert image.width == 1728
        assert image.info["compression"] == "group4"
    return pages


def document(path: Path, pages: str | None = None, *, header: str = "") -> Document:
    return Document(path, path.name, pages, header)


def pdf(path: Path, *sizes: tuple[float, float]) -> Path:
    """Pages of these sizes in points; on each a black square of an inch, an inch from the left and the bottom."""
    made = pypdfium2.PdfDocument.new()
    for width, height in sizes:
        sheet = made.new_page(width, height)
        square = pypdfium2.raw.FPDFPageObj_CreateNewRect(72, 72, 72, 72)
        pypdfium2.raw.FPDFPageObj_SetFillColor(square, 0, 0, 0, 255)
        pypdfium2.raw.FPDFPath_SetDrawMode(square, pypdfium2.raw.FPDF_FILLMODE_WINDING, False)
        pypdfium2.raw.FPDFPage_InsertObject(sheet, square)
        sheet.gen_content()
        sheet.close()
    made.save(path)
    made.close()
    return path


def ink(image: Image.Image) -> tuple[int, int, int, int]:
    """Where the black is: left, top, right and bottom."""
    box = Image.fromarray(255 - np.asarray(image.convert("L"))).getbbox()
    assert box is not None
    return box


def near(value: float, expected: float, by: float = 2) -> bool:
    return abs(value - expected) <= by


# --- what is one already ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [FINE, STANDARD])
async def test_a_fax_stays_as_it_is(tmp_path: Path, resolution: tuple[int, int]) -> None:
    pages = [page(1), page(2, height=1300)]
    result = await prepared(tmp_path, document(write(tmp_path / "a.tiff", pages, resolution)))
    assert [same(*pair) for pair in zip(result, pages, strict=True)] == [True, True]
    assert {each.resolution for each in tiff.read(tmp_path / "prepared.tiff")} == {resolution}


async def test_standard_pages_among_fine_ones_have_their_rows_twice(tmp_path: Path) -> None:
    standard, fine = page(1, height=300), page(2)
    result = await prepared(
        tmp_path,
        document(write(tmp_path / "a.tiff", [standard], STANDARD)),
        document(write(tmp_path / "b.tiff", [fine], (200, 200))),
    )
    assert np.array_equal(np.asarray(result[0]), np.repeat(np.asarray(standard), 2, axis=0))
    assert same(result[1], fine)
    assert {each.resolution for each in tiff.read(tmp_path / "prepared.tiff")} == {FINE}


async def test_pages_are_those_that_are_wanted_in_the_order_of_the_documents(tmp_path: Path) -> None:
    first = write(tmp_path / "a.tiff", [page(number, height=100) for number in range(1, 7)])
    second = write(tmp_path / "b.tiff", [page(number, height=100) for number in range(11, 14)])
    path = tmp_path / "prepared.tiff"
    done = await Preparation().prepare(
        [
            document(second, "2", header="B\u00fccher"),
            document(first, "5,1-2,2-3", header="A"),
            document(second, header=""),
        ],
        path,
    )
    numbers = [12, 1, 2, 3, 5, 11, 12, 13]
    assert [
        same(*pair) for pair in zip(pages_of(path), [page(number, height=100) for number in numbers], strict=True)
    ] == [True] * 8
    assert done.headers == ("Bucher", "A", "A", "A", "A", "", "", "")


# --- what has to become one -------------------------------------------------------------------------------------------


async def test_a_pdf_keeps_its_measures(tmp_path: Path) -> None:
    [sheet] = await prepared(tmp_path, document(pdf(tmp_path / "a.pdf", A4_POINTS)))
    assert near(sheet.height, 842 / 72 * 196)
    left, top, right, bottom = ink(sheet)
    assert near(right - left, 204)
    assert near(bottom - top, 196)
    assert near(left, (1728 - 595 / 72 * 204) / 2 + 204)  # in the middle of a page that is a little wider than A4
    assert near(sheet.height - bottom, 196)


def pdf_of(*objects: bytes, trailer: bytes = b"") -> bytes:
    """`objects` are numbered from 1, which is the catalogue."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % pair for pair in enumerate(objects, 1))
    return b"%%PDF-1.4\n%strailer<</Size %d/Root 1 0 R%s>>\n%%%%EOF\n" % (body, len(objects) + 1, trailer)


#: Nobody knows its password, and the empty one is none.
LOCKED = pdf_of(
    b"<</Type/Catalog/Pages 2 0 R>>",
    b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>",
    b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (b"ab" * 32, b"cd" * 32),
    trailer=b"/Encrypt 4 0 R/ID[<00><00>]",
)


def filled_form(path: Path) -> Path:
    """A page with a field, 4 inches by half an inch, an inch from the left and the bottom, that is filled: black."""
    ink = b"0 0 288 36 re f"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>/Annots[4 0 R]>>",
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Juliet)/Rect[72 72 360 108]/F 4/P 3 0 R/AP<</N 5 0 R>>>>",
        b"<</Type/XObject/Subtype/Form/BBox[0 0 288 36]/Length %d>>stream\n%s\nendstream" % (len(ink), ink),
    ]
    path.write_bytes(pdf_of(*objects))
    return path


async def test_what_is_filled_into_a_form_is_there(tmp_path: Path) -> None:
    [sheet] = await prepared(tmp_path, document(filled_form(tmp_path / "a.pdf")))
    left, top, right, bottom = ink(sheet)
    assert near(right - left, 4 * 204)
    assert near(bottom - top, 0.5 * 196)


async def test_what_is_too_wide_becomes_smaller(tmp_path: Path) -> None:
    """A3 across: 420 mm on 215."""
    [sheet] = await prepared(tmp_path, document(pdf(tmp_path / "a.pdf", (1191, 842))))
    factor = 1728 / 204 * 72 / 1191
    left, top, right, bottom = ink(sheet)
    assert near(sheet.height, 842 / 72 * 196 * factor)
    assert near(right - left, 204 * factor)
    assert near(bottom - top, 196 * factor)
    assert near(left, 204 * factor)


async def test_what_is_too_long_is_cut(tmp_path: Path) -> None:
    """A roll of 60 inches, of which the square is an inch from the end."""
    sheets = await prepared(tmp_path, document(pdf(tmp_path / "a.pdf", (595, 60 * 72)), header="x"))
    assert [sheet.height for sheet in sheets[:-1]] == [2290] * 5
    assert near(sum(sheet.height for sheet in sheets), 60 * 196)
    assert near(sheets[-1].height - ink(sheets[-1])[3], 196)


PICTURES = [
    ("L", "tiff", {"dpi": (300, 300)}),
    ("RGB", "tiff", {"dpi": (300, 300), "compression": "tiff_lzw"}),
    ("RGB", "tiff", {"dpi": (300, 300), "compression": "jpeg"}),
    ("CMYK", "tiff", {"dpi": (300, 300)}),
    ("P", "tiff", {"dpi": (300, 300), "compression": "packbits"}),
    ("1", "tiff", {"dpi": (300, 300)}),
    ("1", "tiff", {"dpi": (300, 300), "compression": "group3"}),
    ("I;16", "tiff", {"dpi": (300, 300)}),
    ("LA", "png", {"dpi": (300, 300)}),
    ("RGB", "jpeg", {"dpi": (300, 300)}),
]


@pytest.mark.parametrize(("mode", "kind", "options"), PICTURES)
async def test_a_picture_of_any_sane_kind_is_taken(
    tmp_path: Path, mode: str, kind: str, options: dict[str, Any]
) -> None:
    """Four inches by two at 300 dots to the inch, with a black square of one at the top on the left."""
    gray = Image.new("L", (1200, 600), 255)
    ImageDraw.Draw(gray).rectangle((300, 0, 599, 299), fill=0)
    image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257) if mode == "I;16" else gray.convert(mode)
    image.save(tmp_path / f"a.{kind}", **options)
    [sheet] = await prepared(tmp_path, document(tmp_path / f"a.{kind}"))
    left, top, right, bottom = ink(sheet)
    assert near(sheet.height, 392)
    assert (top, near(bottom, 196)) == (0, True)
    assert near(left, (1728 - 816) / 2 + 204)
    assert near(right - left, 204)


async def test_white_may_be_nothing_with_16_bits_too(tmp_path: Path) -> None:
    """Which Pillow leaves to others."""
    values = np.zeros((400, 1728), np.uint16)
    values[100:200, 100:200] = 65535
    Image.fromarray(values).save(tmp_path / "a.tiff", dpi=FINE, tiffinfo={262: 0})
    [sheet] = await prepared(tmp_path, document(tmp_path / "a.tiff"))
    assert ink(sheet) == (100, 100, 200, 200)


async def test_a_picture_without_a_resolution_is_as_large_as_a_page(tmp_path: Path) -> None:
    image = Image.new("L", (400, 200), 255)
    ImageDraw.Draw(image).rectangle((0, 0, 199, 99), fill=0)
    image.save(tmp_path / "a.png")
    [sheet] = await prepared(tmp_path, document(tmp_path / "a.png"))
    assert near(sheet.height, 864 * 196 / 204)
    left, top, right, bottom = ink(sheet)
    assert (left, top) == (0, 0)
    assert near(right, 864, 4)
    assert near(bottom, 432 * 196 / 204, 4)


async def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (1728, 400), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((100, 100, 200, 200), fill=(0, 0, 0, 255))
    image.save(tmp_path / "a.png", dpi=FINE)
    [sheet] = await prepared(tmp_path, document(tmp_path / "a.png"))
    assert ink(sheet) == (100, 100, 201, 201)


async def test_a_picture_is_turned_as_it_says(tmp_path: Path) -> None:
    """A camera held sideways: 600 wide and 1200 high, stored lying."""
    image = Image.new("L", (1200, 600), 255)
    ImageDraw.Draw(image).rectangle((0, 0, 299, 299), fill=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    image.save(tmp_path / "a.jpeg", dpi=(300, 300), exif=exif)
    [sheet] = await prepared(tmp_path, document(tmp_path / "a.jpeg"))
    assert near(sheet.height, 4 * 196)
    left, top, right, _ = ink(sheet)
    assert (top, near(right - left, 204)) == (0, True)
    assert near(right, (1728 + 2 * 204) / 2)  # what was on the left is on top, and what was on top on the right


async def test_grays_are_dots(tmp_path: Path) -> None:
    Image.new("L", (1728, 400), 144).save(tmp_path / "a.png", dpi=FINE)
    [sheet] = await prepared(tmp_path, document(tmp_path / "a.png"))
    assert 0.4 < np.asarray(sheet).mean() < 0.6


# --- what is refused --------------------------------------------------------------------------------------------------


async def refused(tmp_path: Path, *documents: Document, limits: Limits | None = None, seconds: float = 60.0) -> str:
    path = tmp_path / "prepared.tiff"
    with pytest.raises(DocumentError) as refusal:
        await Preparation(limits, timeout=seconds).prepare(documents, path)
    assert not path.exists()
    return str(refusal.value)


async def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tiff", [page(1), page(2)])
    with pytest.raises(BadPages, match=r"^a\.tiff: there is no page 3, of 2$"):
        await Preparation().prepare([document(path), document(path, "1,2-3")], tmp_path / "prepared.tiff")
    with pytest.raises(BadPages, match=r"^a\.tiff: '5-2' is an empty range of pages$"):
        await Preparation().prepare([document(path, "5-2")], tmp_path / "prepared.tiff")
    with pytest.raises(BadHeader):
        await Preparation().prepare([document(path, header="x" * 51)], tmp_path / "prepared.tiff")
    with pytest.raises(DocumentError, match="no document"):
        await Preparation().prepare([], tmp_path / "prepared.tiff")


async def test_junk_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good.tiff", [page(1)])
    for name, data, reason in [
        ("junk.tiff", b"junk", "it is no TIFF, PDF, PNG or JPEG"),
        ("empty.tiff", b"", "it is empty"),
        ("page.html", b"<html>" * 1000, "it is no TIFF, PDF, PNG or JPEG"),
        ("broken.pdf", b"%PDF-1.7\njunk", "the PDF cannot be read"),
        ("picture.gif", b"GIF89a" + bytes(100), "it is no TIFF, PDF, PNG or JPEG"),
        ("none.tiff", b"II*\0" + bytes(4), "the TIFF cannot be read: it has no pages"),
        ("big.tiff", b"MM\0+\0\10\0\0" + bytes(8), "the TIFF cannot be read: it has no pages"),
        ("none.pdf", pdf(tmp_path / "none.pdf").read_bytes(), "it has no pages"),
        ("locked.pdf", LOCKED, "it is encrypted, and cannot be read without its password"),
    ]:
        (tmp_path / name).write_bytes(data)
        assert (await refused(tmp_path, document(good), document(tmp_path / name))).startswith(f"{name}: {reason}")


async def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    first = Image.new("L", (1728, 300), 255)
    first.save(path, dpi=FINE, compression="jpeg", save_all=True, append_images=[first, first])
    with Image.open(path) as image:
        assert isinstance(image, TiffImageFile)
        image.seek(1)
        (start, *_), (length, *_) = image.tag_v2[273], image.tag_v2[279]
    data = bytearray(path.read_bytes())
    data[start : start + length] = bytes(length)
    path.write_bytes(data)
    assert (await refused(tmp_path, document(path))).startswith("a.tiff, page 2: it cannot be read")


def png_bomb(path: Path, width: int, height: int, *, rows: int | None = None) -> Path:
    """A picture of one colour, which is a thousandth as large as its pixels; or so many `rows` of it only."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = zlib.compress(bytes((1 + width) * (height if rows is None else rows)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    size = struct.pack(">IIB", 8000, 8000, 1)  # dots to the metre
    chunks = [chunk(b"IHDR", header), chunk(b"pHYs", size), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


async def test_bombs_are_refused(tmp_path: Path) -> None:
    wide = png_bomb(tmp_path / "wide.png", 20_000, 5_000, rows=1)
    assert "20000x5000 pixels, 80000000 are the most" in await refused(tmp_path, document(wide))
    thin = png_bomb(tmp_path / "thin.png", 4, 1_000_000)
    assert "too long for its width" in await refused(tmp_path, document(thin))
    roll = pdf(tmp_path / "roll.pdf", (595, 200_000))
    assert "too long for its width" in await refused(tmp_path, document(roll))


async def test_too_many_pages_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tiff", [page(number, height=100) for number in range(1, 4)])
    few = Limits(pages=5)
    assert await prepared(tmp_path, document(path), document(path, "1-2"), limits=few)
    (tmp_path / "prepared.tiff").unlink()
    assert await refused(tmp_path, document(path), document(path), limits=few) == (
        "a.tiff: 6 pages are too many, 5 are the most"
    )
    roll = pdf(tmp_path / "roll.pdf", (595, 60 * 72))
    assert "6 pages are too many, 5 are the most" in await refused(tmp_path, document(roll), limits=few)


async def test_memory_is_limited(tmp_path: Path) -> None:
    large = png_bomb(tmp_path / "large.png", 8_000, 8_000)
    assert "memory" in await refused(tmp_path, document(large), limits=Limits(memory=120_000_000))


async def test_the_size_is_limited(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 1728), np.uint8))
    noise.save(tmp_path / "a.png", dpi=FINE)
    assert await refused(tmp_path, document(tmp_path / "a.png"), limits=Limits(size=100_000)) == (
        "a.png, page 1: as a fax it is too large, 100000 bytes are the most"
    )


async def test_a_fax_that_cannot_be_written_is_not_the_fault_of_its_document(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tiff", [page(1)])
    with pytest.raises(FaxError, match="the fax cannot be written: No such file or directory") as refusal:
        await Preparation().prepare([document(path)], tmp_path / "nowhere" / "prepared.tiff")
    assert not isinstance(refusal.value, DocumentError)


async def test_what_ends_without_an_answer_leaves_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.tiff", [page(1)])
    assert "the reader has ended with 1" in await refused(tmp_path, document(path), limits=Limits(cpu=1 << 70))
    assert "OverflowError" in caplog.text
    caplog.clear()


NONSENSE = ('"pages": [200000000]', '"pages": [1, 1]', '"pages": ["1"]', '"pages": 1', '"error": "none"')


@pytest.mark.parametrize("answer", [*(f"{{{each}}}" for each in NONSENSE), "[1]", "1", "x", "[" * 50_000])
async def test_a_reader_that_makes_no_sense_any_more_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """As one that a document has taken over."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nread question\necho '{answer}'\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    path = write(tmp_path / "a.tiff", [page(1, height=90)])
    assert "makes no sense any more" in await refused(tmp_path, document(path))


async def test_a_reader_that_does_not_stop_complaining_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nread question\nexec 1>&-\nexec yes >&2\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    path = write(tmp_path / "a.tiff", [page(1, height=90)])
    assert "takes too long" in await refused(tmp_path, document(path), seconds=1)


async def test_time_is_limited(tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", *[A4_POINTS] * 100)
    assert "takes too long" in await refused(tmp_path, document(path), limits=Limits(cpu=1))
    assert "takes too long" in await refused(tmp_path, document(path), seconds=0.3)


async def test_who_no_longer_waits_leaves_nothing(tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", *[A4_POINTS] * 100)
    output = tmp_path / "prepared.tiff"
    preparing = asyncio.create_task(Preparation().prepare([document(path)], output))
    async with asyncio.timeout(60):
        while not output.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    assert not output.exists()


async def test_without_pillow_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tiff", [page(1)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match="Pillow"):
        await Preparation().prepare([document(path)], tmp_path / "prepared.tiff")
