"""SSML for synthesizers that know none: as text, and how it is to be said (W3C Speech Synthesis Markup Language 1.1).

Of the markup counts what can be done from outside: `<break/>`, the ends of `<p/>` and `<s/>`, `<sub/>`, `<say-as/>` for
what is to be spelt, and rate and volume of `<prosody/>`. All else is only its text: `<emphasis/>`, `<phoneme/>`,
`<voice/>`, pitch. A `<mark/>` is nothing, as Rayo tells of none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from focus.engines.markup import Element, Text, read
from focus.engines.say_as import SPELT
from focus.engines.ssml import break_seconds

_SILENT = frozenset({"lexicon", "meta", "metadata", "desc", "lookup"})
#: Seconds.
_PARAGRAPH = 0.4
MAX_BREAK = 60.0
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.25, "x-fast": 1.75, "default": 1.0}
RATES = 0.5, 3.0
_DECIBELS = {"x-soft": -12.0, "soft": -6.0, "medium": 0.0, "loud": 6.0, "x-loud": 10.0, "default": 0.0}
LOUDEST = 4.0

_AMOUNT = re.compile(r"([+-]?)(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(%|dB)?")
#: Where a text can be said in parts: behind what ends a sentence.
_END = re.compile(r"""(?<=[.!?…:;])\s+|(?<=[.!?…:;]["'»”)])\s+""")
LONGEST = 400


@dataclass(frozen=True, slots=True)
class Phrase:
    """`text` without markup, so many times as fast and as loud; then a `pause`, in seconds."""

    text: str
    rate: float = 1.0
    volume: float = 1.0
    pause: float = 0.0


def phrases(document: str) -> list[Phrase]:
    """What an SSML document says. Raises `DocumentError`."""
    found: list[Phrase] = []
    for each in _said(read(document, "SSML"), Phrase("")):
        last = found[-1] if found else None
        if last is not None and not last.pause and (last.rate, last.volume) == (each.rate, each.volume):
            found[-1] = replace(each, text=f"{last.text}{each.text}")  # and its pause
        else:
            found.append(each)
    return [replace(each, text=" ".join(each.text.split())) for each in found if each.text.strip() or each.pause]


def sentences(text: str) -> list[str]:
    """`text` in parts, none of which is long; those that nothing can be said of are left out."""
    parts = [part for sentence in _END.split(text) for part in _parts(" ".join(sentence.split()))]
    return [part for part in parts if any(character.isalnum() for character in part)]


def _parts(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        cut = sentence.rfind(" ", 1, LONGEST)
        cut = cut if cut > 0 else LONGEST
        yield sentence[:cut]
        sentence = sentence[cut:].strip()
    yield sentence


def _said(element: Element, manner: Phrase) -> Iterator[Phrase]:
    attributes = element.attributes
    match element.name:
        case "break":
            yield replace(manner, pause=min(break_seconds(attributes), MAX_BREAK))
            return
        case "sub" if "alias" in attributes:
            yield replace(manner, text=attributes["alias"])
            return
        case "say-as" if attributes.get("interpret-as") in SPELT:
            yield replace(manner, text=f" {', '.join(''.join(_text(element).split()))} ")
            return
        case "prosody":
            rate = _amount(attributes.get("rate", ""), manner.rate, _RATES)
            volume = _volume(attributes.get("volume", ""), manner.volume)
            manner = replace(manner, rate=min(max(rate, RATES[0]), RATES[1]), volume=min(volume, LOUDEST))
        case name if name in _SILENT:
            return
    for child in element.children:
        if isinstance(child, Text):
            yield replace(manner, text=str(child))
        else:
            yield from _said(child, manner)
    if element.name in ("p", "paragraph"):
        yield replace(manner, pause=_PARAGRAPH)
    elif element.name in ("s", "sentence"):
        yield replace(manner, text=". ")


def _text(element: Element) -> str:
    return "".join(str(child) if isinstance(child, Text) else _text(child) for child in element.children)


def _amount(written: str, now: float, words: dict[str, float]) -> float:
    """How fast: a word or a number, or a percentage of what it is `now`, which is more or less with a sign."""
    if written in words:
        return words[written]
    match = _AMOUNT.fullmatch(written.strip())
    if match is None or match[3] == "dB":
        return now
    number = float(match[1] + match[2])
    if match[3] == "%":
        return now * (number / 100 + (1 if match[1] else 0))
    return now + number if match[1] else number


def _volume(written: str, now: float) -> float:
    """As a factor: a word, decibels more or less, or a number up to 100, which is as loud as it gets without words."""
    if written == "silent":
        return 0.0
    if written in _DECIBELS:
        return 10 ** (_DECIBELS[written] / 20)
    match = _AMOUNT.fullmatch(written.strip())
    if match is None:
        return now
    number = float(match[1] + match[2])
    if match[3] == "dB":
        return now * 10 ** (min(number, 40) / 20)
    if match[3] == "%":
        return max(now * (number / 100 + (1 if match[1] else 0)), 0.0)
    return max(number / 100 + (now if match[1] else 0), 0.0)
