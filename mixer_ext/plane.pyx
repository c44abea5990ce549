"""The plane as Python sees it: it checks what it is given, keeps the books, and hands commands to the thread that owns
the media.
"""
import os
import threading

cimport cython

from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.unistd cimport read

from mixer_ext.audience cimport audience_leave
from mixer_ext.codec cimport OPUS, PCMA, PCMU, codec_free, codec_new, coding_check
from mixer_ext.command cimport (
    ADD_NODE,
    ALLOW,
    CLOSE_TAP,
    EXPECT_RESPONSE,
    JOIN,
    OPEN_TAP,
    REMOVE_NODE,
    ROUSE,
    SET_AGC,
    SET_CONSENT,
    SET_DELAY,
    SET_FORMAT,
    SET_GAIN,
    SET_KEYS,
    SET_LISTENER_GAIN,
    SET_LOUDEST,
    SET_MUTE,
    SET_PLAIN,
    SET_PLAY,
    SET_REMOTE,
    SET_SEND,
    UNJOIN,
    Command,
    Core,
    command_push,
    commands_apply,
    commands_bury,
    wake,
)
from mixer_ext.consent cimport PASSWORD
from mixer_ext.core cimport (
    core_free,
    core_goodbye,
    core_init,
    core_notify,
    core_now,
    core_run,
    core_tick,
)
from mixer_ext.demux cimport demux_drain
from mixer_ext.dial cimport dial_keys, dial_pending, dial_tones
from mixer_ext.dtmf cimport EVENT_RATES, dtmf_digit, dtmf_rate
from mixer_ext.graph cimport Node, Tap, node_free, node_new
from mixer_ext.handle cimport LINKED, Handle, closes_loop
from mixer_ext.leg cimport Leg, leg_free, leg_new
from mixer_ext.link cimport Pair
from mixer_ext.net cimport (
    DATAGRAM,
    Address,
    address_from,
    address_to,
    open_socket,
    send_now,
)
from mixer_ext.ring cimport (
    EVENT_DOMINANT,
    EVENT_DTLS,
    EVENT_DTMF,
    EVENT_DTMF_SENT,
    EVENT_PLAYED,
    EVENT_SPEAKING,
    EVENT_STUN,
    Event,
    events_drop,
    events_payload,
    SampleRing,
    events_peek,
    exchange_pointer,
    ring_free,
    ring_new,
    ring_pending,
    ring_read,
    ring_write,
    store,
)
from mixer_ext.route cimport KEY, STUN_REQUEST, stun_read, stun_split
from mixer_ext.rtcp cimport CNAME
from mixer_ext.speakers cimport MOST_TAKEN
from mixer_ext.srtp cimport Secure, secure_free, secure_new
from mixer_ext.statistics cimport leg_statistics

import numpy

cdef enum:
    RING_SAMPLES = 10 * 48000
    LOUDEST = 4         # times
    LONGEST_DELAY = 500     # ms; the packets of a delay must fit the jitter buffer's slots


cdef int _event_types(int* types, dict wanted, int taken) except -1:
    """The payload types of telephone events by their rates."""
    cdef int i
    for i in range(EVENT_RATES):
        found = [number for number, rate in wanted.items() if rate == dtmf_rate(i)]
        if len(found) > 1:
            raise ValueError(f"telephone events at {dtmf_rate(i)} Hz twice")
        types[i] = found[0] if found else -1
        if found and (types[i] == taken or not 0 <= types[i] <= 127):
            raise ValueError(f"no payload type for telephone events: {types[i]}")
    if any([rate not in (8000, 48000) for rate in wanted.values()]):
        raise ValueError("telephone events have 8000 or 48000 Hz")
    return 0


cdef class _Tap:
    cdef Tap* tap


