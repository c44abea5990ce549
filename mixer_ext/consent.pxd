# Answers to a peer's consent checks.
from libc.stdint cimport uint8_t

from mixer_ext.net cimport Address

cdef enum:
    PASSWORD = 64       # the longest of ours
    ANSWER = 20 + 24 + 24 + 8

# By what a leg's peer is known to ask.
cdef struct Consent:
    int length          # of the password, 0: its checks are not answered here
    bint controlling    # our role
    uint8_t password[PASSWORD]

cdef int consent_answer(
    const Consent* consent, const uint8_t* request, int length, Address* source, uint8_t* answer
) noexcept nogil
