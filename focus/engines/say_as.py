"""What a `<say-as/>` says, in words (W3C Note "SSML 1.0 say-as attribute values", 2005; VoiceXML 2.0, appendix P).

Synthesizers spell what they are told to and read numbers; dates, times, ordinals and amounts of money they read as they
are written. So these are written as they are said, in English; in other languages they stay as they are, and so does
what is none: "10/5/2026", where nothing says whether it is of October, is better read than guessed.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable

#: What synthesizers know, and what else it is called.
TELEPHONE, CHARACTERS = "telephone", "characters"
SPELT = {
    TELEPHONE: TELEPHONE, "phone": TELEPHONE, "digits": TELEPHONE,
    CHARACTERS: CHARACTERS, "spell-out": CHARACTERS, "verbatim": CHARACTERS, "letters": CHARACTERS,
}  # fmt: skip

_ENGLISH = re.compile(r"en(?![a-z])", re.IGNORECASE)
#: Of day, month and year, where it is not said.
_ORDERS = "ymd", "mdy", "dmy"
_TIME = re.compile(r"(\d{1,2})(?:[:.]?([0-5]\d)(?:[:.]?([0-5]\d))?)?\s*(?:([ap])(?:\.?m\.?)?|[h?])?", re.IGNORECASE)
_ORDINAL = re.compile(r"(\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th|\.)?", re.IGNORECASE)
_AMOUNT = r"(-?)(\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.(\d\d))?"
_MONEY = re.compile(rf"([$€£¥]|[A-Z]{{3}})\s*{_AMOUNT}|{_AMOUNT}\s*([$€£¥]|[A-Z]{{3}})")
#: One and many, of the whole and of its hundredth.
_CURRENCIES = {
    "USD": ("dollar", "dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "sen", "sen"),
}
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}


def kind_of(interpret_as: str, form: str) -> tuple[str, str] | None:
    """`interpret-as` and `format` as the note has them: there is "vxml:date" of VoiceXML, and "date:mdy" of drafts.

    None of a kind that is not known here.
    """
    kind, _, rest = interpret_as.strip().lower().partition(":")
    if kind in ("vxml", "number"):
        kind, _, rest = rest.partition(":")
    return (kind, form or rest) if kind in SPELT or kind in _WAYS else None


def said(text: str, kind: str, form: str, language: str) -> str:
    """How `text` is written for a synthesizer that is to say it; `language` is a tag, "" where it is not known."""
    if kind in (TELEPHONE, "phone"):
        return re.sub(r"[-–().\s]+", " ", text)  # noqa: RUF001 - numbers are written with dashes
    say = _WAYS.get(kind)
    if say is None or not _ENGLISH.match(language):
        return text
    bare = text.strip()
    words = say(bare, form.lower())
    return text if words is None else text.replace(bare, words)


def _date(text: str, form: str) -> str | None:
    order = "".join(dict.fromkeys(letter for letter in form if letter in "dmy"))  # of "MM/dd/yyyy" as of "mdy"
    found = {_date_in(each, text) for each in ([order] if order else _ORDERS)} - {None}
    return found.pop() if len(found) == 1 else None


def _date_in(order: str, text: str) -> str | None:
    for between, short in (r"[-/.\s]", r"(\d\d?)"), ("", r"(\d\d)"):
        if match := re.fullmatch(between.join(r"(\d{4}|\d\d)" if part == "y" else short for part in order), text):
            parts = dict(zip(order, map(int, match.groups()), strict=True))
            break
    else:
        return None
    if not (1 <= parts.get("m", 1) <= 12 and 1 <= parts.get("d", 1) <= 31):
        return None
    words = [calendar.month_name[parts["m"]]] if "m" in parts else []
    words += [_numeral(parts["d"])] if "d" in parts else []
    year = [_year(parts["y"])] if "y" in parts else []
    return (", " if "d" in parts else " ").join([" ".join(words), *year]).strip()


def _year(year: int) -> str:
    year += 0 if year > 99 else 1900 if year > 68 else 2000
    century, rest = divmod(year, 100)
    if not 11 <= century <= 20 or 2000 <= year < 2010:
        return str(year)
    return f"{century} {'hundred' if not rest else f'oh {rest}' if rest < 10 else rest}"


def _time(text: str, _form: str) -> str | None:
    match = _TIME.fullmatch(text)
    if match is None or int(match[1]) > 24:
        return None
    hour, minutes, seconds, half = int(match[1]), int(match[2] or 0), int(match[3] or 0), (match[4] or "").lower()
    if minutes:
        words = f"{hour}:{minutes}" if minutes >= 10 else f"{hour} oh {minutes}"
    elif half:
        words = str(hour)
    else:
        words = f"{hour} o'clock" if 1 <= hour <= 12 else f"{hour} hundred"
    words += f" {half}.m." if half else ""
    return words + (f" and {_counted(seconds, 'second', 'seconds')}" if seconds else "")


def _ordinal(text: str, _form: str) -> str | None:
    match = _ORDINAL.fullmatch(text)
    return _numeral(int(match[1].replace(",", ""))) if match else None


def _currency(text: str, _form: str) -> str | None:
    match = _MONEY.fullmatch(text)
    if match is None:
        return None
    sign, minus, whole, hundredths = match.group(1, 2, 3, 4) if match[1] else match.group(8, 5, 6, 7)
    names = _CURRENCIES.get(_SIGNS.get(sign, sign))
    if names is None:
        return None
    many, few = int(whole.replace(",", "")), int(hundredths or 0)
    parts = [_counted(many, *names[:2])] if many or not few else []
    parts += [_counted(few, *names[2:])] if few else []
    return ("minus " if minus else "") + " and ".join(parts)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _numeral(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"


_WAYS: dict[str, Callable[[str, str], str | None]] = {
    "date": _date,
    "time": _time,
    "ordinal": _ordinal,
    "currency": _currency,
}
