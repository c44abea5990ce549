"""What a call's Jingle session tells beyond Rayo, for a conference that shows who is there: an extension of our own.

Rayo says that a call exists and whom it is joined to. A roster also needs the session it is carried by, how the caller
is named in the mix, and whether the caller has muted itself. `Watch` asks a call for that and for the news of it. And
a participant may go on from another device, which Rayo knows as another call: `Move` makes one of the two.
Who has nothing but the keys of a telephone says by them what others say by their clients: `Silence` is such a mute, and
`Listen` the volume of what is heard; a `Keypad` waits for such keys. A mixer tells its room that it is `Recorded`.
"""

from __future__ import annotations

from typing import Final

from pydantic_xml import attr

from focus.wire.base import Address, Decimal, Name
from focus.wire.rayo import Command, Dial, Event, JoinDirection
from focus.wire.rayo_component import Body
from focus.wire.rayo_input import INPUT, Input
from focus.wire.rtp import Ssrc

SESSION: Final = "urn:focus-conference:session:0"


class Watch(Command, tag="watch", ns="", nsmap={"": SESSION}):
    """Send me this call's `Session` now and whenever it changes, and its end."""


class Move(Command, tag="move", ns="", nsmap={"": SESSION}):
    """Go on as the call `call_uri`, which the peer has made from elsewhere (XEP-0353 section 4.2): it takes over the
    joins, the volumes and the mute, and this call ends."""

    call_uri: Address = attr(name="call-uri")


class Silence(Command, tag="silence", ns="", nsmap={"": SESSION}):
    """The peer wants to be heard by nobody, or (`muted` false) by those again who would hear it."""

    muted: bool = attr()


class Listen(Command, tag="listen", ns="", nsmap={"": SESSION}):
    """The peer wants to hear the others in its mixers so many dB louder than now."""

    louder: Decimal = attr()


class Keypad(Input, tag="input", ns="", nsmap={"": INPUT}):
    """An input of keys that goes on when something has matched, and takes keys of a call only where nothing else that
    is at work there wants any."""

    @property
    def variant(self) -> str:
        return ""


class Gathered(Event, tag="gathered", ns="", nsmap={"": SESSION}):
    """By a keypad: `result` is that of a match."""

    result: Body = ""


class Recorded(Event, tag="recorded", ns="", nsmap={"": SESSION}):
    """Whether somebody records the mixer, from now on."""

    recorded: bool = attr()


class Initiate(Dial, tag="initiate", ns="", nsmap={"": SESSION}):
    """Call a device that has asked for it (XEP-0482 section 2.3): straight by session-initiate, with the `sid` that it
    was told."""

    sid: Name = attr()


class Session(Event, tag="session", ns="", nsmap={"": SESSION}):
    """How a call is carried.

    `peer` and `local` are the full JIDs of its Jingle session, `source_id` the CSRC by which others hear it,
    `joining_method` RFC 4575's, `proposed` whether the peer has called by XEP-0353, `muted` and `held` what the peer
    last said of itself by session-info, `silenced` whether it is muted by us at its own wish, which is in `muted`, too,
    `speaks` and `hears` which way the `senders` of its content let the sound go,
    `focus` whether it says that it mixes a conference itself, `connected` whether media flows, `accepted` whether the
    session is, `direction` that of its join with the mixer of who is told, and `ending` whether it is over, or soon
    will be.
    """

    sid: Name = attr()
    peer: Address = attr()
    local: Address = attr()
    source_id: Ssrc = attr(name="source-id", default=0)
    joining_method: Name = attr(name="joining-method", default="dialed-in")
    proposed: bool = attr(default=False)
    ringing: bool = attr(default=False)
    accepted: bool = attr(default=False)
    connected: bool = attr(default=False)
    muted: bool = attr(default=False)
    silenced: bool = attr(default=False)
    held: bool = attr(default=False)
    speaks: bool = attr(default=True)
    hears: bool = attr(default=True)
    focus: bool = attr(default=False)
    direction: JoinDirection = attr(default="duplex")
    ending: bool = attr(default=False)
