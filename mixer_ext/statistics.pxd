# What Python is told of how things go.
from libc.stdint cimport uint64_t

from mixer_ext.leg cimport Leg
from mixer_ext.state cimport Core

cdef dict leg_statistics(Leg* leg)
cdef dict plane_statistics(Core* core, dict nodes, uint64_t overruns)
