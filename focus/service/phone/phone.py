"""A phone: an account at an XMPP server, one call at a time, and a media plane of its own.

`focus phone` drives one from the command line; tests and benchmarks have as many as they like in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self
from xml.etree import ElementTree as ET

from focus.client.connection import Account, Connection, ConnectionFailed
from focus.jingle import invitation
from focus.jingle.codecs import opus
from focus.jingle.peer import PeerSession, Timeouts
from focus.jingle.table import SessionTable
from focus.media.plane import MediaPlane
from focus.service.phone.call import Call, Refused, Sound, without_dtx
from focus.service.phone.capabilities import FEATURES, Capabilities
from focus.service.phone.events import Event, Events
from focus.service.phone.outbox import PhoneOutbox
from focus.service.phone.sound import Samples
from focus.wire.base import local_name
from focus.wire.coin import COIN_FEATURES
from focus.wire.conditions import (
    BadRequest,
    ItemNotFound,
    ServiceUnavailable,
    StanzaError,
    TieBreak,
    UnknownSession,
)
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import JMI_0, Dialect, Propose, parse_message
from focus.wire.stanzas import PRESENCE, Disconnected, read_error, stanza
from focus.xmpp.discovery import INFO_QUERY, ITEMS_QUERY, PING_QUERY

log = logging.getLogger(__name__)

MUC = "http://jabber.org/protocol/muc"
MUC_USER = f"{MUC}#user"
#: XEP-0045 section 7.2.2: this presence is our own.
SELF_PRESENCE = "110"

#: Seconds that a room may take to let us in.
JOIN_TIMEOUT = 10.0
#: Seconds that the server may take to let others know of us.
PRESENCE_TIMEOUT = 5.0
#: For how long a lost server is looked for again, and how often, in seconds.
RECONNECT_FOR, RECONNECT_FIRST, RECONNECT_LONGEST = 60.0, 0.5, 4.0


@dataclass(frozen=True)
class Settings:
    """What a phone is.

    `media`: addresses to bind for audio. `coin`: say that we read conference documents. `trickle`: send candidates
    one by one. `dtx`: send nothing while nothing is said, and ask for the same. `join`: the occupant JID to be in a
    room with, as soon as that room lets us. `muted`: begin muted. `keys`: press these in each
    call, see `Call.press`. `reconnect`: keep calls, and come back, when the server goes away.
    """

    account: Account
    sound: Sound = field(default_factory=Sound)
    media: Sequence[str] = ("0.0.0.0", "::")
    coin: bool = True
    trickle: bool = False
    dtx: bool = False
    join: JID | None = None
    muted: bool = False
    keys: str = ""
    reconnect: bool = True
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True)
class Answering:
    """What is done with a call that comes in: after `delay` seconds of ringing it is taken, or refused for `reject`."""

    reject: str | None = None
    delay: float = 0.0


class Phone:
    """Use it in `async with`, or call `close`. Everything happens on the event loop that it was made on."""

    def __init__(self, settings: Settings, listener: Callable[[Event], None] | None = None) -> None:
        self.settings = settings
        self.events = Events(listener)
        self.jid = settings.account.jid
        self._connection: Connection | None = None
        self._plane = MediaPlane([(host, 0) for host in settings.media])
        self._codecs = (opus() if settings.dtx else without_dtx(opus()),)
        self._sessions = SessionTable()
        self._call: Call | None = None
        self._calls = 0
        self._answering: Answering | None = None
        self._outbox = PhoneOutbox(self._send, self._ask, trickle=settings.trickle)
        self._capabilities = Capabilities(FEATURES if not settings.coin else (*FEATURES, *COIN_FEATURES))
        self._available = asyncio.Event()
        self._joining: asyncio.Future[str] | None = None
        self._joined = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # What its owner does

    async def connect(self) -> JID:
        """Bind the media ports, log in, be available. Raises `ConnectionFailed`, and OSError for the media."""
        self.events.add("connecting", account=str(self.settings.account.jid))
        try:
            await self._plane.start()
            await self._log_in(self.settings.account)
        except BaseException:
            await self.close()
            raise
        self.events.add("online", jid=str(self.jid), media=[list(address) for address in self._plane.addresses])
        await self._join()
        return self.jid

    async def close(self) -> None:
        """Hang up, log out, and leave nothing behind. Idempotent."""
        self._answering = None
        self.hangup()
        if self._call is not None:
            await self._call.closed()
        await asyncio.gather(*(session.closed() for session in self._sessions))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        await self._plane.stop()

    async def call(self, to: JID | str, *, dialect: Dialect | None = JMI_0) -> None:
        """Call `to`: by invitation in `dialect`, or without one straight to a full JID; the events tell the rest.

        Raises ValueError for a bare JID without a dialect, RuntimeError during a call.
        """
        if self._call is not None and not self._call.session.ended:
            raise RuntimeError("there is a call already")
        to = JID.parse(to) if isinstance(to, str) else to
        call = self._new_call(invited=dialect is not None)
        call.session = PeerSession.outgoing(
            local=self.jid,
            to=to,
            outbox=self._outbox,
            legs=call.leg,
            observer=call,
            isfocus=False,
            dialect=dialect,
            codecs=self._codecs,
            timeouts=self.settings.timeouts,
        )
        self._sessions.add(call.session)
        self._spawn(self._forget(call.session), "forgetting a session")
        self._call = call
        self._calls += 1
        self.events.add("calling", peer=str(to), sid=call.session.sid)
        await call.session.start()

    def listen(self, answering: Answering | None = None) -> None:
        """Take calls from now on, as `answering` says."""
        self._answering = answering or Answering()

    def hangup(self, condition: str | None = None) -> None:
        """End the call, if there is one, for `condition` or as `Call.hangup` chooses."""
        if self._call is not None:
            self._call.hangup(condition)

    def mute(self, muted: bool = True) -> None:
        """Fall silent in the call, or speak again, and let the other side know."""
        if self._call is not None:
            self._call.mute(muted)

    def press(self, keys: str) -> None:
        """Press keys of a telephone in the call, see `Call.press`."""
        if self._call is not None:
            self._call.press(keys)

    async def wait_for(
        self,
        name: str,
        *,
        since: Event | None = None,
        within: float | None = 30.0,
        where: Callable[[Event], bool] = lambda _: True,
        **details: Any,
    ) -> Event:
        """See `Events.wait_for`."""
        return await self.events.wait_for(name, since=since, within=within, where=where, **details)

    def heard(self) -> Samples:
        """What the current call, or the last one, has heard: int16 mono at 48 kHz, as much as is kept."""
        return self._call.ear.heard() if self._call is not None else Samples(0)

    def stats(self) -> dict[str, Any]:
        """Of the media of the current call, or the last one."""
        return self._call.stats() if self._call is not None else {}

    @property
    def current(self) -> Call | None:
        """The current call, or the last one."""
        return self._call

    # What the stream brings

    def message(self, stanza: ET.Element) -> None:
        if stanza.get("type") == "error":
            self._came_back(stanza)
            return
        try:
            message = parse_message(stanza)
            sender = JID.parse(stanza.get("from") or str(self.jid.bare))
        except (StanzaError, ValueError) as error:
            log.info("an invitation from %s that cannot be read: %s", stanza.get("from"), error)
            return
        if message is None:
            return
        session = self._sessions.for_message(self.jid, sender, message.id)
        if session is not None:
            session.receive_message(sender, message)
        elif isinstance(message, Propose) and self._answering is not None:
            if self._sessions.is_spent(self.jid, sender, message.id):
                log.debug("a proposal of %s has come again", sender)
            elif self._sessions.contest(self.jid, sender, message.id, proposed=True):
                self._incoming(sender, message, None)
            else:
                self._sessions.refuse(self.jid, sender, message.id)
                refusal = invitation.refuse_tie(sender, message)
                self._outbox.message(self.jid, refusal.to, refusal.message)

    def presence(self, stanza: ET.Element) -> None:
        if stanza.get("from") == str(self.jid):
            self._available.set()
        occupant = self.settings.join
        if occupant is None or not (stanza.get("from") or "").startswith(f"{occupant.bare}/"):
            return
        statuses = {status.get("code") for status in stanza.iterfind(f"{{{MUC_USER}}}x/{{{MUC_USER}}}status")}
        if stanza.get("type") == "error" and self._joining is not None and not self._joining.done():
            self._joining.set_exception(read_error(stanza))
        elif SELF_PRESENCE in statuses and stanza.get("type") == "unavailable" and self._joined:
            self._joined = False
            self.events.add("left", room=str(occupant.bare), statuses=sorted(code for code in statuses if code))
        elif SELF_PRESENCE in statuses and self._joining is not None and not self._joining.done():
            self._joining.set_result(stanza.get("from", "").partition("/")[2])

    def iq(self, stanza: ET.Element) -> ET.Element | None:
        query = stanza[0]
        try:
            sender = JID.parse(stanza.get("from") or str(self.jid.bare))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        match stanza.get("type"), query.tag:
            case "set", tag if tag == Jingle.qualified_tag():
                self._jingle(sender, query)
                return None
            case "set", tag if tag == ConferenceInfo.qualified_tag() and self.settings.coin:
                self._coin(sender, query)
                return None
            case "get", tag if tag == INFO_QUERY:
                return self._capabilities.answer(query)
            case "get", tag if tag == ITEMS_QUERY:
                return ET.Element(ITEMS_QUERY)
            case "get", tag if tag == PING_QUERY:
                return None
        raise ServiceUnavailable(f"<{local_name(query.tag)}/> means nothing here")

    def disconnected(self, reason: str) -> None:
        self._joined = False
        self.events.add("offline", reason=reason)
        self._spawn(self._reconnect(reason), "reconnecting")

    # Calls

    def _new_call(self, *, invited: bool) -> Call:
        sound, taken = self.settings.sound, self._calls
        if sound.record is not None and taken:  # each call a recording of its own
            numbered = sound.record.with_stem(f"{sound.record.stem}-{taken + 1}")
            sound = replace(sound, record=numbered)
        return Call(
            self._plane,
            sound,
            self.events,
            invited=invited,
            muted=self.settings.muted,
            dtx=self.settings.dtx,
            accepted=self._accepted,
            keys=self.settings.keys,
        )

    def _accepted(self) -> None:
        """A focus makes the room when it takes the first call: now it is there."""
        self._spawn(self._join(), "joining")

    def _jingle(self, sender: JID, query: ET.Element) -> None:
        jingle = Jingle.parse(query)
        session = self._sessions.for_jingle(self.jid, sender, jingle.sid)
        if session is not None:
            if jingle.action is Action.SESSION_TERMINATE and self._call is not None and self._call.session is session:
                self._call.ending()
            session.receive(sender, jingle, query)
        elif jingle.action is not Action.SESSION_INITIATE:
            raise UnknownSession(f"no session {jingle.sid}")
        elif self._answering is None:
            raise ServiceUnavailable("nobody takes calls here")
        elif not self._sessions.contest(self.jid, sender, jingle.sid, proposed=False):
            raise TieBreak("a call of ours is on its way")
        else:
            self._incoming(sender, jingle, query)

    def _incoming(self, sender: JID, first: Propose | Jingle, tree: ET.Element | None) -> None:
        """Raises `StanzaError` for a session-initiate that cannot be one."""
        assert self._answering is not None
        busy = self._call is not None and not self._call.session.ended
        call = self._new_call(invited=False)
        session = call.session = PeerSession.incoming(
            local=self.jid,
            peer=sender,
            first=first,
            tree=tree,
            outbox=self._outbox,
            legs=call.leg,
            observer=Refused() if busy else call,
            isfocus=False,
            codecs=self._codecs,
            timeouts=self.settings.timeouts,
        )
        self._sessions.add(session)
        self._spawn(self._forget(session), "forgetting a session")
        if busy:
            session.reject(Reason.of("busy"))
            self.events.add("refused", peer=str(sender), reason="busy")
            return
        self._call = call
        self._calls += 1
        self.events.add("incoming", peer=str(sender), sid=session.sid, invited=isinstance(first, Propose))
        call.start(_answer(call, self._answering), "answering")

    async def _forget(self, session: PeerSession) -> None:
        await session.closed()
        self._sessions.discard(session)

    def _came_back(self, stanza: ET.Element) -> None:
        """An invitation that the server could not deliver."""
        returned = self._outbox.returned(stanza)
        call = self._call
        if returned is None or call is None or call.session.sid != returned[1] or not call.session.unanswered:
            return
        error = read_error(stanza)
        call.unreachable(error.condition, error.text)

    def _coin(self, sender: JID, query: ET.Element) -> None:
        document = ConferenceInfo.parse(query)
        call = self._call
        if call is None or call.session.ended or sender != call.session.peer:
            raise ItemNotFound("there is no conference with you")
        if document.sid is not None and document.sid != call.session.sid:
            raise ItemNotFound(f"no session {document.sid}")
        call.document(document)

    # The room

    async def _join(self) -> None:
        """Enter the room of the settings, unless we are there or on the way; what comes of it is an event."""
        occupant = self.settings.join
        if occupant is None or self._joined or self._joining is not None:
            return
        self._joining = asyncio.get_running_loop().create_future()
        try:
            history = ET.Element(f"{{{MUC}}}history", {"maxstanzas": "0"})
            muc = ET.Element(f"{{{MUC}}}x")
            muc.append(history)
            self._send(stanza(PRESENCE, None, occupant, None, muc, self._capabilities.caps()))
            async with asyncio.timeout(JOIN_TIMEOUT):
                nick = await self._joining
        except TimeoutError:
            self.events.add("not-joined", room=str(occupant.bare), condition="timeout")
        except StanzaError as error:
            self.events.add("not-joined", room=str(occupant.bare), condition=error.condition, text=error.text or None)
        else:
            self._joined = True
            self.events.add("joined", room=str(occupant.bare), nick=nick)
        finally:
            self._joining = None

    # The stream

    async def _log_in(self, account: Account) -> None:
        self._connection = Connection(account, self)
        self.jid = await self._connection.connect()
        self._available = asyncio.Event()
        self._send(stanza(PRESENCE, None, None, None, self._capabilities.caps()))
        # The server tells us of ourselves, too (RFC 6121 section 4.2.2); before that, calls may still miss us.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._available.wait(), PRESENCE_TIMEOUT)

    async def _reconnect(self, reason: str) -> None:
        """Come back under the same address, so that the call goes on; without it the call is lost."""
        before = self.jid
        deadline = asyncio.get_running_loop().time() + RECONNECT_FOR
        delay = RECONNECT_FIRST
        while self.settings.reconnect and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, RECONNECT_LONGEST)
            try:
                await self._log_in(replace(self.settings.account, jid=before))
            except (ConnectionFailed, StanzaError) as error:
                log.info("not back yet: %s", error)
                continue
            self.events.add("online", jid=str(self.jid))
            if self.jid != before and self._call is not None:
                self._call.fail(f"the server now calls us {self.jid}")
            await self._join()
            return
        if self._call is not None:
            self._call.fail(f"the connection to the server was lost: {reason}")
        self.events.add("lost", reason=reason)

    def _send(self, tree: ET.Element) -> None:
        """Raises `Disconnected`."""
        if self._connection is None:
            raise Disconnected("there is no session with the XMPP server")
        self._connection.send(tree)

    async def _ask(self, to: JID, type: Literal["get", "set"], child: ET.Element) -> ET.Element:
        if self._connection is None:
            raise Disconnected("there is no session with the XMPP server")
        return await self._connection.iq(to, type, child)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(_logged(work), name=f"phone: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answer(call: Call, answering: Answering) -> None:
    if answering.reject is None or answering.delay:
        call.session.ring()
    await asyncio.sleep(answering.delay)
    if answering.reject is None:
        call.session.accept()
    else:
        call.session.reject(Reason.of(answering.reject))


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("the phone broke")
