"""A call: one peer, its Jingle session, its leg, and who controls it (XEP-0327 sections 6.2, 6.3 and 6.6)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Literal, Protocol

from focus.jingle.codecs import MODEM, SPEECH
from focus.jingle.peer import LegObserver, PeerSession
from focus.media.leg import Leg
from focus.media.plane import Direction, MediaPlane
from focus.rayo.actor import Outcome, on
from focus.rayo.connectable import Connectable
from focus.rayo.control import Authority, Controllable
from focus.rayo.headers import REASON_HEADER, for_peer, from_shim, to_shim, wanted_reason
from focus.rayo.joinable import Joinable, PartyName
from focus.rayo.mixer import HOUSE, Mixer
from focus.rayo.stages import Stage, Step, following
from focus.wire import rtp
from focus.wire.conditions import (
    BadRequest,
    FeatureNotImplemented,
    StanzaError,
    WrongState,
)
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.message import CallMessage
from focus.wire.rayo import (
    Accept,
    Answer,
    Answered,
    End,
    Hangup,
    Header,
    JoinMedia,
    Redirect,
    Reject,
    Ringing,
)
from focus.wire.rayo_component import Stopped
from focus.wire.session import Listen, Move, Session, Silence, Watch

log = logging.getLogger(__name__)

#: RFC 3986 section 3.1: whatever a caller may be told to call.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+\Z")

#: How many dB somebody can hear others louder, or quieter, than they are.
MOST_LOUDER = 12.0

#: Seconds by which a key that was heard as sound may be told later (XEP-0181), by way of servers.
UNTOLD = 3.0

_REJECT = {"decline": "decline", "busy": "busy", "error": "general-error"}

#: Jingle's reasons as Rayo's (XEP-0327 section 7.5.1), when the peer or the network ended the call.
_END = {
    "success": "hungup",
    "gone": "hungup",
    "cancel": "hungup",
    "busy": "busy",
    "decline": "rejected",
    "expired": "timeout",
    "timeout": "timeout",
}


class Calls(Authority, Protocol):
    """What a call needs of its server."""

    def call_ended(self, call: Call) -> None: ...

    def check_ports(self) -> None:
        """Raises `StanzaError` where there are none for one more call with ourselves that has its media here."""

    def hand_on(self, sender: JID, to: JID, message: CallMessage) -> None:
        """Send the peer `to` a message from our end of its session."""


class Call(Controllable):
    """Carries out the commands of its controlling party and reports what the peer does."""

    def __init__(
        self,
        address: JID,
        calls: Calls,
        plane: MediaPlane,
        *,
        method: Literal["dialed-in", "dialed-out"],
        room: str | None = None,
    ) -> None:
        """`room`: the address of the mixer that was called."""
        super().__init__(address, plane, calls)
        self._room = room
        #: Whether a client has chosen its address, which a room may have all the same.
        self.is_named_by_client = False
        #: Whether it is made to an address of ours, where it comes in as another call.
        self.is_with_ourselves = False
        #: Of such another call the session that we have made it by.
        self.other_end: PeerSession | None = None
        self._calls = calls
        self._method = method
        self.stage = Stage.OFFERED if method == "dialed-in" else Stage.DIALLED
        self.leg: Leg | None = None
        self._watchers: set[JID] = set()
        self._connected = self._muted = self._held = self._focus = False
        self._silenced = False
        self._speaks = self._hears = True
        self._has_told_keys = False
        self._sounded: deque[tuple[str, float]] = deque()  # keys heard as sound, and when
        self._muted_before = False  # on the device that the peer has moved here from, of which this one knows nothing
        self._commanded_end = self._is_hung_up = self._is_parting = self._is_left = False
        self.ended = asyncio.Event()

    @property
    def party(self) -> PartyName:
        return {"call_uri": self.address.uri}

    # who waits for it

    @property
    def is_decided(self) -> bool:
        """Whether nobody need be offered the call any more."""
        return self.controller is not None or self._now not in (Stage.OFFERED, Stage.ACCEPTED)

    def is_waiting_for(self, client: JID) -> bool:
        """Whether the caller waits for an answer that `client` alone can give."""
        return client == self.controller and self._now in (Stage.OFFERED, Stage.ACCEPTED)

    # commands

    @on(Watch)
    async def watch(self, sender: JID, command: Watch) -> Outcome:
        if self.session is None:
            raise WrongState("there is no session yet")
        self._watchers.add(sender)
        return self.describe(sender)

    @on(Move)
    async def move(self, sender: JID, command: Move) -> Outcome:
        """Each join is made there before it ends here, so that nobody is missed by anybody. A session that moves is
        finished as one that has expired (XEP-0353 section 4.2).

        Raises `StanzaError`, and goes on, where there is no such call with media, or it is this one.
        """
        other = self._parties.find_call(sender, command.call_uri)
        if self.is_over or other is self or not isinstance(other, Call) or other.leg is None:
            raise WrongState(f"this call cannot go on as {command.call_uri}")
        parties = [party for party in self.joins if party is not other]
        new = [party for party in parties if party not in other.joins]
        try:
            for party in parties:
                other.join(party, self.joins[party], self.makers[party], "bridge")
        except StanzaError:
            for party in new:
                if party in other.joins:
                    other.unjoin(party)
            raise
        for party in parties:
            if party in self.joins:
                self.unjoin(party)
        other.succeed(self)
        self._commanded_end = True
        self.end_session(Reason.of("expired", "Session migrated"), migrated_to=other._session.sid)
        return None

    def succeed(self, other: Call) -> None:
        """Be heard, and hear, as `other` has. Who was muted there says anew whether he is so here: until then, or until
        he is heard, he is. Who was by keys stays so where he can undo it by them."""
        if self.leg is not None and other.leg is not None:
            with contextlib.suppress(ValueError):  # one of them has closed
                self._plane.succeed(self.leg.node, other.leg.node)
        self._silence(other._silenced and self.tells_keys)
        self._muted_before = other._muted or other._muted_before or (other._silenced and not self._silenced)
        if self.volume != other.volume:
            self.volume = other.volume
            self._hear_so_loud()
        self._session_changed()

    @property
    def _is_muted(self) -> bool:
        return self._muted or self._muted_before or self._silenced

    @on(Silence)
    async def silence(self, sender: JID, command: Silence) -> Outcome:
        if self.leg is None:
            raise WrongState("there is no media yet")
        if command.muted and not self.tells_keys:
            raise WrongState("it presses keys as sound, which could not be heard when it wants to be heard again")
        self._silence(command.muted)
        self._session_changed()
        return None

    def _silence(self, silenced: bool) -> None:
        if self.leg is not None and silenced is not self._silenced:
            self._silenced = silenced
            self.leg.silence(silenced)

    @on(Listen)
    async def listen(self, sender: JID, command: Listen) -> Outcome:
        self.volume = min(max((self.volume or 0.0) + command.louder, -MOST_LOUDER), MOST_LOUDER)
        self._hear_so_loud()
        return None

    def _hear_so_loud(self) -> None:
        for mixer in self.joins:
            if isinstance(mixer, Mixer):
                mixer.let_hear(self)

    @on(Accept)
    async def accept(self, sender: JID, command: Accept) -> Outcome:
        self._act(Step.ACCEPT)
        self._session.ring(to_shim(command.headers))
        return None

    @on(Answer)
    async def answer(self, sender: JID, command: Answer) -> Outcome:
        self.check_answering()
        self._act(Step.ANSWER)
        if self.relay is None:
            self._session.accept(to_shim(command.headers))
        return None

    @on(Redirect)
    async def redirect(self, sender: JID, command: Redirect) -> Outcome:
        """Tell the caller to call elsewhere, in the words that Jingle has for it (section 6.6.1)."""
        if not _URI.match(command.to):
            raise BadRequest(f"not a URI to call: {command.to[:80]!r}")
        self._act(Step.REDIRECT)
        self._commanded_end = True
        reason = Reason.of("decline", f"call {command.to}", redirect=command.to)
        self.end_session(reason, command.headers)
        return None

    @on(Reject)
    async def reject(self, sender: JID, command: Reject) -> Outcome:
        self._act(Step.REJECT)
        self._commanded_end = True
        self.end_session(wanted_reason(_REJECT[command.reason], command.headers), for_peer(command.headers))
        return None

    @on(Hangup)
    async def hangup(self, sender: JID, command: Hangup) -> Outcome:
        was_over = self._now is Stage.ENDING
        self._act(Step.HANGUP)
        if not was_over:
            self._commanded_end = True
            wanted = next((header.value for header in command.headers if header.name == REASON_HEADER), "success")
            self.end_session(wanted_reason(wanted, command.headers), for_peer(command.headers, REASON_HEADER))
        return None

    @on(CallMessage)
    async def message(self, sender: JID, command: CallMessage) -> Outcome:
        """Hand a message on to the peer (section 6.8). Raises `FeatureNotImplemented` where it cannot be said so."""
        if command.body is None:
            raise FeatureNotImplemented("only text can be handed on")
        try:
            self._act(Step.MESSAGE)
        except WrongState as error:
            raise FeatureNotImplemented(f"there is nobody to hand it on to: {error}") from None
        self._calls.hand_on(self._session.local, self._session.peer, command)
        return None

    def check_executing(self) -> None:
        if self._now is not Stage.ANSWERED or self.relay is not None:  # else its media is on its way
            super().check_executing()

    def check_joining(self) -> None:
        self._act(Step.JOIN)

    def check_media(self, other: Joinable, direction: Direction, media: JoinMedia) -> None:
        super().check_media(other, direction, media)
        if media == "bridge" and self.is_with_ourselves and self.relay is not None:
            self._calls.check_ports()

    @property
    def came_in(self) -> bool:
        return self._method == "dialed-in"

    @property
    def has_media_here(self) -> bool:
        if self.came_in:
            return self._now not in (Stage.OFFERED, Stage.ACCEPTED)
        return self.session is not None and self.session.has_offered

    @property
    def state(self) -> str:
        """How far it has come, in the words of Rayo: whoever has answered it, it is answered."""
        return "answered" if self._now is Stage.CONNECTED else self._now.value

    @property
    def is_over(self) -> bool:
        """Whether it is ending, or has ended."""
        return self._now in (Stage.ENDING, Stage.ENDED)

    @property
    def _now(self) -> Stage:
        """Also where the session has ended by itself, and is only saying goodbye."""
        is_ending = self._is_parting or (self.session is not None and self.session.ended)
        return Stage.ENDING if is_ending and self.stage is not Stage.ENDED else self.stage

    def _act(self, step: Step) -> None:
        """Raises `StanzaError` where `step` has no place now."""
        self.stage = following(self._now, step)

    @property
    def _session(self) -> PeerSession:
        assert self.session is not None
        return self.session

    def parting(self, other: Joinable) -> None:
        """What an application of ours does here for a room ends with the join: the call is free for something else."""
        super().parting(other)
        if isinstance(other, Mixer):
            for component in [each for each in self.components if each.creator in other.owners]:
                component.end(Stopped())

    def end_session(self, reason: Reason, headers: Iterable[Header] = (), *, migrated_to: str | None = None) -> None:
        """End in any state: components first, then joins, then the session (section 6.6.3); `peer_ended` follows.
        Others are not to wait for that: the peer is heard by nobody, and hears nobody, from now on."""
        self._is_parting = True
        self.peer_speaking(False)
        self.disconnect()
        self.end_components(partial(self._part, reason, tuple(headers), migrated_to))

    def _part(self, reason: Reason, headers: Iterable[Header], migrated_to: str | None) -> None:
        bound = self.bound
        self.unjoin_all()
        if self.session is not None:
            self.session.hangup(reason, headers=to_shim(headers), migrated_to=migrated_to)
        else:
            self.peer_ended(reason, False)
        if bound is not None:
            bound.end_with(self, reason, by_peer=False)

    def end_with(self, other: Connectable, reason: Reason, *, by_peer: bool) -> None:
        assert isinstance(other, Call)
        self._commanded_end = other._commanded_end
        self._is_hung_up = by_peer or other._is_hung_up
        self.end_session(Reason.of(reason.condition, reason.text))

    def set_modem(self, enabled: bool) -> None:
        """Carry what a modem says and hears, or again what people do: on our side, and as we ask of the peer."""
        if self.leg is None:
            raise ValueError(f"{self.address} has no media here")
        self.leg.set_modem(enabled)
        if not self.is_over:
            self._session.wish_for(MODEM if enabled else SPEECH)

    # the peer (`focus.jingle.peer.PeerObserver`)

    def peer_unavailable(self) -> None:
        """It has gone offline without a word."""
        self._is_hung_up = True
        self.end_session(Reason.of("gone"))

    def make_leg(self, *, controlling: bool, observer: LegObserver) -> Leg:
        """The leg for our session (`focus.jingle.peer.LegFactory`)."""
        near = next((other.node for other in self.joins if other.node is not None), None)
        self.leg = self._plane.create_leg(
            controlling=controlling,
            observer=observer,
            room=self._room,
            near=near,
            with_ourselves=self.is_with_ourselves or (self.other_end is not None and self.other_end.relay is None),
        )
        return self.leg

    def peer_ringing(self) -> None:
        if self._now is Stage.DIALLED:
            self._act(Step.PEER_RINGS)
            self.emit(Ringing(headers=self._told))
            self._session_changed()

    def peer_accepted(self) -> None:
        if self.is_over:
            return  # its components wind up, and then so does the session
        self._accepted = True
        if self.came_in:
            self._act(Step.ANSWER)  # it may be the one answers with whom it is joined directly
        else:
            self._act(Step.PEER_ANSWERS)
            self.emit(Answered(headers=self._told))
        if self.leg is not None:
            self.connect(self.leg.node)
        else:
            self.connect_directly()
        self._session_changed()

    def peer_connected(self) -> None:
        self._connected = True
        log.info("connected")
        self._session_changed()

    def peer_info(self, info: rtp.Info) -> None:
        if not isinstance(info, rtp.Hold | rtp.Unhold):
            self._muted_before = False
        match info:
            case rtp.Mute():
                self._muted = True
            case rtp.Unmute():
                self._muted = False
                self._silence(False)
            case rtp.Hold():
                self._held = True
            case rtp.Unhold():
                self._held = False
            case rtp.Active():
                self._held = self._muted = False
        self._session_changed()

    def peer_senders(self, speaks: bool, hears: bool) -> None:
        self._speaks, self._hears = speaks, hears
        self._session_changed()

    def peer_focus(self, isfocus: bool) -> None:
        """Whether the peer mixes a conference itself."""
        self._focus = isfocus
        self._session_changed()

    def peer_speaking(self, speaking: bool) -> None:
        if speaking and self.is_over:
            return
        self.speaking = speaking
        if speaking and self._muted_before:
            self._muted_before = False
            self._session_changed()
        for party in list(self.joins):
            if isinstance(party, Mixer):
                party.hear(self)

    @property
    def tells_keys(self) -> bool:
        """Whether the peer says which keys it presses, by RFC 4733 or XEP-0181: what sounds like one is then the same
        again, or none."""
        settled = self.session.settled if self.session is not None else None
        return self._has_told_keys or (settled is not None and bool(settled.telephone_events))

    def peer_pressed(self, key: str, duration: float) -> None:
        self._has_told_keys = True
        self._forget_sounded()
        same = next((each for each in self._sounded if each[0] == key), None)
        if same is not None:
            self._sounded.remove(same)
        else:
            self._pressed(key, duration)

    def sounded(self, key: str, duration: float) -> None:
        """A key that was heard as sound, of a peer that has told none yet: it may tell this one later."""
        self._forget_sounded()
        self._sounded.append((key, asyncio.get_running_loop().time()))
        self._pressed(key, duration)

    def _forget_sounded(self) -> None:
        """What would have been told by now."""
        latest = asyncio.get_running_loop().time() - UNTOLD
        while self._sounded and self._sounded[0][1] < latest:
            self._sounded.popleft()

    def _pressed(self, key: str, duration: float) -> None:
        """Told to all components here, and of the mixers that this is in: who is muted there commands all the same. Of
        those that yield keys to others, as those of rooms do, the first is told, if nobody else here wants them."""
        mixers = [party for party in self.joins if party.is_mixer]
        wanting = [each for each in self.components if each.wants_keys and each.is_at_work]
        first = min(wanting, key=lambda each: each.yields_keys, default=None)
        for component in [each for place in (self, *mixers) for each in place.components]:
            if component is first or not component.yields_keys:
                component.key_pressed(key, duration)

    def peer_ended(self, reason: Reason, by_peer: bool) -> None:
        if self._now is Stage.ENDED or self._is_left:
            return
        self._is_left = self._is_parting = True
        self.node = None  # the leg is closed, and the plane has dropped its joins with it
        self.end_components(partial(self._finish, reason, by_peer))

    def _finish(self, reason: Reason, by_peer: bool) -> None:
        self._act(Step.END)
        bound = self.bound
        try:
            self.peer_speaking(False)
            self.unjoin_all()
            self._tell_the_end(reason, by_peer)
        finally:
            if bound is not None:
                bound.end_with(self, reason, by_peer=by_peer)
            self.ended.set()
            self.parties_changed.set()
            self.close()
            self._calls.call_ended(self)

    @property
    def _told(self) -> tuple[Header, ...]:
        """What the peer has said besides."""
        return from_shim(self.session.told if self.session is not None else None)

    def _tell_the_end(self, reason: Reason, by_peer: bool) -> None:
        """To all who were offered the call, have commanded it or watch it (section 6.6.4)."""
        condition = reason.condition
        name = "hangup-command" if self._commanded_end and not by_peer else _END.get(condition, "error")
        if name == "hungup" and not (by_peer or self._is_hung_up):
            name = "error"
        log.info("ended: %s (%s%s)", name, condition, f", {reason.text}" if reason.text else "")
        end = End.of(name, platform_code=condition, headers=self._told)
        involved = self._offered | self._commanders | self._watchers | set(self.audience())
        self._tell(sorted(involved, key=str), end)

    # what is told of the session

    def describe(self, client: JID) -> Session:
        """How this call is carried, now; of its mixers that of `client` counts, if it has one for a room."""
        session = self.session
        assert session is not None
        mixers = [(party, direction) for party, direction in self.joins.items() if isinstance(party, Mixer)]
        mixers.sort(key=lambda join: client not in join[0].owners)
        return Session(
            sid=session.sid,
            peer=str(session.peer),
            local=str(session.local),
            source_id=self.leg.source_id if self.leg else 0,
            joining_method=self._method,
            proposed=self._method == "dialed-in" and session.proposed,
            ringing=self.stage in (Stage.ACCEPTED, Stage.RINGING),
            accepted=self._accepted,
            connected=self._connected,
            muted=self._is_muted,
            silenced=self._silenced,
            held=self._held,
            speaks=self._speaks,
            hears=self._hears,
            focus=self._focus,
            direction=mixers[0][1].value if mixers else "duplex",
            ending=self.is_over,
        )

    def joins_changed(self) -> None:
        if self.session is not None:
            self.session.mix(any(isinstance(party, Mixer) and party.zone == HOUSE for party in self.joins))
        self._session_changed()

    def _session_changed(self) -> None:
        if self._watchers and self.session is not None and self.stage is not Stage.ENDED:
            for watcher in sorted(self._watchers, key=str):
                self._calls.emit(self.address, watcher, self.describe(watcher))
