"""Documents become pages of a fax in a process of its own: `python -m focus.engines.rasterizing`, asked on stdin.

They come from strangers, and what reads them is much C. So it is done where nothing else is, with little memory, and
not for long. `focus.engines.documents` asks, with one line of JSON:

    {"documents": [{"path": ..., "name": ..., "ranges": [[first, last], ...] or null}, ...], "output": ...,
     "limits": {"memory": bytes, "cpu": seconds, "size": bytes, "pages": number, "pixels": number}}

The answers are lines of JSON: `{"document": index, "page": number or null}` before each is read, and in the end
`{"pages": [how many of each document], "resolution": [across, down]}`, or
`{"error": what is wrong, "of": with what, one of `FAULTS`}`. What is asked for
that way can be relied on, the documents cannot.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

#: T.4: 1728 picture elements on a line of 215 mm; dots per inch.
WIDTH = 1728
ACROSS = 204
FINE = 196
STANDARD = 98

#: A page is as long as it is, up to US legal. What is longer is cut into pages of A4 (in 1/196 inch).
LONGEST = 2744
A4 = 2290

#: What is nearly black or nearly white becomes so, that letters keep their edges; between these it is dithered.
_BLACK, _WHITE = 80, 208


#: How a TIFF begins, and a BigTIFF; and where one says what its values are, of which 0 is that white is nothing.
_TIFFS = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"
_PHOTOMETRIC = 262

#: The document, the list of pages, what is installed here, and the room for what is made.
FAULTS = DOCUMENT, PAGES, INSTALLATION, ROOM = "document", "pages", "installation", "room"


class Unusable(Exception):
    """What is wrong, and with what, of `FAULTS`."""

    def __init__(self, text: str, *, of: str = DOCUMENT) -> None:
        super().__init__(text)
        self.of = of


class Source(Protocol):
    """A document that is open."""

    def __len__(self) -> int:
        """How many pages it has."""

    def is_standard(self, index: int) -> bool:
        """Whether a page is a fax of standard resolution already."""

    def render(self, index: int, down: int) -> Any:
        """A page as a picture with one bit for each element, `WIDTH` wide, with `down` rows to the inch."""


class Pictures:
    """TIFF, PNG, JPEG."""

    def __init__(self, path: str, pixels: int) -> None:
        from PIL import Image, UnidentifiedImageError

        self._pixels = pixels
        try:
            self._image: Any = Image.open(path, formats=["TIFF", "PNG", "JPEG"])
        except UnidentifiedImageError:
            with open(path, "rb") as file:
                is_tiff = file.read(4) in _TIFFS
            if is_tiff:
                raise Unusable("the TIFF cannot be read: it has no pages, or is of an unusual kind") from None
            raise Unusable("it is no TIFF, PDF, PNG or JPEG") from None
        self._frames = getattr(self._image, "n_frames", 1) if self._image.format == "TIFF" else 1

    def __len__(self) -> int:
        return int(self._frames)

    def is_standard(self, index: int) -> bool:
        self._seek(index)
        return self._is_fax() and _is_near(self._resolution()[1], STANDARD)

    def render(self, index: int, down: int) -> Any:
        from PIL import Image, ImageOps

        self._seek(index)
        across, rows = self._resolution()
        if self._is_fax() and (_is_near(rows, FINE) or _is_near(rows, STANDARD)):
            times = down // (FINE if _is_near(rows, FINE) else STANDARD)
            page = self._image.copy()
            return page if times == 1 else page.resize((WIDTH, page.height * times), Image.Resampling.NEAREST)
        # A fresh picture: `load` turns it as its orientation says, and so may `exif_transpose`, with its resolution.
        shown = ImageOps.exif_transpose(self._image)
        turned = shown.size != self._image.size and shown.size == self._image.size[::-1]
        if turned:
            across, rows = rows, across
        if shown.mode.startswith("I;16") and getattr(self._image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
            shown = ImageOps.invert(_gray(shown))  # of fewer bits Pillow does it itself
        return _page(shown, across, rows, down)

    def _seek(self, index: int) -> None:
        self._image.seek(index)
        width, height = self._image.size
        if width * height > self._pixels:
            raise Unusable(f"{width}x{height} pixels, {self._pixels} are the most")

    def _is_fax(self) -> bool:
        """Whether it is a page as T.4 has it, but for its resolution down."""
        is_page: bool = self._image.mode == "1" and self._image.width == WIDTH and self._image.height <= LONGEST
        return is_page and _is_near(self._resolution()[0], ACROSS)

    def _resolution(self) -> tuple[float, float]:
        """Dots per inch, 0 where the picture does not say or says nonsense."""
        try:
            across, down = (float(value) for value in self._image.info.get("dpi", (0, 0)))
        except (TypeError, ValueError, ZeroDivisionError):
            return 0, 0
        return (across, down) if 10 <= across <= 10_000 and 10 <= down <= 10_000 else (0, 0)


class Pdf:
    """PDF, drawn by pdfium."""

    def __init__(self, path: str, pixels: int) -> None:
        try:
            import pypdfium2
        except ImportError:
            raise Unusable(
                "PDF cannot be read here: pypdfium2 is not installed (`pip install focus-conference[fax]`)",
                of=INSTALLATION,
            ) from None
        self._pixels = pixels
        self._errors = pypdfium2.PdfiumError
        try:
            self._document = pypdfium2.PdfDocument(path)
        except self._errors as error:
            reason = pypdfium2.raw.FPDF_GetLastError()
            if reason == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise Unusable("it is encrypted, and cannot be read without its password") from None
            if reason == pypdfium2.raw.FPDF_ERR_SUCCESS:  # all is well, but for its having none
                raise Unusable("it has no pages") from None
            raise Unusable(f"the PDF cannot be read: {str(error)[:200]}") from None
        self._document.init_forms()  # what has been filled in is drawn as well

    def __len__(self) -> int:
        return len(self._document)

    def is_standard(self, index: int) -> bool:
        return False

    def render(self, index: int, down: int) -> Any:
        try:
            page = self._document[index]
            width, height = page.get_size()
            if not (0 < width < 1e6 and 0 < height < 1e6):
                raise Unusable(f"{width:g}x{height:g} points is no size of a page")
            scale = min(ACROSS, WIDTH / width * 72) / 72
            if width * scale * height * scale > self._pixels:
                raise Unusable(f"{width:.0f}x{height:.0f} points is too long for its width")
            picture = page.render(scale=scale, grayscale=True).to_pil()
            page.close()
        except self._errors as error:
            raise Unusable(str(error)[:200]) from None
        return _page(picture, scale * 72, scale * 72, down, is_fitted=True)


def _page(picture: Any, across: float, down: float, rows: int, *, is_fitted: bool = False) -> Any:
    """A picture on a page: as large as it is, but no wider than the page; black and white.

    What does not say how large it is becomes as large as fits on A4. `is_fitted`: it is no wider than the page.
    """
    from PIL import Image

    width, height = picture.size
    if not across:
        scale = min(WIDTH / width, A4 * ACROSS / FINE / height)
        across = down = ACROSS / scale
    scale = 1.0 if is_fitted else min(ACROSS / across, WIDTH / width)
    # Down, by the same measure on paper; a row is as high as `rows` to the inch make it.
    size = (
        min(WIDTH, max(1, round(width * scale))),
        max(1, round(height * scale * across / ACROSS * (ACROSS / down) * rows / ACROSS)),
    )
    if size[1] > 50 * A4:
        raise Unusable(f"{width}x{height} pixels is too long for its width")
    gray = _gray(picture)
    if gray.size != size:
        gray = gray.resize(size, Image.Resampling.LANCZOS)
    steep = [0 if v < _BLACK else 255 if v > _WHITE else (v - _BLACK) * 255 // (_WHITE - _BLACK) for v in range(256)]
    page = Image.new("1", (WIDTH, size[1]), 1)
    page.paste(gray.point(steep).convert("1"), ((WIDTH - size[0]) // 2, 0))
    return page


def _gray(picture: Any) -> Any:
    """In 256 shades, what is transparent being white."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.mode in ("I", "F"):
        raise Unusable(f"pictures of this kind ({picture.mode}) cannot be faxed")
    if "A" in picture.getbands() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        white.alpha_composite(clear)
        picture = white
    return picture.convert("L")


