"""The plane as Python sees it: it checks what it is given and hands commands to the thread that owns the media. The
books are kept in mixer_ext.nodes.
"""
import os
import socket
import threading

from libc.math cimport INFINITY
from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.unistd cimport read

from mixer_ext.command cimport (
    ALLOW,
    CLOSE_TAP,
    EXPECT_RESPONSE,
    OPEN_TAP,
    ROUSE,
    SET_AGC,
    SET_CONSENT,
    SET_DELAY,
    SET_FORMAT,
    SET_GAIN,
    SET_KEYS,
    SET_LISTENER_GAIN,
    SET_MUTE,
    SET_PLAIN,
    SET_PLAY,
    SET_REMOTE,
    SET_SEND,
    Command,
    commands_apply,
    wake,
)
from mixer_ext.codec cimport FRAME
from mixer_ext.consent cimport PASSWORD
from mixer_ext.core cimport core_goodbye, core_init, core_notify, core_run, core_shift, core_tick
from mixer_ext.demux cimport demux_drain
from mixer_ext.dial cimport dial_keys, dial_pending, dial_tones
from mixer_ext.format cimport Format, format_complete
from mixer_ext.handle cimport Handle
from mixer_ext.net cimport Address, address_from, address_to, open_socket, send_now
from mixer_ext.news cimport news_read
from mixer_ext.nodes cimport Nodes
from mixer_ext.ring cimport ring_new, ring_pending, ring_take_back, ring_write, store
from mixer_ext.route cimport STUN_REQUEST, stun_read, stun_split
from mixer_ext.srtp cimport Secure, secure_free, secure_new
from mixer_ext.statistics cimport leg_statistics, plane_statistics
from mixer_ext.tap cimport TapHandle, tap_new

cdef enum:
    RING_SAMPLES = 10 * 48000
    LOUDEST = 4         # times
    LONGEST_DELAY = 500     # ms; the packets of a delay must fit the jitter buffer's slots


