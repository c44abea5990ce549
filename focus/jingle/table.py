"""Which session a stanza belongs to: by our address, the peer's and the sid (XEP-0166 section 7.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

from focus.jingle.peer import PeerSession
from focus.jingle.session import Party, overrules
from focus.wire.jid import JID
from focus.wire.jingle import Reason

_Key = tuple[JID, JID, str]


#: How many invitations are remembered after their end.
MAX_SPENT = 10_000


class SessionTable:
    """The sessions that are alive, and the invitations that are over. Two devices of one account may use the same sid
    without being confused."""

    def __init__(self, account: Callable[[JID], JID] = attrgetter("bare")) -> None:
        """`account`: whose calls a JID's are, as far as one person is meant."""
        self._account = account
        self._sessions: dict[_Key, list[PeerSession]] = {}
        self._spent: dict[_Key, Party] = {}  # by the JID that can speak of it, the oldest first; our role

    def __len__(self) -> int:
        return sum(len(sessions) for sessions in self._sessions.values())

    def __iter__(self) -> Iterator[PeerSession]:
        """A snapshot: sessions may come and go meanwhile."""
        return iter([session for sessions in self._sessions.values() for session in sessions])

    def add(self, session: PeerSession) -> None:
        self._sessions.setdefault(_key(session.local, session.peer, session.sid), []).append(session)

    def discard(self, session: PeerSession) -> None:
        """Forget `session`; nothing happens where it is not here."""
        key = _key(session.local, session.peer, session.sid)
        sessions = [each for each in self._sessions.get(key, []) if each is not session]
        if sessions:
            self._sessions[key] = sessions
        else:
            self._sessions.pop(key, None)
        if session.proposed:
            self._spend(session.local, session.peer, session.sid, session.role)

    def refuse(self, local: JID, peer: JID, id: str) -> None:
        """What `peer` has proposed is over, and has never been a session."""
        self._spend(local, peer, id, Party.RESPONDER)

    def _spend(self, local: JID, peer: JID, id: str, role: Party) -> None:
        self._spent[local.bare, peer if role is Party.RESPONDER else peer.bare, id] = role
        while len(self._spent) > MAX_SPENT:
            del self._spent[next(iter(self._spent))]

    def is_spent(self, local: JID, peer: JID, id: str) -> bool:
        """Whether `peer` has proposed this before, or we have, and it is over: what comes again, from an archive or
        after a broken stream, is no new call (XEP-0353 section 5)."""
        return (local.bare, peer, id) in self._spent or self.is_withdrawn(local, peer, id)

    def is_withdrawn(self, local: JID, peer: JID, id: str) -> bool:
        """Whether we have proposed this to `peer` before, and it is over."""
        return self._spent.get((local.bare, peer.bare, id)) is Party.INITIATOR

    def for_jingle(self, local: JID, peer: JID, sid: str) -> PeerSession | None:
        """The session that an IQ from `peer` to `local` is about, or None: an unknown session."""
        return next((each for each in self._candidates(local, peer, sid) if each.peer == peer), None)

    def for_message(self, local: JID, peer: JID, id: str) -> PeerSession | None:
        """The session that an invitation message is about: that device's, or one that any device may answer."""
        sessions = self._candidates(local, peer, id)
        for wanted in (peer, peer.bare):
            for session in sessions:
                if session.peer == wanted:
                    return session
        return sessions[0] if sessions and not peer.resource else None

    def contest(self, local: JID, peer: JID, sid: str, *, proposed: bool) -> bool:
        """Whether a new session `sid`, asked for by `peer`, may begin although we may be calling them this moment
        (XEP-0166 section 7.2.16, XEP-0353 section 4.1).

        A call of ours that has to give way is given up; one that a device of theirs has taken, without having a session
        yet, goes on as the new one where that is `proposed` (section 4.2): else it is a second endpoint. Where False is
        returned ours stands: answer a session-initiate with `TieBreak` and a propose with `invitation.refuse_tie`.
        """
        account = self._account(peer)
        calls = [each for each in self if each.local.bare == local.bare and self._account(each.peer) == account]
        rivals = [each for each in calls if each.unanswered]
        if any(overrules(each.sid, each.local, sid, peer) for each in rivals):
            return False
        for rival in rivals:
            rival.give_way(sid)
        for call in calls:
            if proposed and call.taken:
                call.hangup(Reason.of("expired", "Session migrated"), migrated_to=sid)
        return True

    def _candidates(self, local: JID, peer: JID, sid: str) -> list[PeerSession]:
        return self._sessions.get(_key(local, peer, sid), [])


def _key(local: JID, peer: JID, sid: str) -> _Key:
    return (local.bare, peer.bare, sid)
