"""A component: a piece of work on a call or a mixer that a client starts and commands (XEP-0327 section 6.5).

Its life: `prepare` refuses what cannot be done, the client is given the address, `work` works, and `<complete/>` is
said exactly once, however it ends. A kind of component is one file in `focus.rayo.components`, found by its command.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from focus.engines.fetching import Fetch
from focus.engines.recognizer import Recognizer
from focus.engines.synthesizer import Synthesizer
from focus.media.plane import MediaPlane
from focus.media.recordings import Recordings
from focus.media.tracks import Speaker
from focus.rayo.actor import Actor, Outcome, on
from focus.rayo.faxes import FaxMachine
from focus.rayo.repertoire import Repertoire
from focus.rayo.surroundings import Client
from focus.wire.conditions import FeatureNotImplemented, InternalServerError, ItemNotFound, NotTheOwner, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event, Ref
from focus.wire.rayo_component import Complete, Execution, Failed, HungUp, Metadata, Reason, Stop, Stopped

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Execution)
T = TypeVar("T")

#: Seconds that a component is given to bring in what it has made, once it has ended.
WIND_UP = 10.0


class ComponentError(Exception):
    """What a component cannot go on after; its text is the client's to read, and so is `metadata`."""

    def __init__(self, text: str, *, metadata: Iterable[Metadata] = ()) -> None:
        super().__init__(text)
        self.metadata = tuple(metadata)


class Target(Protocol):
    """The call or the mixer that a component works on."""

    address: JID
    node: int | None
    is_mixer: bool

    @property
    def is_spoken_in(self) -> bool:
        """Whether somebody speaks there now."""

    @property
    def speakers(self) -> Iterable[int]:
        """Who can be heard speaking there now: legs in the media plane."""

    async def has_media(self) -> None:
        """Return when it is in the media plane, or has been."""

    def authorize(self, sender: JID, command: Command) -> None:
        """Raises `NotTheOwner` where `sender` does not command it."""

    def people(self, client: JID) -> Iterable[Speaker]:
        """Of a mixer, who is heard in it, named as far as `client` may know who that is."""

    def execute(self, sender: JID, command: Execution) -> Component[Any]:
        """Start a component for `sender`. Raises `StanzaError`."""

    def component_ended(self, component: Component[Any]) -> None: ...

    def check_alone(self, component: Component[Any]) -> None:
        """Raises `WrongState` where `component` does not have it for itself."""

    def set_modem(self, enabled: bool) -> None:
        """Carry what a modem says and hears, or again what people do. Raises ValueError where its media has ended."""


class Stage(Protocol):
    """What a component needs of its server."""

    def emit(self, sender: JID, to: JID, event: Event) -> None: ...

    def component_ended(self, component: Component[Any]) -> None:
        """Nothing lives at its address any more."""

    def is_there(self, client: JID) -> bool:
        """Whether `client` is known to be there: it has registered, or is one of ours."""

    def register(self, address: JID, client: Client) -> None:
        """Events for `address`, one of ours, go to `client`."""

    def unregister(self, address: JID) -> None: ...


@dataclass(frozen=True, slots=True)
class Facilities:
    """What components work with: the media plane, engines by their names, of which the first is the default, where
    documents are fetched from, where recordings and faxes are put, what faxes are made with, and what has been said
    lately."""

    plane: MediaPlane
    fetch: Fetch | None = None
    recordings: Recordings | None = None
    synthesizers: Mapping[str, Synthesizer] = field(default_factory=dict)
    recognizers: Mapping[str, Recognizer] = field(default_factory=dict)
    fax: FaxMachine | None = None
    repertoire: Repertoire = field(default_factory=Repertoire)


