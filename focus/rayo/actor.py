"""An actor: an address, an ordered mailbox, and a method for each command it knows (XEP-0327 section 5.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar, TypeVar

from focus.wire.base import Element
from focus.wire.conditions import FeatureNotImplemented, InternalServerError, ItemNotFound, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command

log = logging.getLogger(__name__)

#: What a command comes to: a `Ref` or another element for the IQ result, or nothing.
Outcome = Element | None
#: The same, where it takes longer than the commands behind it shall wait.
Later = asyncio.Future[Outcome]
A = TypeVar("A", bound="Actor")
C = TypeVar("C", bound=Command)
Method = Callable[[A, JID, C], Awaitable[Outcome | Later]]
_Letter = tuple[JID, Command, asyncio.Future[Outcome]]


def on(*kinds: type[C]) -> Callable[[Method[A, C]], Method[A, C]]:
    """Mark the method of an actor that carries out commands of these `kinds`."""

    def mark(method: Method[A, C]) -> Method[A, C]:
        method.__dict__["commands"] = kinds
        return method

    return mark


class Actor:
    """Carries out commands one after another, in the order they came.

    Its task belongs to the TaskGroup it is started in. A command that crashes is answered with
    `internal-server-error`; commands that come after the end are answered with `item-not-found`.
    """

    _methods: ClassVar[dict[type[Command], Callable[..., Awaitable[Outcome | Later]]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        marked = {
            kind: method
            for method in vars(cls).values()
            if callable(method)
            for kind in getattr(method, "__dict__", {}).get("commands", ())
        }
        cls._methods = cls._methods | marked

    def __init__(self, address: JID) -> None:
        self.address = address
        self._mailbox: asyncio.Queue[_Letter | None] = asyncio.Queue()
        self._closed = False

    def submit(self, sender: JID, command: Command) -> asyncio.Future[Outcome]:
        """Put `command` into the mailbox.

        The future brings what it came to, or the `StanzaError` it was refused with.
        """
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(ItemNotFound(f"{self.address} is gone"))
        else:
            self._mailbox.put_nowait((sender, command, answer))
        return answer

    async def run(self) -> None:
        """Work through the mailbox until `close`."""
        try:
            while (letter := await self._mailbox.get()) is not None and not self._closed:
                await self._answer(*letter)
            _refuse(self, letter)
        finally:
            self.abandon()

    async def _answer(self, sender: JID, command: Command, answer: asyncio.Future[Outcome]) -> None:
        try:
            outcome = await self.carry_out(sender, command)
        except StanzaError as refusal:
            error: StanzaError = refusal
        except Exception:
            log.exception("%s crashed on <%s/> from %s", self.address, type(command).__xml_tag__, sender)
            error = InternalServerError()
        except asyncio.CancelledError:
            _refuse(self, (sender, command, answer))
            raise
        else:
            if isinstance(outcome, asyncio.Future):
                outcome.add_done_callback(partial(_hand_on, answer))
                answer.add_done_callback(partial(_give_up, outcome))
            elif not answer.cancelled():
                answer.set_result(outcome)
            return
        if not answer.cancelled():
            answer.set_exception(error)

    async def carry_out(self, sender: JID, command: Command) -> Outcome | Later:
        """Do what `command` asks. Raises `StanzaError` to refuse it."""
        method = self._methods.get(type(command))
        if method is None:
            raise FeatureNotImplemented(f"<{type(command).__xml_tag__}/> is not a command of {self.address}")
        self.authorize(sender, command)
        return await method(self, sender, command)

    def authorize(self, sender: JID, command: Command) -> None:
        """Raises `StanzaError` where `sender` may not command this actor."""

    def close(self) -> None:
        """Take no further commands; those that wait are refused, not carried out."""
        if not self._closed:
            self._closed = True
            self._mailbox.put_nowait(None)

    def abandon(self) -> None:
        """Close where nothing runs the mailbox, or ever will: nobody may wait for an answer that cannot come."""
        self.close()
        while not self._mailbox.empty():
            _refuse(self, self._mailbox.get_nowait())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"


def _hand_on(answer: asyncio.Future[Outcome], outcome: Later) -> None:
    if outcome.cancelled():
        answer.cancel()
    elif (error := outcome.exception()) is not None:
        if not answer.done():
            answer.set_exception(error)
    elif not answer.done():
        answer.set_result(outcome.result())


def _give_up(outcome: Later, answer: asyncio.Future[Outcome]) -> None:
    if answer.cancelled():
        outcome.cancel()


def _refuse(actor: Actor, letter: _Letter | None) -> None:
    if letter is not None and not letter[2].done():
        letter[2].set_exception(ItemNotFound(f"{actor.address} is gone"))
