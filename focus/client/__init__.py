"""Clients of an XMPP server: imports `focus.wire` and slixmpp, nothing of the service.

What programs that control calls need is here by name (docs/rayo.md); `focus.client.connection` is the stream.
"""

from focus.client.call import Call
from focus.client.component import (
    Component,
    FaxComponent,
    InputComponent,
    OutputComponent,
    PromptComponent,
    RecordComponent,
)
from focus.client.connection import ConnectionFailed, LoginRefused, Unreachable, Untrusted
from focus.client.credentials import Credentials
from focus.client.discovery import About
from focus.client.errors import CallEnded, EventsLost, NoAnswer, NoService, RayoError, SessionLost
from focus.client.feed import Feed
from focus.client.interpretation import Interpretation
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
from focus.wire.rayo_component import Complete, Failed, HungUp, Stopped
from focus.wire.rayo_cpa import Signal
from focus.wire.rayo_fax import Fax, FaxDocument, FaxFinish, FaxMetadata, FaxPage
from focus.wire.rayo_input import Grammar, Match, NoInput, NoMatch
from focus.wire.rayo_output import Document, Finish, MaxTime
from focus.wire.rayo_prompt import InputTimersStarted
from focus.wire.rayo_record import FinalTimeout, InitialTimeout, MaxDuration, Recording

__all__ = [
    "JID",
    "About",
    "Answered",
    "Call",
    "CallEnded",
    "Complete",
    "Component",
    "ConnectionFailed",
    "Credentials",
    "Document",
    "End",
    "Event",
    "EventsLost",
    "Failed",
    "Fax",
    "FaxComponent",
    "FaxDocument",
    "FaxFinish",
    "FaxMetadata",
    "FaxPage",
    "Feed",
    "FinalTimeout",
    "Finish",
    "Grammar",
    "Header",
    "HungUp",
    "InitialTimeout",
    "InputComponent",
    "InputTimersStarted",
    "Interpretation",
    "Join",
    "Joined",
    "Listed",
    "LoginRefused",
    "Match",
    "MaxDuration",
    "MaxTime",
    "Mixer",
    "NoAnswer",
    "NoInput",
    "NoMatch",
    "NoService",
    "Offer",
    "OutputComponent",
    "PromptComponent",
    "RayoClient",
    "RayoError",
    "RecordComponent",
    "Recording",
    "Ringing",
    "SessionLost",
    "Signal",
    "StartedSpeaking",
    "Stopped",
    "StoppedSpeaking",
    "Unjoined",
    "Unreachable",
    "Untrusted",
]
