# What Python is told of how things go.
from mixer_ext.leg cimport Leg

cdef dict leg_statistics(Leg* leg)
