"""A Rayo client (XEP-0327): take calls, make calls, join them, and learn what happens to them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4
from weakref import WeakValueDictionary
from xml.etree import ElementTree as ET

from focus.client import discovery
from focus.client.call import Call
from focus.client.component import C, Component
from focus.client.connection import Account
from focus.client.credentials import Credentials
from focus.client.discovery import About
from focus.client.errors import CallEnded, RayoError, SessionLost
from focus.client.feed import Feed
from focus.client.mixer import Mixer
from focus.client.parties import HeaderPairs, address_of, headers_of, uri_of
from focus.client.session import CHECK_INTERVAL, Session
from focus.wire.jid import JID
from focus.wire.message import CallMessage
from focus.wire.nodeprep import prepared
from focus.wire.rayo import Command, Dial, End, Event, Join, Offer, Ref
from focus.wire.rayo_component import Complete, Execution, Failed

#: Seconds in which a command is answered.
COMMAND_TIMEOUT = 10.0
#: Events and offers that wait to be read, of each call and mixer.
BACKLOG = 1000
#: Seconds; the milliseconds are 32 bits.
LONGEST_RINGING = 2_147_483


@dataclass(frozen=True)
class Listed:
    """A call or mixer that the service lists: a call's `name` is the JID of its peer, if that is known yet."""

    address: JID
    name: str

    @property
    def uri(self) -> str:
        return self.address.uri


