"""`focus grammar`: try a grammar as it would be matched (docs/grammars.md)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from focus.engines import nlsml
from focus.engines.fetching import FetchError
from focus.engines.grammar import DocumentError, Grammar, Matcher, Mode, load, load_from, of_input
from focus.engines.markup import MAX_BYTES
from focus.service.ready import ExitCode, ServiceError


def run(names: Sequence[str], mode: Mode | None, inputs: Sequence[str], as_json: bool) -> Iterator[str]:
    """The lines to print. Raises `ServiceError` where a grammar is faulty."""
    try:
        grammars = asyncio.run(_load(names, mode))
    except DocumentError as error:
        raise ServiceError(str(error), ExitCode.DATA) from None
    if len({grammar.mode for grammar in grammars}) > 1:
        raise ServiceError(f"{names[-1]}: all grammars must be of the same mode", ExitCode.DATA)
    remarks = [[*grammar.remarks] for grammar in grammars]
    if grammars[0].mode is Mode.VOICE:
        for of_one, why_not in zip(remarks, asyncio.run(_unheard(grammars)), strict=True):
            of_one += why_not
    for name, grammar, of_one in zip(names, grammars, remarks, strict=True):
        for remark in of_one:
            print(f"{name}: {remark}", file=sys.stderr)
        if not inputs and not as_json:
            yield f"{name}: ok, {grammar.mode.value}"
    describe = _json_line if as_json else _line
    for text in inputs:
        yield describe(text, grammars)


async def _load(names: Sequence[str], mode: Mode | None) -> list[Grammar]:
    grammars = []
    for name in names:
        if name.startswith("builtin:"):
            grammars.append(await load_from(name, mode=mode))
            continue
        try:
            if "://" in name:
                raise ServiceError(f"{name}: only files are read here, and builtin: grammars", ExitCode.NO_INPUT)
            document = _bytes(Path(name))
        except OSError as error:
            raise ServiceError(f"{name}: {error.strerror}", ExitCode.NO_INPUT) from None
        grammars.append(await load(document, uri=_uri(name), source=name, mode=mode, fetch=_fetch))
    return grammars


async def _unheard(grammars: Sequence[Grammar]) -> list[list[str]]:
    """For each of them why the recognizer would refuse it, if there is one, such as for a word that it lacks."""
    from focus.engines.pocketsphinx import Pocketsphinx
    from focus.engines.recognizer import NotRecognizable, RecognizerMissing

    recognizer = Pocketsphinx()
    found: list[list[str]] = []
    try:
        for grammar in grammars:
            try:
                await recognizer.check([grammar])
                found.append([])
            except NotRecognizable as error:
                found.append([f"cannot be recognized in speech: {error}"])
            except RecognizerMissing:
                found.append([])
    finally:
        await recognizer.close()
    return found


async def _fetch(uri: str) -> bytes:
    """Other documents of a grammar on this machine: files, and nothing else."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise FetchError("only files are read here")
    try:
        return _bytes(Path(unquote(parts.path)))
    except (OSError, ValueError) as error:
        raise FetchError(getattr(error, "strerror", None) or str(error)) from None


def _uri(name: str) -> str:
    return Path(os.path.abspath(name)).as_uri()


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)  # one more than is allowed is refused, however much there is


def _json_line(text: str, grammars: Sequence[Grammar]) -> str:
    matcher = _matched(text, grammars)
    matched = matcher.matched()
    line = {
        "input": text,
        "match": matcher.match.value,
        "interpretation": matched.meaning if matched else None,
        "nlsml": nlsml.result(matched) if matched else None,
    }
    return json.dumps(line)  # in ASCII: an argument may be anything


def _line(text: str, grammars: Sequence[Grammar]) -> str:
    matcher = _matched(text, grammars)
    matched = matcher.matched()
    line = f"{text}: {matcher.match.value}{f', {matched.meaning}' if matched else ''}"
    return line.encode(errors="replace").decode()


def _matched(text: str, grammars: Sequence[Grammar]) -> Matcher:
    matcher = Matcher(grammars)
    matcher.feed_all(of_input(text, matcher.mode))
    return matcher