class Component(Actor, Generic[E]):
    """One execution of `command`, for the client `creator`, which alone may command it while it is there."""

    #: Whether nothing else may be at work where it is, and nobody joined.
    is_alone = False

    def __init__(
        self, address: JID, command: E, *, creator: JID, target: Target, stage: Stage, facilities: Facilities
    ) -> None:
        super().__init__(address)
        self.command = command
        self.creator = creator
        self.target = target
        self._stage = stage
        self._facilities = facilities
        self._plane = facilities.plane
        loop = asyncio.get_running_loop()
        #: The `Ref` for the client, or the `StanzaError` that it is refused with.
        self.ready: asyncio.Future[Outcome] = loop.create_future()
        self.ready.add_done_callback(self._answered)
        self._begun = asyncio.Event()
        #: Set when it is no more.
        self.over = asyncio.Event()
        self._told: asyncio.Future[Reason] = loop.create_future()
        #: Who is told how it ends.
        self._told_to = [creator]

    # what a kind of component does

    async def prepare(self) -> None:
        """Make sure that all of the command can be done (section 6.5), and get what takes time.

        Raises `StanzaError`.
        """

    @abstractmethod
    async def work(self) -> Reason:
        """Work until there is a reason to end, and return that. Cancelled where the end comes from outside.

        Raises `ComponentError` where it cannot go on.
        """

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        """After `work`, whether it has ended by itself, was cancelled, or has failed; also where it never began, when
        only `prepare` has. What is to be told beside the reason."""
        return ()

    @property
    def wants_keys(self) -> bool:
        """Whether it has a use for keys that callers press, so that they are listened for in the sound as well."""
        return False

    @property
    def yields_keys(self) -> bool:
        """Whether keys are not for it where something else wants those of the same call."""
        return False

    def key_pressed(self, key: str, duration: float = 0.0) -> None:
        """A caller has pressed a key here, for so many seconds: 0 to 9, *, #, A to D, or "!", a flash of the hook."""

    def emit(self, event: Event) -> None:
        """Tell the client."""
        self._stage.emit(self.address, self.creator, event)

    @property
    def node(self) -> int:
        """The call or the mixer in the media plane. Raises `ComponentError` where it has left it."""
        if self.target.node is None:
            raise ComponentError("its media has ended")
        return self.target.node

    # commands

    def authorize(self, sender: JID, command: Command) -> None:
        """Whose creator is not there is stopped by another client of the same account, or by whoever commands the call
        or the mixer: nobody else could (section 6.5.2 knows no such case)."""
        if sender == self.creator:
            return
        if not isinstance(command, Stop) or self._stage.is_there(self.creator):
            raise NotTheOwner(f"{self.address} has been made by somebody else")
        if sender.bare != self.creator.bare:
            self.target.authorize(sender, command)

    @on(Stop)
    async def stop(self, sender: JID, command: Stop) -> Outcome:
        """Acknowledged at once; `<complete/>` follows."""
        if sender != self.creator:
            log.info("%s of %s, who is not there, is stopped by %s", self.address, self.creator, sender)
            self._told_to.append(sender)
        self.end(Stopped())
        return None

    # life

    @property
    def is_refused(self) -> bool:
        """Whether the client has been told that it cannot be."""
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is not None

    @property
    def is_at_work(self) -> bool:
        """Whether its client has the address, and it has not been told to end."""
        return self.ready.done() and not self.is_refused and not self.is_ending

    @property
    def is_ending(self) -> bool:
        """Whether it has been told to end."""
        return self._told.done()

    def begin(self) -> None:
        """The client knows the address by now."""
        self._begun.set()

    def end(self, reason: Reason) -> None:
        """Come to an end with `reason`, unless there is one already."""
        if not self._told.done():
            self._told.set_result(reason)

    def _answered(self, ready: asyncio.Future[Outcome]) -> None:
        if ready.cancelled():
            self.end(Failed(text="nobody waits for it"))

    def hang_up(self) -> None:
        """The call is ending, or the mixer (section 6.6.3)."""
        self.end(HungUp())

    async def run(self) -> None:
        """Prepare, work once `begin` is called, take commands meanwhile, and say how it ended."""
        mailbox = asyncio.create_task(super().run(), name=f"mailbox of {self.address}")
        reason: Reason = Failed(text="the service has ended")
        try:
            if await self._is_ready():
                reason = await self._outcome()
        finally:  # also where the service ends in the middle of it: what has been made is brought in
            reason, metadata = await self._wound_up(reason)
            self.close()
            self.ready.cancel()
            self._stage.component_ended(self)
            if self._begun.is_set():
                for client in self._told_to:
                    self._stage.emit(self.address, client, Complete(reason=reason, metadata=metadata))
            self.target.component_ended(self)
            self.over.set()
            mailbox.cancel()

    async def _is_ready(self) -> bool:
        """Whether the client is given the address, and not an error."""
        try:
            if await self._until_told(self.prepare()):
                raise ItemNotFound(f"{self.target.address} has ended")
        except StanzaError as refusal:
            error: StanzaError = refusal
        except Exception:
            log.exception("%s crashed before it began", self.address)
            error = InternalServerError()
        else:
            if not self.ready.cancelled():
                self.ready.set_result(Ref(uri=self.address.uri))
                return True
            return False  # nobody waits for it any more
        if not self.ready.cancelled():
            self.ready.set_exception(error)
        return False

    async def _outcome(self) -> Reason:
        try:
            return await self._until_told(self._begin_and_work())
        except Exception as error:
            failed = self._failed(error)
            return self._told.result() if self._told.done() else failed  # it fails since its call ends, not so the call

    async def _begin_and_work(self) -> Reason:
        await self._begun.wait()
        await self.target.has_media()
        return await self.work()

    async def _until_told(self, doing: Coroutine[Any, Any, T]) -> T | Reason:
        """What `doing` comes to, unless it is told to end before: then the reason for that."""
        task = asyncio.create_task(doing, name=f"{self.address} at work")
        try:
            await asyncio.wait((task, self._told), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else self._told.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _wound_up(self, reason: Reason) -> tuple[Reason, tuple[Metadata, ...]]:
        """Who waits for this waits no longer than `WIND_UP`: a thread may be stuck in it, which nothing can end."""
        winding = asyncio.ensure_future(self.wind_up(reason))
        winding.add_done_callback(lambda _: winding.cancelled() or winding.exception())
        try:
            await asyncio.wait((winding,), timeout=WIND_UP)
            if not winding.done():
                raise ComponentError(f"what was made could not be brought in within {WIND_UP:g} s")
            return reason, tuple(winding.result())
        except Exception as error:
            return self._failed(error), error.metadata if isinstance(error, ComponentError) else ()
        finally:
            winding.cancel()

    def _failed(self, error: Exception) -> Failed:
        if isinstance(error, ComponentError):
            log.info("%s: %s", self.address, error)
            return Failed(text=str(error))
        log.error("%s crashed", self.address, exc_info=error)
        return Failed(text="internal error")


K = TypeVar("K", bound=Component[Any])


class Registry:
    """The kinds of components that there are, by the commands that start them, and the features that they bring."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[type[Execution], str], type[Component[Any]]] = {}
        self._features: dict[str, None] = {}

    def component(
        self, kind: type[Execution], *features: str, variant: str = ""
    ) -> Callable[[type[Component[Any]]], type[Component[Any]]]:
        """Mark the class that carries out `kind`, of that `variant`, which is what the namespaces `features` are the
        features of."""

        def mark(component: type[K]) -> type[K]:
            self._kinds[kind, variant] = component
            self._features.update(dict.fromkeys(features))
            return component

        return mark

    def of(self, command: Execution) -> type[Component[Any]]:
        """Raises `FeatureNotImplemented` (section 6.5.1)."""
        kind = self._kinds.get((type(command), command.variant))
        if kind is None:
            raise FeatureNotImplemented(f"<{type(command).__xml_tag__}/> is not a component here")
        return kind

    @property
    def features(self) -> tuple[str, ...]:
        """For service discovery."""
        return tuple(self._features)


registry = Registry()
