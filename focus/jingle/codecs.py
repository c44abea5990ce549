"""The encodings of sound that we speak (RFC 7587, RFC 3551), and the keys of a telephone beside them (RFC 4733), as the
payload types of XEP-0167 section 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from focus.wire.rtp import TELEPHONE_EVENT, Description, Parameter, PayloadType

#: The first payload number that means nothing until it is given a meaning (RFC 3551 section 3).
FIRST_DYNAMIC = 96

#: Payload numbers that cannot be told from RTCP on the same port (RFC 5761 section 4).
TAKEN_BY_RTCP = range(64, 96)

#: The clock rates of telephone events, and under which number we offer each.
EVENT_NUMBERS = {48000: 110, 8000: 101}


@dataclass(frozen=True)
class Codec:
    """An encoding we speak: how it is recognised, the number under which we offer it, and what we ask to be sent."""

    name: str
    clockrate: int
    channels: int
    offered_id: int
    parameters: tuple[Parameter, ...] = ()

    def matches(self, payload: PayloadType) -> bool:
        """Missing channels mean one (XEP-0167 section 4), but not for Opus, which is always written with two. A missing
        name means what the number stands for, if that is a static one (RFC 3551 section 6).
        """
        static = payload.name is None and payload.id == self.offered_id < FIRST_DYNAMIC
        return (
            payload.id not in TAKEN_BY_RTCP
            and (static or (payload.name or "").lower() == self.name.lower())
            and payload.clockrate in (self.clockrate, None)
            and payload.channels in (self.channels, None)
        )

    def payload_type(self, number: int) -> PayloadType:
        """This codec as we write it. COMPAT (libwebrtc): Opus with channels missing is refused."""
        return PayloadType(
            id=number,
            name=self.name,
            clockrate=self.clockrate,
            channels=self.channels if self.channels > 1 else None,
            parameters=self.parameters,
        )


def _parameters(**values: int) -> tuple[Parameter, ...]:
    return tuple(Parameter(name=name, value=str(value)) for name, value in values.items())


def opus(*, bitrate: int = 32000) -> Codec:
    """Opus as we like to receive it (RFC 7587 section 6.1): mono, with error correction, silent when nobody speaks."""
    parameters = _parameters(minptime=10, useinbandfec=1, usedtx=1, stereo=0, maxaveragebitrate=bitrate)
    return Codec(name="opus", clockrate=48000, channels=2, offered_id=111, parameters=parameters)


#: How Opus is to come as a rule, and where what it carries are the tones of a modem: all of it, always.
SPEECH = opus().parameters
MODEM = _parameters(minptime=10, useinbandfec=0, usedtx=0, stereo=0, maxaveragebitrate=128_000)


def g711() -> tuple[Codec, ...]:
    """What telephones speak, under its static numbers (RFC 3551 section 6)."""
    return tuple(
        Codec(name=name, clockrate=8000, channels=1, offered_id=number) for name, number in (("PCMU", 0), ("PCMA", 8))
    )


def usual() -> tuple[Codec, ...]:
    """All that we speak, best first."""
    return (opus(), *g711())


def for_modems(codecs: Iterable[Codec]) -> tuple[Codec, ...]:
    """These as a modem likes them: the sound of telephones before Opus, and Opus without what helps speech alone."""
    wanted = [replace(each, parameters=MODEM) if each.name == "opus" else each for each in codecs]
    return tuple(sorted(wanted, key=lambda each: each.name == "opus"))


def preferred(names: Iterable[str]) -> tuple[Codec, ...]:
    """Those of `usual` that are named, in this order. KeyError where there is none of a name."""
    known = {codec.name: codec for codec in usual()}
    return tuple(known[name] for name in names)


def is_telephone_event(payload: PayloadType) -> bool:
    named = (payload.name or "").lower() == TELEPHONE_EVENT and payload.channels in (1, None)
    return named and payload.id not in TAKEN_BY_RTCP


def telephone_event(number: int, clockrate: int | None) -> PayloadType:
    """The keys of a telephone as we write them (RFC 4733 section 7.1.1)."""
    parameters = (Parameter(name="events", value="0-15"),)
    return PayloadType(id=number, name=TELEPHONE_EVENT, clockrate=clockrate, parameters=parameters)


def telephone_events(description: Description, payload: PayloadType, codec: Codec) -> tuple[PayloadType, ...]:
    """The telephone events that go with `payload`, first those of its own clock (RFC 4733 section 2.1).

    COMPAT (older libwebrtc): among sound of 48 kHz they may be of 8 kHz alone.
    """
    found: list[PayloadType] = []
    for rate in dict.fromkeys((codec.clockrate, 8000)):
        for each in description.payload_types:
            taken = {payload.id, *(other.id for other in found)}
            if is_telephone_event(each) and (each.clockrate or 8000) == rate and each.id not in taken:
                found.append(each.model_copy(update={"clockrate": rate}))
                break
    return tuple(found)
