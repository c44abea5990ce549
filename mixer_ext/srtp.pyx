"""SRTP (RFC 3711), with AES-GCM (RFC 7714), on libcrypto.

Keys are derived and expanded once; a packet costs its nonce, one pass of the cipher and, in counter mode, one of SHA-1
from where the padded key has left it. Nothing is allocated for a packet, save for the first one of a further SSRC.

A packet's index is its sequence number and how often that has rolled over, which the receiver infers (section 3.3.1);
a window of the last WINDOW indices tells what has been seen. Both are kept for each SSRC, of which a peer has at most
SSRCS. The sender keeps them too: an index that were used twice would give away what is encrypted with it.
"""
from libc.stdint cimport int16_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from mixer_ext.octets cimport get16, get32, put32

cdef extern from * nogil:
    """
    #define OPENSSL_SUPPRESS_DEPRECATED     /* of SHA1_*: EVP allocates for each HMAC */
    #include <openssl/core_names.h>
    #include <openssl/crypto.h>
    #include <openssl/err.h>
    #include <openssl/evp.h>
    #include <openssl/params.h>
    #include <openssl/sha.h>
    """
    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct OSSL_PARAM:
        pass
    ctypedef struct SHA_CTX:
        pass
    enum:
        SHA_DIGEST_LENGTH
        SHA_CBLOCK
    const char* OSSL_CIPHER_PARAM_AEAD_TAG
    EVP_CIPHER_CTX* EVP_CIPHER_CTX_new()
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX*)
    const EVP_CIPHER* EVP_aes_128_ctr()
    const EVP_CIPHER* EVP_aes_256_ctr()
    const EVP_CIPHER* EVP_aes_128_gcm()
    const EVP_CIPHER* EVP_aes_256_gcm()
    int EVP_CipherInit_ex2(
        EVP_CIPHER_CTX*, const EVP_CIPHER*, const uint8_t* key, const uint8_t* iv, int encrypts, const OSSL_PARAM*
    )
    int EVP_CipherUpdate(EVP_CIPHER_CTX*, uint8_t*, int*, const uint8_t*, int)
    int EVP_CipherFinal_ex(EVP_CIPHER_CTX*, uint8_t*, int*)
    int EVP_CIPHER_CTX_get_params(EVP_CIPHER_CTX*, OSSL_PARAM*)
    OSSL_PARAM OSSL_PARAM_construct_octet_string(const char*, void*, size_t)
    OSSL_PARAM OSSL_PARAM_construct_end()
    void ERR_clear_error()
    int CRYPTO_memcmp(const void*, const void*, size_t)
    void OPENSSL_cleanse(void*, size_t)
    int SHA1_Init(SHA_CTX*)
    int SHA1_Update(SHA_CTX*, const void*, size_t)
    int SHA1_Final(uint8_t*, SHA_CTX*)

cdef enum:
    SSRCS = 32
    WINDOW = 1024               # indices
    WORDS = 16                  # of 64 of them
    KEY_SIZE = 32               # the longest
    SALT = 14                   # of counter mode, and room for that of GCM
    GCM_TAG = 16
    HMAC_TAG = 10
    HEADER = 12
    RTCP_HEADER = 8
    TRAILER = 4                 # of SRTCP: E and its index
    LONGEST_GCM_NONCE = 12
    FIRST_LABEL_RTCP = 3        # RFC 3711 section 4.3.2: 0, 1, 2 are for RTP

cdef uint32_t ENCRYPTED = 0x80000000            # E
cdef int64_t RTP_INDICES = <int64_t>1 << 48     # then there must be other keys
cdef int64_t RTCP_INDICES = <int64_t>1 << 31

cdef struct Window:
    int64_t highest             # index, -1: none yet
    uint64_t seen[WORDS]        # bit index % WINDOW of those in (highest - WINDOW, highest]

cdef struct Source:
    Source* next
    uint32_t ssrc
    Window rtp
    Window rtcp

