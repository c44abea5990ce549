"""The grammars of an input, from the command or from where it says they are (XEP-0327 section 7.19.4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial

from focus.engines.fetching import Fetch, FetchError
from focus.engines.grammar import DocumentError, Mode, load, load_from
from focus.engines.grammar import Grammar as Loaded
from focus.engines.markup import MAX_BYTES
from focus.media.threads import in_thread
from focus.wire.conditions import BadRequest, OptionNotSupported, ResourceConstraint
from focus.wire.rayo_input import Grammar

SRGS = "application/srgs+xml"


async def loaded(grammars: Iterable[Grammar], mode: Mode | None, fetch: Fetch | None) -> list[Loaded]:
    """All of them, each of `mode`; None: each of its own. What is at URLs, or referred to, is fetched by `fetch`.

    Raises `StanzaError`.
    """
    return [await _loaded(grammar, mode, fetch) for grammar in grammars]


async def _loaded(grammar: Grammar, mode: Mode | None, fetch: Fetch | None) -> Loaded:
    fetched = partial(_fetched, fetch)
    try:
        if grammar.url is not None:
            return await load_from(grammar.url.strip(), mode=mode, fetch=fetched, run=in_thread)
        kind = (grammar.content_type or "").partition(";")[0].strip().lower()
        if kind != SRGS:
            raise OptionNotSupported(f"grammars are {SRGS} here, not {kind[:100]!r}")
        return await load(grammar.body or "", source="grammar", mode=mode, fetch=fetched, run=in_thread)
    except DocumentError as error:
        raise BadRequest(str(error)) from None


async def _fetched(fetch: Fetch | None, uri: str) -> bytes:
    if fetch is None:
        raise FetchError("nothing is fetched here")
    try:
        fetched = await fetch(uri)
    except FetchError as error:
        if error.temporary:
            raise ResourceConstraint(str(error)) from None
        raise
    with closing(fetched.file):
        return fetched.file.read(MAX_BYTES + 1)
