"""What calls and mixers share: a node in the media plane, and joins with a direction (XEP-0327 section 6.3)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypedDict

from focus.media.plane import Direction, MediaPlane
from focus.media.tracks import Speaker
from focus.rayo.actor import Actor, Later, Outcome, on
from focus.rayo.component import Component
from focus.rayo.stages import Link, News, Turn, turned
from focus.wire.conditions import BadRequest, Conflict, OptionNotSupported, ServiceUnavailable, WrongState
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event, Join, Joined, JoinMedia, Ref, Unjoin, Unjoined
from focus.wire.rayo_component import Execution

log = logging.getLogger(__name__)

_OPPOSITE = {Direction.DUPLEX: Direction.DUPLEX, Direction.SEND: Direction.RECV, Direction.RECV: Direction.SEND}


class Parties(Protocol):
    """What a party needs of its server: where events go, for local clients and remote ones alike, and other parties."""

    def emit(self, sender: JID, to: JID, event: Event) -> None: ...

    def show(self, sender: JID, to: JID, *, available: bool) -> None:
        """Presence of the mixer `sender`."""

    def find_call(self, sender: JID, uri: str) -> Joinable:
        """The call that `sender` wants to join something with. Raises `StanzaError`."""

    def open_mixer(self, sender: JID, name: str) -> Joinable:
        """The mixer that `sender` calls `name`, made if need be. Raises `StanzaError`."""

    def find_mixer(self, sender: JID, name: str) -> Joinable | None:
        """The same, if it is there. Raises `BadRequest`."""

    def mixer_address(self, name: str) -> JID:
        """Raises `BadRequest`."""

    def check_join(self, sender: JID, mixer_name: str | None) -> None:
        """Raises `ResourceConstraint` where `sender` cannot have one more join, with that mixer or with a call."""

    def execute(self, target: Joinable, sender: JID, command: Execution) -> Component[Any]:
        """Start what `command` asks for on `target`. Raises `StanzaError`."""


class PartyName(TypedDict, total=False):
    """How a party is named in `<joined/>` and `<unjoined/>`."""

    call_uri: str
    mixer_name: str


class Joinable(Actor):
    """A call or a mixer. A join is kept by both parties, each with the direction as it sees it.

    A party that has no media yet keeps its joins; they take effect, and are announced, when `connect` is called.
    """

    is_mixer = False
    #: Whether somebody is heard to speak here.
    speaking = False
    #: How many dB louder than they are others are heard here, in mixers; None where nobody has ever asked for that.
    volume: float | None = None

    def __init__(self, address: JID, plane: MediaPlane, parties: Parties) -> None:
        super().__init__(address)
        self._plane = plane
        self._parties = parties
        self.node: int | None = None
        self._connected_here = asyncio.Event()
        self.joins: dict[Joinable, Direction] = {}
        #: Who has commanded each of them last.
        self.makers: dict[Joinable, JID] = {}
        self._links: dict[Joinable, Link] = {}
        #: At work here, in the order in which they came.
        self.components: dict[Component[Any], None] = {}
        self._after_components: list[Callable[[], None]] = []

    @property
    @abstractmethod
    def party(self) -> PartyName:
        """How this is named to others."""

    @abstractmethod
    def audience(self) -> Iterable[JID]:
        """Who is told what happens here, each once."""

    def emit(self, event: Event) -> None:
        """Tell everybody in the audience."""
        self._tell(list(self.audience()), event)

    def is_flowing(self, other: Joinable) -> bool:
        """Whether there is a join with `other` that audio flows through."""
        return self._links.get(other) is Link.FLOWING

    # commands

    @on(Join)
    async def join_party(self, sender: JID, command: Join) -> Outcome:
        """Section 6.3; the result names the mixer, as section 6.4 asks."""
        self.check_joining()
        direction = Direction(command.direction)
        other = self._partner(sender, command)
        if other is None:
            self._parties.check_join(sender, command.mixer_name)
        else:
            other.check_partner(sender)
        if command.mixer_name is not None:
            mixer = other or self._parties.open_mixer(sender, command.mixer_name)
            self.join(mixer, direction, sender, command.media)
            return Ref(uri=mixer.address.uri)
        call = other or self._parties.find_call(sender, str(command.call_uri))
        self.join(call, direction, sender, command.media)
        return None

    @on(Unjoin)
    async def unjoin_party(self, sender: JID, command: Unjoin) -> Outcome:
        """Section 6.3.2."""
        if command.call_uri is None and command.mixer_name is None:
            self.check_unjoining()
            self.unjoin_all()
            return None
        other = self._partner(sender, command)
        if other is None:
            raise ServiceUnavailable(f"{self.address} is not joined with {command.call_uri or command.mixer_name}")
        self.check_unjoining()
        self.unjoin(other)
        return None

    @abstractmethod
    def check_partner(self, sender: JID) -> None:
        """Raises `NotAllowed` where this is not in the security zone of `sender`, who wants to join something with it,
        or to change such a join (section 6.3.1). Whoever commands one party may undo its joins."""

    def check_joining(self) -> None:
        """Raises `StanzaError` where nothing can be joined now."""

    def check_unjoining(self) -> None:
        """Raises `StanzaError` where what is joined cannot be parted."""

    def check_media(self, other: Joinable, direction: Direction, media: JoinMedia) -> None:
        """Raises `OptionNotSupported` where the media of a join with `other` cannot go so."""
        if media == "direct":
            raise OptionNotSupported("what mixes is here; use media='bridge'")

    def choose_media(self, other: Joinable, media: JoinMedia) -> None:
        """Have the media of a join with `other` go so. Raises `OptionNotSupported`."""

    def _partner(self, sender: JID, command: Join | Unjoin) -> Joinable | None:
        """Who is meant of those that this is joined with. Two zones may have mixers of one name: `sender`'s goes first.

        Raises `BadRequest`.
        """
        if command.mixer_name is not None:
            known = self._parties.find_mixer(sender, command.mixer_name)
            if known in self.joins:
                return known
            address, is_mixer = self._parties.mixer_address(command.mixer_name), True
        else:
            try:
                address, is_mixer = JID.from_uri(str(command.call_uri)).bare, False
            except ValueError as error:
                raise BadRequest(str(error)) from None
        return next((other for other in self.joins if other.address == address and other.is_mixer is is_mixer), None)

    # components

    async def carry_out(self, sender: JID, command: Command) -> Outcome | Later:
        if not isinstance(command, Execution):
            return await super().carry_out(sender, command)
        self.authorize(sender, command)
        return self.execute(sender, command).ready

    def execute(self, sender: JID, command: Execution) -> Component[Any]:
        """Start a component here, for `sender`, that says by its `ready` whether it can. Raises `StanzaError`."""
        self.check_executing()
        if self.is_taken:
            raise WrongState(f"{self.address} is taken by a fax, beside which nothing else can be at work")
        component = self._parties.execute(self, sender, command)
        self.components[component] = None
        return component

    def check_executing(self) -> None:
        """Raises `WrongState` where no component can work now (section 6.5.1)."""
        if self.node is None:
            raise WrongState(f"{self.address} has no media yet")

    @property
    def is_taken(self) -> bool:
        """Whether a component has it for itself."""
        return any(component.is_alone and not component.is_refused for component in self.components)

    def check_alone(self, component: Component[Any]) -> None:
        """Raises `WrongState` where `component` does not have it for itself."""
        if self.joins:
            raise WrongState(f"{self.address} is joined: a fax needs the line for itself, so unjoin it first")
        if any(each is not component and not (each.is_refused or each.is_ending) for each in self.components):
            raise WrongState(f"other components are at work on {self.address}: a fax needs the line for itself")

    def set_modem(self, enabled: bool) -> None:
        """Carry what a modem says and hears, or again what people do. Raises ValueError where there is no line."""
        raise ValueError(f"{self.address} is no line")

    async def has_media(self) -> None:
        """Return when it is in the media plane, or has been."""
        await self._connected_here.wait()

    @property
    def is_spoken_in(self) -> bool:
        """Whether somebody is heard to speak here, or by those who are here."""
        return self.speaking

    @property
    def speakers(self) -> Iterable[int]:
        """Who can be heard speaking here now: legs in the media plane."""
        return () if self.node is None else (self.node,)

    def people(self, client: JID) -> Iterable[Speaker]:
        return ()

    def component_ended(self, component: Component[Any]) -> None:
        self.components.pop(component, None)
        if not self.components:
            following, self._after_components = self._after_components, []
            for each in following:
                each()

    def end_components(self, following: Callable[[], None]) -> None:
        """Hang all up, and go on with `following` when the last has said its end (sections 6.6.3 and 6.6.4): at once
        where there are none."""
        if not self.components:
            following()
            return
        self._after_components.append(following)
        self.hang_up_components()

    def hang_up_components(self) -> None:
        for component in list(self.components):
            component.hang_up()

    # joins

    def join(self, other: Joinable, direction: Direction, maker: JID, media: JoinMedia) -> None:
        """Join with `other`, as `maker` commands, or change the direction of the join there is (which announces
        nothing, section 6.3.4).

        Raises `WrongState` while one of them sends or receives a fax, `OptionNotSupported` where `media` cannot go so,
        `Conflict` where `other` is this or the two are joined by way of other mixers already, so that this would close
        a loop (no join could be made without destroying one, section 6.3.4), and `ServiceUnavailable` where one of them
        has left the plane.
        """
        if other is self:
            raise Conflict(f"{self.address} cannot be joined with itself")
        try:
            for party in (self, other):
                if party.is_taken:
                    raise WrongState(f"{party.address} is taken by a fax, and can be joined when that is over")
            self.check_media(other, direction, media)
            other.check_media(self, direction, media)
            self._check_loop(other)
            self.choose_media(other, media)
            if self.node is not None and other.node is not None:
                self._link(other, direction)
        except BaseException:
            other.joins_changed()  # a mixer that was made for this has no use
            raise
        self._turn(other, Turn.AGREE)
        self.joins[other] = direction
        other.joins[self] = _OPPOSITE[direction]
        self.makers[other] = other.makers[self] = maker
        self.audience_changed()
        other.audience_changed()
        self._announce(other)
        self.joins_changed()
        other.joins_changed()

    def disconnect(self) -> None:
        """Nothing is heard from here any more, nor hears: the joins are there still, to be parted in their turn."""
        if self.node is None:
            return
        for other in self.joins:
            if other.node is not None:
                with contextlib.suppress(ValueError):  # a leg that has left the plane took its joins along
                    self._plane.unjoin(self.node, other.node)
        self.node = None

    def connect(self, node: int) -> None:
        """Our media has come into being as `node` of the plane: make the joins that have waited for it.

        Those that cannot be made are given up, and both parties are told that they are unjoined: their command has been
        acknowledged long ago.
        """
        self.node = node
        self._connected_here.set()
        for other, direction in list(self.joins.items()):
            if other.node is None:
                continue
            try:
                self._link(other, direction)
            except ServiceUnavailable as error:
                log.warning("a join that had waited for media cannot be made: %s", error)
                self.unjoin(other, Turn.FAIL)
            else:
                self._announce(other)
                other.joins_changed()

    def unjoin(self, other: Joinable, turn: Turn = Turn.PART) -> None:
        """Undo the join with `other`, which there must be."""
        self.parting(other)
        other.parting(self)
        listeners, others_listeners = list(self.audience()), list(other.audience())
        del self.joins[other]
        del other.joins[self]
        del self.makers[other], other.makers[self]
        if self._turn(other, turn) is News.UNJOINED:
            if self.node is not None and other.node is not None:
                with contextlib.suppress(ValueError):  # a leg that has left the plane took its joins along
                    self._plane.unjoin(self.node, other.node)
            self._tell(listeners, Unjoined(**other.party))
            other._tell(others_listeners, Unjoined(**self.party))
        self.audience_changed()
        other.audience_changed()
        self.joins_changed()
        other.joins_changed()

    def unjoin_all(self) -> None:
        while self.joins:  # mixers that go with a join take others along
            self.unjoin(next(iter(self.joins)))

    def joins_changed(self) -> None:
        """Called after each change of `joins`."""

    def audience_changed(self) -> None:
        """Called when somebody may have become, or ceased to be, one who is told what happens here."""

    def parting(self, other: Joinable) -> None:
        """Called before the join with `other` ends."""

    def _link(self, other: Joinable, direction: Direction) -> None:
        assert self.node is not None
        assert other.node is not None
        try:
            self._plane.join(self.node, other.node, direction)
        except ValueError as error:
            raise ServiceUnavailable(f"cannot join {self.address} and {other.address}: {error}") from error

    def _check_loop(self, other: Joinable) -> None:
        if other in self.joins or not (self.is_mixer or other.is_mixer):
            return  # calls pass nothing on
        here, there = self._surroundings(), other._surroundings()
        if here & there:
            raise Conflict(f"{self.address} and {other.address} are joined already, by way of others")

    def _surroundings(self) -> set[Joinable]:
        """Whom audio reaches by way of mixers from here, this mixer or those that this call is joined with."""
        if not self.is_mixer:
            return {party for party in self.joins if party.is_mixer}
        return {party for mixer in self.tree() for party in (mixer, *mixer.joins)}

    def tree(self) -> set[Joinable]:
        """This mixer, and those that are joined with it by whatever way."""
        found: set[Joinable] = set()
        pending: list[Joinable] = [self]
        while pending:
            mixer = pending.pop()
            if mixer not in found:
                found.add(mixer)
                pending += [party for party in mixer.joins if party.is_mixer]
        return found

    def _announce(self, other: Joinable) -> None:
        """Once for each join, when audio can flow."""
        if self.node is not None and other.node is not None:
            self.flow(other)

    def flow(self, other: Joinable) -> None:
        """Audio can flow."""
        if self._turn(other, Turn.FLOW) is News.JOINED:
            self.emit(Joined(**other.party))
            other.emit(Joined(**self.party))

    def _turn(self, other: Joinable, turn: Turn) -> News | None:
        """Take both ends of the join a step further."""
        link, news = turned(self._links.get(other, Link.ABSENT), turn)
        for one, two in ((self, other), (other, self)):
            if link is Link.ABSENT:
                del one._links[two]
            else:
                one._links[two] = link
        return news

    def _tell(self, listeners: Iterable[JID], event: Event) -> None:
        for listener in listeners:
            self._parties.emit(self.address, listener, event)