def _is_near(value: float, resolution: int) -> bool:
    """Metric and inch resolutions are the same to T.30, as is 200 and 204."""
    return abs(value - resolution) <= 0.03 * resolution


def _source(path: str, pixels: int) -> Source:
    with open(path, "rb") as file:
        start = file.read(1024)
    if not start:
        raise Unusable("it is empty")
    return Pdf(path, pixels) if b"%PDF-" in start else Pictures(path, pixels)


def _selected(pages: int, ranges: Sequence[Sequence[int]] | None) -> list[int]:
    if ranges is None:
        return list(range(pages))
    beyond = max(last for _, last in ranges)
    if beyond > pages:
        raise Unusable(f"there is no page {beyond}, of {pages}", of=PAGES)
    return sorted({page - 1 for first, last in ranges for page in range(first, last + 1)})


@dataclass
class Job:
    """One question, and how far it is: that is said where something is wrong."""

    question: dict[str, Any]
    name: str = ""
    page: int | None = None

    def run(self) -> dict[str, Any]:
        documents, limits = self.question["documents"], self.question["limits"]
        opened = []
        count = 0
        for index, document in enumerate(documents):
            self._at(index, None)
            source = _source(document["path"], limits["pixels"])
            selected = _selected(len(source), document["ranges"])
            if not selected:
                raise Unusable("it has no pages")
            count += len(selected)
            if count > limits["pages"]:
                raise Unusable(f"{count} pages are too many, {limits['pages']} are the most")
            opened.append((index, source, selected))
        is_standard = True
        for index, source, selected in opened:
            for page in selected:
                self._at(index, page)
                is_standard = is_standard and source.is_standard(page)
        down = STANDARD if is_standard else FINE
        written = [0] * len(documents)
        from PIL.TiffImagePlugin import AppendingTiffWriter

        with _room(limits["size"]):
            output = AppendingTiffWriter(self.question["output"], new=True)
        for index, source, selected in opened:
            for page in selected:
                self._at(index, page)
                for part in _cut(source.render(page, down), down):
                    with _room(limits["size"]):
                        part.save(output, format="TIFF", compression="group4", dpi=(ACROSS, down))
                        output.newFrame()
                    written[index] += 1
        with _room(limits["size"]):
            output.close()
        if sum(written) > limits["pages"]:
            raise Unusable(f"{sum(written)} pages are too many, {limits['pages']} are the most")
        return {"pages": written, "resolution": [ACROSS, down]}

    def _at(self, index: int, page: int | None) -> None:
        self.name = self.question["documents"][index]["name"]
        self.page = None if page is None else page + 1
        _say({"document": index, "page": self.page})


