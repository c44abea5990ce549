# One peer's media.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from mixer_ext.agc cimport Agc
from mixer_ext.audience cimport Listener
from mixer_ext.consent cimport Consent
from mixer_ext.dial cimport Dial
from mixer_ext.dtmf cimport DtmfReceiver
from mixer_ext.format cimport Format
from mixer_ext.graph cimport Node
from mixer_ext.net cimport Address
from mixer_ext.rtcp cimport CNAME, Loss
from mixer_ext.rtp cimport Reception
from mixer_ext.speakers cimport Speaker, Talker
from mixer_ext.srtp cimport Secure
from mixer_ext.stream cimport Stream

cdef enum:
    BURST = 300         # packets that a peer may send at once

cdef struct Speech:
    double floor        # dBov, of the background
    int above           # frames above the threshold, lately
    int speaking        # frames that it goes on being taken for speech
    int audible         # frames that it goes on being named in mixes
    bint reported       # as speaking

cdef struct Leg:
    Node* node
    int64_t id
    uint64_t time       # tick up to which it has been kept
    Format format
    Secure* inbound
    Secure* outbound
    bint plain          # no SRTP
    bint expects        # only this SSRC is taken
    uint32_t expected
    int fd              # of the socket that it is sent from, -1: none
    int local
    Address remote
    bint muted
    bint silenced       # its last frame before that has been heard
    bint sends
    int seen            # addresses that sent STUN requests and are not allowed yet
    # from it
    bint heard_of       # ssrc is known
    bint announced      # and Python has been told
    uint32_t ssrc
    uint32_t rival      # another SSRC that has been coming
    int rivals
    double budget       # packets that it may still send
    int64_t budget_at
    Stream stream
    DtmfReceiver keys
    Reception reception
    Speech speech
    Agc agc
    Speaker speaker
    Talker talker
    double level
    uint32_t report_ntp     # middle of the NTP time in its last SR
    int64_t report_at
    # to it
    uint32_t own_ssrc
    uint16_t sequence
    uint32_t timestamp
    Listener listener
    Loss loss
    Dial dial
    bint played         # something is played to it in this tick
    bint talking        # the last packet was no comfort
    uint64_t sent_at    # tick of the last packet
    int64_t rtcp_due
    uint64_t[2] sent_at_reports     # packets that had been sent at the last report, and the one before
    bint reported
    char cname[CNAME]
    Consent consent
    uint64_t consents   # checks that have been answered here
    # statistics
    double rtt
    double remote_jitter
    int64_t remote_lost
    double remote_fraction
    uint64_t sent
    uint64_t bytes_sent
    uint64_t octets_sent
    uint64_t received
    uint64_t bytes_received
    uint64_t dropped_unknown
    uint64_t dropped_auth
    uint64_t dropped_replay
    uint64_t dropped_malformed
    uint64_t dropped_payload_type
    uint64_t dropped_flood

cdef Leg* leg_new(int64_t id, uint32_t ssrc, uint32_t csrc, uint16_t sequence, uint32_t timestamp) noexcept nogil
cdef void leg_free(Leg* leg) noexcept nogil
cdef void leg_pass(Leg* leg, uint64_t time) noexcept nogil
cdef bint leg_rests(Leg* leg) noexcept nogil


cdef inline bint leg_is_sent(const Leg* leg) noexcept nogil:
    """Whether it can be sent sound, and is to be."""
    return leg.fd >= 0 and leg.sends and leg.format.codec != NULL and (leg.plain or leg.outbound != NULL)
