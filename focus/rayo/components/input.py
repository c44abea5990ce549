"""`<input/>`: keys that callers press, or words that they say, until it is known whether these match a grammar
(XEP-0327 sections 6.5.4 and 7.19.4).

Both count from when the component begins; what was before is nobody's. On a mixer the keys of all who are in it are one
input, in the order in which they come, and what they say is heard together. Of keys and speech the first that comes
begins the input, but keys take it from speech that is not understood yet: noise may be taken for speech, and nothing
for a key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from typing import ParamSpec, TypeVar
from xml.sax.saxutils import escape

from focus.engines import nlsml
from focus.engines.endpointing import SpeechEnded, SpeechStarted
from focus.engines.grammar import Match as Matching
from focus.engines.grammar import Matched, Matcher, Mode
from focus.engines.listening import Heard
from focus.media.ear import Ear
from focus.media.threads import in_thread
from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, registry
from focus.rayo.grammars import loaded
from focus.rayo.hearing import Listener, chosen
from focus.wire.conditions import OptionNotSupported
from focus.wire.dtmf import KEYS
from focus.wire.jid import JID
from focus.wire.rayo_component import Reason
from focus.wire.rayo_input import INPUT, Input, Match, NoInput, NoMatch
from focus.wire.rayo_prompt import InputStarted, PromptedInput, StartTimers
from focus.wire.session import Gathered, Keypad

log = logging.getLogger(__name__)

#: What the grammars of a mode are; of `any` each is what it says itself.
MODES = {"dtmf": Mode.DTMF, "voice": Mode.VOICE, "any": None}
#: The text and its schema do not agree how it is spelt.
RESULTS = (nlsml.CONTENT_TYPE, "application/nlsm+xml")
#: Nodes of grammars: what more than these do with a key is a thread's work.
LARGE = 2_000
#: Characters of a result as it is written: servers end the stream that brings a stanza longer than they like.
MAX_RESULT = 100_000
#: Seconds until it is known that somebody speaks: on the way, in buffers, and until it is surely speech.
UNHEARD = 0.3

P = ParamSpec("P")
T = TypeVar("T")


@registry.component(PromptedInput)
@registry.component(Input, INPUT)
class Gatherer(Component[Input]):
    """Takes one key after another, and completes as soon as nothing more could match, or nothing longer could; or it
    takes one utterance."""

    async def prepare(self) -> None:
        command = self.command
        if command.mode not in MODES:
            raise OptionNotSupported("no signal is an answer to a prompt; an input of its own listens for signals")
        if command.match_content_type not in RESULTS:
            raise OptionNotSupported(f"results are {nlsml.CONTENT_TYPE} here, not {command.match_content_type[:100]!r}")
        terminator = command.terminator
        if terminator is not None and terminator.upper() not in KEYS:
            raise OptionNotSupported(f"{terminator[:20]!r} is not a key that could be the terminator")
        self._terminator = terminator.upper() if terminator else None
        recognizer = chosen(self._facilities, command.recognizer)
        grammars = await loaded(command.grammars, MODES[command.mode], self._facilities.fetch)
        of_keys = [grammar for grammar in grammars if grammar.mode is Mode.DTMF]
        of_words = [grammar for grammar in grammars if grammar.mode is Mode.VOICE]
        self._of_keys = of_keys
        self._is_large = sum(len(grammar.automaton.reads) for grammar in of_keys) > LARGE
        self._matcher = await self._done(Matcher, of_keys) if of_keys else None
        self._listener: Listener | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ear: Ear | None = None
        if of_words:
            if recognizer is None:
                raise OptionNotSupported("there is no speech recognition here; mode='dtmf' gathers keys")
            self._listener = Listener(recognizer, of_words, command)
            await self._listener.check()
        self._put_in: asyncio.Queue[str | SpeechStarted | Heard | Exception] = asyncio.Queue()
        self._timers = asyncio.Event()
        if not isinstance(command, PromptedInput):
            self._timers.set()

    async def _done(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` with the grammars returns: done by a thread where it could take long."""
        return await in_thread(work, *args, **kwargs) if self._is_large else work(*args, **kwargs)

    @property
    def wants_keys(self) -> bool:
        return self.command.mode in ("any", "dtmf") or self.command.terminator is not None

    def key_pressed(self, key: str, duration: float = 0.0) -> None:
        if self._begun.is_set() and key in KEYS and (self._matcher is not None or key == self._terminator):
            self._put_in.put_nowait(key)

    @on(StartTimers)
    async def start_timers(self, sender: JID, command: StartTimers) -> Outcome:
        self._timers.set()
        return None

    async def work(self) -> Reason:
        if self._listener is None:
            return await self._gathered()
        self._listening = asyncio.create_task(self._listen(self._listener), name=f"{self.address} listens")
        try:
            return await self._gathered()
        finally:
            self._listening.cancel()
            await asyncio.wait((self._listening,))

    async def _listen(self, listener: Listener) -> None:
        try:
            with closing(Ear(self._plane, self.node, lambda: self.target.speakers)) as self._ear:
                async for event in listener.listen(self._ear):
                    if not isinstance(event, SpeechEnded):
                        self._put_in.put_nowait(event)
        except Exception as error:
            self._put_in.put_nowait(error)

    async def _gathered(self) -> Reason:
        first = await self._first()
        if first is None:
            return NoInput()
        if isinstance(self.command, PromptedInput):
            self.emit(InputStarted())
        return await self._keyed(first) if isinstance(first, str) else await self._said()

    async def _first(self) -> str | SpeechStarted | Heard | None:
        """A key, or that somebody speaks; None where neither comes in time, which runs when the timers do."""
        coming = asyncio.create_task(self._beginning())
        starting = asyncio.create_task(self._timers.wait())
        try:
            await asyncio.wait((coming, starting), return_when=asyncio.FIRST_COMPLETED)
            limit = _seconds(self.command.initial_timeout)
            if limit is not None and self._listener is not None:
                limit += UNHEARD
            await asyncio.wait((coming,), timeout=limit)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()
            starting.cancel()

    async def _next(self) -> str | SpeechStarted | Heard | Exception:
        """What is put in next. Raises what has kept it from being heard where there are no keys that would do."""
        put_in = await self._put_in.get()
        if isinstance(put_in, Exception):
            if self._matcher is None:
                raise put_in
            log.warning("speech is not listened to any more: %s", put_in, exc_info=put_in)
        return put_in

    async def _beginning(self) -> str | SpeechStarted | Heard:
        while isinstance(put_in := await self._next(), Exception):
            pass
        return put_in

    async def _keyed(self, key: str | None) -> Reason:
        """What keys come to, of which that is the first."""
        if self._listening is not None:
            self._listening.cancel()
        matcher = self._matcher
        while key is not None and key != self._terminator and matcher is not None:
            match = await self._done(matcher.feed, key)
            if match is Matching.MATCH_END:
                break
            if match is Matching.NOMATCH:
                return NoMatch()
            key = await self._next_key()
        if matcher is None or matcher.match not in (Matching.MATCH, Matching.MATCH_END):
            return NoMatch()
        matched = await self._done(matcher.matched)
        assert isinstance(matched, Matched)
        return _result(matched)

    async def _next_key(self) -> str | None:
        """None where it does not come in time."""
        try:
            async with asyncio.timeout(_seconds(self.command.inter_digit_timeout)):
                while not isinstance(put_in := await self._next(), str):
                    pass  # speech, which the first key has ended
                return put_in
        except TimeoutError:
            return None

    async def _said(self) -> Reason:
        """What speech comes to that has begun, or the keys that are pressed before it is understood. The terminator
        ends it, and what was said until then counts. Where it cannot be understood, keys are waited for as before."""
        is_over = False
        try:
            async with asyncio.timeout(_seconds(self.command.recognition_timeout)):
                while not isinstance(put_in := await self._next(), Heard):
                    if put_in == self._terminator and self._ear is not None:
                        is_over = True
                        self._ear.finish()
                    elif isinstance(put_in, Exception) and is_over:
                        raise put_in
                    elif isinstance(put_in, Exception) or (isinstance(put_in, str) and not is_over):
                        break
        except TimeoutError:
            return NoMatch()
        if isinstance(put_in, Exception):
            first = await self._first()
            return await self._keyed(first) if isinstance(first, str) else NoInput()
        if isinstance(put_in, str):
            return await self._keyed(put_in)
        assert isinstance(put_in, Heard)
        if put_in.matched is None or put_in.confidence < self.command.min_confidence:
            return NoMatch()
        return _result(put_in.matched, put_in.confidence)


