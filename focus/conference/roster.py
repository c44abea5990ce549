"""Who takes part, as the document of RFC 4575; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

from focus.conference.people import Departed, Invited, Leaving, Participant, Somebody, Waiting
from focus.conference.policy import Occupants
from focus.conference.room import Occupant
from focus.wire.call_invites import External, Invite, JingleMethod
from focus.wire.conference_info import (
    AvailableMedia,
    CallInfo,
    ConferenceDescription,
    ConferenceInfo,
    ConferenceState,
    DisconnectionMethod,
    Endpoint,
    EndpointStatus,
    Execution,
    Hand,
    HostInfo,
    JingleSession,
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

#: How those are who do not take part.
_ABSENT = ("pending", "dialing-out", "alerting", "disconnected")

#: Characters of a subject that documents carry; a room may have longer ones.
MAX_SUBJECT = 1000


@dataclass(frozen=True, slots=True)
class Host:
    """Who hosts all conferences: `domain` of the component, and where people find the `page`, if they do, and which
    `telephone` leads here (a `tel:` URI)."""

    title: str = ""
    domain: str = ""
    page: str = ""
    telephone: str = ""


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
    host: Host = Host()
    subject: str = ""
    description: str = ""
    real_jids_are_public: bool = False
    occupants: tuple[Occupant, ...] = ()
    participants: dict[JID, Participant] = field(default_factory=dict)
    waiting: dict[JID, Waiting] = field(default_factory=dict)
    departed: dict[JID, Departed] = field(default_factory=dict)
    invited: dict[JID, Invited] = field(default_factory=dict)
    #: Mixers that are joined with ours, by their addresses, and since when: through them others hear, and are heard.
    mixers: dict[JID, datetime] = field(default_factory=dict)
    #: The users of the last document and what they were made of, by entity: most of them are as they were.
    _made: dict[str, tuple[object, User]] = field(default_factory=dict, compare=False, repr=False)

    def with_waiting(self, call: JID, peer: JID, now: datetime) -> Roster:
        """The roster while `call` is not admitted."""
        return replace(self, waiting={**self.waiting, call: Waiting(call, peer, now)})

    def with_session(self, call: JID, session: Session, now: datetime) -> Roster:
        """The roster after `call` has said how it is carried."""
        known = self.participants.get(call)
        participant = replace(known, session=session) if known else Participant(call, session, now)
        if session.focus and participant.cascaded is None:
            participant = replace(participant, cascaded=participant.peer.uri)
        elif known and known.session.focus and not session.focus:
            participant = replace(participant, cascaded=None)
        return replace(
            self,
            participants={**self.participants, call: participant},
            waiting=_without(self.waiting, call),
            departed={key: one for key, one in self.departed.items() if one.peer != participant.peer},
        )

    def with_leaving(self, call: JID, leaving: Leaving) -> Roster:
        """The roster while `call` is being ended by us."""
        if call not in self.participants:
            return self
        return replace(
            self, participants={**self.participants, call: replace(self.participants[call], leaving=leaving)}
        )

    def with_cascaded(self, call: JID, conference: str) -> Roster:
        """The roster after the peer of `call` has told of a conference of its own, and with it that it is a focus."""
        if call not in self.participants:
            return self
        return replace(
            self, participants={**self.participants, call: replace(self.participants[call], cascaded=conference)}
        )

    def with_hand(self, call: JID, hand: datetime | None) -> Roster:
        """The roster after somebody has raised a hand, or (None) lowered it."""
        if call not in self.participants:
            return self
        return replace(self, participants={**self.participants, call: replace(self.participants[call], hand=hand)})

    @property
    def hands(self) -> tuple[Participant, ...]:
        """Whose are raised, in the order in which they were."""
        raised = [(one.hand, one) for one in self.participants.values() if one.hand is not None]
        return tuple(one for _, one in sorted(raised, key=lambda each: each[0]))

    def with_mixer(self, mixer: JID, now: datetime) -> Roster:
        """The roster while `mixer` is joined with ours."""
        return replace(self, mixers={**self.mixers, mixer: self.mixers.get(mixer, now)})

    def without_mixer(self, mixer: JID) -> Roster:
        return replace(self, mixers=_without(self.mixers, mixer))

    def with_departure(
        self, call: JID, now: datetime, method: DisconnectionMethod = "departed", reason: str | None = None
    ) -> Roster:
        """The roster in the moment after `call` has gone."""
        if (known := self.departed.get(call)) is not None:
            last, now = known.last, known.when
        elif call in self.participants:
            last = self.participants[call]
        else:
            return self.without(call)
        departed = Departed(last, now, last.leaving or Leaving(method, reason))
        return replace(self.without(call), departed={**self.departed, call: departed})

    def without(self, call: JID) -> Roster:
        return replace(
            self,
            participants=_without(self.participants, call),
            waiting=_without(self.waiting, call),
            departed=_without(self.departed, call),
        )

    def document(self) -> ConferenceInfo:
        """The full document, without version and sid, which belong to a subscriber (RFC 4575 section 4.4)."""
        users = (*self._users(), *self._conferences())
        return ConferenceInfo(
            entity=self.focus.uri,
            state="full",
            description=ConferenceDescription(
                display_text=unescape_node(self.room.local),
                subject=self.subject[:MAX_SUBJECT] or None,
                free_text=self.description or None,
                conf_uris=Uris(state="full", entries=tuple(self._addresses())),
                service_uris=self._services(),
                maximum_user_count=self.maximum,
                available_media=AvailableMedia(entries=(Medium(label=_LABEL, type="audio", status="sendrecv"),)),
            ),
            host_info=self._host(),
            conference_state=ConferenceState(
                user_count=_count(users),
                active=any(one.session.connected for one in self.participants.values()),
                locked=self.maximum is not None and len(self.participants) >= self.maximum,
            ),
            users=Users(state="full", users=users),
        )

    @property
    def count(self) -> int:
        """How many people are here."""
        return _count((*self._users(), *self._conferences()))

    def _addresses(self) -> Iterable[Uri]:
        """Where one can join (section 5.3.1)."""
        yield Uri(uri=self.focus.uri, display_text="call", purpose="participation")
        yield Uri(uri=f"{self.room.uri}?join", display_text="chat room", purpose="participation")
        if self.page:
            yield Uri(uri=self.page, display_text="web page", purpose="participation")
        if self.host.telephone:
            yield Uri(uri=self.host.telephone, display_text="telephone", purpose="participation")

    def invite(self, method: JingleMethod) -> Invite:
        """To this conference (XEP-0482): by `method`, and by whatever else leads to it."""
        others = tuple(External(uri=uri) for uri in (self.page, self.host.telephone) if uri)
        return Invite(jingle=(method,), external=others)

    def _services(self) -> Uris | None:
        """What else there is of the conference (section 5.3.2)."""
        if not self.page:
            return None
        return Uris(state="full", entries=(Uri(uri=self.page, purpose="web-page"),))

    @property
    def page(self) -> str:
        """Where the page of this conference is; empty where there is none: it opens rooms of our own service only,
        whose name is that of their mixer."""
        if not self.host.page or self.room.local != self.focus.local:
            return ""
        return f"{self.host.page.rstrip('/')}/{quote(unescape_node(self.room.local), safe='')}"

    def _host(self) -> HostInfo | None:
        if not self.host.domain:
            return None
        return HostInfo(
            display_text=self.host.title or None,
            web_page=self.host.page or None,
            uris=Uris(state="full", entries=(Uri(uri=JID("", self.host.domain).uri),)),
        )

    def _users(self) -> tuple[User, ...]:
        """One user for each person, with an endpoint for each of their calls (RFC 4575 section 5.6)."""
        occupants = Occupants(self.occupants)
        people: dict[str, tuple[list[Somebody], list[Occupant]]] = {}
        present = {one.peer.bare for one in self.participants.values()}
        everybody: list[Somebody] = [
            *self.participants.values(),
            *self.waiting.values(),
            *self.departed.values(),
            *(one for one in self.invited.values() if one.peer not in present),
        ]
        for somebody in sorted(everybody, key=lambda one: (one.since, str(one.call))):
            occupant = occupants.find(somebody.peer)
            calls, seats = people.setdefault(self._user_entity(somebody.peer, occupant), ([], []))
            calls.append(somebody)
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

    def _user(self, entity: str, calls: list[Somebody], seats: list[Occupant]) -> User:
        occupant = seats[0] if seats else None
        cascaded = next((one.cascaded for one in calls if isinstance(one, Participant) and one.cascaded), None)
        return User(
            entity=entity,
            state="full",
            display_text=occupant.nick if occupant else self._caller_name(calls[0].peer),
            associated_aors=self._other_addresses(entity, occupant),
            roles=Roles(entries=(_role(occupant),)),
            cascaded_focus=cascaded if cascaded is None or self.real_jids_are_public else entity,
            endpoints=self._endpoints(calls, entity),
        )

    def _conferences(self) -> Iterator[User]:
        """What is joined with this conference without a call is a cascaded one. Who hears whom is not told: that can
        differ for each of its people."""
        for mixer, since in self.mixers.items():
            entity = self._user_entity(mixer, None)
            endpoint = Endpoint(
                entity=f"{entity}#{self._digest(str(mixer))}",
                state="full",
                status="connected",
                joining_info=Execution(when=_time(since)),
            )
            yield User(
                entity=entity,
                state="full",
                display_text=self._caller_name(mixer),
                roles=Roles(entries=(_role(None),)),
                cascaded_focus=entity,
                endpoints=(endpoint,),
            )

    def _user_entity(self, peer: JID, occupant: Occupant | None) -> str:
        if self.real_jids_are_public:
            if occupant is None or peer != occupant.jid:
                return peer.uri if peer.bare == self.room else peer.bare.uri
            return occupant.real_jid.bare.uri if occupant.real_jid is not None else occupant.jid.uri
        if occupant is not None:
            return occupant.jid.uri
        caller = peer if peer.bare == self.room else peer.bare
        return self.focus.with_resource(f"caller-{self._digest(str(caller))}").uri

    def _other_addresses(self, entity: str, occupant: Occupant | None) -> Uris | None:
        """The occupant of an account, where everybody knows whose it is (section 5.6.2)."""
        if occupant is None or not self.real_jids_are_public or occupant.jid.uri == entity:
            return None
        return Uris(state="full", entries=(Uri(uri=occupant.jid.uri, display_text=occupant.nick),))

    def _endpoints(self, calls: Iterable[Somebody], user: str) -> tuple[Endpoint, ...]:
        """Each with an entity of its own, also where one device calls twice."""
        endpoints: dict[str, Endpoint] = {}
        for somebody in calls:
            entity = somebody.peer.uri if self.real_jids_are_public else user
            if entity in endpoints or not self.real_jids_are_public:
                entity = f"{entity}#{self._digest(str(somebody.call))}"
            endpoints[entity] = self._endpoint(somebody, entity)
        return tuple(endpoints.values())

    def _endpoint(self, somebody: Somebody, entity: str) -> Endpoint:
        joined = Execution(when=_time(somebody.since))
        match somebody:
            case Invited(rings=rings, failure=failure, by=by):
                return Endpoint(
                    entity=entity,
                    state="full",
                    status="disconnected" if failure else "alerting" if rings else "dialing-out",
                    joining_method="dialed-out",
                    joining_info=Execution(when=_time(somebody.since), by=by),
                    disconnection_method=failure.method if failure else None,
                    disconnection_info=Execution(when=_time(failure.when), reason=failure.reason) if failure else None,
                )
            case Waiting():
                return Endpoint(entity=entity, state="full", status="pending", joining_method="dialed-in")
            case Departed(last=last, when=when, how=how):
                return Endpoint(
                    entity=entity,
                    state="full",
                    status="disconnected",
                    joining_method=_method(last.session),
                    joining_info=joined,
                    disconnection_method=how.method,
                    disconnection_info=Execution(when=_time(when), reason=how.reason, by=self._actor(how.by)),
                )
            case Participant(session=session, leaving=leaving, hand=hand):
                media = Media(
                    id="1",
                    type="audio",
                    label=_LABEL,
                    src_id=str(session.source_id) if session.source_id else None,
                    status=_media_status(session),
                )
                return Endpoint(
                    entity=entity,
                    state="full",
                    status="disconnecting" if leaving else _status(session),
                    joining_method=_method(session),
                    joining_info=joined,
                    media=(media,),
                    call_info=CallInfo(jingle=JingleSession(sid=session.sid)) if self.real_jids_are_public else None,
                    hand=Hand(since=_time(hand, "milliseconds")) if hand is not None else None,
                )

    def _actor(self, nick: str) -> str | None:
        """Who has done something in the room, as everybody there may know them."""
        if not nick:
            return None
        occupant = next((one for one in self.occupants if one.nick == nick), None)
        if self.real_jids_are_public and occupant is not None and occupant.real_jid is not None:
            return occupant.real_jid.bare.uri
        return self.room.with_resource(nick).uri

    def names(self, known: Mapping[JID, str]) -> dict[JID, str]:
        """By which others know each participant, by calls; those who were `known` before keep that when they leave the
        room, which may hide the name of their account."""
        occupants = Occupants(self.occupants)
        names = {}
        for call, one in self.participants.items():
            occupant = occupants.find(one.peer)
            names[call] = occupant.nick if occupant else known.get(call) or self._caller_name(one.peer)
        return names

    def _caller_name(self, peer: JID) -> str:
        """A caller who is not in the room is shown as a telephone would: by the local part of the address.

        Where the room hides who people are, not if that is a whole address in disguise (XEP-0106).
        """
        if peer.bare == self.room:
            return peer.resource or "Guest"
        name = unescape_node(peer.local)
        if not name or peer.domain == self.guests or ("@" in name and not self.real_jids_are_public):
            return "Guest"
        return name

    def _digest(self, text: str) -> str:
        return hashlib.sha256(f"{self.secret}\0{self.focus}\0{text}".encode()).hexdigest()[:12]


Entry = TypeVar("Entry")


def _without(entries: dict[JID, Entry], call: JID) -> dict[JID, Entry]:
    return {key: entry for key, entry in entries.items() if key != call} if call in entries else entries


def _count(users: Iterable[User]) -> int:
    """Who is not admitted yet, is being called, or has gone does not count."""
    return sum(any(endpoint.status not in _ABSENT for endpoint in user.endpoints) for user in users)


def _time(moment: datetime, to: str = "seconds") -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=to) + "Z"


def _method(session: Session) -> JoiningMethod:
    return "dialed-out" if session.joining_method == "dialed-out" else "dialed-in"


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
    speaks = session.speaks and not session.muted and session.direction != "recv"
    hears = session.hears and session.direction != "send"
    if speaks and hears:
        return "sendrecv"
    return "sendonly" if speaks else "recvonly" if hears else "inactive"
