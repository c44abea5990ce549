"""Tokens as they are written in grammars and as they come in, made equal (SRGS 1.0, section 2.1 and appendix E).

A key of a telephone is one of `0` to `9`, `*`, `#`, `A` to `D`, in either case; `star` and `pound` are names of two of
them, and keys may be written without space between. Words are compared without regard to case, compatibility forms of
Unicode, kinds of apostrophe, and punctuation around them. A token of several words is those words, one after another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from focus.engines.grammar.expansions import Mode
from focus.engines.markup import DocumentError, Text

KEYS = {key: key.upper() for key in "0123456789*#ABCDabcd"}
_NAMES = {"star": "*", "pound": "#"}
_WRITTEN = re.compile(r'"([^"]*)"|[^\s"]+|"')
_PUNCTUATION = '.,;:!?…¿¡()«»“”„"'


def of_input(text: str, mode: Mode) -> list[str]:
    """The tokens of what came in. What cannot be a key stays as it is, and is in no DTMF grammar."""
    if mode is Mode.VOICE:
        return [word for word in map(_word, unicodedata.normalize("NFKC", text).split()) if word]
    return [key for written in text.split() for key in (keys(written) or [written])]


def of_grammar(text: Text, mode: Mode) -> tuple[str, ...]:
    """The tokens of a grammar's character data, quoted or not. Raises `DocumentError`."""
    written = str(text)
    return tuple(token for match in _WRITTEN.finditer(written) for token in _tokens(match, text, mode))


def of_token(text: Text, mode: Mode) -> tuple[str, ...]:
    """The tokens of a `<token/>`, in which a quote is one. Raises `DocumentError`."""
    words = tuple(of_input(str(text).replace('"', " "), mode))
    if not words:
        raise DocumentError("<token>: there is nothing in it", text.place_of(0))
    for word in words:
        if mode is Mode.DTMF and word not in KEYS:
            raise _no_key(word, text, 0)
    return words


def keys(written: str) -> list[str]:
    """The keys of a DTMF token; none, if it is something else."""
    if name := _NAMES.get(written.lower()):
        return [name]
    return [KEYS[key] for key in written] if all(key in KEYS for key in written) else []


def _tokens(match: re.Match[str], text: Text, mode: Mode) -> Iterator[str]:
    if match[0] == '"':
        raise DocumentError('a " without another one', text.place_of(match.start()))
    written = match[0] if match[1] is None else match[1]
    if mode is Mode.VOICE:
        yield from of_input(written, mode)
        return
    for part in written.split():
        if not (found := keys(part)):
            raise _no_key(part, text, match.start())
        yield from found


def _no_key(word: str, text: Text, offset: int) -> DocumentError:
    return DocumentError(f"{word[:40]!r} is no DTMF key (0-9, *, #, A-D)", text.place_of(offset))


def _word(written: str) -> str:
    word = unicodedata.normalize("NFKC", written.casefold()).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return word.strip(_PUNCTUATION) or ("" if word.strip('"') == "" else word)
