# How loud somebody speaks, brought slowly to how loud all should.
from libc.stdint cimport int16_t

cdef struct Agc:
    bint enabled
    double gain         # dB, at the end of the last frame
    float limit         # of its limiter
    double loudness     # of what he has said lately, as power, 0: nothing yet
    int due             # frames of speech in which the gain may still move
    int frames          # of this syllable
    double peak         # dBov, of its loudest frame
    double power        # of its frames, summed
    double squared      # the same, each squared

cdef void agc_init(Agc* agc) noexcept nogil
cdef void agc_apply(Agc* agc, int16_t* frame, bint speech) noexcept nogil
cdef void agc_rest(Agc* agc) noexcept nogil