class RayoClient:
    """One session with one Rayo service: `async with RayoClient(...) as client`.

    It ends once and for all, by `close`, or as the session or the service is lost, or the service has lost us:
    then iterations end, with the error where it was not `close`, and all commands raise it. The calls go on, and a new
    client under the same full JID finds (`calls`) and commands (`call`) them. What cannot be logged in with raises
    `focus.client.connection.ConnectionFailed`.
    """

    def __init__(
        self,
        jid: JID | str,
        password: str,
        service: JID | str | None = None,
        *,
        server: tuple[str, int] | None = None,
        ca_file: Path | None = None,
        insecure: bool = False,
        ready: bool | None = True,
        timeout: float = COMMAND_TIMEOUT,
        backlog: int = BACKLOG,
        check_every: float = CHECK_INTERVAL,
    ) -> None:
        """`service` is `focus.` before the domain of `jid` where nothing is said. `server` (host and port), `ca_file`
        and `insecure` are as in `focus.client.connection.Account`.

        `ready`: whether we want calls that routes offer. None does not register at all: that suffices to list and
        command what there is, and is for those who have a say in a room only because they moderate it.

        `timeout`: seconds in which a command is answered. `backlog`: how many events of each call and mixer, and how
        many offers, may wait to be read. `check_every`: seconds between two looks whether the service is there and
        still knows us; a second one in vain ends the client.

        Raises ValueError for what is no address.
        """
        account = Account(address_of(jid), password, server, ca_file, insecure)
        self.service = address_of(service if service is not None else f"focus.{account.jid.domain}")
        #: Calls that come in and may be taken, each once. Who else was offered them may be faster.
        self.offers: Feed[Call] = Feed(backlog, owner=self)
        self._ready = ready
        self._backlog = backlog
        self._session = Session(account, self.service, self, timeout=timeout, check_every=check_every)
        self._over: RayoError | None = None
        self._calls: WeakValueDictionary[JID, Call] = WeakValueDictionary()
        self._held: dict[JID, Call] = {}  # until they end, as they tell us something: offered, made, or commanded by us
        # While we dial, events of calls that we do not know: services may have them elsewhere than we want.
        self._dialling = 0
        self._elsewhere: dict[JID, Call] = {}
        # Those at work; and, while we start one, what is told of those that we do not know: one may end at once.
        self._components: dict[JID, Component] = {}
        self._starting = 0
        self._early: list[tuple[JID, Event, datetime]] = []
        self._mixers: WeakValueDictionary[JID, Mixer] = WeakValueDictionary()
        self._present: dict[JID, Mixer] = {}  # so that what is told of them before somebody asks is not lost

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, *, ready: bool | None = True) -> Self:
        """As `FOCUS_RAYO_ACCOUNT`, `_PASSWORD` (or `_PASSWORD_FILE`), `_SERVICE`, `_SERVER`, `_CA_FILE` and `_INSECURE`
        say, of which the first two must be there. Raises ValueError."""
        return cls.of(Credentials.from_environment(environment), ready=ready)

    @classmethod
    def of(cls, credentials: Credentials, *, ready: bool | None = True, timeout: float = COMMAND_TIMEOUT) -> Self:
        one = credentials.account
        return cls(
            one.jid,
            one.password or "",
            credentials.service,
            server=one.server,
            ca_file=one.ca_file,
            insecure=one.insecure,
            ready=ready,
            timeout=timeout,
        )

    @property
    def jid(self) -> JID:
        """The full JID that the server gave us: whose calls these are."""
        return self._session.jid

    async def connect(self) -> None:
        """Log in and register, once. Raises `ConnectionFailed`, and `RayoError` where the service does not have us."""
        await self._session.open(ready=self._ready)

    async def close(self) -> None:
        """Say goodbye; the calls go on. Idempotent."""
        await self._session.close()
        self._finish(SessionLost("the client is closed"), closed=True)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def register(self, *, ready: bool = True) -> None:
        """Register, where that has not been done, and want calls that routes offer, or not. Raises `RayoError`."""
        self._check()
        await self._session.register(ready=ready)

    # calls and mixers

    async def dial(
        self,
        to: JID | str,
        *,
        from_: JID | str | None = None,
        headers: HeaderPairs = (),
        joins: Iterable[Call | Mixer | Join] = (),
        uri: JID | str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the command, not of this coroutine
    ) -> Call:
        """Call `to`, a JID or a URI, and return at once; `Call.answered` waits.

        `joins`: what it is joined with from the start, both ways unless it is a `Join`. `uri`: the address that the
        call shall have, `xmpp:UUID@SERVICE`, a new one where nothing is said. `timeout`: seconds in which the peer
        answers. Who does not wait for the answer to the command, or gets none in time, has the call hung up as soon as
        the service answers. Raises `RayoError`, and ValueError for what cannot be said in Rayo.
        """
        address = address_of(uri) if uri is not None else JID(str(uuid4()), self.service.domain)
        command = Dial(
            to=uri_of(to),
            from_=uri_of(from_) if from_ is not None else None,
            uri=address.uri,
            timeout=_milliseconds(timeout) if timeout is not None else -1,
            headers=headers_of(headers),
            joins=tuple(map(_join, joins)),
        )
        was_held = address in self._held
        call = self._calls[address] = self._held[address] = self._call_at(address)  # before there can be events
        self._dialling += 1
        try:
            self._check()
            reference = await self._session.dial(command)
            return call if reference is None else self._dialled(call, address_of(reference.uri))
        except BaseException:
            if not was_held:
                self._held.pop(address, None)
            raise
        finally:
            self._dialling -= 1
            if not self._dialling:
                self._elsewhere.clear()

    def _dialled(self, call: Call, address: JID) -> Call:
        """The call that is at `address`, where we wanted to have `call`, if the service has not put it elsewhere."""
        if address == call.address:
            return call
        self._held.pop(call.address, None)
        self._calls.pop(call.address, None)
        found = self._elsewhere.pop(address, None) or self._call_at(address)
        if found.end is None:
            self._calls[address] = self._held[address] = found
        return found

    def _call_at(self, address: JID) -> Call:
        return self._calls.get(address) or Call(self, address, self._backlog)

    def _hold(self, call: Call) -> None:
        """It will tell us something: keep it until its end."""
        if self._calls.get(call.address) is call:
            self._held[call.address] = call

    def call(self, address: JID | str) -> Call:
        """The call at `address`, a JID or `xmpp:` URI, whether there is one or not: commands tell."""
        where = address_of(address)
        call = self._calls[where] = self._call_at(where)
        if self._over is not None:
            call._lose(self._over, closed=False)
        return call

    def mixer(self, name: str) -> Mixer:
        """The mixer of that name in our account's zone (or of the room, for whom it is), whether it is there or not.

        Raises ValueError for what cannot be a name.
        """
        mixer = self._mixer_at(JID(prepared(name), self.service.domain))
        mixer.name = name
        return mixer

    async def calls(self) -> list[Listed]:
        """The calls that we may know of, by their addresses, with their peers. Raises `RayoError`.

        focus lists also those that other clients of our account control; to command them is refused (`conflict`).
        """
        return await self._list(self.service, discovery.CALL_NODE)

    async def mixers(self) -> list[Listed]:
        """The mixers that we may command, with their names. Raises `RayoError`."""
        return await self._list(self.service, discovery.MIXER_NODE)

    async def registered(self) -> list[Listed]:
        """The clients of our account that are registered, by their JIDs. Raises `RayoError`."""
        return await self._list(self.service, discovery.CLIENT_NODE)

    async def about(self, party: Call | Mixer | JID | str) -> About:
        """What the service tells of a call or mixer, all at once. Raises `RayoError`."""
        return discovery.about(await self._session.ask(address_of(party), ET.Element(discovery.INFO_QUERY)))

    async def joined(self, party: Call | Mixer | JID | str) -> list[Listed]:
        """What a call or mixer is joined with, without names that are not for us to know. Raises `RayoError`."""
        return await self._list(address_of(party), None)

    async def command(self, to: JID, command: Command) -> Ref | None:
        """Have any command carried out at `to`; returns the address of what it made. Raises `RayoError`."""
        self._check()
        return await self._session.command(to, command)

    async def _start(self, to: JID, command: Execution, kind: type[C], *, within: float | None = None) -> C:
        self._check()
        self._starting += 1
        try:
            reference = await self._session.start(to, command, within=within)
            if reference is None:
                raise RayoError("undefined-condition", "cancel", f"{to} does not say where its component is")
            component = kind(self, address_of(reference.uri), self._backlog)
            self._check()
            self._components[component.address] = component
            for sender, event, at in [*self._early]:
                if sender == component.address:
                    self._told_by_component(sender, event, at)
            return component
        finally:
            self._starting -= 1
            if not self._starting:
                self._early.clear()

    def _told_by_component(self, address: JID, event: Event, at: datetime) -> None:
        component = self._components.get(address)
        if component is not None:
            component._told(event, at)
            if isinstance(event, Complete):
                del self._components[address]
        elif self._starting and len(self._early) < self._backlog:
            self._early.append((address, event, at))

    async def kind(self, address: JID | str) -> str:
        """What lives at `address`: `call`, `mixer`, or an empty string for nothing that we can see.

        Raises `RayoError`.
        """
        about = await self._session.ask(address_of(address), ET.Element(discovery.INFO_QUERY))
        found = discovery.features(about)
        return "call" if discovery.CALL_NODE in found else "mixer" if discovery.MIXER_NODE in found else ""

    async def features(self) -> set[str]:
        """What the service can do (XEP-0030). Raises `RayoError`."""
        self._check()
        return discovery.features(await self._session.ask(self.service, ET.Element(discovery.INFO_QUERY)))

    async def _list(self, at: JID, node: str | None) -> list[Listed]:
        self._check()
        return [Listed(address, name) for address, name in await self._session.items(at, node)]

    # what calls and mixers ask of us

    def _write(self, to: JID, message: CallMessage) -> None:
        self._check()
        self._session.send_message(to, message)

    async def _subscribe(self, mixer: JID) -> bool:
        self._check()
        return await self._session.subscribe(mixer)

    def _keep_subscribed(self, mixer: JID) -> None:
        if self._over is None:
            self._session.request_presence(mixer)

    async def _unsubscribe(self, mixer: JID) -> None:
        self._check()
        await self._session.unsubscribe(mixer)

    def _mixer_is_at(self, name: str, reference: Ref) -> None:
        """A service may have its mixers at another domain than we think: what was told of them is theirs."""
        address = address_of(reference.uri)
        supposed = self._mixers.get(JID(prepared(name), self.service.domain))
        if supposed is not None and supposed.address != address:
            del self._mixers[supposed.address]
            supposed.address = address
            self._mixers[address] = supposed

    def _mixer_at(self, address: JID) -> Mixer:
        mixer = self._mixers.get(address)
        if mixer is None:
            mixer = self._mixers[address] = Mixer(self, address.local, address, self._backlog)
            if self._over is not None:
                mixer._lose(self._over, closed=False)
        return mixer

    def _check(self) -> None:
        if self._over is not None:
            raise self._over.with_traceback(None)

    # what is told (`focus.client.session.Listener`)

    def told(self, sender: JID, event: Event, at: datetime) -> None:
        call = self._calls.get(sender)
        if sender.resource:
            self._told_by_component(sender, event, at)
        elif isinstance(event, Offer) and (call is None or call.offer is None):
            call = self._calls[sender] = self._held[sender] = call or Call(self, sender, self._backlog)
            call._told(event, at)
            self.offers.put(call, at)
        elif call is not None:
            call._told(event, at)
            if call.end is not None:
                del self._calls[sender]
                self._held.pop(sender, None)
                self._lose_components(CallEnded(call.uri, call.end), of=sender)
        elif sender in self._mixers:
            self._mixers[sender]._told(event, at)
        elif self._dialling and len(self._elsewhere) < self._backlog:
            self._elsewhere.setdefault(sender, Call(self, sender, self._backlog))._told(event, at)

    def shown(self, sender: JID, *, available: bool) -> None:
        if sender.resource:
            if not available:  # an end that we could not read
                unknown = Failed(text="it has ended in a way that is not known here")
                self.told(sender, Complete(reason=unknown), datetime.now(UTC))
        elif sender in self._calls:
            if not available:  # an end that we could not read
                self.told(sender, End.of("error"), datetime.now(UTC))
        elif available:
            mixer = self._present[sender] = self._mixer_at(sender)
            mixer._shown(available=True)
        elif sender in self._mixers:
            self._mixers[sender]._shown(available=False)
            self._present.pop(sender, None)

    def over(self, error: RayoError) -> None:
        self._finish(error, closed=False)

    def _finish(self, error: RayoError, *, closed: bool) -> None:
        if self._over is not None:
            return
        self._over = error
        self.offers.end(None if closed else error)
        for call in list(self._calls.values()):
            call._lose(error, closed=closed)
        for mixer in list(self._mixers.values()):
            mixer._lose(error, closed=closed)
        self._lose_components(error, closed=closed)
        self._calls.clear()
        self._held.clear()
        self._present.clear()

    def _lose_components(self, error: RayoError, *, of: JID | None = None, closed: bool = False) -> None:
        for address in [address for address in self._components if of in (None, address.bare)]:
            self._components.pop(address)._lose(error, closed=closed)


def _milliseconds(seconds: float) -> int:
    if not 0 <= seconds <= LONGEST_RINGING:
        raise ValueError(f"a call rings for 0 to {LONGEST_RINGING} seconds, not {seconds:g}")
    return round(seconds * 1000)


def _join(party: Call | Mixer | Join) -> Join:
    match party:
        case Call():
            return Join(call_uri=party.uri)
        case Mixer():
            return Join(mixer_name=party.name)
        case _:
            return party
