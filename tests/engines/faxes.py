"""Pages to fax, and a line between two terminals that goes as fast as it can."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageSequence

from focus.engines.fax import SAMPLE_RATE, Concealment, FaxTerminal, Samples

FRAME = SAMPLE_RATE // 50
FINE = (204, 196)
STANDARD = (204, 98)


def page(number: int, *, height: int = 700, width: int = 1728) -> Image.Image:
    """A page with its number, a frame and lines of text, which is like no other."""
    image = Image.new("1", (width, height), 1)
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, width - 21, height - 21), outline=0, width=3)
    for top in range(40, height - 40, 40):
        draw.text((60, top), f"page {number}, row {top}: the quick brown fox jumps over the lazy dog " * 3, fill=0)
    return image


def write(path: Path, pages: Sequence[Image.Image], resolution: tuple[float, float] = FINE) -> Path:
    """A document as a fax engine takes it."""
    first, *others = pages
    first.save(path, compression="group4", dpi=resolution, save_all=True, append_images=others)
    return path


def pages_of(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        return [frame.copy() for frame in ImageSequence.Iterator(image)]


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and first.convert("1").tobytes() == second.convert("1").tobytes()


@dataclass
class Line:
    """A telephone line between two terminals, frame by frame; what it does to frames is `loss`, a share of them.

    Lost frames are concealed as the media plane conceals them. A terminal that is None is somebody who says nothing.
    """

    calling: FaxTerminal | None
    answering: FaxTerminal | None
    loss: float = 0.0
    seed: int = 0
    seconds: float = 0.0
    _heard: list[Samples] = field(default_factory=lambda: [np.zeros(FRAME, np.int16)] * 2)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._concealed = [Concealment(), Concealment()]

    def run(self, until: Callable[[], bool] | None = None, *, at_most: float = 400.0) -> None:
        """Until both are over, or `until` is true; fails where that takes more than `at_most` seconds of the line."""
        terminals = [self.calling, self.answering]
        until = until or (lambda: all(terminal is None or terminal.is_over for terminal in terminals))
        while not until():
            assert self.seconds < at_most, "the line is still busy"
            said = [
                np.zeros(FRAME, np.int16) if terminal is None else terminal.exchange(heard)
                for terminal, heard in zip(terminals, self._heard, strict=True)
            ]
            self._heard = [self._carried(said[1], 0), self._carried(said[0], 1)]
            self.seconds += FRAME / SAMPLE_RATE

    def wait(self, seconds: float) -> None:
        """For so many seconds, whatever becomes of it."""
        end = self.seconds + seconds
        self.run(lambda: self.seconds >= end)

    def _carried(self, frame: Samples, way: int) -> Samples:
        concealment = self._concealed[way]
        if self._random.random() < self.loss:
            return concealment.lost(len(frame))
        return concealment.arrived(frame)
