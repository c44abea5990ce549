"""The media plane: sockets, SRTP, Opus and G.711, jitter buffers, the N-1 mix and its thread.

It knows nothing of XMPP, ICE or DTLS.
"""

from mixer_ext.agc import GainControl
from mixer_ext.codec import Opus
from mixer_ext.delay import DelayEstimate
from mixer_ext.dtmf import TelephoneEvents
from mixer_ext.effort import EncodingEffort
from mixer_ext.events import Clock, Event, LegStatistics
from mixer_ext.g711 import Companded, compress, expand
from mixer_ext.hearing import JoinGraph
from mixer_ext.limiter import Limiter, Loudness
from mixer_ext.mix import choose_kernels, level, mix_minus
from mixer_ext.phase import TickPhase
from mixer_ext.plane import Plane
from mixer_ext.rtp import RtpPacket, rtp_audio_level, rtp_build, rtp_mixed_levels, rtp_parse
from mixer_ext.speakers import DominantSpeaker
from mixer_ext.srtp import Srtp
from mixer_ext.stream import JitterBuffer

__all__ = [
    "Clock",
    "Companded",
    "DelayEstimate",
    "DominantSpeaker",
    "EncodingEffort",
    "Event",
    "GainControl",
    "JitterBuffer",
    "JoinGraph",
    "LegStatistics",
    "Limiter",
    "Loudness",
    "Opus",
    "Plane",
    "RtpPacket",
    "Srtp",
    "TelephoneEvents",
    "TickPhase",
    "choose_kernels",
    "compress",
    "expand",
    "level",
    "mix_minus",
    "rtp_audio_level",
    "rtp_build",
    "rtp_mixed_levels",
    "rtp_parse",
]
