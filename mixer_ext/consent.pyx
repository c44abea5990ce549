"""Answers to the checks by which a peer asks, every few seconds and for as long as a call lasts, whether it may go on
sending (RFC 7675): binding requests on the pair that has been nominated (RFC 8445 section 7.3).

Only what needs no thought is answered here: the integrity is right, no role is in conflict, and nothing in it is
unknown. All else is left to the ICE agent.

Nothing in a check says that it is not an old one sent again by somebody else, in the peer's name. So what counts against
the peer are repeats alone, and they for nothing else that it sends: a check that is new is always answered.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memcpy, memset

from mixer_ext.octets cimport get16, put16, put32

cdef extern from "<sys/socket.h>" nogil:
    int AF_INET6

cdef extern from "<openssl/hmac.h>" nogil:
    struct EVP_MD:
        pass
    const EVP_MD* EVP_sha1()
    uint8_t* HMAC(
        const EVP_MD*, const void* key, int size, const uint8_t* data, size_t length, uint8_t* digest, unsigned int*
    )
    int CRYPTO_memcmp(const void*, const void*, size_t)
    void OPENSSL_cleanse(void*, size_t)

cdef enum:
    HEADER = 20
    LONGEST = 512
    DIGEST = 20
    REPEATS = 20                # a second that are answered, and at once
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    OPTIONAL = 0x8000           # from here on what is not known may be passed over
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


cdef bint _digest(const Consent* consent, const uint8_t* message, int length, uint8_t* digest) noexcept nogil:
    """MESSAGE-INTEGRITY of a message that is so long before it (RFC 8489 section 14.5)."""
    cdef uint8_t[LONGEST] copy
    memcpy(copy, message, length)
    put16(copy + 2, length - HEADER + 4 + DIGEST)
    return HMAC(EVP_sha1(), consent.password, consent.length, copy, length, digest, NULL) != NULL


cdef uint32_t _crc(const uint8_t* data, int length) noexcept nogil:
    """CRC-32 of ITU-T V.42."""
    cdef uint32_t crc = 0xFFFFFFFF
    cdef int i, bit
    for i in range(length):
        crc ^= data[i]
        for bit in range(8):
            crc = (crc >> 1) ^ (<uint32_t>0xEDB88320 if crc & 1 else 0)
    return ~crc


cdef bint _is_right(const Consent* consent, const uint8_t* request, int length) noexcept nogil:
    """Whether a request, which has been found to be one, is authentic and asks for nothing else."""
    cdef uint8_t[DIGEST] digest
    cdef int at = HEADER
    cdef int kind, size
    cdef bint named = False
    while at + 4 <= length:
        kind = get16(request + at)
        size = get16(request + at + 2)
        if size > length - at - 4:
            return False
        if kind == MESSAGE_INTEGRITY:
            if not named or size != DIGEST or not _digest(consent, request, at, digest):
                return False
            return CRYPTO_memcmp(digest, request + at + 4, DIGEST) == 0
        if kind == USERNAME:
            named = True
        elif kind == (ICE_CONTROLLING if consent.controlling else ICE_CONTROLLED):
            return False
        elif kind < OPTIONAL and kind != PRIORITY and kind != USE_CANDIDATE:
            return False
        at += 4 + ((size + 3) & ~3)
    return False


cdef void consent_set(Consent* consent, uint8_t* password, int length, bint controlling) noexcept nogil:
    """By which password, PASSWORD bytes at most, checks are known from now on; nothing is left of it where it was."""
    consent_forget(consent)
    consent.controlling = controlling
    consent.length = length
    memcpy(consent.password, password, length)
    OPENSSL_cleanse(password, length)


cdef void consent_forget(Consent* consent) noexcept nogil:
    consent.length = 0
    OPENSSL_cleanse(consent.password, PASSWORD)


cdef bint consent_affords(Consent* consent, const uint8_t* request, int64_t now) noexcept nogil:
    """Whether a check that is right is to be answered."""
    cdef const uint8_t* transaction = request + HEADER - TRANSACTION
    cdef uint64_t i
    for i in range(min(consent.checks, <uint64_t>REMEMBERED)):
        if memcmp(consent.answered[i], transaction, TRANSACTION) == 0:
            consent.budget = min(<double>REPEATS, consent.budget + (now - consent.budget_at) * 1e-9 * REPEATS)
            consent.budget_at = now
            if consent.budget < 1:
                return False
            consent.budget -= 1
            return True
    memcpy(consent.answered[consent.checks % REMEMBERED], transaction, TRANSACTION)
    consent.checks += 1
    return True


cdef int consent_answer(
    const Consent* consent, const uint8_t* request, int length, Address* source, uint8_t* answer
) noexcept nogil:
    """Write the answer to a binding request from the peer's address, ANSWER bytes at most; its length, 0 for what is not
    answered here.
    """
    cdef int i, at
    cdef int size = 16 if source.family == AF_INET6 else 4
    cdef uint32_t crc
    if consent.length == 0 or length > LONGEST or not _is_right(consent, request, length):
        return 0
    memset(answer, 0, ANSWER)
    memcpy(answer, request, HEADER)
    put16(answer, 0x0101)
    put16(answer + 20, XOR_MAPPED_ADDRESS)
    put16(answer + 22, 4 + size)
    answer[25] = 2 if size == 16 else 1
    put16(answer + 26, source.port ^ get16(request + 4))
    for i in range(size):
        answer[28 + i] = source.ip[i] ^ request[4 + i]
    at = 28 + size
    put16(answer + at, MESSAGE_INTEGRITY)
    put16(answer + at + 2, DIGEST)
    if not _digest(consent, answer, at, answer + at + 4):
        return 0
    at += 4 + DIGEST
    put16(answer + 2, at + 8 - HEADER)
    crc = _crc(answer, at) ^ <uint32_t>0x5354554E
    put16(answer + at, FINGERPRINT)
    put16(answer + at + 2, 4)
    put32(answer + at + 4, crc)
    return at + 8
