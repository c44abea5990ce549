"""SRTP (RFC 3711), with AES-GCM (RFC 7714), through libsrtp2.

libsrtp makes a stream for each SSRC that authenticates, and each costs memory, so an inbound session takes at most
SSRCS of them.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef extern from "<srtp2/srtp.h>" nogil:
    struct srtp_ctx_t_:
        pass
    ctypedef srtp_ctx_t_* srtp_t
    ctypedef int srtp_err_status_t
    ctypedef int srtp_profile_t
    struct srtp_crypto_policy_t:
        pass
    ctypedef enum srtp_ssrc_type_t:
        ssrc_undefined
        ssrc_specific
        ssrc_any_inbound
        ssrc_any_outbound
    struct srtp_ssrc_t:
        srtp_ssrc_type_t type
        unsigned int value
    struct srtp_policy_t:
        srtp_ssrc_t ssrc
        srtp_crypto_policy_t rtp
        srtp_crypto_policy_t rtcp
        unsigned char* key
        unsigned long window_size
        int allow_repeat_tx
        srtp_policy_t* next
    enum:
        srtp_err_status_ok
        srtp_err_status_replay_fail
        srtp_err_status_replay_old
        srtp_profile_aead_aes_128_gcm
        srtp_profile_aead_aes_256_gcm
        srtp_profile_aes128_cm_sha1_80
        SRTP_MAX_TRAILER_LEN
    srtp_err_status_t srtp_init()
    srtp_err_status_t srtp_create(srtp_t*, const srtp_policy_t*)
    srtp_err_status_t srtp_dealloc(srtp_t)
    srtp_err_status_t srtp_protect(srtp_t, void*, int*)
    srtp_err_status_t srtp_unprotect(srtp_t, void*, int*)
    srtp_err_status_t srtp_protect_rtcp(srtp_t, void*, int*)
    srtp_err_status_t srtp_unprotect_rtcp(srtp_t, void*, int*)
    srtp_err_status_t srtp_crypto_policy_set_from_profile_for_rtp(srtp_crypto_policy_t*, srtp_profile_t)
    srtp_err_status_t srtp_crypto_policy_set_from_profile_for_rtcp(srtp_crypto_policy_t*, srtp_profile_t)

cdef enum:
    SSRCS = 32
    WINDOW = 1024
    SHORTEST_RTP = 12 + 10      # a header and the shorter of the tags
    SHORTEST_RTCP = 8 + 4 + 10

cdef struct Secure:
    srtp_t session
    int known
    uint32_t ssrcs[SSRCS]

# RFC 5764 names: libsrtp's number, length of key and salt together
PROFILES = {
    "AEAD_AES_128_GCM": (srtp_profile_aead_aes_128_gcm, 28),
    "AEAD_AES_256_GCM": (srtp_profile_aead_aes_256_gcm, 44),
    "AES_CM_128_HMAC_SHA1_80": (srtp_profile_aes128_cm_sha1_80, 30),
}

if srtp_init() != srtp_err_status_ok:
    raise ImportError("libsrtp2 does not start")


cdef Secure* secure_new(str profile, bytes key, bint outbound, uint32_t ssrc) except NULL:
    """One direction. Outbound is for one SSRC only, inbound takes any. ValueError for an unknown profile or a key of
    the wrong length.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown SRTP profile: {profile}")
    number, length = PROFILES[profile]
    if len(key) != length:
        raise ValueError(f"key and salt of {profile} are {length} bytes together, not {len(key)}")
    cdef srtp_policy_t policy
    memset(&policy, 0, sizeof(policy))
    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, number)
    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, number)
    policy.ssrc.type = ssrc_specific if outbound else ssrc_any_inbound
    policy.ssrc.value = ssrc
    policy.key = key
    policy.window_size = WINDOW
    cdef Secure* secure = <Secure*>calloc(1, sizeof(Secure))
    if secure == NULL:
        raise MemoryError
    cdef int status = srtp_create(&secure.session, &policy)
    if status != srtp_err_status_ok:
        free(secure)
        raise RuntimeError(f"libsrtp2 refuses {profile}: error {status}")
    return secure


