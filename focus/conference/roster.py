"""Who takes part, as the document of RFC 4575; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from focus.conference.policy import Occupants
from focus.conference.room import Occupant
from focus.wire.conference_info import (
    AvailableMedia,
    ConferenceDescription,
    ConferenceInfo,
    ConferenceState,
    Endpoint,
    EndpointStatus,
    Execution,
    JoiningMethod,
    Media,
    MediaStatus,
    Medium,
    Roles,
    Uri,
    Uris,
    User,
    Users,
)
from focus.wire.jid import JID, unescape_node
from focus.wire.session import Session

_LABEL = "audio"

#: Characters of a subject that documents carry; a room may have longer ones.
MAX_SUBJECT = 1000


@dataclass(frozen=True, slots=True)
class Participant:
    """One call in the conference: what its session says, and since when."""

    call: JID
    session: Session
    since: datetime

    @property
    def peer(self) -> JID:
        return JID.parse(self.session.peer)


@dataclass(frozen=True, slots=True)
class Roster:
    """A conference at one moment.

    `focus` is the address of its mixer, `room` the MUC room it is bound to,
    `guests` the domain of anonymous accounts, whose local parts are nobody's name, `secret` what keeps others from
    finding out whom a name in a document stands for by trying.
    `real_jids_are_public` decides how participants are named: where the room hides who they are, by occupant JIDs only.
    """

    focus: JID
    room: JID
    guests: str = ""
    maximum: int | None = None
    secret: str = ""
    subject: str = ""
    real_jids_are_public: bool = False
    occupants: tuple[Occupant, ...] = ()
    participants: dict[JID, Participant] = field(default_factory=dict)
    #: The users of the last document and what they were made of, by entity: most of them are as they were.
    _made: dict[str, tuple[object, User]] = field(default_factory=dict, compare=False, repr=False)

    def with_session(self, call: JID, session: Session, now: datetime) -> Roster:
        """The roster after `call` has said how it is carried."""
        known = self.participants.get(call)
        participant = Participant(call, session, known.since if known else now)
        return replace(self, participants={**self.participants, call: participant})

    def without(self, call: JID) -> Roster:
        return replace(self, participants={key: one for key, one in self.participants.items() if key != call})

    def document(self) -> ConferenceInfo:
        """The full document, without version and sid, which belong to a subscriber (RFC 4575 section 4.4)."""
        users = self._users()
        uris = [Uri(uri=self.focus.uri, display_text="call", purpose="participation")]
        uris.append(Uri(uri=f"{self.room.uri}?join", display_text="chat room", purpose="participation"))
        return ConferenceInfo(
            entity=self.focus.uri,
            state="full",
            description=ConferenceDescription(
                display_text=unescape_node(self.room.local),
                subject=self.subject[:MAX_SUBJECT] or None,
                conf_uris=Uris(state="full", entries=tuple(uris)),
                maximum_user_count=self.maximum,
                available_media=AvailableMedia(entries=(Medium(label=_LABEL, type="audio", status="sendrecv"),)),
            ),
            conference_state=ConferenceState(
                user_count=len(users), active=any(one.session.connected for one in self.participants.values())
            ),
            users=Users(state="full", users=users),
        )

    def _users(self) -> tuple[User, ...]:
        """One user for each person, with an endpoint for each of their calls (RFC 4575 section 5.6)."""
        occupants = Occupants(self.occupants)
        people: dict[str, tuple[list[Participant], list[Occupant]]] = {}
        for participant in sorted(self.participants.values(), key=lambda one: (one.since, str(one.call))):
            occupant = occupants.find(participant.peer)
            calls, seats = people.setdefault(self._user_entity(participant, occupant), ([], []))
            calls.append(participant)
            if occupant is not None:
                seats.append(occupant)
        made = {}
        for entity, (calls, seats) in people.items():
            parts = self.real_jids_are_public, calls, seats[:1]
            known = self._made.get(entity)
            made[entity] = known if known and known[0] == parts else (parts, self._user(entity, calls, seats[:1]))
        self._made.clear()
        self._made.update(made)
        return tuple(user for _, user in made.values())

    def _user(self, entity: str, calls: list[Participant], seats: list[Occupant]) -> User:
        occupant = seats[0] if seats else None
        return User(
            entity=entity,
            state="full",
            display_text=occupant.nick if occupant else self._caller_name(calls[0]),
            roles=Roles(entries=(_role(occupant),)),
            endpoints=self._endpoints(calls, entity),
        )

    def _user_entity(self, participant: Participant, occupant: Occupant | None) -> str:
        peer = participant.peer
        if self.real_jids_are_public:
            if occupant is None or peer != occupant.jid:
                return peer.uri if peer.bare == self.room else peer.bare.uri
            return occupant.real_jid.bare.uri if occupant.real_jid is not None else occupant.jid.uri
        if occupant is not None:
            return occupant.jid.uri
        caller = peer if peer.bare == self.room else peer.bare
        return self.focus.with_resource(f"caller-{self._digest(str(caller))}").uri

    def _endpoints(self, participants: Iterable[Participant], user: str) -> tuple[Endpoint, ...]:
        """Each with an entity of its own, also where one device calls twice."""
        endpoints: dict[str, Endpoint] = {}
        for participant in participants:
            entity = participant.peer.uri if self.real_jids_are_public else user
            if entity in endpoints or not self.real_jids_are_public:
                entity = f"{entity}#{self._digest(str(participant.call))}"
            endpoints[entity] = self._endpoint(participant, entity)
        return tuple(endpoints.values())

    def _endpoint(self, participant: Participant, entity: str) -> Endpoint:
        session = participant.session
        method: JoiningMethod = "dialed-out" if session.joining_method == "dialed-out" else "dialed-in"
        return Endpoint(
            entity=entity,
            state="full",
            status=_status(session),
            joining_method=method,
            joining_info=Execution(when=participant.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
            media=(
                Media(
                    id="1",
                    type="audio",
                    label=_LABEL,
                    src_id=str(session.source_id) if session.source_id else None,
                    status=_media_status(session),
                ),
            ),
        )

    def _caller_name(self, participant: Participant) -> str:
        """A caller who is not in the room is shown as a telephone would: by the local part of the address.

        Where the room hides who people are, not if that is a whole address in disguise (XEP-0106).
        """
        peer = participant.peer
        if peer.bare == self.room:
            return peer.resource or "Guest"
        name = unescape_node(peer.local)
        if not name or peer.domain == self.guests or ("@" in name and not self.real_jids_are_public):
            return "Guest"
        return name

    def _digest(self, text: str) -> str:
        return hashlib.sha256(f"{self.secret}\0{self.focus}\0{text}".encode()).hexdigest()[:12]


def _role(occupant: Occupant | None) -> str:
    if occupant is None:
        return "participant"
    if occupant.affiliation == "owner":
        return "owner"
    return occupant.role if occupant.role != "none" else "participant"


def _status(session: Session) -> EndpointStatus:
    if not (session.accepted and session.connected):
        if session.joining_method != "dialed-out":
            return "dialing-in"
        return "alerting" if session.ringing else "dialing-out"
    if session.held:
        return "on-hold"
    return "muted-via-focus" if session.direction == "recv" else "connected"


def _media_status(session: Session) -> MediaStatus:
    """From the participant's side: who is muted only hears (RFC 4575 section 5.8.5)."""
    if session.held:
        return "inactive"
    speaks = not session.muted and session.direction != "recv"
    hears = session.direction != "send"
    if speaks and hears:
        return "sendrecv"
    return "sendonly" if speaks else "recvonly" if hears else "inactive"
