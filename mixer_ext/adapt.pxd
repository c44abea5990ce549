# The delay of a stream.
from libc.stdint cimport uint64_t

from mixer_ext.stream cimport Stream

cdef void stream_look_anew(Stream* stream) noexcept nogil
cdef int stream_excess(const Stream* stream) noexcept nogil
cdef void stream_adapt(Stream* stream) noexcept nogil
cdef void stream_watch(Stream* stream, uint64_t played) noexcept nogil
