# What Python is told.
from mixer_ext.ring cimport EventRing

cdef list news_read(EventRing* events, dict nodes)
