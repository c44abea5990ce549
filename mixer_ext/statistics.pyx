"""Counters and measures as Python sees them."""
from libc.stdint cimport int64_t

from mixer_ext.codec cimport FRAME, codec_unit
from mixer_ext.handle cimport Handle
from mixer_ext.jitter cimport jitter_wanted
from mixer_ext.rtp cimport reception_expected
from mixer_ext.sender cimport leg_coding
from mixer_ext.stream cimport stream_concealed


cdef dict leg_statistics(Leg* leg):
    """Counters and measures, read while the thread goes on: each is right, together they may be a packet apart."""
    return {
        "received": leg.received,
        "lost": max(0, reception_expected(&leg.reception) - <int64_t>leg.reception.received),
        "late": leg.stream.jitter.late,
        "duplicates": leg.stream.jitter.duplicates,
        "concealed": stream_concealed(&leg.stream),
        "recovered": leg.stream.recovered,
        "decoded": leg.stream.decoded,
        "spared": leg.stream.spared,
        "undecodable": leg.stream.undecodable,
        "sent": leg.sent,
        "sends_fec": leg_coding(leg).fec,
        "heard": leg.talker.heard,
        "shares_encoding": leg.listener.audience != NULL and leg.listener.encoder == NULL,
        "dropped": leg.stream.jitter.dropped,
        "shortened_ms": leg.stream.shortened / 48.0,
        "lengthened_ms": leg.stream.lengthened / 48.0,
        "target_ms": (jitter_wanted(&leg.stream.jitter) + FRAME) / 48.0,
        "depth_ms": (leg.stream.jitter.depth + leg.stream.held) / 48.0,
        "jitter_ms": leg.reception.jitter * codec_unit(leg.format.codec) / 48.0,
        "rtt_ms": leg.rtt,
        "level_dbov": leg.level,
        "remote_lost": leg.remote_lost,
        "remote_fraction_lost": leg.remote_fraction,
        "remote_jitter_ms": leg.remote_jitter,
        "consents": leg.consents,
        "dropped_unknown": leg.dropped_unknown,
        "dropped_auth": leg.dropped_auth,
        "dropped_replay": leg.dropped_replay,
        "dropped_malformed": leg.dropped_malformed,
        "dropped_payload_type": leg.dropped_payload_type,
        "dropped_flood": leg.dropped_flood,
        "dtmf_received": leg.keys.received,
        "dtmf_unknown": leg.keys.unknown,
        "dtmf_dropped": leg.keys.dropped + leg.dial.dropped,
        "dtmf_sent": leg.dial.sent,
        "bytes_received": leg.bytes_received,
        "bytes_sent": leg.bytes_sent,
    }


cdef dict plane_statistics(Core* core, dict nodes, uint64_t overruns):
    """Counters of a plane with these nodes, {id: Handle}. live: nodes that do not rest; overruns: samples that taps were
    too slow for; load: as Plane.load; complexity: Opus', by that; late: how long after
    its time a tick was made, counted for each time that the thread woke up for one.
    """
    cdef Handle handle
    ends = [handle for handle in nodes.values() if handle.node.link != NULL]
    legs = sum([handle.leg != NULL for handle in nodes.values()])
    return {
        "ticks": core.ticks,
        "missed_ticks": core.missed_ticks,
        "skipped_ticks": core.skipped_ticks,
        "mixes": core.audiences.mixes,
        "decodes": core.decodes,
        "encodes": core.audiences.encodes,
        "late_max_us": core.late_max / 1000.0,
        "late_sum_us": core.late_sum / 1000.0,
        "late_count": core.late_count,
        "late_within_1ms": core.late_within[0],
        "late_within_2ms": core.late_within[1],
        "late_within_5ms": core.late_within[2],
        "late_within_10ms": core.late_within[3],
        "late_within_20ms": core.late_within[4],
        "shifted_ms": core.phase.shifted,
        "load": core.effort.load,
        "complexity": core.effort.complexity,
        "legs": legs,
        "mixers": len(nodes) - legs - len(ends),
        "links": len(ends),
        "link_underruns": sum([handle.node.link.underruns for handle in ends]),
        "link_overruns": sum([handle.node.link.dropped + handle.node.link.outbound.overruns for handle in ends]),
        "live": core.graph.live_count,
        "dropped_unknown": core.dropped_unknown,
        "dropped_malformed": core.dropped_malformed,
        "dropped_stun": core.dropped_stun,
        "dropped_flood": core.dropped_flood,
        "dropped_send": core.outbox.failed,
        "dropped_events": core.events.overruns,
        "overruns": overruns,
    }