# Session keys, of SRTP or of SRTCP.
cdef struct Keys:
    EVP_CIPHER_CTX* cipher
    uint8_t salt[16]            # with zeros behind it
    SHA_CTX inner               # HMAC-SHA1 with its key taken in
    SHA_CTX outer

cdef struct Secure:
    bint gcm
    bint outbound
    int sources                 # that have been heard of
    Keys rtp
    Keys rtcp
    Source first

# RFC 5764 and RFC 7714 names: length of the key, of the salt
PROFILES = {
    "AEAD_AES_128_GCM": (16, 12),
    "AEAD_AES_256_GCM": (32, 12),
    "AES_CM_128_HMAC_SHA1_80": (16, 14),
}


cdef bint _derive(
    const uint8_t* key, int size, const uint8_t* salt, uint8_t label, uint8_t* derived, int length
) noexcept nogil:
    """RFC 3711 section 4.3, with a key derivation rate of 0: a key stream of AES under the master key."""
    cdef uint8_t block[16]
    cdef uint8_t zeros[KEY_SIZE]
    cdef int got
    cdef bint done = False
    cdef EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new()
    if cipher == NULL:
        return False
    memset(block, 0, sizeof(block))
    memset(zeros, 0, sizeof(zeros))
    memcpy(block, salt, SALT)
    block[7] ^= label
    if EVP_CipherInit_ex2(cipher, EVP_aes_256_ctr() if size == 32 else EVP_aes_128_ctr(), key, block, 1, NULL):
        done = EVP_CipherUpdate(cipher, derived, &got, zeros, length)
    EVP_CIPHER_CTX_free(cipher)
    return done


cdef void _hmac_key(SHA_CTX* state, const uint8_t* key, uint8_t pad) noexcept nogil:
    """Take in a padded key (RFC 2104)."""
    cdef uint8_t block[SHA_CBLOCK]
    cdef int i
    memset(block, pad, SHA_CBLOCK)
    for i in range(SHA_DIGEST_LENGTH):
        block[i] ^= key[i]
    SHA1_Init(state)
    SHA1_Update(state, block, SHA_CBLOCK)
    OPENSSL_cleanse(block, sizeof(block))


cdef bint _keys_init(
    Keys* keys, const uint8_t* key, int size, const uint8_t* salt, bint gcm, bint encrypts, uint8_t label
) noexcept nogil:
    """Session keys from master key and salt; label: the first of three."""
    cdef uint8_t derived[KEY_SIZE]
    cdef const EVP_CIPHER* cipher
    cdef bint done
    keys.cipher = EVP_CIPHER_CTX_new()
    if keys.cipher == NULL:
        return False
    if gcm:
        cipher = EVP_aes_256_gcm() if size == 32 else EVP_aes_128_gcm()
    else:
        cipher = EVP_aes_128_ctr()
        if not _derive(key, size, salt, label + 1, derived, SHA_DIGEST_LENGTH):
            return False
        _hmac_key(&keys.inner, derived, 0x36)
        _hmac_key(&keys.outer, derived, 0x5C)
    done = (
        _derive(key, size, salt, label + 2, keys.salt, LONGEST_GCM_NONCE if gcm else SALT)
        and _derive(key, size, salt, label, derived, size)
        and EVP_CipherInit_ex2(keys.cipher, cipher, derived, NULL, encrypts or not gcm, NULL)
    )
    OPENSSL_cleanse(derived, sizeof(derived))
    return done


cdef void _source_init(Source* source, uint32_t ssrc) noexcept nogil:
    memset(source, 0, sizeof(Source))
    source.ssrc = ssrc
    source.rtp.highest = source.rtcp.highest = -1