@contextmanager
def _room(size: int) -> Iterator[None]:
    """Around what is written: that is not what was read."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise Unusable(f"as a fax it is too large, {size} bytes are the most") from None
        raise Unusable(f"the fax cannot be written: {error.strerror or error}", of=ROOM) from None


def _cut(page: Any, down: int) -> Iterator[Any]:
    if page.height * FINE // down <= LONGEST:
        yield page
        return
    rows = A4 * down // FINE
    for top in range(0, page.height, rows):
        yield page.crop((0, top, WIDTH, min(page.height, top + rows)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _limit(kind: int, value: int) -> None:
    resource.setrlimit(kind, (value, value))


def main() -> None:
    question = json.loads(sys.stdin.readline())
    limits = question["limits"]
    os.umask(0o077)
    os.set_blocking(sys.stderr.fileno(), False)  # it is read when this has ended
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, limits["memory"])
    _limit(resource.RLIMIT_CPU, limits["cpu"])
    _limit(resource.RLIMIT_FSIZE, limits["size"])
    _limit(resource.RLIMIT_NPROC, 0)
    warnings.simplefilter("ignore")  # of what Pillow finds odd: the limits are ours
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    job = Job(question)
    try:
        answer = job.run()
    except Unusable as error:
        answer = {"error": str(error), "of": error.of}
    except MemoryError:
        answer = {"error": "it needs too much memory", "of": DOCUMENT}
    except Exception as error:  # whatever a parser makes of what it does not expect
        answer = {"error": f"it cannot be read: {str(error)[:200] or type(error).__name__}", "of": DOCUMENT}
    _say(answer)


if __name__ == "__main__":
    main()
