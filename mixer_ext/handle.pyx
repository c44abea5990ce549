"""What Python keeps of a node: where it is in memory, and what it is joined to, so that loops can be refused before the
plane sees them.
"""


cdef class Handle:
    """A leg or a mixer."""


cdef set _tree(Handle mixer):
    """All mixers that are joined to this one, directly or through others, in its plane and in others, itself included.
    """
    cdef Handle handle, other
    found = {mixer}
    pending = [mixer]
    while pending:
        handle = pending.pop()
        for other in handle.joined.values():
            if other.leg == NULL and other not in found:
                found.add(other)
                pending.append(other)
    return found


cdef set _legs(set mixers):
    cdef Handle mixer, other
    legs = set()
    for mixer in mixers:
        for other in mixer.joined.values():
            if other.leg != NULL:
                legs.add(other)
    return legs


cdef bint closes_loop(Handle a, Handle b):
    """Whether joining a and b would let sound come back to where it came from, or arrive by two ways through mixers.
    Legs pass nothing on.
    """
    cdef Handle mixer
    if a.leg != NULL and b.leg != NULL:
        return False
    if a.leg == NULL and b.leg == NULL:
        left = _tree(a)
        return b in left or not _legs(left).isdisjoint(_legs(_tree(b)))
    if a.leg == NULL:
        a, b = b, a
    tree = _tree(b)
    for mixer in a.joined.values():
        if mixer in tree:
            return True
    return False
