# Kernels over one frame of 960 samples.
from libc.stdint cimport int16_t, int32_t

cdef enum:
    BLOCK = 48          # samples of 1 ms, for which a limiter has one gain
    BLOCKS = 20         # in a frame
    RAMP = 240          # samples in which a gain changes, 5 ms

cdef void mix_clear(int32_t* total) noexcept nogil
cdef void mix_add(int32_t* total, const int16_t* frame) noexcept nogil
cdef void mix_add_all(int32_t* total, const int16_t** frames, int count) noexcept nogil
cdef void mix_subtract(int32_t* total, const int16_t* frame) noexcept nogil
cdef void mix_add_total(int32_t* total, const int32_t* other) noexcept nogil
cdef void mix_subtract_total(int32_t* total, const int32_t* other) noexcept nogil
cdef void mix_saturate(const int32_t* total, int16_t* frame) noexcept nogil
cdef void mix_peaks(const int32_t* total, int32_t* peaks) noexcept nogil
cdef void mix_limited(const int32_t* total, int16_t* frame, float gain, float to) noexcept nogil
cdef void mix_fade_out(int16_t* frame) noexcept nogil
cdef void mix_ramp(const int16_t* frame, int32_t* ramped, float gain, float to) noexcept nogil
cdef void mix_ramp_total(const int32_t* total, int32_t* ramped, float gain, float to) noexcept nogil
cdef void mix_glide(const int16_t* frame, int32_t* glided, float gain, float to) noexcept nogil
cdef double mix_level(const int16_t* frame, int count) noexcept nogil