cdef void secure_free(Secure* secure) noexcept nogil:
    if secure != NULL:
        srtp_dealloc(secure.session)
        free(secure)


cdef int secure_protect(Secure* secure, uint8_t* packet, int length, bint rtcp) noexcept nogil:
    """Encrypt in place; there are SLACK bytes of room behind it. The new length, or SRTP_FAILED."""
    cdef int status
    if rtcp:
        status = srtp_protect_rtcp(secure.session, packet, &length)
    else:
        status = srtp_protect(secure.session, packet, &length)
    return length if status == srtp_err_status_ok else SRTP_FAILED


cdef int secure_unprotect(Secure* secure, uint8_t* packet, int length, uint32_t ssrc, bint rtcp) noexcept nogil:
    """Authenticate and decrypt in place. The new length, or an SrtpFault."""
    cdef int i
    cdef int status
    cdef bint known = False
    if length < (SHORTEST_RTCP if rtcp else SHORTEST_RTP):
        return SRTP_FAILED
    for i in range(secure.known):
        if secure.ssrcs[i] == ssrc:
            known = True
            break
    if not known and secure.known == SSRCS:
        return SRTP_FAILED
    if rtcp:
        status = srtp_unprotect_rtcp(secure.session, packet, &length)
    else:
        status = srtp_unprotect(secure.session, packet, &length)
    if status == srtp_err_status_replay_fail or status == srtp_err_status_replay_old:
        return SRTP_REPLAYED
    if status != srtp_err_status_ok:
        return SRTP_FAILED
    if not known:
        secure.ssrcs[secure.known] = ssrc
        secure.known += 1
    return length


cdef class Srtp:
    """One direction of SRTP and SRTCP, for tests and load generators: an end either protects or unprotects.

    profile is a name of RFC 5764 section 4.1.2 or RFC 7714 section 14.2, key is the master key followed by the salt.
    With an ssrc it protects packets of that SSRC, without it unprotects packets of any.
    """

    cdef Secure* secure
    cdef bint outbound

    def __cinit__(self, str profile not None, bytes key not None, ssrc=None):
        self.outbound = ssrc is not None
        self.secure = secure_new(profile, key, self.outbound, ssrc if self.outbound else 0)

    def __dealloc__(self):
        secure_free(self.secure)

    cdef bytes _run(self, bytes packet, bint protect, bint rtcp):
        cdef uint8_t buffer[2048 + 256]
        cdef int length = len(packet)
        if length > 2048 or length < (8 if rtcp else 12):
            raise ValueError("too short or too long")
        if protect != self.outbound:
            raise ValueError("this end is for the other direction")
        memcpy(buffer, <const uint8_t*>packet, length)
        if protect:
            length = secure_protect(self.secure, buffer, length, rtcp)
        else:
            ssrc = int.from_bytes(packet[4:8] if rtcp else packet[8:12], "big")
            length = secure_unprotect(self.secure, buffer, length, ssrc, rtcp)
        if length == SRTP_REPLAYED:
            raise ValueError("replayed")
        if length < 0:
            raise ValueError("not protected" if protect else "not authentic")
        return (<const char*>buffer)[:length]

    def protect(self, bytes packet not None):
        """The SRTP packet of an RTP packet; ValueError when it is none."""
        return self._run(packet, True, False)

    def unprotect(self, bytes packet not None):
        """The RTP packet in an SRTP packet; ValueError ("not authentic", "replayed") when it must be dropped."""
        return self._run(packet, False, False)

    def protect_rtcp(self, bytes packet not None):
        return self._run(packet, True, True)

    def unprotect_rtcp(self, bytes packet not None):
        return self._run(packet, False, True)
