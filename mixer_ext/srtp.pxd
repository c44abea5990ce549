# SRTP and SRTCP, one direction of one peer each.
from libc.stdint cimport uint8_t, uint32_t

cdef enum SrtpFault:
    SRTP_FAILED = -1    # not authentic, or not to be parsed
    SRTP_REPLAYED = -2  # seen before, or too old to tell

cdef struct Secure      # opaque: the session keys, and the sources with the indices seen of each

cdef Secure* secure_new(str profile, bytes key, bint outbound, uint32_t ssrc) except NULL
cdef void secure_free(Secure* secure) noexcept nogil
cdef int secure_protect(Secure* secure, uint8_t* packet, int length, bint rtcp) noexcept nogil
cdef int secure_unprotect(Secure* secure, uint8_t* packet, int length, uint32_t ssrc, bint rtcp) noexcept nogil
