"""Packets of several ticks (ptime, RFC 3551 section 4.2): what has been encoded waits until there is as much of it as the
peer wants at once.

Frames of 20 ms are encoded as for everybody else, so that those whose packets differ in length can be sent one encoding.
Frames of Opus go into one packet only if they are of one kind (RFC 6716 section 3.2); where the next one is of another,
what waits is sent as it is.
"""
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

from mixer_ext.codec cimport OPUS

cdef extern from "opus.h" nogil:
    ctypedef struct OpusRepacketizer
    int opus_repacketizer_get_size()
    OpusRepacketizer* opus_repacketizer_init(OpusRepacketizer*)
    int opus_repacketizer_cat(OpusRepacketizer*, const uint8_t*, int32_t)
    int32_t opus_repacketizer_out(OpusRepacketizer*, uint8_t*, int32_t)

cdef enum:
    KIND = 0xFC         # the bits of Opus' first byte in which frames of a packet must agree
    OVERHEAD = 8        # bytes at most that Opus says more of several frames


cdef Packing* packing_new(Kind kind, int wanted) except NULL:
    cdef Packing* packing = <Packing*>calloc(1, sizeof(Packing))
    if packing == NULL:
        raise MemoryError
    packing.wanted = wanted
    if kind == OPUS:
        packing.repacketizer = calloc(1, opus_repacketizer_get_size())
        if packing.repacketizer == NULL:
            free(packing)
            raise MemoryError
    return packing


cdef void packing_free(Packing* packing) noexcept nogil:
    if packing != NULL:
        free(packing.repacketizer)
        free(packing)


cdef uint8_t* packing_room(Packing* packing) noexcept nogil:
    """Where the next frame is to be written, PAYLOAD bytes."""
    return packing.frames[packing.count]


cdef bint packing_fits(const Packing* packing, int length) noexcept nogil:
    """Whether the frame that was written at packing_room() can go into one packet with those that wait. 0: there is none,
    and there will be no packet that goes on where they end."""
    cdef int i
    cdef int total = length + OVERHEAD
    for i in range(packing.count):
        total += packing.lengths[i]
    if packing.count == 0:
        return True
    if length == 0 or total > PAYLOAD:
        return False
    return packing.repacketizer == NULL or (packing.frames[0][0] ^ packing.frames[packing.count][0]) & KIND == 0


cdef void packing_add(Packing* packing, int length, const Heading* heading) noexcept nogil:
    """Let the frame wait that was written at packing_room(). The heading is that of its tick."""
    if packing.count == 0:
        packing.heading = heading[0]
    packing.lengths[packing.count] = length
    packing.count += 1


cdef int packing_take(Packing* packing, uint8_t* payload) noexcept nogil:
    """All that waits, as one payload of at most PAYLOAD bytes; its length. What was written at packing_room() is where
    the next frame belongs."""
    cdef OpusRepacketizer* opus = <OpusRepacketizer*>packing.repacketizer
    cdef int i
    cdef int length = 0
    if opus != NULL:
        opus_repacketizer_init(opus)
    for i in range(packing.count):
        if opus != NULL:
            opus_repacketizer_cat(opus, packing.frames[i], packing.lengths[i])
        else:
            memcpy(payload + length, packing.frames[i], packing.lengths[i])
            length += packing.lengths[i]
    if opus != NULL:
        length = opus_repacketizer_out(opus, payload, PAYLOAD)
    if packing.count < MOST_FRAMES:
        memmove(packing.frames[0], packing.frames[packing.count], PAYLOAD)
    packing.count = 0
    return max(0, length)


cdef void packing_forget(Packing* packing) noexcept nogil:
    """What waits is not to be sent any more."""
    packing.count = 0
