# What Python keeps of a plane.
from libc.stdint cimport int64_t

from mixer_ext.graph cimport Node
from mixer_ext.handle cimport Handle
from mixer_ext.leg cimport Leg
from mixer_ext.link cimport Pair
from mixer_ext.state cimport Command, Core

cdef class Nodes:
    cdef Core core
    cdef object clock       # None: that of the system
    cdef object thread      # None: nothing but these calls touches core
    cdef dict nodes         # id: Handle
    cdef dict ufrags        # bytes: Handle
    cdef dict links         # id: Pair, of which a node is an end
    cdef int64_t next_id
    cdef int64_t step
    cdef Command* _command(self, int kind) except NULL
    cdef void _commit(self, Command* command)
    cdef void _free_node(self, Node* node, Leg* leg)
    cdef void _reap(self)
    cdef int64_t _now(self)
    cdef Handle _node(self, int64_t id)
    cdef Handle _leg(self, int64_t id)
    cdef int64_t _new_id(self)
    cdef int64_t _add(self, Command* command, Node* node, Leg* leg, bytes ufrag)
    cdef bytes _new_ufrag(self, str ufrag)
    cdef int _route(self, Handle handle, bytes ufrag, bint alone) except -1
    cdef Handle _add_end(self, Pair pair, int end)
    cdef void _remove(self, Handle handle)
