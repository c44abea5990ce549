"""Documents that clients name by their address: sound, grammars, text to be spoken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol


class FetchError(Exception):
    """A document could not be had; the message says why. `temporary`: it may be had later."""

    def __init__(self, what: str, *, temporary: bool = False) -> None:
        super().__init__(what)
        self.temporary = temporary


@dataclass(slots=True)
class Fetched:
    """A document as it came. `content_type` has no parameters, and is "" where nobody says what it is; `charset` is
    what it says of text. `file` is at its beginning, and is closed by whoever has fetched."""

    uri: str
    content_type: str
    charset: str
    file: BinaryIO

    def text(self) -> str:
        """All of it, as text. Raises `FetchError` where it is none."""
        try:
            return self.file.read().decode(self.charset or "utf-8-sig")
        except (UnicodeDecodeError, LookupError):
            raise FetchError(f"{self.uri[:200]} is not text in {self.charset or 'UTF-8'}") from None


class Fetch(Protocol):
    """Fetches documents."""

    async def __call__(self, uri: str) -> Fetched:
        """The document at an absolute URI. Raises `FetchError`."""
