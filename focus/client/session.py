"""A Rayo client's stanzas: registering, commands, events (XEP-0327 sections 5.3 and 6.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from xml.etree import ElementTree as ET

from focus.client import discovery
from focus.client.connection import Account, Connection
from focus.client.errors import NoAnswer, NoService, RayoError, SessionLost
from focus.wire.base import local_name
from focus.wire.conditions import ServiceUnavailable, StanzaError
from focus.wire.jid import JID
from focus.wire.message import CallMessage
from focus.wire.rayo import EVENTS, RAYO, Command, Dial, Event, Hangup, Ref
from focus.wire.rayo_component import Complete, Execution, Stop
from focus.wire.rayo_cpa import Signal
from focus.wire.rayo_fax import FaxPage
from focus.wire.rayo_prompt import InputTimersStarted
from focus.wire.stanzas import CLIENT, MESSAGE, PRESENCE, Disconnected, read_error, stanza

log = logging.getLogger(__name__)

#: Seconds between two questions whether the service is there and knows us. Two that get no answer are one too many.
CHECK_INTERVAL = 30.0
MISSED_CHECKS = 2
#: Seconds by which two clocks may drift apart between two such questions, and more.
CLOCK_ERROR = 1.0
#: Seconds in which the service may still answer a `<dial/>` that nobody waits for, when the session is to be closed.
CLOSE_PATIENCE = 2.0

_OF_COMPONENTS: dict[str, type[Event]] = {
    kind.qualified_tag(): kind for kind in (Complete, InputTimersStarted, Signal, FaxPage)
}
_DELAY = "{urn:xmpp:delay}delay"
_ROSTER = "jabber:iq:roster"


class Listener(Protocol):
    """Gets what the service tells, in order."""

    def told(self, sender: JID, event: Event, at: datetime) -> None: ...

    def shown(self, sender: JID, *, available: bool) -> None:
        """A mixer is there, or `sender`, whatever it was, is not any more."""

    def over(self, error: RayoError) -> None:
        """Nothing comes any more. Once, and not where the client itself has closed the session."""


class Session:
    """One session of a client with one service, from `open` to `close`. What others send is not listened to."""

    def __init__(
        self, account: Account, service: JID, listener: Listener, *, timeout: float, check_every: float = CHECK_INTERVAL
    ) -> None:
        """`timeout`: seconds in which a command is answered. `check_every`: seconds between two looks whether the
        service is there and still knows us."""
        self.service = service
        self._listener = listener
        self._timeout = timeout
        self._connection = Connection(account, self)
        self._error: RayoError | None = None
        self._is_registered = False
        self._is_listed = False
        self._tells_age = False
        self._had_begun: float | None = None  # when the service was there already, by our clock
        self._check_every = check_every
        self._checking: asyncio.Task[None] | None = None
        self._undoing: set[asyncio.Task[None]] = set()

    @property
    def jid(self) -> JID:
        return self._connection.jid

    async def open(self, *, ready: bool | None) -> None:
        """Log in and register (see `register`), if `ready` says how.

        Raises `ConnectionFailed`, and `RayoError` where the service is none, or refuses us.
        """
        await self._connection.connect()
        try:
            if ready is None:
                await self._look_at_service()
            else:
                await self.register(ready=ready)
        except BaseException:
            await self._connection.close()
            raise
        self._checking = asyncio.create_task(self._keep_checking())

    async def register(self, *, ready: bool) -> None:
        """Be known to the service, and `ready` for calls or not. Raises `RayoError`."""
        show = ET.Element(f"{{{CLIENT}}}show")
        show.text = "chat" if ready else "dnd"
        self._send(stanza(PRESENCE, None, self.service, None, show, discovery.caps()))
        self._is_registered = True
        await self._look_at_service()  # stanzas come in order: a refusal has come before this is answered
        self._check()
        with suppress(RayoError):  # not all services have such a list
            self._is_listed = await self._is_in_list()
        self._check()

    async def _look_at_service(self) -> None:
        try:
            about = await self.ask(self.service, ET.Element(discovery.INFO_QUERY))
        except SessionLost:
            raise
        except RayoError as error:
            text = f"there is no service at {self.service}: {error.text or error.condition}"
            raise NoService(text, error.condition, error.type) from None
        features = discovery.features(about)
        if RAYO not in features:
            raise NoService(f"{self.service} is no Rayo service")
        self._tells_age = discovery.LAST in features
        if self._had_begun is None:
            with suppress(RayoError):
                await self._is_the_same()
            self._check()

    async def close(self) -> None:
        """Idempotent. The calls go on, but those that nobody has waited for."""
        if self._undoing:
            await asyncio.wait(self._undoing, timeout=CLOSE_PATIENCE)
        self._error = self._error or SessionLost("the client is closed")
        if self._connection.connected and self._is_registered:
            self._connection.send(stanza(PRESENCE, None, self.service, "unavailable"))
        await self._connection.close()
        tasks = [*self._undoing, *([self._checking] if self._checking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # whether the service is there

    async def _keep_checking(self) -> None:
        """A service that dies, or is cut off for good, cannot say so, and one that has begun anew knows nothing of us:
        it would never tell us anything again."""
        missed = 0
        while self._error is None:
            await asyncio.sleep(self._check_every)
            try:
                is_known = await self._is_known()
            except RayoError as error:
                missed += 1
                if missed == MISSED_CHECKS:
                    self._end(SessionLost(f"{self.service} is not there any more: {error}"))
            else:
                missed = 0
                if not is_known:
                    self._end(SessionLost(f"{self.service} does not know us any more"))

    async def _is_known(self) -> bool:
        """Raises `RayoError` where the service is not there."""
        if self._is_listed:
            return await self._is_in_list()
        return await self._is_the_same()

    async def _is_the_same(self) -> bool:
        """Whether the service has been there since we asked last. Raises `RayoError`.

        One that has not is known by its age, which is in whole seconds (XEP-0012): it has begun when the other one was
        there already.
        """
        if not self._tells_age:
            await self.ask(self.service, ET.Element(discovery.INFO_QUERY))
            return True
        loop = asyncio.get_running_loop()
        asked = loop.time()
        age = discovery.seconds(await self.ask(self.service, ET.Element(discovery.LAST_QUERY)))
        if age is None:
            return True
        had_begun, self._had_begun = self._had_begun, loop.time() - age
        return had_begun is None or asked - (age + 1) <= had_begun + CLOCK_ERROR

    async def _is_in_list(self) -> bool:
        """Whether we are among the clients that the service lists as registered. Raises `RayoError`."""
        return self.jid in (address for address, _ in await self.items(self.service, discovery.CLIENT_NODE))

    async def command(self, to: JID, command: Command) -> Ref | None:
        """Have `command` carried out; returns the address of what it made, if anything. Raises `RayoError`."""
        return _reference(await self._iq(to, "set", command.to_element()))

    async def dial(self, command: Dial) -> Ref | None:
        """The same of the service. Who is cancelled meanwhile, or gets no answer in time, has the call hung up.

        Not before the service has answered, however long that takes: a `<hangup/>` goes to the call's own address, and
        until then nothing may live there. Raises `RayoError`.
        """
        wanted = JID.from_uri(command.uri or "")

        async def hang_up(made: Ref | None) -> None:
            """The call that the answer names, or the one at the address that was wanted."""
            await self.command(JID.from_uri(made.uri) if made is not None else wanted, Hangup())

        return await self._make(self.service, command, hang_up)

    async def start(self, to: JID, command: Execution, *, within: float | None = None) -> Ref | None:
        """The same of a component, which is stopped. `within`: seconds for the answer, where that takes longer than
        others. Raises `RayoError`."""

        async def stop(made: Ref | None) -> None:
            if made is not None:
                await self.command(JID.from_uri(made.uri), Stop())

        return await self._make(to, command, stop, within=within)

    async def _make(
        self,
        to: JID,
        command: Command,
        undo: Callable[[Ref | None], Awaitable[None]],
        *,
        within: float | None = None,
    ) -> Ref | None:
        asking = asyncio.ensure_future(self._request(to, "set", command.to_element()))
        try:
            return _reference(await self._in_time(to, command.to_element(), asyncio.shield(asking), within=within))
        except (asyncio.CancelledError, NoAnswer):
            task = asyncio.create_task(_once_answered(asking, undo))
            self._undoing.add(task)
            task.add_done_callback(self._undoing.discard)
            raise

    async def ask(self, to: JID, query: ET.Element) -> ET.Element:
        """The result stanza of service discovery. Raises `RayoError`."""
        return await self._iq(to, "get", query)

    async def items(self, to: JID, node: str | None) -> list[tuple[JID, str]]:
        """All that service discovery lists, with its names, page by page (XEP-0059). Raises `RayoError`."""
        found: list[tuple[JID, str]] = []
        read: str | None = None
        while True:
            page = await self.ask(to, discovery.items_query(node, read))
            found.extend(discovery.items(page))
            last = discovery.last(page)
            if last is None or last == read:
                return found
            read = last

    def message(self, stanza: ET.Element) -> None:
        """Nobody writes to us (`focus.client.connection.StreamHandler`)."""

    def send_message(self, to: JID, message: CallMessage) -> None:
        """To a call's peer (section 6.8). Raises `RayoError`."""
        self._send(stanza(MESSAGE, None, to, "normal", *message.to_element()))

    # presence subscriptions (section 6.4)

    async def subscribe(self, to: JID) -> bool:
        """Ask for the presence of the mixer `to`; returns whether the account had not done so before."""
        is_new = to not in await self._roster()
        self.request_presence(to)
        return is_new

    def request_presence(self, to: JID) -> None:
        """What `subscribe` sends; it does no harm to do so again.

        The service may ask for the account's presence in turn, as it does for rooms. That is granted beforehand (RFC
        6121 section 3.4), so that no chat program of the account asks its user what this is.
        """
        self._send(stanza(PRESENCE, None, to, "subscribed"))
        self._send(stanza(PRESENCE, None, to, "subscribe"))

    async def unsubscribe(self, to: JID) -> None:
        """Take the mixer out of the account's roster, which cancels the subscription (RFC 6121 section 2.5)."""
        query = ET.Element(f"{{{_ROSTER}}}query")
        ET.SubElement(query, f"{{{_ROSTER}}}item", {"jid": str(to), "subscription": "remove"})
        await self._iq(None, "set", query)

    async def _roster(self) -> set[JID]:
        result = await self._iq(None, "get", ET.Element(f"{{{_ROSTER}}}query"))
        subscribed = set()
        for item in result.iterfind(f"{{{_ROSTER}}}query/{{{_ROSTER}}}item"):
            if item.get("ask") or item.get("subscription") in ("to", "both"):
                try:
                    subscribed.add(JID.parse(item.get("jid", "")))
                except ValueError:
                    continue
        return subscribed

    # what arrives (`focus.client.connection.StreamHandler`)

    def presence(self, stanza: ET.Element) -> None:
        try:
            sender = JID.parse(stanza.get("from", ""))
        except ValueError:
            return
        kind = stanza.get("type")
        if sender == self.service:
            if kind == "error":
                self._end(RayoError.of(read_error(stanza)))
            elif kind == "unavailable":
                self._end(SessionLost(f"{self.service} has gone down"))
        elif self._is_of_service(sender) and kind in (None, "unavailable"):
            self._presence_of(sender, stanza)

    def _is_of_service(self, sender: JID) -> bool:
        """Whether a call, mixer or component of ours could be there. Anybody may send us presence that says
        anything."""
        ours = self.service.domain
        return sender.domain == ours or sender.domain.endswith(f".{ours}")

    def _presence_of(self, sender: JID, stanza: ET.Element) -> None:
        told = _OF_COMPONENTS if sender.resource else EVENTS
        for child in stanza:
            if child.tag in told:
                try:
                    event = told[child.tag].parse(child)
                except StanzaError as error:
                    log.warning("an event of %s cannot be read: %s", sender, error)
                else:
                    self._listener.told(sender, event, _time(stanza))
                    return
        caps = stanza.find(f"{{{discovery.CAPS}}}c")
        if stanza.get("type") == "unavailable":
            self._listener.shown(sender, available=False)
        elif caps is not None and caps.get("node") == discovery.MIXER_NODE and not sender.resource:
            self._listener.shown(sender, available=True)

    def iq(self, stanza: ET.Element) -> ET.Element | None:
        query = stanza[0]
        if stanza.get("type") == "get" and query.tag == discovery.INFO_QUERY:
            return discovery.information(query)
        if stanza.get("type") == "get" and query.tag == discovery.PING_QUERY:
            return None
        raise ServiceUnavailable(f"<{local_name(query.tag)}/> is not known here")

    def disconnected(self, reason: str) -> None:
        self._end(SessionLost(f"the session with the XMPP server was lost: {reason}"))

    # sending

    def _end(self, error: RayoError) -> None:
        if self._error is None:
            self._error = error
            self._listener.over(error)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)

    def _send(self, tree: ET.Element) -> None:
        self._check()
        try:
            self._connection.send(tree)
        except Disconnected as error:
            raise SessionLost(str(error)) from None

    async def _iq(self, to: JID | None, type: Literal["get", "set"], child: ET.Element) -> ET.Element:
        """The result stanza. Raises `RayoError`."""
        return await self._in_time(to, child, self._request(to, type, child))

    async def _in_time(
        self, to: JID | None, child: ET.Element, answer: Awaitable[ET.Element], *, within: float | None = None
    ) -> ET.Element:
        patience = max(self._timeout, within or 0)
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            text = f"no answer to <{local_name(child.tag)}/> from {to or 'the server'} within {patience:g} s"
            raise NoAnswer(text) from None

    def _request(
        self, to: JID | None, type: Literal["get", "set"], child: ET.Element
    ) -> Coroutine[Any, Any, ET.Element]:
        """Send it now; what is returned waits for the result stanza. Both raise `RayoError`."""
        self._check()
        try:
            return self._result(self._connection.ask(to, type, child))
        except Disconnected as error:
            raise SessionLost(str(error)) from None

    async def _result(self, answer: Awaitable[ET.Element]) -> ET.Element:
        try:
            return await answer
        except Disconnected as error:
            self._check()
            raise SessionLost(str(error)) from None
        except StanzaError as error:
            raise RayoError.of(error) from None


async def _once_answered(asking: Awaitable[ET.Element], undo: Callable[[Ref | None], Awaitable[None]]) -> None:
    with suppress(RayoError):
        await undo(_reference(await asking))


def _reference(result: ET.Element) -> Ref | None:
    """The address of what a command has made. Raises `RayoError`."""
    reference = result.find(Ref.qualified_tag())
    try:
        return Ref.parse(reference) if reference is not None else None
    except StanzaError as error:
        raise RayoError.of(error) from None


def _time(stanza: ET.Element) -> datetime:
    """When the event happened (XEP-0203), or now, where nothing is said."""
    delay = stanza.find(_DELAY)
    try:
        at = datetime.fromisoformat(delay.get("stamp", "") if delay is not None else "")
    except ValueError:
        return datetime.now(UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
