from collections.abc import Sequence
from typing import NamedTuple

from typing_extensions import Buffer

class RtpPacket(NamedTuple):
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...]
    extension_profile: int | None
    extension: bytes
    payload: bytes

def rtp_parse(data: Buffer) -> RtpPacket: ...
def rtp_audio_level(data: Buffer, identifier: int) -> tuple[int, bool] | None: ...
def rtp_mixed_levels(data: Buffer, identifier: int) -> tuple[int, ...] | None: ...
def rtp_build(
    *,
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload: bytes,
    marker: bool = False,
    csrcs: Sequence[int] = (),
    level_extension: int = 0,
    level: int = 127,
    voice: bool = False,
    mixed_extension: int = 0,
    mixed_levels: Sequence[int] = (),
) -> bytes: ...
