"""Telephone events (RFC 4733): each once, whatever the network does to its packets."""

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext import TelephoneEvents

DIGITS = "0123456789*#ABCD!"
MS = 1_000_000
TIMEOUT = 260  # ms after which nothing more is waited for


def payload(digit: str | int, duration: int, *, end: bool = False) -> bytes:
    code = digit if isinstance(digit, int) else DIGITS.index(digit)
    return struct.pack("!BBH", code, 0x80 * end | 10, duration)


@dataclass(frozen=True)
class Packet:
    at: int  # ms
    sequence: int
    timestamp: int
    payload: bytes
    marker: bool


class Sender:
    """Writes the packets of RFC 4733 section 2.5.1: one each 20 ms, the last one three times, long ones in segments."""

    def __init__(self, rate: int = 8000, sequence: int = 65530, timestamp: int = 2**32 - 3000) -> None:
        self.rate = rate
        self.sequence = sequence
        self.start = timestamp
        self.now = 0  # ms
        self.packets: list[Packet] = []

    def _send(self, timestamp: int, body: bytes, marker: bool) -> None:
        self.packets.append(Packet(self.now, self.sequence & 0xFFFF, timestamp & 0xFFFFFFFF, body, marker))
        self.sequence += 1

    def press(self, digit: str | int, milliseconds: int, gap: int = 60) -> None:
        per_ms = self.rate // 1000
        segment = self.start + self.now * per_ms
        before, marker = 0, True
        for elapsed in range(20, milliseconds + 1, 20):
            duration = elapsed * per_ms - before
            if duration > 0xFFFF:
                self._send(segment, payload(digit, 0xFFFF), marker)
                segment, before, duration = segment + 0xFFFF, before + 0xFFFF, duration - 0xFFFF
            end = elapsed == milliseconds
            for _ in range(3 if end else 1):
                self._send(segment, payload(digit, duration, end=end), marker)
                marker = False
            self.now += 20
        self.now += gap

    def sound(self, milliseconds: int) -> None:
        """Packets of audio, which are none of our business but for their numbers."""
        self.sequence += milliseconds // 20
        self.now += milliseconds


def received(packets: list[Packet], rate: int = 8000, clock: int | None = None) -> list[tuple[str, int]]:
    """What is told of these packets, given in this order, and when nothing more comes."""
    events = TelephoneEvents(rate, clock or rate)
    told, now = [], 0
    for packet in packets:
        while now < packet.at:
            now = min(now + 20, packet.at)
            told += events.pull(now * MS)
        events.push(packet.sequence, packet.timestamp, packet.payload, marker=packet.marker, now_ns=now * MS)
        told += events.pull(now * MS)
    return told + events.pull((now + TIMEOUT) * MS)


@pytest.mark.parametrize("rate", [8000, 48000])
def test_every_key_is_told_once_with_its_length(rate: int) -> None:
    sender = Sender(rate)
    for digit in DIGITS:
        sender.press(digit, 100)
        sender.sound(100)
    assert received(sender.packets, rate) == [(digit, 100) for digit in DIGITS]


def test_the_reserved_bit_and_the_volume_say_nothing() -> None:
    """RFC 4733 sections 2.3.3 and 2.3.4."""
    for second in (0x80, 0xC0, 0xBF, 0xFF):
        events = TelephoneEvents()
        events.push(1, 0, bytes([5, second & 0x7F, 0, 160]), marker=True, now_ns=0)
        events.push(2, 0, bytes([5, second, 1, 64]), now_ns=20 * MS)
        assert events.pull(20 * MS) == [("5", 40)]


def test_the_same_key_pressed_again_is_told_again() -> None:
    sender = Sender()
    for _ in range(5):
        sender.press("5", 60, gap=0)
    assert received(sender.packets) == [("5", 60)] * 5


def test_a_key_is_told_as_soon_as_its_end_has_come() -> None:
    events = TelephoneEvents()
    events.push(1, 0, payload("1", 160), marker=True, now_ns=0)
    assert events.pull(20 * MS) == []
    events.push(2, 0, payload("1", 320, end=True), now_ns=20 * MS)
    assert events.pull(20 * MS) == [("1", 40)]


@pytest.mark.parametrize(("rate", "seconds"), [(8000, 20), (48000, 5)])
def test_a_key_held_for_longer_than_a_segment_is_one(rate: int, seconds: int) -> None:
    sender = Sender(rate)
    sender.press("7", seconds * 1000)
    sender.press("8", 100)
    assert received(sender.packets, rate) == [("7", seconds * 1000), ("8", 100)]


def test_a_segment_whose_last_report_is_lost_goes_on_all_the_same() -> None:
    sender = Sender(48000)
    sender.press("7", 3000)
    full = [packet for packet in sender.packets if packet.payload[2:] != b"\xff\xff"]
    assert len(full) == len(sender.packets) - 2
    assert received(full, 48000) == [("7", 3000)]


