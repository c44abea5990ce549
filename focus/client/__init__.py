"""Clients of an XMPP server: imports `focus.wire` and slixmpp, nothing of the service.

What programs that control calls need is here by name (docs/rayo.md); `focus.client.connection` is the stream.
"""

from focus.client.call import Call
from focus.client.connection import ConnectionFailed, LoginRefused, Unreachable, Untrusted
from focus.client.credentials import Credentials
from focus.client.errors import CallEnded, EventsLost, NoAnswer, NoService, RayoError, SessionLost
from focus.client.feed import Feed
from focus.client.mixer import Mixer
from focus.client.rayo import Listed, RayoClient
from focus.wire.jid import JID
from focus.wire.rayo import (
    Answered,
    End,
    Event,
    Header,
    Join,
    Joined,
    Offer,
    Ringing,
    StartedSpeaking,
    StoppedSpeaking,
    Unjoined,
)

__all__ = [
    "JID",
    "Answered",
    "Call",
    "CallEnded",
    "ConnectionFailed",
    "Credentials",
    "End",
    "Event",
    "EventsLost",
    "Feed",
    "Header",
    "Join",
    "Joined",
    "Listed",
    "LoginRefused",
    "Mixer",
    "NoAnswer",
    "NoService",
    "Offer",
    "RayoClient",
    "RayoError",
    "Ringing",
    "SessionLost",
    "StartedSpeaking",
    "StoppedSpeaking",
    "Unjoined",
    "Unreachable",
    "Untrusted",
]
