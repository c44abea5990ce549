# G.711 at 8 kHz, with the samples on our side at 48 kHz.
from libc.stdint cimport int16_t, uint8_t

cdef enum:
    UNIT = 6                # of our samples in one of G.711
    G711_FRAME = 160        # bytes of a tick
    SHORTEST_PAYLOAD = 40   # 5 ms; what is shorter is no sound
    LONGEST_PAYLOAD = 960   # 120 ms
    PER_PHASE = 32
    TAPS = PER_PHASE * UNIT
    BEFORE = TAPS - UNIT    # samples at 48 kHz that the low pass looks back on

cdef enum Law:
    MU_LAW
    A_LAW

# To 8 kHz; all zeros at first, may be copied.
cdef struct Compressor:
    float[BEFORE + 960] samples     # what is to be sent, with what was before it

cdef struct G711            # opaque: what a leg says

cdef G711* g711_new(Law law) noexcept nogil
cdef void g711_free(G711* g711) noexcept nogil
cdef int g711_samples(int length) noexcept nogil
cdef void g711_compress(Compressor* compressor, Law law, const int16_t* frame, uint8_t* payload) noexcept nogil
cdef void g711_silence(Law law, uint8_t* payload) noexcept nogil
cdef int g711_decode(G711* g711, const uint8_t* payload, int length, int16_t* samples) noexcept nogil
cdef void g711_conceal(G711* g711, int16_t* samples, int count) noexcept nogil
cdef void g711_forget(G711* g711) noexcept nogil
