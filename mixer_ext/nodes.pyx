"""What Python keeps of a plane: its nodes, how they are joined, and the commands by which the thread that owns them is
told.
"""
import os

cimport cython

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from mixer_ext.audience cimport audience_leave
from mixer_ext.command cimport (
    ADD_NODE,
    CLOSE_TAP,
    JOIN,
    REMOVE_NODE,
    SET_LOUDEST,
    SET_UFRAG,
    UNJOIN,
    command_push,
    commands_apply,
    commands_bury,
)
from mixer_ext.core cimport core_free, core_notify, core_now
from mixer_ext.format cimport format_clear
from mixer_ext.graph cimport node_free, node_new
from mixer_ext.handle cimport LINKED, closes_loop
from mixer_ext.leg cimport leg_free, leg_new
from mixer_ext.link cimport Pair
from mixer_ext.ring cimport exchange_pointer, ring_free
from mixer_ext.route cimport KEY
from mixer_ext.rtcp cimport CNAME
from mixer_ext.speakers cimport MOST_TAKEN
from mixer_ext.srtp cimport secure_free
from mixer_ext.tap cimport tap_free


@cython.no_gc_clear     # what it owns is freed through its dictionaries
cdef class Nodes:
    """The part of a Plane that has to do with its nodes."""

    def __cinit__(self):
        self.core.event_fd = self.core.wake_fd = -1
        self.nodes = {}
        self.ufrags = {}
        self.links = {}

    def __dealloc__(self):
        cdef Handle handle
        commands_bury(&self.core)
        if self.nodes is not None:
            for handle in self.nodes.values():
                if handle.leg != NULL:
                    audience_leave(&self.core.audiences, &handle.leg.listener)
                self._free_node(handle.node, handle.leg)
        self._reap()
        core_free(&self.core)

    # commands

    cdef Command* _command(self, int kind) except NULL:
        cdef Command* command = <Command*>calloc(1, sizeof(Command))
        if command == NULL:
            raise MemoryError
        command.kind = kind
        return command

    cdef void _commit(self, Command* command):
        """Hand a command over. Where no thread runs it is applied here and now."""
        command_push(&self.core, command)
        if self.thread is None:
            commands_apply(&self.core, self._now())
            core_notify(&self.core)
        self._reap()

    cdef void _free_node(self, Node* node, Leg* leg):
        if leg != NULL:
            leg_free(leg)
        else:
            self.links.pop(node.id, None)
            ring_free(node.play)
            node_free(node)

    cdef void _reap(self):
        """Free the commands that have been applied and what they carry away."""
        cdef Command* command = <Command*>exchange_pointer(&self.core.done, NULL)
        cdef Command* following
        while command != NULL:
            following = command.next
            format_clear(&command.format)
            secure_free(command.inbound)
            secure_free(command.outbound)
            if command.kind == REMOVE_NODE:
                self._free_node(command.a, command.leg)
            elif command.kind == CLOSE_TAP:
                tap_free(command.tap)
            free(command)
            command = following

    cdef int64_t _now(self):
        return core_now() if self.clock is None else self.clock.now_ns()

    cdef Handle _node(self, int64_t id):
        handle = self.nodes.get(id)
        if handle is None:
            raise ValueError(f"no such node: {id}")
        return handle

    cdef Handle _leg(self, int64_t id):
        cdef Handle handle = self._node(id)
        if handle.leg == NULL:
            raise ValueError(f"not a leg: {id}")
        return handle

    # nodes and joins

    cdef int64_t _new_id(self):
        cdef int64_t id = self.next_id
        self.next_id += self.step
        return id

    cdef int64_t _add(self, Command* command, Node* node, Leg* leg, bytes ufrag):
        cdef Handle handle = Handle.__new__(Handle)
        handle.node = command.a = node
        handle.leg = command.leg = leg
        handle.id = node.id
        handle.ufrags = [] if ufrag is None else [ufrag]
        handle.joined = {}
        self.nodes[node.id] = handle
        if leg != NULL:
            self.ufrags[ufrag] = handle
        self._commit(command)
        return handle.id

    cdef void _remove(self, Handle handle):
        cdef Handle other
        cdef Command* command = self._command(REMOVE_NODE)
        command.a = handle.node
        command.leg = handle.leg
        other = handle.joined.pop(LINKED, None)
        if other is not None:
            other.joined.pop(LINKED, None)
        for other in handle.joined.values():
            other.joined.pop(handle.id, None)
        self.nodes.pop(handle.id, None)
        for ufrag in handle.ufrags:
            self.ufrags.pop(ufrag, None)
        self._commit(command)

    def add_mixer(self):
        cdef Node* node = node_new(self._new_id(), True)
        if node == NULL:
            raise MemoryError
        return self._add(self._command(ADD_NODE), node, NULL, None)

    def link(self, Nodes other not None):
        """A mixer here and one in the other plane, each of which passes on to the other all that it has but for what
        came from there. Sums cross exactly, a tick or so later; who is heard across it is not named. Their two ids; both
        are to be removed.
        """
        if other is self:
            raise ValueError("a plane cannot be linked with itself")
        cdef Pair pair = Pair()
        cdef Handle here = self._add_end(pair, 0)
        cdef Handle there = other._add_end(pair, 1)
        here.joined[LINKED] = there
        there.joined[LINKED] = here
        return here.id, there.id

    cdef Handle _add_end(self, Pair pair, int end):
        cdef Node* node = node_new(self._new_id(), True)
        if node == NULL:
            raise MemoryError
        node.link = &pair.ends[end]
        self.links[node.id] = pair
        return self.nodes[self._add(self._command(ADD_NODE), node, NULL, None)]

    def remove_mixer(self, int64_t mixer):
        """Idempotent; what was joined to it no longer is. An end of a link is one."""
        cdef Handle handle = self.nodes.get(mixer)
        if handle is not None:
            if handle.leg != NULL:
                raise ValueError(f"not a mixer: {mixer}")
            self._remove(handle)

    def add_leg(self, str ufrag not None, *, uint32_t ssrc, uint32_t csrc, str cname=None):
        """ufrag: the local ICE user fragment; ssrc: of what we send; csrc: its name in the mixes of others; cname: what
        reports call the source (RFC 3550 section 6.5.1), a random one if it has not been announced.
        """
        cdef bytes name = self._new_ufrag(ufrag)
        cdef bytes called = (os.urandom(11).hex() if cname is None else cname).encode()
        if not 0 < len(called) < CNAME or b"\0" in called:
            raise ValueError(f"not a CNAME of 1 to {CNAME - 1} bytes: {cname!r}")
        cdef bytes noise = os.urandom(8)
        cdef uint16_t sequence = int.from_bytes(noise[:2], "big") & 0x7FFF
        cdef uint32_t timestamp = int.from_bytes(noise[2:6], "big")
        cdef Leg* leg = leg_new(self._new_id(), ssrc, csrc, sequence, timestamp)
        if leg == NULL:
            raise MemoryError
        memcpy(leg.cname, <const char*>called, len(called))
        leg.budget_at = self._now()
        cdef Command* command = self._command(ADD_NODE)
        command.key_length = len(name)
        memcpy(command.key, <const char*>name, len(name))
        return self._add(command, leg.node, leg, name)

    def remove_leg(self, int64_t leg):
        """Idempotent; its peer is sent an RTCP BYE, what was joined to it no longer is."""
        cdef Handle handle = self.nodes.get(leg)
        if handle is not None:
            if handle.leg == NULL:
                raise ValueError(f"not a leg: {leg}")
            self._remove(handle)

    def set_ufrag(self, int64_t leg, str ufrag not None):
        """ICE begins anew under another user fragment. Checks by the last one before it are still brought to the leg."""
        cdef Handle handle = self._leg(leg)
        cdef bytes name = self._new_ufrag(ufrag)
        cdef bytes former = handle.ufrags.pop()
        for gone in handle.ufrags:
            self.ufrags.pop(gone, None)
        handle.ufrags = [former, name]
        self.ufrags[name] = handle
        for each in handle.ufrags:
            self._route(handle, each, each is not name)

    cdef bytes _new_ufrag(self, str ufrag):
        cdef bytes name = ufrag.encode()
        if not 0 < len(name) <= KEY or b":" in name:
            raise ValueError(f"not an ICE user fragment: {ufrag!r}")
        if name in self.ufrags:
            raise ValueError(f"user fragment is taken: {ufrag}")
        return name

    cdef int _route(self, Handle handle, bytes ufrag, bint alone) except -1:
        """alone: other user fragments lead to the leg no more."""
        cdef Command* command = self._command(SET_UFRAG)
        command.leg = handle.leg
        command.key_length = len(ufrag)
        memcpy(command.key, <const char*>ufrag, len(ufrag))
        command.a_to_b = alone
        self._commit(command)
        return 0

    def set_loudest(self, int64_t mixer, int count):
        """How many of those that speak in a mixer are mixed at once, the loudest; 8 if never set, 64 at most, 0 for all."""
        cdef Handle handle = self._node(mixer)
        if handle.leg != NULL:
            raise ValueError(f"not a mixer: {mixer}")
        if not 0 <= count <= MOST_TAKEN:
            raise ValueError(f"not 0 to {MOST_TAKEN} speakers: {count}")
        cdef Command* command = self._command(SET_LOUDEST)
        command.a = handle.node
        command.local = count
        self._commit(command)

    def join(self, int64_t a, int64_t b, *, bint a_to_b=True, bint b_to_a=True):
        """Join two nodes, or change the direction of a join. ValueError for a join that closes a loop: mixers are
        trees, and a leg is in each tree once.
        """
        cdef Handle first = self._node(a)
        cdef Handle second = self._node(b)
        if a == b:
            raise ValueError("a node cannot be joined to itself")
        if b not in first.joined and closes_loop(first, second):
            raise ValueError(f"joining {a} and {b} would close a loop")
        cdef Command* command = self._command(JOIN)
        command.a, command.b = first.node, second.node
        command.a_to_b, command.b_to_a = a_to_b, b_to_a
        first.joined[b] = second
        second.joined[a] = first
        self._commit(command)

    def unjoin(self, int64_t a, int64_t b):
        """Idempotent."""
        cdef Handle first = self._node(a)
        cdef Handle second = self._node(b)
        if first.joined.pop(b, None) is None:
            return
        second.joined.pop(a, None)
        cdef Command* command = self._command(UNJOIN)
        command.a, command.b = first.node, second.node
        self._commit(command)
