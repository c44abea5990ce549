"""The plane's own thread: it ticks without Python, and Python never waits for it."""

import ctypes
import gc
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from mixer_ext import Plane, RtpPacket, rtp_parse
from tests.mixer_ext.peers import FRAME, OPUS, Peer, Stage, stun, tone

PATIENCE = 60.0


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane([("127.0.0.1", 0)])
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(PATIENCE)
        yield ear


def listen(plane: Plane, ear: socket.socket) -> int:
    leg = plane.add_leg("localufrag", ssrc=1, csrc=2)
    plane.set_codec(leg, payload_type=OPUS)
    plane.set_plain(leg, ear.getsockname())
    return leg


def pending(ear: socket.socket) -> list[bytes]:
    """The packets that are there, without waiting for any."""
    ear.setblocking(False)
    packets = []
    try:
        while True:
            packets.append(ear.recv(4096))
    except BlockingIOError:
        return packets


def waiting(ear: socket.socket) -> int:
    """How many packets of sound are there, without waiting for any."""
    return sum(not 192 <= data[1] <= 223 for data in pending(ear))


def rtp_packets(ear: socket.socket, count: int) -> list[RtpPacket]:
    """So many packets of sound."""
    packets: list[RtpPacket] = []
    while len(packets) < count:
        data = ear.recv(4096)
        if not 192 <= data[1] <= 223:
            packets.append(rtp_parse(data))
    return packets


def rtp_from(ear: socket.socket, count: int) -> list[tuple[int, int, tuple[str, int]]]:
    """SSRC, sequence number and source of so many packets of sound."""
    found: list[tuple[int, int, tuple[str, int]]] = []
    while len(found) < count:
        data, address = ear.recvfrom(4096)
        if not 192 <= data[1] <= 223:
            packet = rtp_parse(data)
            found.append((packet.ssrc, packet.sequence, address))
    return found


def test_it_ticks_while_another_thread_holds_the_gil(plane: Plane, ear: socket.socket) -> None:
    leg = listen(plane, ear)
    plane.play(leg, tone(440, 100))
    ear.recv(4096)
    waiting(ear)
    # PyDLL keeps the GIL: meanwhile no Python runs, and who needed it would send nothing.
    ctypes.PyDLL(None).usleep(1_000_000)
    assert waiting(ear)


def test_it_ticks_while_python_is_busy(plane: Plane, ear: socket.socket) -> None:
    listen(plane, ear)
    done = threading.Event()
    spinners = [threading.Thread(target=lambda: [None for _ in iter(done.is_set, True)]) for _ in range(3)]
    for spinner in spinners:
        spinner.start()
    packets = [rtp_parse(data) for data in (ear.recv(4096) for _ in range(50)) if not 192 <= data[1] <= 223]
    done.set()
    for spinner in spinners:
        spinner.join()
    assert all(
        (b.sequence - a.sequence) & 0xFFFF == 1 and (b.timestamp - a.timestamp) % FRAME == 0
        for a, b in pairwise(packets)
    )


def test_an_event_makes_the_descriptor_readable_until_it_is_taken(plane: Plane, ear: socket.socket) -> None:
    assert select.select([plane.fileno()], [], [], 0)[0] == []
    leg = plane.add_leg("localufrag", ssrc=1, csrc=2)
    request = stun("localufrag:theirs")
    ear.sendto(request, plane.addresses[0])
    assert select.select([plane.fileno()], [], [], PATIENCE)[0] == [plane.fileno()]
    assert plane.poll() == [("stun", leg, 0, ear.getsockname(), request)]
    assert select.select([plane.fileno()], [], [], 0)[0] == []
    assert plane.poll() == []


def test_what_is_sent_leaves_at_once(plane: Plane, ear: socket.socket) -> None:
    plane.send(0, ear.getsockname(), b"\0\1 a STUN message")
    assert ear.recvfrom(4096) == (b"\0\1 a STUN message", plane.addresses[0])


def test_everything_is_changed_while_it_runs(plane: Plane, ear: socket.socket) -> None:
    """Many changes from several threads at once, and the plane still sounds."""
    leg = listen(plane, ear)

    def change(number: int) -> None:
        for n in range(60):
            mixer = plane.add_mixer()
            legs = [plane.add_leg(f"fragment{number}-{n}-{k}", ssrc=k, csrc=k) for k in range(3)]
            for other in legs:
                plane.set_codec(other, payload_type=OPUS)
                plane.set_plain(other, ear.getsockname())
                plane.join(other, mixer)
            plane.set_srtp(legs[0], "AEAD_AES_128_GCM", bytes(28), bytes(28))
            plane.play(mixer, tone(440, 2))
            tap = plane.tap(mixer)
            plane.poll()
            plane.stats(legs[1])
            plane.join(legs[0], legs[1], b_to_a=False)
            plane.unjoin(legs[2], mixer)
            plane.remove_leg(legs[0])
            plane.remove_mixer(mixer)
            plane.tap_close(tap)
            for other in legs[1:]:
                plane.remove_leg(other)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = plane.plane_stats()
    assert (stats["legs"], stats["mixers"]) == (1, 0)
    plane.play(leg, tone(440, 10))
    while plane.play_pending(leg):
        ear.recv(4096)


def test_a_plane_that_ran_ends_when_it_is_told(ear: socket.socket) -> None:
    plane = Plane([("127.0.0.1", 0)])
    address = plane.addresses[0]
    plane.start()
    plane.start()
    listen(plane, ear)
    ear.recv(4096)
    plane.stop()
    plane.stop()
    assert not any(thread.name == "mixer-plane" for thread in threading.enumerate())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
    with pytest.raises(RuntimeError):
        plane.start()
    with pytest.raises(RuntimeError):
        plane.tick()