cdef Secure* secure_new(str profile, bytes key, bint outbound, uint32_t ssrc) except NULL:
    """One direction. Outbound is for one SSRC only, inbound takes any. ValueError for an unknown profile or a key of
    the wrong length.
    """
    cdef int size, salt_size
    cdef uint8_t salt[SALT]
    cdef const uint8_t* master = key
    if profile not in PROFILES:
        raise ValueError(f"unknown SRTP profile: {profile}")
    size, salt_size = PROFILES[profile]
    if len(key) != size + salt_size:
        raise ValueError(f"key and salt of {profile} are {size + salt_size} bytes together, not {len(key)}")
    cdef Secure* secure = <Secure*>calloc(1, sizeof(Secure))
    if secure == NULL:
        raise MemoryError
    secure.gcm = salt_size == LONGEST_GCM_NONCE
    secure.outbound = outbound
    secure.sources = outbound
    _source_init(&secure.first, ssrc)
    memset(salt, 0, SALT)
    memcpy(salt, master + size, salt_size)
    if not (
        _keys_init(&secure.rtp, master, size, salt, secure.gcm, outbound, 0)
        and _keys_init(&secure.rtcp, master, size, salt, secure.gcm, outbound, FIRST_LABEL_RTCP)
    ):
        secure_free(secure)
        ERR_clear_error()
        raise RuntimeError(f"libcrypto refuses {profile}")
    return secure


cdef void secure_free(Secure* secure) noexcept nogil:
    cdef Source* source
    cdef Source* following
    if secure == NULL:
        return
    source = secure.first.next
    while source != NULL:
        following = source.next
        free(source)
        source = following
    EVP_CIPHER_CTX_free(secure.rtp.cipher)
    EVP_CIPHER_CTX_free(secure.rtcp.cipher)
    OPENSSL_cleanse(secure, sizeof(Secure))
    free(secure)


# --- indices


cdef int64_t _index_of(int64_t highest, int sequence) noexcept nogil:
    """The index nearest to the highest so far that has this sequence number (RFC 3711 section 3.3.1); the first one's
    is taken to have rolled over never.
    """
    cdef int64_t index
    if highest < 0:
        return sequence
    index = highest + <int16_t>((sequence - highest) & 0xFFFF)
    return index if index >= 0 else index + 65536


cdef inline bint _is_new(Window* window, int64_t index) noexcept nogil:
    if index > window.highest:
        return True
    return index > window.highest - WINDOW and not (window.seen[index % WINDOW >> 6] >> (index & 63)) & 1


cdef void _note(Window* window, int64_t index) noexcept nogil:
    """This index has been seen."""
    cdef int64_t passed
    if index > window.highest:
        if index - window.highest >= WINDOW or window.highest < 0:
            memset(window.seen, 0, sizeof(window.seen))
        else:
            for passed in range(window.highest + 1, index):
                window.seen[passed % WINDOW >> 6] &= ~(<uint64_t>1 << (passed & 63))
        window.highest = index
    window.seen[index % WINDOW >> 6] |= <uint64_t>1 << (index & 63)


cdef Source* _find(Secure* secure, uint32_t ssrc) noexcept nogil:
    """The source with this SSRC; NULL when it has not been heard of."""
    cdef Source* source = &secure.first
    if not secure.sources:
        return NULL
    while source != NULL and source.ssrc != ssrc:
        source = source.next
    return source


cdef Source* _met(Secure* secure, uint32_t ssrc) noexcept nogil:
    """A new source, now that a packet of it is authentic; NULL out of memory."""
    cdef Source* source = &secure.first
    if secure.sources:
        source = <Source*>calloc(1, sizeof(Source))
        if source == NULL:
            return NULL
    _source_init(source, ssrc)
    if secure.sources:
        source.next = secure.first.next
        secure.first.next = source
    secure.sources += 1
    return source


# --- packets