cdef class Plane(Nodes):
    """The media plane: sockets, legs, mixers, and the thread that moves the sound.

    bind: (ip, port) of each UDP socket, port 0 for any free one; OSError when one cannot be had. Without clock, start()
    runs a thread that ticks every 20 ms; with one (an object with now_ns() -> int) there is no thread and tick() is
    called by hand.

    relief: the load above which the thread encodes cheaper, and a little worse, until it is less.

    first_id and step: the ids of nodes are first_id, first_id + step and so on; planes that are used together can so have
    different ones.

    Nodes are ints, never used twice. ValueError for an unknown node, an unknown local address, or a value out of range.
    What is changed takes effect between two ticks, in the order of the calls. Sound is mono int16 at 48 kHz, 960
    samples a tick.
    """

    cdef readonly tuple addresses
    cdef bint stopped
    cdef list sockets
    cdef dict taps          # id: TapHandle
    cdef uint64_t overruns  # of closed taps

    def __cinit__(self, bind, *, clock=None, double relief=INFINITY, int64_t first_id=1, int64_t step=1):
        cdef int i
        self.taps = {}
        self.sockets = []
        self.next_id = first_id
        self.step = step
        self.clock = clock
        if not bind:
            raise ValueError("a plane needs an address")
        try:
            for host, port in bind:
                self.sockets.append(open_socket(host, port))
            if not core_init(&self.core, len(self.sockets), int.from_bytes(os.urandom(8), "little"), relief):
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

    def _close(self):
        for opened in self.sockets:
            opened.close()

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

    @property
    def load(self):
        """The share of the last second or so in which the thread was at work, or had ticks to make and waited for a core,
        0 to 1.
        """
        return self.core.effort.load

    @property
    def receive_buffer(self):
        """Bytes of what comes to each address that the kernel keeps until the thread takes it: what the system allows."""
        return min([opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for opened in self.sockets]) // 2

    def fileno(self):
        """Readable when poll() has something; valid for as long as the plane exists."""
        return self.core.event_fd

    def poll(self):
        """All events since the last call: ("stun" or "dtls", leg, local, (ip, port), bytes), ("speaking", leg, bool),
        ("ssrc", leg, int), ("dtmf", leg, key, ms), ("dtmf_sent", leg), ("played", node),
        ("dominant", mixer, leg or None).
        """
        cdef uint64_t count
        self._reap()
        read(self.core.event_fd, &count, sizeof(count))
        return news_read(&self.core.events, self.nodes)

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
        core_shift(&self.core, 1)
        core_notify(&self.core)

    # leg media

    def set_codec(
        self,
        int64_t leg,
        *,
        int payload_type,
        str name not None="opus",
        int bitrate=32000,
        int ptime=20,
        bint fec=False,
        bint dtx=False,
        int level_extension=0,
        int mixed_extension=0,
        telephone_events=(),
    ):
        """What is sent to a leg and taken from it. name: "opus", "pcmu" or "pcma", for which bitrate, fec and dtx mean
        nothing; with those, comfort noise (payload type 13) is taken too. ptime: ms that a packet to it has as a rule, 10, 20,
        40 or 60; what comes may have any length. fec: the peer can make use of what repairs
        losses, which it is sent while it reports many. level_extension and mixed_extension: the identifiers of RFC 6464
        and, for the level of each who is heard, RFC 6465 as negotiated, 0 for none.
        telephone_events: what RFC 4733 goes by, {payload type: 8000 or 48000, its clock rate}, each rate once at most.
        """
        cdef Handle handle = self._leg(leg)
        cdef Command* command = self._command(SET_FORMAT)
        cdef Format* format = &command.format
        format.payload_type = payload_type
        format.coding.bitrate = bitrate
        format.coding.fec = fec
        format.coding.dtx = dtx
        format.level_extension = level_extension
        format.mixed_extension = mixed_extension
        try:
            format_complete(format, name, ptime, dict(telephone_events))
        except BaseException:
            free(command)
            raise
        handle.dials = format.event_types[0] >= 0 or format.event_types[1] >= 0
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
        of the tick in it, and never stretch it: what comes later is lost. A frame that is lost is the last one again. So
        a modem wants it. None: as soon as the network allows, which changes; what is lost is concealed as speech.
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

    def unplay(self, int64_t node):
        """Take back what is not yet played, but for 40 ms that may be on their way; how many samples that was."""
        cdef Handle handle = self._node(node)
        return 0 if handle.ring == NULL else ring_take_back(handle.ring, 2 * FRAME)

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
        cdef Command* command = self._command(OPEN_TAP)
        cdef TapHandle opened
        try:
            opened = tap_new(RING_SAMPLES, direction == "out")
        except BaseException:
            free(command)
            raise
        id = self._new_id()
        self.taps[id] = opened
        command.a = handle.node
        command.tap = opened.tap
        self._commit(command)
        return id

    cdef TapHandle _tap(self, int64_t tap):
        opened = self.taps.get(tap)
        if opened is None:
            raise ValueError(f"no such tap: {tap}")
        return opened

    def tap_read(self, int64_t tap):
        """All samples since the last call; of what came while 10 s were waiting nothing is kept, and plane_stats counts
        it.
        """
        return self._tap(tap).read()

    def tap_overruns(self, int64_t tap):
        """Samples that this tap was given while it was full."""
        return self._tap(tap).overruns()

    def tap_close(self, int64_t tap):
        """Idempotent."""
        cdef TapHandle closed = self.taps.get(tap)
        cdef Command* command
        if closed is None:
            return
        command = self._command(CLOSE_TAP)
        del self.taps[tap]
        self.overruns += closed.overruns()
        command.tap = closed.given_up()
        self._commit(command)

    # statistics

    def stats(self, int64_t leg):
        """Counters and measures of a leg; packets unless named otherwise. rtt_ms is -1 until it is known."""
        cdef Handle handle = self._leg(leg)
        return leg_statistics(handle.leg)

    def plane_stats(self):
        """Counters of the plane. live: nodes that do not rest; overruns: samples that taps and events that poll() were too
        slow for; late: how long after its time a tick was made, counted for each time that the thread woke up for one.
        """
        cdef TapHandle tap
        overruns = self.overruns + sum([tap.overruns() for tap in self.taps.values()])
        return plane_statistics(&self.core, self.nodes, overruns)
