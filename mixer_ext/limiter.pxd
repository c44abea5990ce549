# Sums that are too loud for 16 bits, made to fit, and volumes.
from libc.stdint cimport int16_t, int32_t, uint64_t

# Of what somebody says.
cdef struct Volume:
    float gain          # at the end of the last frame
    float limit         # of its limiter

# gain is a limiter's whole state: that with which it left the last frame, 1 at first.
cdef bint limit(float* gain, const int32_t* total, int16_t* frame) noexcept nogil
cdef void limiter_rest(float* gain, uint64_t frames) noexcept nogil
cdef void volume_init(Volume* volume) noexcept nogil
cdef bint volume_apply(Volume* volume, float wanted, int16_t* frame) noexcept nogil
cdef void volume_rest(Volume* volume, float wanted) noexcept nogil
