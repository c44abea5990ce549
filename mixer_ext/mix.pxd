# Kernels over one frame of 960 samples.
from libc.stdint cimport int16_t, int32_t

cdef enum:
    RAMP = 240          # samples of a fade, 5 ms

cdef void mix_clear(int32_t* total) noexcept nogil
cdef void mix_add(int32_t* total, const int16_t* frame) noexcept nogil
cdef void mix_subtract(int32_t* total, const int16_t* frame) noexcept nogil
cdef void mix_add_total(int32_t* total, const int32_t* other) noexcept nogil
cdef void mix_fade_out(int16_t* frame) noexcept nogil
cdef bint mix_saturate(const int32_t* total, int16_t* frame) noexcept nogil
cdef double mix_level(const int16_t* frame, int count) noexcept nogil
