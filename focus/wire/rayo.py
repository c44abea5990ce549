"""The call control of Rayo (XEP-0327 section 7, without components): commands that come in, events that go out.

Unknown attributes and children are refused, never ignored (section 6.5).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_xml import attr, element

from focus.wire.base import Address, Integer, Name, StrictElement, StrictFlag, Token
from focus.wire.shim import MAX_HEADERS

RAYO: Final = "urn:xmpp:rayo:1"

JoinDirection = Literal["duplex", "send", "recv"]
JoinMedia = Literal["bridge", "direct"]


class Header(StrictElement, tag="header", ns="", nsmap={"": RAYO}):
    """A header of the session protocol, passed through (section 7.1)."""

    name: Name = attr()
    value: Token = attr()


Headers = Annotated[tuple[Header, ...], Field(max_length=MAX_HEADERS)]


class Command(StrictElement):
    """What a client may ask of an actor."""


class Event(StrictElement):
    """What an actor tells those who control it."""


class Ref(StrictElement, tag="ref", ns="", nsmap={"": RAYO}):
    """The address of what a command made (section 7.17)."""

    uri: Address = attr()


class Accept(Command, tag="accept", ns="", nsmap={"": RAYO}):
    """Let the caller hear that it rings (section 7.6)."""

    headers: Headers = element(tag="header", default=())


class Answer(Command, tag="answer", ns="", nsmap={"": RAYO}):
    """Take the call and connect its media (section 7.7)."""

    headers: Headers = element(tag="header", default=())


class Redirect(Command, tag="redirect", ns="", nsmap={"": RAYO}):
    """Send the caller elsewhere (section 7.8)."""

    to: Address = attr()
    headers: Headers = element(tag="header", default=())


class Reject(Command, tag="reject", ns="", nsmap={"": RAYO}):
    """Refuse the call, for exactly one reason (section 7.9)."""

    decline: StrictFlag | None = element(tag="decline", default=None)
    busy: StrictFlag | None = element(tag="busy", default=None)
    error: StrictFlag | None = element(tag="error", default=None)
    headers: Headers = element(tag="header", default=())

    @model_validator(mode="after")
    def _one_reason(self) -> Self:
        if sum(reason is not None for reason in (self.decline, self.busy, self.error)) != 1:
            raise ValueError("exactly one of <decline/>, <busy/> and <error/> is needed")
        return self

    @property
    def reason(self) -> Literal["decline", "busy", "error"]:
        return "decline" if self.decline else "busy" if self.busy else "error"


class Hangup(Command, tag="hangup", ns="", nsmap={"": RAYO}):
    """End the call (section 7.10)."""

    headers: Headers = element(tag="header", default=())


class Join(Command, tag="join", ns="", nsmap={"": RAYO}):
    """Join the call with another call or a mixer (section 7.12)."""

    direction: JoinDirection = attr(default="duplex")
    media: JoinMedia = attr(default="bridge")
    call_uri: Address | None = attr(name="call-uri", default=None)
    mixer_name: Name | None = attr(name="mixer-name", default=None)

    @model_validator(mode="after")
    def _one_party(self) -> Self:
        if (self.call_uri is None) == (self.mixer_name is None):
            raise ValueError("exactly one of call-uri and mixer-name is needed")
        return self


class Unjoin(Command, tag="unjoin", ns="", nsmap={"": RAYO}):
    """Undo one join, or all of them (section 7.13)."""

    call_uri: Address | None = attr(name="call-uri", default=None)
    mixer_name: Name | None = attr(name="mixer-name", default=None)

    @model_validator(mode="after")
    def _one_party_at_most(self) -> Self:
        if self.call_uri is not None and self.mixer_name is not None:
            raise ValueError("call-uri and mixer-name exclude each other")
        return self


class Dial(Command, tag="dial", ns="", nsmap={"": RAYO}):
    """Make a call (section 7.11). `timeout` is in milliseconds, -1 for the server's own limit."""

    to: Address = attr()
    from_: Address | None = attr(name="from", default=None)
    uri: Address | None = attr(default=None)
    timeout: Annotated[Integer, Field(ge=-1, le=2**31 - 1)] = attr(default=-1)
    headers: Headers = element(tag="header", default=())
    joins: Annotated[tuple[Join, ...], Field(max_length=16)] = element(tag="join", default=())