def test_a_segment_that_begins_a_packet_later_goes_on_too() -> None:
    packets = [Packet(n * 20, n, 0, payload("7", min(n * 960 + 960, 0xFFFF)), n == 0) for n in range(69)]
    packets += [Packet(1380 + n * 20, 69 + n, 69 * 960, payload("7", n * 960 + 705), False) for n in range(5)]
    packets += [Packet(1480, 74, 69 * 960, payload("7", 5000, end=True), False)]
    assert received(packets, 48000) == [("7", (0xFFFF + 5000) // 48)]


def test_events_of_8_khz_among_sound_of_48_khz_may_be_stamped_by_its_clock() -> None:
    packets = [Packet(n * 20, n, 77, payload("3", min(n * 160 + 160, 0xFFFF)), n == 0) for n in range(410)]
    later = 77 + 0xFFFF * 6
    packets += [Packet(8200, 410, later, payload("3", 200), False)]
    packets += [Packet(8220, 411, later, payload("3", 400, end=True), False)]
    assert received(packets, 8000, 48000) == [("3", (0xFFFF + 400) // 8)]


def test_the_marker_tells_a_new_key_from_a_segment() -> None:
    first = [Packet(0, 1, 0, payload("1", 160), True)]
    second = [Packet(20, 2, 0xFFFF, payload("1", 160, end=True), True)]
    assert received(first + second) == [("1", 20), ("1", 20)]


def test_a_new_key_ends_the_one_whose_end_was_lost() -> None:
    sender = Sender()
    sender.press("1", 100)
    sender.press("2", 100)
    packets = [packet for packet in sender.packets if packet.payload[:2] != payload("1", 0, end=True)[:2]]
    assert received(packets) == [("1", 80), ("2", 100)]


def test_a_key_of_which_nothing_more_comes_ends_after_a_while() -> None:
    events = TelephoneEvents()
    for n in range(4):
        events.push(n, 0, payload("1", 160 * (n + 1)), marker=n == 0, now_ns=n * 20 * MS)
    assert events.pull(290 * MS) == []
    assert events.pull(310 * MS) == [("1", 80)]
    events.push(4, 0, payload("1", 4000), now_ns=320 * MS)
    events.push(5, 0, payload("1", 4000, end=True), now_ns=340 * MS)
    assert events.pull(1000 * MS) == []


def test_ends_of_the_last_key_that_come_while_the_next_is_pressed_are_nothing_new() -> None:
    one, two = payload("1", 800, end=True), payload("2", 160)
    packets = [
        Packet(0, 1, 0, payload("1", 640), True),
        Packet(20, 2, 0, one, False),
        Packet(40, 3, 1000, two, True),
        Packet(40, 4, 0, one, False),
        Packet(60, 5, 1000, payload("2", 320), False),
        Packet(60, 6, 0, one, False),
        Packet(80, 7, 1000, payload("2", 480, end=True), False),
    ]
    assert received(packets) == [("1", 100), ("2", 60)]


def test_several_in_one_packet_follow_each_other() -> None:
    body = payload("1", 400, end=True) + payload("2", 400, end=True) + payload("3", 160)
    packets = [Packet(0, 1, 1000, body, False)] * 2
    packets += [Packet(20, 2, 1800, payload("3", 320, end=True), False)] * 3
    assert received(packets) == [("1", 50), ("2", 50), ("3", 40)]


@pytest.mark.parametrize("count", range(1, 9))
def test_many_that_are_over_in_one_packet_are_told_once(count: int) -> None:
    body = b"".join(payload(code, 800, end=True) for code in range(count))
    packets = [Packet(20 * n, n, 1000, body, n == 0) for n in range(3)]
    assert received(packets) == [(DIGITS[code], 100) for code in range(count)]


def test_the_same_key_pressed_again_when_a_segment_might_have_ended_is_told() -> None:
    """Of the first all but one packet is lost, and of the second the one with the marker."""
    packets = [Packet(0, 1, 0, payload("5", 960), True)]
    packets += [Packet(1460 + 20 * n, 80 + n, 70000, payload("5", 960 * (n + 2), end=n > 1), False) for n in range(5)]
    assert received(packets, 48000) == [("5", 20), ("5", 80)]


def test_a_clock_that_jumps_back_hides_nothing() -> None:
    sender = Sender(timestamp=3_000_000)
    sender.press("1", 100)
    sender.start = 5
    sender.press("2", 100)
    assert received(sender.packets) == [("1", 100), ("2", 100)]


def test_after_a_long_time_the_sequence_numbers_say_nothing() -> None:
    sender = Sender()
    sender.press("1", 100)
    sender.sound(800_000)
    sender.press("2", 100)
    assert received(sender.packets) == [("1", 100), ("2", 100)]


def test_what_is_no_key_is_counted_and_not_told() -> None:
    events = TelephoneEvents()
    for n, code in enumerate([17, 32, 64, 255]):
        events.push(n, n * 1000, payload(code, 160, end=True), now_ns=0)
    assert events.pull(0) == []
    assert events.counters == {"received": 0, "unknown": 4, "dropped": 0}


@pytest.mark.parametrize("body", [b"", b"\1", b"\1\2\3", b"\1\2\3\4\5"])
def test_what_is_too_short_or_odd_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="telephone event"):
        TelephoneEvents().push(1, 1, body, now_ns=0)


def test_a_flood_of_keys_is_bounded() -> None:
    events = TelephoneEvents()
    for n in range(100):
        events.push(n, n * 1000, payload("1", 160, end=True), now_ns=0)
    assert len(events.pull(0)) == 16
    assert events.counters == {"received": 100, "unknown": 0, "dropped": 84}


KEYS = st.lists(
    st.tuples(
        st.sampled_from(DIGITS), st.integers(2, 11).map(lambda n: n * 20), st.integers(0, 10).map(lambda n: n * 20)
    ),
    min_size=1,
    max_size=12,
)

#: How late each copy of a packet is, in ms: half of the packets come once and in time, others not, late or twice.
FATES = st.sampled_from([(0,)] * 6 + [()] * 2 + [(20,), (40,), (0, 20), (0, 40)])


@settings(max_examples=200, deadline=None)
@given(keys=KEYS, rate=st.sampled_from([8000, 48000]), data=st.data())
def test_loss_disorder_and_copies_neither_hide_a_key_nor_double_it(
    keys: list[tuple[str, int, int]], rate: int, data: st.DataObject
) -> None:
    """Each packet is lost, late by up to 40 ms, or there twice. What is to be told is worked out from who arrived."""
    sender = Sender(rate, sequence=data.draw(st.integers(0, 0xFFFF)), timestamp=data.draw(st.integers(0, 2**32 - 1)))
    starts = []
    for digit, milliseconds, gap in keys:
        starts.append((sender.start + sender.now * rate // 1000) & 0xFFFFFFFF)
        sender.press(digit, milliseconds, gap)
    arrivals: list[tuple[int, int, Packet]] = []
    fates = data.draw(st.lists(FATES, min_size=len(sender.packets), max_size=len(sender.packets)))
    for n, (packet, delays) in enumerate(zip(sender.packets, fates, strict=True)):
        arrivals += [(packet.at + delay, n, packet) for delay in delays]
    arrivals.sort(key=lambda arrival: arrival[:2])
    packets = [Packet(at, p.sequence, p.timestamp, p.payload, p.marker) for at, _, p in arrivals]

    # The oracle: each key of which a packet came before any packet of a later one, and nothing else, in order.
    order = {start: n for n, start in enumerate(starts)}
    latest, seen = -1, []
    for packet in packets:
        which = order[packet.timestamp]
        if which > latest:
            latest = which
            seen.append(which)
    told = received(packets, rate)
    assert [digit for digit, _ in told] == [keys[which][0] for which in seen]
    for (_, milliseconds), which in zip(told, seen, strict=True):
        mine = [p for p in packets if order[p.timestamp] == which]
        assert milliseconds <= keys[which][1]
        # whole if its end came before a later one began, or at least as long as its first packet says
        first_end = next((n for n, p in enumerate(mine) if p.payload[1] & 0x80), None)
        overtaken = next((p.at for p in packets if order[p.timestamp] > which), None)
        if first_end is not None and (overtaken is None or mine[first_end].at < overtaken):
            assert milliseconds == keys[which][1]
        assert milliseconds >= int.from_bytes(mine[0].payload[2:], "big") * 1000 // rate


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=40),
            st.booleans(),
            st.integers(0, 500),
        ),
        max_size=60,
    ),
    st.sampled_from([(8000, 8000), (8000, 48000), (48000, 48000), (48000, 8000)]),
)
def test_anything_is_taken_within_bounds(
    packets: list[tuple[int, int, bytes, bool, int]], rates: tuple[int, int]
) -> None:
    events = TelephoneEvents(*rates)
    now, told = 0, []
    for sequence, timestamp, body, marker, wait in packets:
        now += wait
        try:
            events.push(sequence, timestamp, body, marker=marker, now_ns=now * MS)
        except ValueError:
            assert len(body) % 4 or not body
        told += events.pull(now * MS)
    told += events.pull((now + TIMEOUT) * MS)
    counters = events.counters
    assert len(told) + counters["dropped"] == counters["received"]
    assert all(digit in DIGITS and 0 <= milliseconds < 2**31 for digit, milliseconds in told)