@cython.no_gc_clear     # what it owns is freed through its dictionaries
cdef class Plane:
    """The media plane: sockets, legs, mixers, and the thread that moves the sound.

    bind: (ip, port) of each UDP socket, port 0 for any free one; OSError when one cannot be had. Without clock, start()
    runs a thread that ticks every 20 ms; with one (an object with now_ns() -> int) there is no thread and tick() is
    called by hand.

    first_id and step: the ids of nodes are first_id, first_id + step and so on; planes that are used together can so have
    different ones.

    Nodes are ints, never used twice. ValueError for an unknown node, an unknown local address, or a value out of range.
    What is changed takes effect between two ticks, in the order of the calls. Sound is mono int16 at 48 kHz, 960
    samples a tick.
    """

    cdef Core core
    cdef readonly tuple addresses
    cdef object clock
    cdef object thread
    cdef bint stopped
    cdef list sockets
    cdef dict nodes         # id: Handle
    cdef dict ufrags        # bytes: Handle
    cdef dict taps          # id: _Tap
    cdef dict links         # id: Pair, of which a node is an end
    cdef int64_t next_id
    cdef int64_t step
    cdef uint64_t overruns      # of closed taps

    def __cinit__(self, bind, *, clock=None, int64_t first_id=1, int64_t step=1):
        cdef int i
        self.core.event_fd = self.core.wake_fd = -1
        self.nodes = {}
        self.ufrags = {}
        self.taps = {}
        self.links = {}
        self.sockets = []
        self.next_id = first_id
        self.step = step
        self.clock = clock
        if not bind:
            raise ValueError("a plane needs an address")
        try:
            for host, port in bind:
                self.sockets.append(open_socket(host, port))
            if not core_init(&self.core, len(self.sockets), int.from_bytes(os.urandom(8), "little")):
                raise MemoryError
            for i in range(len(self.sockets)):
                self.core.fds[i] = self.sockets[i].fileno()
                address_from(self.sockets[i].getsockname()[:2], &self.core.bound[i])
        except BaseException:
            self._close()
            raise
        self.addresses = tuple([address_to(&self.core.bound[i]) for i in range(len(self.sockets))])
        if clock is not None:
            self.core.manual = True
            self.core.wall_offset = 0

    def __dealloc__(self):
        cdef int i
        cdef Handle handle
        cdef _Tap tap
        commands_bury(&self.core)
        if self.nodes is not None:
            for handle in self.nodes.values():
                if handle.leg != NULL:
                    audience_leave(&self.core.audiences, &handle.leg.listener)
                self._free_node(handle.node, handle.leg)
        if self.taps is not None:
            for tap in self.taps.values():
                ring_free(tap.tap.ring)
                free(tap.tap)
        self._reap()
        core_free(&self.core)

    def _close(self):
        for opened in self.sockets:
            opened.close()

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
            codec_free(command.format.codec)
            secure_free(command.inbound)
            secure_free(command.outbound)
            if command.kind == REMOVE_NODE:
                self._free_node(command.a, command.leg)
            elif command.kind == CLOSE_TAP:
                ring_free(command.tap.ring)
                free(command.tap)
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

    cdef int _local(self, int local) except -1:
        if not 0 <= local < len(self.sockets):
            raise ValueError(f"no such local address: {local}")
        return local

    cdef int _remote(self, int local, object pair, Address* address) except -1:
        address_from(pair, address)
        if address.family != self.core.bound[self._local(local)].family:
            raise ValueError(f"{pair} cannot be reached from {self.addresses[local]}")
        return 0

    # life

    def start(self):
        """Begin to tick. Idempotent; RuntimeError after stop()."""
        if self.stopped:
            raise RuntimeError("the plane has been stopped")
        if self.clock is None and self.thread is None:
            self.thread = threading.Thread(target=self._run, name="mixer-plane", daemon=True)
            self.thread.start()

    def _run(self):
        with nogil:
            core_run(&self.core)

    def stop(self):
        """End: every peer is told goodbye, the thread is joined, the sockets are closed. Idempotent."""
        if self.stopped:
            return
        self.stopped = True
        store(&self.core.stopping, 1)
        if self.thread is not None:
            wake(&self.core)
            self.thread.join()
            self.thread = None
        commands_apply(&self.core, self._now())
        core_goodbye(&self.core, self._now())
        core_notify(&self.core)
        self._close()

    @property
    def thread_id(self):
        """Of the running thread, as the kernel knows it; None when there is none."""
        return None if self.thread is None else self.thread.native_id

    def fileno(self):
        """Readable when poll() has something; valid for as long as the plane exists."""
        return self.core.event_fd

    def poll(self):
        """All events since the last call: ("stun" or "dtls", leg, local, (ip, port), bytes), ("speaking", leg, bool),
        ("ssrc", leg, int), ("dtmf", leg, key, ms), ("dtmf_sent", leg), ("played", node),
        ("dominant", mixer, leg or None).
        """
        cdef Event event
        cdef uint64_t count
        cdef uint8_t data[DATAGRAM]
        self._reap()
        read(self.core.event_fd, &count, sizeof(count))
        result = []
        while events_peek(&self.core.events, &event):
            if event.leg in self.nodes:     # news of a leg that has been removed is no news
                if event.kind == EVENT_STUN or event.kind == EVENT_DTLS:
                    events_payload(&self.core.events, &event, data)
                    name = "stun" if event.kind == EVENT_STUN else "dtls"
                    source = address_to(&event.address)
                    result.append((name, event.leg, event.local, source, (<const char*>data)[: event.length]))
                elif event.kind == EVENT_SPEAKING:
                    result.append(("speaking", event.leg, bool(event.value)))
                elif event.kind == EVENT_DTMF:
                    result.append(("dtmf", event.leg, dtmf_digit(event.value >> 32), event.value & 0xFFFFFFFF))
                elif event.kind == EVENT_DTMF_SENT:
                    result.append(("dtmf_sent", event.leg))
                elif event.kind == EVENT_PLAYED:
                    result.append(("played", event.leg))
                elif event.kind == EVENT_DOMINANT:
                    if event.value == 0 or event.value in self.nodes:
                        result.append(("dominant", event.leg, event.value or None))
                else:
                    result.append(("ssrc", event.leg, event.value))
            events_drop(&self.core.events, &event)
        return result

    def tick(self):
        """One tick at the clock's time: take what the sockets hold, then 20 ms of sound. RuntimeError without a clock
        of one's own.
        """
        if self.clock is None:
            raise RuntimeError("the plane ticks by itself")
        if self.stopped:
            raise RuntimeError("the plane has been stopped")
        cdef int64_t now = self.clock.now_ns()
        commands_apply(&self.core, now)
        demux_drain(&self.core, now)
        core_tick(&self.core, now)
        core_notify(&self.core)

    # graph

    cdef int64_t _add(self, Command* command, Node* node, Leg* leg, bytes ufrag):
        cdef Handle handle = Handle.__new__(Handle)
        handle.node = command.a = node
        handle.leg = command.leg = leg
        handle.id = node.id
        handle.ufrag = ufrag
        handle.joined = {}
        self.nodes[node.id] = handle
        if leg != NULL:
            self.ufrags[ufrag] = handle
        self.next_id += self.step
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
        self.ufrags.pop(handle.ufrag, None)
        self._commit(command)

    def add_mixer(self):
        cdef Node* node = node_new(self.next_id, True)
        if node == NULL:
            raise MemoryError
        return self._add(self._command(ADD_NODE), node, NULL, None)

    def link(self, Plane other not None):
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
        cdef Node* node = node_new(self.next_id, True)
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
        cdef bytes name = ufrag.encode()
        if not 0 < len(name) <= KEY or b":" in name:
            raise ValueError(f"not an ICE user fragment: {ufrag!r}")
        if name in self.ufrags:
            raise ValueError(f"user fragment is taken: {ufrag}")
        cdef bytes called = (os.urandom(11).hex() if cname is None else cname).encode()
        if not 0 < len(called) < CNAME or b"\0" in called:
            raise ValueError(f"not a CNAME of 1 to {CNAME - 1} bytes: {cname!r}")
        cdef bytes noise = os.urandom(8)
        cdef uint16_t sequence = int.from_bytes(noise[:2], "big") & 0x7FFF
        cdef uint32_t timestamp = int.from_bytes(noise[2:6], "big")
        cdef Leg* leg = leg_new(self.next_id, ssrc, csrc, sequence, timestamp)
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

    # leg media

    def set_codec(
        self,
        int64_t leg,
        *,
        int payload_type,
        str name not None="opus",
        int bitrate=32000,
        bint fec=False,
        bint dtx=False,
        int level_extension=0,
        int mixed_extension=0,
        telephone_events=(),
    ):
        """What is sent to a leg and taken from it. name: "opus", "pcmu" or "pcma", for which bitrate, fec and dtx mean
        nothing; with those, comfort noise (payload type 13) is taken too. fec: the peer can make use of what repairs
        losses, which it is sent while it reports many. level_extension and mixed_extension: the identifiers of RFC 6464
        and, for the level of each who is heard, RFC 6465 as negotiated, 0 for none.
        telephone_events: what RFC 4733 goes by, {payload type: 8000 or 48000, its clock rate}, each rate once at most.
        """
        cdef Handle handle = self._leg(leg)
        name = name.lower()
        if name not in ("opus", "pcmu", "pcma"):
            raise ValueError(f"unknown codec: {name}")
        for number in (level_extension, mixed_extension):
            if not 0 <= number <= 255 or number == 15:
                raise ValueError(f"no identifier of an extension: {number}")
        if level_extension and level_extension == mixed_extension:
            raise ValueError(f"an identifier for two extensions: {level_extension}")
        if not 0 <= payload_type <= 127:
            raise ValueError(f"no payload type: {payload_type}")
        cdef int types[EVENT_RATES]
        _event_types(types, dict(telephone_events), payload_type)
        cdef Command* command = self._command(SET_FORMAT)
        memcpy(command.format.event_types, types, sizeof(types))
        command.format.coding.kind = OPUS if name == "opus" else PCMU if name == "pcmu" else PCMA
        command.format.coding.bitrate = bitrate
        command.format.coding.fec = fec
        command.format.coding.dtx = dtx
        try:
            coding_check(&command.format.coding)
            command.format.codec = codec_new(command.format.coding.kind)
        except BaseException:
            free(command)
            raise
        command.format.payload_type = payload_type
        command.format.level_extension = level_extension
        command.format.mixed_extension = mixed_extension
        handle.dials = types[0] >= 0 or types[1] >= 0
        command.leg = handle.leg
        self._commit(command)

    def set_srtp(self, int64_t leg, str profile not None, bytes receive not None, bytes send not None):
        """Keys, each master key and salt in a row. profile: AEAD_AES_128_GCM, AEAD_AES_256_GCM or
        AES_CM_128_HMAC_SHA1_80.
        """
        cdef Handle handle = self._leg(leg)
        cdef Secure* inbound = secure_new(profile, receive, False, 0)
        cdef Secure* outbound
        try:
            outbound = secure_new(profile, send, True, handle.leg.own_ssrc)
        except BaseException:
            secure_free(inbound)
            raise
        cdef Command* command = self._command(SET_KEYS)
        command.inbound, command.outbound = inbound, outbound
        command.leg = handle.leg
        self._commit(command)

    def set_plain(self, int64_t leg, address, *, receive_ssrc=None):
        """No ICE, DTLS or SRTP: RTP from and to this address, or, for ("", 0), from wherever receive_ssrc comes first.
        """
        cdef Handle handle = self._leg(leg)
        cdef Command* command
        cdef Address where
        address_from(address, &where)
        if where.family == 0 and receive_ssrc is None:
            raise ValueError("neither an address nor an SSRC")
        if where.family and not any([self.core.bound[i].family == where.family for i in range(self.core.sockets)]):
            raise ValueError(f"{address} cannot be reached from here")
        cdef uint32_t ssrc = 0 if receive_ssrc is None else receive_ssrc
        command = self._command(SET_PLAIN)
        command.leg = handle.leg
        command.address = where
        command.expects = receive_ssrc is not None
        command.ssrc = ssrc
        self._commit(command)

    def set_remote(self, int64_t leg, int local, address):
        """Where media goes, and from which of our addresses."""
        cdef Handle handle = self._leg(leg)
        cdef Address where
        self._remote(local, address, &where)
        cdef Command* command = self._command(SET_REMOTE)
        command.leg = handle.leg
        command.local = local
        command.address = where
        self._commit(command)

    def forget_remote(self, int64_t leg):
        """Send nothing more to this leg, neither sound nor reports nor a goodbye, until set_remote says where again."""
        cdef Handle handle = self._leg(leg)
        cdef Command* command = self._command(SET_REMOTE)
        command.leg = handle.leg
        command.local = -1
        self._commit(command)

    def set_consent(self, int64_t leg, bytes password not None, *, bint controlling):
        """Answer the peer's checks of the pair that media takes (see set_remote) without telling anybody. password: the
        local one of ICE, empty to leave them to the agent again. What is not plain goes to the agent as before.
        """
        cdef Handle handle = self._leg(leg)
        if len(password) > PASSWORD:
            raise ValueError(f"a password of more than {PASSWORD} bytes")
        cdef Command* command = self._command(SET_CONSENT)
        command.leg = handle.leg
        command.key_length = len(password)
        memcpy(command.key, <const char*>password, len(password))
        command.a_to_b = controlling
        self._commit(command)

    def allow(self, int64_t leg, int local, address):
        """An address has proved (by a STUN check with integrity) to be this leg's peer: RTP and DTLS from it are taken.
        """
        cdef Handle handle = self._leg(leg)
        cdef Address where
        self._remote(local, address, &where)
        cdef Command* command = self._command(ALLOW)
        command.leg = handle.leg
        command.local = local
        command.address = where
        self._commit(command)

    def set_mute(self, int64_t leg, bint muted):
        """Whether what a leg says is left out everywhere."""
        self._switch(SET_MUTE, leg, muted)

    def set_gain(self, int64_t node, double gain):
        """The volume, 0 to 4 times, of what a leg says, wherever it is heard; of a mixer, of what is played into it."""
        cdef Handle handle = self._node(node)
        if not 0 <= gain <= LOUDEST:
            raise ValueError(f"a gain is from 0 to {LOUDEST}")
        cdef Command* command = self._command(SET_GAIN)
        command.a = handle.node
        command.gain = <float>gain
        self._commit(command)

    def set_listener_gain(self, int64_t listener, int64_t source, double gain):
        """How loud, 0 to 4 times, one leg hears another, wherever it does. It ends with either."""
        cdef Handle first = self._leg(listener)
        cdef Handle second = self._leg(source)
        if not 0 <= gain <= LOUDEST:
            raise ValueError(f"a gain is from 0 to {LOUDEST}")
        if listener == source:
            raise ValueError(f"leg {listener} does not hear itself")
        cdef Command* command = self._command(SET_LISTENER_GAIN)
        command.a, command.b = first.node, second.node
        command.gain = <float>gain
        self._commit(command)

    def set_agc(self, int64_t leg, bint enabled):
        """Whether what a leg says is slowly brought to how loud all should speak, by 12 dB at most; set_gain's volume comes
        on top of that.
        """
        self._switch(SET_AGC, leg, enabled)

    def set_send(self, int64_t leg, bint enabled):
        """Whether anything is sent to a leg."""
        self._switch(SET_SEND, leg, enabled)

    def set_delay(self, int64_t leg, milliseconds):
        """Play what a leg sends this long after it was sent (as the quickest packets tell it), 20 to 500 ms with the 20 ms
        of the tick in it, and never stretch it: what comes later is lost. None: as soon as the network allows, which
        changes.
        """
        cdef Handle handle = self._leg(leg)
        if milliseconds is not None and not 20 <= milliseconds <= LONGEST_DELAY:
            raise ValueError(f"no delay that can be kept: {milliseconds} ms")
        cdef Command* command = self._command(SET_DELAY)
        command.leg = handle.leg
        command.delay = 0 if milliseconds is None else <int>(milliseconds * 48)
        self._commit(command)

    cdef int _switch(self, int kind, int64_t leg, bint value) except -1:
        cdef Handle handle = self._leg(leg)
        cdef Command* command = self._command(kind)
        command.leg = handle.leg
        command.a_to_b = value
        self._commit(command)
        return 0

    def send(self, int local, address, const uint8_t[::1] data not None):
        """Send STUN or DTLS. Responses to a STUN request of ours are brought to the leg whose ufrag is in it."""
        cdef Address where
        cdef const uint8_t* username
        cdef int length, colon
        cdef Command* command
        cdef Handle handle
        self._remote(local, address, &where)
        if self.stopped or data.shape[0] == 0:
            return
        if data.shape[0] > 65000:
            raise ValueError("longer than a datagram")
        if stun_read(&data[0], <int>data.shape[0], &username, &length) == STUN_REQUEST:
            colon = stun_split(username, length)
            handle = self.ufrags.get((<const char*>username)[colon + 1 : length]) if colon >= 0 else None
            if handle is not None:
                command = self._command(EXPECT_RESPONSE)
                command.leg = handle.leg
                memcpy(command.key, &data[8], 12)
                self._commit(command)
        send_now(self.core.fds[local], &where, &data[0], <int>data.shape[0])

    # sound in and out

    def play(self, int64_t node, const int16_t[::1] samples not None):
        """Put samples behind those still to be played: to a leg alone, or into a mixer's mix. How many were taken; 10 s
        fit. When none are left there is an event ("played", node); who has given more meanwhile gets another.
        """
        cdef Handle handle = self._node(node)
        cdef Command* command
        if handle.ring == NULL:
            command = self._command(SET_PLAY)
            command.a = handle.node
            command.ring = handle.ring = ring_new(RING_SAMPLES)
            if command.ring == NULL:
                free(command)
                raise MemoryError
            self._commit(command)
        if samples.shape[0] == 0:
            return 0
        cdef uint32_t room = RING_SAMPLES - ring_pending(handle.ring)
        cdef uint32_t taken = ring_write(handle.ring, &samples[0], <uint32_t>min(samples.shape[0], room))
        command = self._command(ROUSE)
        command.a = handle.node
        self._commit(command)
        return taken

    def play_pending(self, int64_t node):
        """Samples that are not yet played."""
        cdef Handle handle = self._node(node)
        return 0 if handle.ring == NULL else ring_pending(handle.ring)

    def send_dtmf(
        self, int64_t leg, str digits not None, *, int duration_ms=100, int gap_ms=60, bint in_band=False
    ):
        """Press keys (0 to 9, *, #, A to D) for a peer, behind those that wait: telephone events instead of sound. When
        all are sent there is an event ("dtmf_sent", leg). in_band: play their sound instead. ValueError where no events
        were negotiated, for what is no key, and when not all fit.
        """
        cdef Handle handle = self._leg(leg)
        cdef Command* command
        if in_band:
            samples = dial_tones(digits, duration_ms, gap_ms)
            if len(samples) > RING_SAMPLES - self.play_pending(leg):
                raise ValueError("no more than 10 s of sound can wait")
            self.play(leg, samples)
        elif not handle.dials:
            raise ValueError(f"no telephone events were negotiated with leg {leg}: in_band=True plays their sound")
        else:
            dial_keys(&handle.leg.dial, digits, duration_ms, gap_ms)
            command = self._command(ROUSE)
            command.leg = handle.leg
            self._commit(command)

    def dtmf_pending(self, int64_t leg):
        """Keys that are not yet sent."""
        return dial_pending(&self._leg(leg).leg.dial)

    def tap(self, int64_t node, *, str direction not None="in"):
        """Listen: "in" to what a leg says, "out" to what it is sent (silence while it is sent nothing); to all of a
        mixer, for which there is only "in". The tap's id.
        """
        cdef Handle handle = self._node(node)
        if direction not in (("in",) if handle.leg == NULL else ("in", "out")):
            raise ValueError(f"node {node} has no direction {direction!r}")
        cdef _Tap opened = _Tap.__new__(_Tap)
        cdef Tap* tap = <Tap*>calloc(1, sizeof(Tap))
        if tap == NULL:
            raise MemoryError
        tap.ring = ring_new(RING_SAMPLES)
        if tap.ring == NULL:
            free(tap)
            raise MemoryError
        tap.out = direction == "out"
        opened.tap = tap
        id = self.next_id
        self.next_id += self.step
        self.taps[id] = opened
        cdef Command* command = self._command(OPEN_TAP)
        command.a = handle.node
        command.tap = tap
        self._commit(command)
        return id

    def tap_read(self, int64_t tap):
        """All samples since the last call; of what came while 10 s were waiting nothing is kept, and plane_stats counts
        it.
        """
        cdef _Tap opened = self.taps.get(tap)
        if opened is None:
            raise ValueError(f"no such tap: {tap}")
        cdef uint32_t count = ring_pending(opened.tap.ring)
        samples = numpy.empty(count, numpy.int16)
        cdef int16_t[::1] view = samples
        if count:
            ring_read(opened.tap.ring, &view[0], count)
        return samples

    def tap_overruns(self, int64_t tap):
        """Samples that this tap was given while it was full."""
        cdef _Tap opened = self.taps.get(tap)
        if opened is None:
            raise ValueError(f"no such tap: {tap}")
        return opened.tap.ring.overruns

    def tap_close(self, int64_t tap):
        """Idempotent."""
        cdef _Tap opened = self.taps.pop(tap, None)
        if opened is None:
            return
        cdef Command* command = self._command(CLOSE_TAP)
        command.tap = opened.tap
        self.overruns += opened.tap.ring.overruns
        self._commit(command)

    # statistics

    def stats(self, int64_t leg):
        """Counters and measures of a leg; packets unless named otherwise. rtt_ms is -1 until it is known."""
        cdef Handle handle = self._leg(leg)
        return leg_statistics(handle.leg)

    def plane_stats(self):
        """Counters of the plane. live: nodes that do not rest; overruns: samples that taps and events that poll() were too
        slow for.
        """
        cdef Handle handle
        cdef _Tap tap
        ends = [handle for handle in self.nodes.values() if handle.node.link != NULL]
        legs = sum([handle.leg != NULL for handle in self.nodes.values()])
        return {
            "ticks": self.core.ticks,
            "missed_ticks": self.core.missed_ticks,
            "skipped_ticks": self.core.skipped_ticks,
            "mixes": self.core.audiences.mixes,
            "decodes": self.core.decodes,
            "encodes": self.core.audiences.encodes,
            "late_max_us": self.core.late_max / 1000.0,
            "shifted_ms": self.core.shifted // 1000000,
            "legs": legs,
            "mixers": len(self.nodes) - legs - len(ends),
            "links": len(ends),
            "link_underruns": sum([handle.node.link.underruns for handle in ends]),
            "link_overruns": sum([handle.node.link.dropped + handle.node.link.outbound.overruns for handle in ends]),
            "live": self.core.graph.live_count,
            "dropped_unknown": self.core.dropped_unknown,
            "dropped_malformed": self.core.dropped_malformed,
            "dropped_stun": self.core.dropped_stun,
            "dropped_flood": self.core.dropped_flood,
            "dropped_send": self.core.outbox.failed,
            "dropped_events": self.core.events.overruns,
            "overruns": self.overruns + sum([tap.tap.ring.overruns for tap in self.taps.values()]),
        }