cdef void _nonce(Secure* secure, Keys* keys, uint32_t ssrc, int64_t index, bint rtcp, uint8_t* nonce) noexcept nogil:
    """RFC 7714 sections 8.1 and 9.1; RFC 3711 section 4.1.1, where a block counter of 16 bits follows."""
    cdef int i
    cdef int at = 2 if secure.gcm else 4
    cdef uint64_t number = <uint64_t>index
    memcpy(nonce, keys.salt, 16)
    for i in range(4):
        nonce[at + i] ^= (ssrc >> (24 - 8 * i)) & 0xFF
    for i in range(6):
        nonce[at + 4 + i] ^= (number >> (40 - 8 * i)) & 0xFF


cdef int _header(const uint8_t* packet, int length, bint rtcp) noexcept nogil:
    """How much of a packet is not encrypted, -1 when it is not one."""
    cdef int header
    if length < (RTCP_HEADER if rtcp else HEADER) or packet[0] >> 6 != 2:
        return -1
    if rtcp:
        return RTCP_HEADER
    header = HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if header + 4 > length:
            return -1
        header += 4 + 4 * get16(packet + header + 2)
    return header if header <= length else -1


cdef void _hmac(
    Keys* keys, const uint8_t* packet, int length, const uint8_t* roll_over, uint8_t* tag
) noexcept nogil:
    """HMAC-SHA1 of a packet and, with RTP, how often it has rolled over (RFC 3711 section 4.2)."""
    cdef SHA_CTX state = keys.inner
    SHA1_Update(&state, packet, length)
    if roll_over != NULL:
        SHA1_Update(&state, roll_over, 4)
    SHA1_Final(tag, &state)
    state = keys.outer
    SHA1_Update(&state, tag, SHA_DIGEST_LENGTH)
    SHA1_Final(tag, &state)


cdef bint _crypt(Keys* keys, const uint8_t* nonce, uint8_t* data, int length) noexcept nogil:
    """Counter mode, either way."""
    cdef int got
    return EVP_CipherInit_ex2(keys.cipher, NULL, NULL, nonce, 1, NULL) and (
        length == 0 or EVP_CipherUpdate(keys.cipher, data, &got, data, length)
    )


cdef bint _gcm(
    Keys* keys, const uint8_t* nonce, uint8_t* packet, int header, int length, const uint8_t* trailer, bint encrypts
) noexcept nogil:
    """Encrypt what follows the header, and write the tag behind it; or the reverse. length is without the tag; the
    trailer is authenticated with the header. Whether it could be done: what is decrypted but not authentic is garbage.
    """
    cdef int got
    cdef EVP_CIPHER_CTX* cipher = keys.cipher
    cdef OSSL_PARAM[2] tag
    tag[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, packet + length, GCM_TAG)
    tag[1] = OSSL_PARAM_construct_end()
    return (
        EVP_CipherInit_ex2(cipher, NULL, NULL, nonce, encrypts, NULL if encrypts else tag)
        and EVP_CipherUpdate(cipher, NULL, &got, packet, header)
        and (trailer == NULL or EVP_CipherUpdate(cipher, NULL, &got, trailer, TRAILER))
        and (length == header or EVP_CipherUpdate(cipher, packet + header, &got, packet + header, length - header))
        and EVP_CipherFinal_ex(cipher, packet + length, &got)
        and (not encrypts or EVP_CIPHER_CTX_get_params(cipher, tag))
    )


