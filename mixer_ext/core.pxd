# The plane without Python: its life, its tick, its thread.
from libc.stdint cimport int64_t, uint64_t

from mixer_ext.state cimport Core

cdef bint core_init(Core* core, int sockets, uint64_t random, double relief) noexcept nogil
cdef void core_free(Core* core) noexcept nogil
cdef void core_tick(Core* core, int64_t now) noexcept nogil
cdef bint core_shift(Core* core, uint64_t ticks) noexcept nogil
cdef void core_notify(Core* core) noexcept nogil
cdef void core_run(Core* core) noexcept nogil
cdef void core_goodbye(Core* core, int64_t now) noexcept nogil
cdef int64_t core_now() noexcept nogil