@registry.component(Keypad)
class Follower(Gatherer):
    """Goes on gathering keys, of which the longest match counts: what has been pressed behind one is of the next, and
    the key by which something cannot match any more may begin what can."""

    @property
    def yields_keys(self) -> bool:
        return True

    async def work(self) -> Reason:
        again: list[str] = []  # pressed behind the last match, and not read anew yet
        while True:
            matcher, match = Matcher(self._of_keys), Matching.PARTIAL
            keys: list[str] = []
            longest: Matched | None = None
            length = 0
            while match in (Matching.PARTIAL, Matching.MATCH):
                key = again.pop(0) if again else await (self._next_key() if keys else self._key())
                if key is None:
                    break
                keys.append(key)
                match = await self._done(matcher.feed, key)
                if match in (Matching.MATCH, Matching.MATCH_END):
                    longest, length = await self._done(matcher.matched), len(keys)
            if longest is not None:
                self.emit(Gathered(result=_result(longest).result))
            elif match is Matching.NOMATCH:
                length = max(len(keys) - 1, 1)
            else:
                length = len(keys)
            again = keys[length:] + again

    async def _key(self) -> str:
        while not isinstance(put_in := await self._next(), str):
            pass
        return put_in


def _seconds(milliseconds: int) -> float | None:
    return milliseconds / 1000 if milliseconds >= 0 else None


def _result(matched: Matched, confidence: float = 1) -> Match:
    result = nlsml.result(matched, confidence)
    if len(escape(result)) > MAX_RESULT:
        raise ComponentError("the grammar has matched; what that means is too long to be told")
    return Match(result=result)
