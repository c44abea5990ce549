# Answers to a peer's consent checks.
from libc.stdint cimport int64_t, uint8_t, uint64_t

from mixer_ext.net cimport Address

cdef enum:
    PASSWORD = 64       # the longest of ours
    ANSWER = 20 + 24 + 24 + 8
    TRANSACTION = 12    # bytes of an identifier
    REMEMBERED = 8

# By what a leg's peer is known to ask.
cdef struct Consent:
    int length          # of the password, 0: its checks are not answered here
    bint controlling    # our role
    uint8_t password[PASSWORD]
    uint8_t answered[REMEMBERED][TRANSACTION]   # the last of its checks
    uint64_t checks
    double budget       # repeats that are still answered
    int64_t budget_at

cdef void consent_set(Consent* consent, uint8_t* password, int length, bint controlling) noexcept nogil
cdef void consent_forget(Consent* consent) noexcept nogil
cdef bint consent_affords(Consent* consent, const uint8_t* request, int64_t now) noexcept nogil

cdef int consent_answer(
    const Consent* consent, const uint8_t* request, int length, Address* source, uint8_t* answer
) noexcept nogil