class Offer(Event, tag="offer", ns="", nsmap={"": RAYO}):
    """A call has come in and may be taken (section 7.2)."""

    to: Address = attr()
    from_: Address | None = attr(name="from", default=None)
    headers: Headers = element(tag="header", default=())


class Ringing(Event, tag="ringing", ns="", nsmap={"": RAYO}):
    headers: Headers = element(tag="header", default=())


class Answered(Event, tag="answered", ns="", nsmap={"": RAYO}):
    headers: Headers = element(tag="header", default=())


class EndReason(StrictElement):
    """One end reason; the field that holds it gives its name (section 7.5.1)."""

    platform_code: Token | None = attr(name="platform-code", default=None)


class End(Event, tag="end", ns="", nsmap={"": RAYO}):
    """The call is over (section 7.5)."""

    hungup: EndReason | None = element(tag="hungup", default=None)
    hangup_command: EndReason | None = element(tag="hangup-command", default=None)
    timeout: EndReason | None = element(tag="timeout", default=None)
    busy: EndReason | None = element(tag="busy", default=None)
    rejected: EndReason | None = element(tag="rejected", default=None)
    error: EndReason | None = element(tag="error", default=None)
    headers: Headers = element(tag="header", default=())

    @classmethod
    def of(cls, reason: str, platform_code: str | None = None, headers: tuple[Header, ...] = ()) -> Self:
        """The end with `reason` as the XEP spells it; KeyError where there is no such reason."""
        field = reason.replace("-", "_")
        if field == "headers" or field not in cls.model_fields:
            raise KeyError(reason)
        return cls.model_validate({field: EndReason(platform_code=platform_code), "headers": headers})

    @property
    def reason(self) -> str:
        """The reason as the XEP spells it."""
        for field in type(self).model_fields:
            if field != "headers" and getattr(self, field) is not None:
                return field.replace("_", "-")
        return "error"

    @property
    def platform_code(self) -> str | None:
        """What the network had to say about it."""
        said: EndReason | None = getattr(self, self.reason.replace("-", "_"))
        return said.platform_code if said is not None else None


class Party(Event):
    call_uri: Address | None = attr(name="call-uri", default=None)
    mixer_name: Name | None = attr(name="mixer-name", default=None)

    @model_validator(mode="after")
    def _one_party(self) -> Self:
        if (self.call_uri is None) == (self.mixer_name is None):
            raise ValueError("exactly one of call-uri and mixer-name is needed")
        return self


class Joined(Party, tag="joined", ns="", nsmap={"": RAYO}):
    """Joined with a call or a mixer (section 7.14)."""


class Unjoined(Party, tag="unjoined", ns="", nsmap={"": RAYO}):
    """No longer joined (section 7.15)."""


class Speaking(Event):
    """`call_id` is what clients from before `call-uri` read; COMPAT (punchblock)."""

    call_uri: Address = attr(name="call-uri")
    call_id: Name | None = attr(name="call-id", default=None)


class StartedSpeaking(Speaking, tag="started-speaking", ns="", nsmap={"": RAYO}):
    """A call in a mixer has begun to speak (section 7.16)."""


class StoppedSpeaking(Speaking, tag="stopped-speaking", ns="", nsmap={"": RAYO}):
    """And has ended to."""


_COMMANDS: tuple[type[Command], ...] = (Accept, Answer, Redirect, Reject, Hangup, Join, Unjoin, Dial)
COMMANDS: dict[str, type[Command]] = {kind.qualified_tag(): kind for kind in _COMMANDS}
_EVENTS: tuple[type[Event], ...] = (Offer, Ringing, Answered, End, Joined, Unjoined, StartedSpeaking, StoppedSpeaking)
EVENTS: dict[str, type[Event]] = {kind.qualified_tag(): kind for kind in _EVENTS}
