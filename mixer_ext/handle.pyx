"""What Python keeps of a node: where it is in memory, and what it is joined to, so that loops can be refused before the
plane sees them.
"""


cdef class Handle:
    """A leg or a mixer."""


cdef list _tree(Handle mixer):
    """All mixers that are joined to this one, directly or through others, itself included."""
    cdef Handle handle, other
    found = {mixer.id: mixer}
    pending = [mixer]
    while pending:
        handle = pending.pop()
        for other in handle.joined.values():
            if other.leg == NULL and other.id not in found:
                found[other.id] = other
                pending.append(other)
    return list(found.values())


cdef set _legs(list mixers):
    cdef Handle mixer, other
    legs = set()
    for mixer in mixers:
        for other in mixer.joined.values():
            if other.leg != NULL:
                legs.add(other.id)
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
    for mixer in _tree(b):
        if mixer.id in a.joined:
            return True
    return False