STALLED = """
import sys
from mixer_ext import Plane
plane = Plane([("127.0.0.1", 0)])
leg = plane.add_leg("localufrag", ssrc=1, csrc=2)
plane.set_codec(leg, payload_type=111)
plane.set_plain(leg, ("127.0.0.1", int(sys.argv[1])))
plane.start()
sys.stdin.read()
plane.stop()
stats = plane.plane_stats()
print(stats["ticks"], stats["missed_ticks"], stats["skipped_ticks"], plane.stats(leg)["sent"])
print(*[stats[f"late_{name}"] for name in ("within_1ms", "within_20ms", "count", "max_us", "sum_us")])
"""


def test_after_a_stall_five_ticks_are_made_up_and_the_rest_is_left_out_of_time(ear: socket.socket) -> None:
    """The process is stopped for more than a second. All packets are numbered in a row, and what their timestamps leap
    over is what was left out, to the sample.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", STALLED, str(ear.getsockname()[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        packets = rtp_packets(ear, 5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.2)
        process.send_signal(signal.SIGCONT)
        packets += rtp_packets(ear, 40)
        output, _ = process.communicate("", timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    counted, lateness = output.splitlines()
    ticks, missed, skipped, sent = map(int, counted.split())
    packets += [rtp_parse(data) for data in pending(ear) if not 192 <= data[1] <= 223]
    assert len(packets) == sent
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
    assert skipped >= 40
    assert missed - skipped >= 5
    leaps = [((b.timestamp - a.timestamp) & 0xFFFFFFFF) // FRAME - 1 for a, b in pairwise(packets)]
    assert sum(leaps) == skipped
    assert max(leaps) >= 40
    assert ticks >= sent
    within_1ms, within_20ms, count, greatest, total = map(float, lateness.split())
    assert within_1ms <= within_20ms < count <= ticks, "the one after the stall was not"
    assert 800_000 <= greatest <= total


def test_it_is_told_how_much_is_kept_of_what_comes() -> None:
    plane = Plane([("127.0.0.1", 0), ("127.0.0.1", 0)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        most = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    assert plane.receive_buffer in (most, 8 << 20)  # what everybody may have, or what some may
    plane.stop()


def test_a_plane_that_never_ran_can_be_stopped() -> None:
    plane = Plane([("127.0.0.1", 0)])
    plane.add_leg("localufrag", ssrc=1, csrc=2)
    plane.stop()
    assert plane.poll() == []


def test_two_planes_with_dropped_references_are_freed(ear: socket.socket) -> None:
    """A plane may be collected in a cycle, stopped, with everything still in it."""
    for _ in range(2):
        plane = Plane([("127.0.0.1", 0)])
        plane.start()
        leg = listen(plane, ear)
        plane.join(leg, plane.add_mixer())
        plane.tap(leg)
        holder: list[object] = [plane]
        holder.append(holder)
        plane.stop()
        del plane, holder
        gc.collect()


def test_those_who_talk_are_sent_their_sound_before_those_who_listen(stage: Stage, ear: socket.socket) -> None:
    """All legs are sent to one socket, which therefore sees the order."""
    plane = stage.plane
    mixer = plane.add_mixer()
    talkers = []
    for number in range(100):
        leg = plane.add_leg(f"many{number}", ssrc=number, csrc=1000 + number)
        plane.set_codec(leg, payload_type=OPUS)
        plane.set_plain(leg, ear.getsockname(), receive_ssrc=5000 + number)
        plane.join(leg, mixer)
        if number in (50, 99):
            talkers.append(Peer(ssrc=5000 + number))
            plane.set_plain(leg, talkers[-1].address)
            plane.set_remote(leg, 0, ear.getsockname())
    for tick in range(12):
        for n, talker in enumerate(talkers):
            talker.say(tone(400 + 100 * n, 1, tick), stage.address)
        stage.tick()
        came = [ear.recv(4096) for _ in range(100)]
        order = [rtp_parse(data).ssrc for data in came if not 192 <= data[1] <= 223]
    assert waiting(ear) <= 1200
    assert order[:2] == [50, 99]
    assert order[2:] == [number for number in range(100) if number not in (50, 99)]
    for talker in talkers:
        talker.close()


def test_each_socket_sends_its_own(ear: socket.socket) -> None:
    """More legs than a batch, by turns on two addresses, for some ticks: nobody misses a packet or gets another's."""
    stage = Stage((("127.0.0.1", 0), ("127.0.0.2", 0)))
    plane = stage.plane
    for number in range(150):
        leg = plane.add_leg(f"many{number}", ssrc=number, csrc=1000 + number)
        plane.set_codec(leg, payload_type=OPUS)
        plane.set_plain(leg, ear.getsockname())
        plane.set_remote(leg, number % 2, ear.getsockname())
    stage.tick()
    first = rtp_from(ear, 150)
    stage.tick()
    second = rtp_from(ear, 150)
    for packets in (first, second):
        assert {(ssrc, address) for ssrc, _, address in packets} == {
            (number, plane.addresses[number % 2]) for number in range(150)
        }
    before = {ssrc: sequence for ssrc, sequence, _ in first}
    assert all(sequence == (before[ssrc] + 1) & 0xFFFF for ssrc, sequence, _ in second)
    assert plane.plane_stats()["dropped_send"] == 0
    stage.close()
