"""`<input/>`: keys that callers press, until they match a grammar (XEP-0327 sections 6.5.4 and 7.19.4).

Keys count from when the component begins; those of before are nobody's. On a mixer the keys of all who are in it are
one input, in the order in which they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from xml.sax.saxutils import escape

from focus.engines import nlsml
from focus.engines.grammar import Match as Matching
from focus.engines.grammar import Matched, Matcher, Mode
from focus.media.threads import in_thread
from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, registry
from focus.rayo.grammars import loaded
from focus.wire.conditions import OptionNotSupported
from focus.wire.dtmf import KEYS
from focus.wire.jid import JID
from focus.wire.rayo_component import Reason
from focus.wire.rayo_input import INPUT, Input, Match, NoInput, NoMatch
from focus.wire.rayo_prompt import InputStarted, PromptedInput, StartTimers

#: The text and its schema do not agree how it is spelt.
RESULTS = (nlsml.CONTENT_TYPE, "application/nlsm+xml")
#: Nodes of grammars: what more than these do with a key is a thread's work.
LARGE = 2_000
#: Characters of a result as it is written: servers end the stream that brings a stanza longer than they like.
MAX_RESULT = 100_000

P = ParamSpec("P")
T = TypeVar("T")


@registry.component(PromptedInput)
@registry.component(Input, INPUT)
class Gatherer(Component[Input]):
    """Takes one key after another. Completes as soon as nothing more could match, or nothing longer could."""

    async def prepare(self) -> None:
        command = self.command
        if command.mode == "cpa":
            raise OptionNotSupported("signals are not detected here")
        if command.mode == "voice" or command.recognizer is not None:
            raise OptionNotSupported("there is no speech recognition here; mode='dtmf' gathers keys")
        if command.match_content_type not in RESULTS:
            raise OptionNotSupported(f"results are {nlsml.CONTENT_TYPE} here, not {command.match_content_type[:100]!r}")
        terminator = command.terminator
        if terminator is not None and terminator.upper() not in KEYS:
            raise OptionNotSupported(f"{terminator[:20]!r} is not a key that could be the terminator")
        self._terminator = terminator.upper() if terminator else None
        grammars = await loaded(command.grammars, Mode.DTMF, self._facilities.fetch)
        self._is_large = sum(len(grammar.automaton.reads) for grammar in grammars) > LARGE
        self._matcher = await self._done(Matcher, grammars)
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._timers = asyncio.Event()
        if not isinstance(command, PromptedInput):
            self._timers.set()

    async def _done(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` with the grammars returns: done by a thread where it could take long."""
        return await in_thread(work, *args, **kwargs) if self._is_large else work(*args, **kwargs)

    @property
    def wants_keys(self) -> bool:
        return self.command.mode in ("any", "dtmf")

    def key_pressed(self, key: str, duration: float = 0.0) -> None:
        if self._begun.is_set() and key in KEYS:
            self._keys.put_nowait(key)

    @on(StartTimers)
    async def start_timers(self, sender: JID, command: StartTimers) -> Outcome:
        self._timers.set()
        return None

    async def work(self) -> Reason:
        key = await self._first()
        if key is None:
            return NoInput()
        if isinstance(self.command, PromptedInput):
            self.emit(InputStarted())
        while key is not None and key != self._terminator:
            match = await self._done(self._matcher.feed, key)
            if match is Matching.MATCH_END:
                return await self._result()
            if match is Matching.NOMATCH:
                return NoMatch()
            key = await self._next(self.command.inter_digit_timeout)
        return await self._result() if self._matcher.match is Matching.MATCH else NoMatch()

    async def _first(self) -> str | None:
        """The first key; None where it does not come in time, which runs when the timers do."""
        coming = asyncio.create_task(self._keys.get())
        starting = asyncio.create_task(self._timers.wait())
        try:
            await asyncio.wait((coming, starting), return_when=asyncio.FIRST_COMPLETED)
            limit = self.command.initial_timeout
            await asyncio.wait((coming,), timeout=limit / 1000 if limit >= 0 else None)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()
            starting.cancel()

    async def _next(self, limit: int) -> str | None:
        """The next key; None where it does not come in `limit` ms."""
        try:
            async with asyncio.timeout(limit / 1000 if limit >= 0 else None):
                return await self._keys.get()
        except TimeoutError:
            return None

    async def _result(self) -> Reason:
        matched = await self._done(self._matcher.matched)
        assert isinstance(matched, Matched)
        result = nlsml.result(matched)
        if len(escape(result)) > MAX_RESULT:
            raise ComponentError("the grammar has matched; what that means is too long to be told")
        return Match(result=result)
