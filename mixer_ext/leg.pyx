"""One peer's media: what it is made of, and its time.

What comes from the peer is in mixer_ext.receiver, what goes to it in mixer_ext.sender.
"""
from libc.stdlib cimport calloc, free

from mixer_ext.agc cimport agc_init
from mixer_ext.audience cimport audience_rests
from mixer_ext.codec cimport FRAME, codec_unit
from mixer_ext.consent cimport consent_forget
from mixer_ext.dial cimport DIAL_SOUND, dial_pending
from mixer_ext.format cimport format_clear
from mixer_ext.graph cimport node_free, node_new
from mixer_ext.ring cimport ring_free
from mixer_ext.speakers cimport speaker_pass
from mixer_ext.srtp cimport secure_free
from mixer_ext.stream cimport stream_free, stream_init, stream_pass, stream_rests


cdef Leg* leg_new(int64_t id, uint32_t ssrc, uint32_t csrc, uint16_t sequence, uint32_t timestamp) noexcept nogil:
    cdef Leg* leg = <Leg*>calloc(1, sizeof(Leg))
    if leg == NULL:
        return NULL
    leg.node = node_new(id, False)
    if leg.node == NULL:
        free(leg)
        return NULL
    leg.node.owner = leg
    leg.node.csrc = csrc
    leg.id = id
    leg.fd = -1
    leg.own_ssrc = ssrc
    leg.sequence = sequence
    leg.timestamp = timestamp
    leg.sends = True
    leg.level = -127.0
    leg.rtt = -1.0
    leg.speech.floor = -80.0
    leg.budget = BURST
    leg.talker.loudness = -127.0
    stream_init(&leg.stream)
    agc_init(&leg.agc)
    return leg


cdef void leg_free(Leg* leg) noexcept nogil:
    if leg != NULL:
        stream_free(&leg.stream)
        format_clear(&leg.format)
        secure_free(leg.inbound)
        secure_free(leg.outbound)
        consent_forget(&leg.consent)
        ring_free(leg.node.play)
        node_free(leg.node)
        free(leg)


cdef void leg_pass(Leg* leg, uint64_t time) noexcept nogil:
    """Let the time pass for it up to this tick, where it has not been kept in each."""
    cdef uint64_t ticks = time - leg.time
    if ticks:
        leg.time = time
        leg.timestamp += <uint32_t>ticks * <uint32_t>(FRAME // codec_unit(leg.format.codec))
        stream_pass(&leg.stream, ticks)
        speaker_pass(&leg.speaker, ticks)


cdef bint leg_rests(Leg* leg) noexcept nogil:
    """After a tick: whether in the next ones, too, it says nothing, is sent nothing and has nothing to tell."""
    return (
        not leg.node.sounds
        and stream_rests(&leg.stream)
        and leg.speech.speaking == 0
        and leg.speech.audible == 0
        and not leg.speech.reported
        and not leg.keys.open
        and leg.keys.waiting == 0
        and leg.dial.now == DIAL_SOUND
        and not leg.dial.done
        and (dial_pending(&leg.dial) == 0 or not leg_is_sent(leg))
        and (leg.announced or not leg.heard_of)
        and (audience_rests(&leg.listener) or not leg_is_sent(leg))
    )
