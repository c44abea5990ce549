"""Which session a stanza belongs to: by our address, the peer's and the sid (XEP-0166 section 7.1)."""

from __future__ import annotations

from collections.abc import Iterator

from focus.jingle.peer import PeerSession
from focus.jingle.session import overrules
from focus.wire.jid import JID

_Key = tuple[JID, JID, str]


class SessionTable:
    """The sessions that are alive. Two devices of one account may use the same sid without being confused."""

    def __init__(self) -> None:
        self._sessions: dict[_Key, list[PeerSession]] = {}

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

    def contest(self, local: JID, peer: JID, sid: str) -> bool:
        """Whether a new session `sid`, asked for by `peer`, may begin although we may be calling them this moment
        (XEP-0166 section 7.2.16, XEP-0353 section 4.1).

        A call of ours that has to give way is given up. Where False is returned ours stands: answer a session-initiate
        with `TieBreak` and a propose with `invitation.refuse_tie`.
        """
        rivals = [
            each
            for each in self
            if each.unanswered and each.local.bare == local.bare and each.peer.bare == peer.bare and each.sid != sid
        ]
        if any(overrules(each.sid, each.local, sid, peer) for each in rivals):
            return False
        for rival in rivals:
            rival.give_way()
        return True

    def _candidates(self, local: JID, peer: JID, sid: str) -> list[PeerSession]:
        return self._sessions.get(_key(local, peer, sid), [])


def _key(local: JID, peer: JID, sid: str) -> _Key:
    return (local.bare, peer.bare, sid)
