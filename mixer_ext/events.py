"""What a plane is given (a clock) and gives (events)."""

from typing import Literal, Protocol


class Clock(Protocol):
    """Somebody else's time: the plane then has no thread and is ticked by hand."""

    def now_ns(self) -> int: ...


Event = (
    tuple[Literal["stun", "dtls"], int, int, tuple[str, int], bytes]  # leg, local address, from where, datagram
    | tuple[Literal["speaking"], int, bool]  # leg
    | tuple[Literal["dominant"], int, int | None]  # mixer; of the legs that it hears, the one that leads
    | tuple[Literal["dtmf"], int, str, int]  # leg, key that was pressed ("!": a flash of the hook), for how many ms
    | tuple[Literal["dtmf_sent"], int]  # leg; all that was dialled has been sent
    | tuple[Literal["played"], int]  # leg or mixer: all that was given to play() has been played
    | tuple[Literal["ssrc"], int, int]  # leg; first SSRC that is received from it, or another
)