cdef int secure_protect(Secure* secure, uint8_t* packet, int length, bint rtcp) noexcept nogil:
    """Encrypt in place; there are SLACK bytes of room behind it. The new length, or SRTP_FAILED: not a packet of this
    SSRC, an index for the second time, or none left.
    """
    cdef uint8_t nonce[16]
    cdef uint8_t tail[TRAILER]      # of SRTCP, or the roll-over counter
    cdef uint8_t digest[SHA_DIGEST_LENGTH]
    cdef Keys* keys = &secure.rtcp if rtcp else &secure.rtp
    cdef Window* window = &secure.first.rtcp if rtcp else &secure.first.rtp
    cdef int header = _header(packet, length, rtcp)
    cdef int64_t index
    if header < 0 or get32(packet + (4 if rtcp else 8)) != secure.first.ssrc:
        return SRTP_FAILED
    index = window.highest + 1 if rtcp else _index_of(window.highest, get16(packet + 2))
    if index >= (RTCP_INDICES if rtcp else RTP_INDICES) or not _is_new(window, index):
        return SRTP_FAILED
    _note(window, index)
    _nonce(secure, keys, secure.first.ssrc, index, rtcp, nonce)
    put32(tail, ENCRYPTED | <uint32_t>index if rtcp else <uint32_t>(index >> 16))
    if secure.gcm:
        if not _gcm(keys, nonce, packet, header, length, tail if rtcp else NULL, True):
            ERR_clear_error()
            return SRTP_FAILED
        length += GCM_TAG
    elif not _crypt(keys, nonce, packet + header, length - header):
        ERR_clear_error()
        return SRTP_FAILED
    if rtcp:
        memcpy(packet + length, tail, TRAILER)
        length += TRAILER
    if not secure.gcm:
        _hmac(keys, packet, length, NULL if rtcp else tail, digest)
        memcpy(packet + length, digest, HMAC_TAG)
        length += HMAC_TAG
    return length


cdef int secure_unprotect(Secure* secure, uint8_t* packet, int length, uint32_t ssrc, bint rtcp) noexcept nogil:
    """Authenticate and decrypt in place. The new length, or an SrtpFault. SRTCP that is not encrypted is not taken:
    nobody has agreed to that.
    """
    cdef uint8_t nonce[16]
    cdef uint8_t tail[TRAILER]
    cdef uint8_t digest[SHA_DIGEST_LENGTH]
    cdef Keys* keys = &secure.rtcp if rtcp else &secure.rtp
    cdef Source* source = _find(secure, ssrc)
    cdef Window* window
    cdef int header = _header(packet, length, rtcp)
    cdef int end = length - (GCM_TAG if secure.gcm else HMAC_TAG) - (TRAILER if rtcp else 0)    # of what is encrypted
    cdef int64_t index
    cdef int64_t highest = -1
    cdef uint32_t trailer
    if header < 0 or end < header or (source == NULL and secure.sources == SSRCS):
        return SRTP_FAILED
    if source != NULL:
        highest = source.rtcp.highest if rtcp else source.rtp.highest
    if rtcp:
        memcpy(tail, packet + (length - TRAILER if secure.gcm else end), TRAILER)
        trailer = get32(tail)
        if not trailer & ENCRYPTED:
            return SRTP_FAILED
        index = trailer & ~ENCRYPTED
    else:
        index = _index_of(highest, get16(packet + 2))
        put32(tail, <uint32_t>(index >> 16))
    if source != NULL and not _is_new(&source.rtcp if rtcp else &source.rtp, index):
        return SRTP_REPLAYED
    _nonce(secure, keys, ssrc, index, rtcp, nonce)
    if secure.gcm:
        if not _gcm(keys, nonce, packet, header, end, tail if rtcp else NULL, False):
            ERR_clear_error()       # this may be a thread in which somebody asks for errors of his own
            return SRTP_FAILED
    else:
        _hmac(keys, packet, end + (TRAILER if rtcp else 0), NULL if rtcp else tail, digest)
        if CRYPTO_memcmp(digest, packet + length - HMAC_TAG, HMAC_TAG):
            return SRTP_FAILED
        if not _crypt(keys, nonce, packet + header, end - header):
            ERR_clear_error()
            return SRTP_FAILED
    if source == NULL:
        source = _met(secure, ssrc)
        if source == NULL:
            return SRTP_FAILED
    window = &source.rtcp if rtcp else &source.rtp
    _note(window, index)
    return end


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
            length = secure_unprotect(self.secure, buffer, length, get32(buffer + (4 if rtcp else 8)), rtcp)
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
