"""What a plane is given (a clock) and gives (events, statistics)."""

from typing import Literal, Protocol, TypedDict


class Clock(Protocol):
    """Somebody else's time: the plane then has no thread and is ticked by hand."""

    def now_ns(self) -> int: ...


class LegStatistics(TypedDict):
    """Counters and measures of a leg: packets, unless named otherwise, and of what comes from it, unless named sent."""

    received: int
    lost: int  # as RFC 3550 counts: what came twice makes up for it
    late: int  # came when its time was over
    duplicates: int
    concealed: int  # frames that were lost and something was made up for
    recovered: int  # losses that came as FEC
    decoded: int
    spared: int  # not decoded, for nobody spoke
    undecodable: int
    sent: int
    sends_fec: bool  # is sent what repairs losses
    heard: bool  # it speaks, and is mixed
    shares_encoding: bool  # is sent what others are
    dropped: int  # packets that were given up, or blended over, since far too many were held
    shortened_ms: float  # was cut out to lower the delay
    lengthened_ms: float  # was put in, to raise it
    target_ms: float  # of the delay, with the 20 ms of the tick
    depth_ms: float  # held, decoded or not
    jitter_ms: float  # between arrivals, RFC 3550 appendix A.8
    rtt_ms: float  # -1: not known
    level_dbov: float  # of what it says now
    remote_lost: int  # of what it is sent, by its own reports
    remote_fraction_lost: float
    remote_jitter_ms: float
    consents: int
    dropped_unknown: int
    dropped_auth: int
    dropped_replay: int
    dropped_malformed: int
    dropped_payload_type: int
    dropped_flood: int
    dtmf_received: int  # keys that it has pressed
    dtmf_unknown: int  # reports of events that are no keys
    dtmf_dropped: int  # keys that found no room, or that could not be sent
    dtmf_sent: int  # keys that were pressed for it
    bytes_received: int
    bytes_sent: int


Event = (
    tuple[Literal["stun", "dtls"], int, int, tuple[str, int], bytes]  # leg, local address, from where, datagram
    | tuple[Literal["speaking"], int, bool]  # leg
    | tuple[Literal["dominant"], int, int | None]  # mixer; of the legs that it hears, the one that leads
    | tuple[Literal["dtmf"], int, str, int]  # leg, key that was pressed ("!": a flash of the hook), for how many ms
    | tuple[Literal["dtmf_sent"], int]  # leg; all that was dialled has been sent
    | tuple[Literal["played"], int]  # leg or mixer: all that was given to play() has been played
    | tuple[Literal["ssrc"], int, int]  # leg; first SSRC that is received from it, or another
)
