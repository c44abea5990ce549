# Sound made shorter or longer without a change of pitch.
from libc.stdint cimport int16_t

cdef enum:
    SHORTEST = 120      # samples: 2.5 ms, a pitch of 400 Hz, or several periods of a higher one
    FARTHEST = 720      # 15 ms, 67 Hz
    OVERLAP = 480       # samples that are blended, at most
    COMPARED = 240      # samples that must be there beyond the farthest lag

cdef int stretch_lag(const int16_t* samples, int count, int least, int most, double* alike) noexcept nogil
cdef int stretch_cut(int16_t* samples, int count, int lag, int overlap) noexcept nogil
cdef int stretch_repeat(int16_t* samples, int count, int lag) noexcept nogil
