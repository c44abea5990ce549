# Datagrams in.
from libc.stdint cimport int64_t

from mixer_ext.state cimport Core

cdef void demux_drain(Core* core, int64_t now) noexcept nogil
