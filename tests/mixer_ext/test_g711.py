"""G.711 against the tables of ITU-T G.711, its resampling, and legs that speak it."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from mixer_ext import Companded, compress, expand
from tests.mixer_ext.peers import FRAME, Peer, Samples, Stage, loudness, tone

LAWS = ["pcmu", "pcma"]


def thresholds(law: str) -> tuple[list[int], int]:
    """The decision values x1... of tables 1a and 2a, and what one of their units is in 16 bits."""
    if law == "pcmu":
        values, steps, scale = [0, 1], [(15, 2), *((16, 4 << n) for n in range(7))], 4
    else:
        values, steps, scale = [0], [(32, 2), *((16, 4 << n) for n in range(6))], 8
    for count, step in steps:
        values += [values[-1] + step * (n + 1) for n in range(count)]
    return values, scale


def quantized(law: str) -> list[int]:
    """The 128 positive values that a decoder puts out, in 16 bits."""
    values, scale = thresholds(law)
    middles = [(a + b) * scale // 2 for a, b in pairwise(values)]
    return [0, *middles[1:]] if law == "pcmu" else middles


def code(law: str, n: int, negative: bool) -> int:
    if law == "pcmu":
        return (0x7F if negative else 0xFF) - n
    return (n if negative else n | 0x80) ^ 0x55


def sound(payload: bytes) -> Samples:
    return np.frombuffer(payload, np.int16)


def passed(law: str, samples: Samples) -> Samples:
    """Through an encoder and a decoder."""
    codec = Companded(law)
    return np.concatenate([sound(codec.decode(codec.encode(frame))) for frame in samples.reshape(-1, FRAME)])


@pytest.mark.parametrize("law", LAWS)
def test_every_code_is_the_value_of_the_recommendation(law: str) -> None:
    values = quantized(law)
    assert len(values) == 128
    assert values[-1] == {"pcmu": 8031 * 4, "pcma": 4032 * 8}[law]
    for negative in (False, True):
        payload = bytes(code(law, n, negative) for n in range(128))
        assert sound(expand(law, payload)).tolist() == [-value if negative else value for value in values]


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_becomes_the_code_of_its_interval(law: str) -> None:
    decisions, scale = thresholds(law)
    edges = np.array(decisions[1:-1]) * scale
    samples = np.arange(-32767, 32768, dtype=np.int16)
    intervals = np.searchsorted(edges, np.abs(samples.astype(int)), side="right")
    expected = [code(law, int(n), bool(sample < 0)) for n, sample in zip(intervals, samples, strict=True)]
    assert list(compress(law, samples)) == expected
    assert compress(law, np.array([-32768], np.int16)) == bytes([code(law, 127, True)])


@pytest.mark.parametrize("law", LAWS)
def test_a_tone_of_three_kilohertz_survives_and_one_of_five_does_not_come_back_as_three(law: str) -> None:
    low, high = tone(3000, 50), tone(5000, 50)
    heard = passed(law, low)[5 * FRAME :]
    reference = loudness(low[5 * FRAME :], 3000)
    assert abs(loudness(heard, 3000) - reference) < 0.5
    assert loudness(heard, 5000) < reference - 50  # its image
    alias = passed(law, high)[5 * FRAME :]
    assert loudness(alias, 3000) < reference - 50
    assert loudness(alias, 5000) < reference - 50


def test_the_response_is_flat_in_the_band_of_a_telephone() -> None:
    for frequency in (300, 1000, 2000, 3400):
        samples = tone(frequency, 30)
        difference = loudness(passed("pcma", samples)[5 * FRAME :], frequency) - loudness(
            samples[5 * FRAME :], frequency
        )
        assert abs(difference) < 0.5, frequency


def test_a_loss_is_filled_with_the_same_tone_and_then_fades() -> None:
    encoder, decoder = Companded("pcmu"), Companded("pcmu")
    payloads = [encoder.encode(frame) for frame in tone(500, 10).reshape(-1, FRAME)]
    for payload in payloads:
        decoder.decode(payload)
    first = sound(decoder.conceal(FRAME))
    assert loudness(first, 500) > loudness(tone(500, 1), 500) - 3
    decoder.conceal(2 * FRAME)
    decoder.conceal(FRAME)
    assert not sound(decoder.conceal(FRAME)).any()


def test_a_jump_back_from_concealment_does_not_click() -> None:
    encoder, decoder = Companded("pcmu"), Companded("pcmu")
    heard = []
    for n, frame in enumerate(tone(440, 30).reshape(-1, FRAME)):
        payload = encoder.encode(frame)
        heard.append(sound(decoder.conceal(FRAME) if n in (10, 20, 21) else decoder.decode(payload)))
    steps = np.abs(np.diff(np.concatenate(heard).astype(int)))
    assert steps.max() < 3 * np.abs(np.diff(tone(440, 10).astype(int))).max()


def test_comfort_noise_has_the_level_that_it_says() -> None:
    decoder = Companded("pcmu")
    decoder.decode(bytes([40]))
    noise = sound(decoder.conceal(5760)).astype(float)
    level = 20 * np.log10(np.sqrt(np.mean(noise**2)) / 32768)
    assert -43 < level < -39


def test_what_is_too_short_or_too_long_is_no_sound() -> None:
    for length in (0, 2, 39, 961):
        with pytest.raises(ValueError, match=r"G\.711"):
            Companded("pcmu").decode(bytes(length))


# legs


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def telephone(stage: Stage, law: str = "pcmu") -> tuple[int, Peer]:
    number = {"pcmu": 0, "pcma": 8}[law]
    leg, peer = stage.peer(payload_type=number, codec=Companded(law), unit=6)
    stage.plane.set_codec(leg, payload_type=number, name=law.upper())
    return leg, peer


@pytest.mark.parametrize("law", LAWS)
def test_a_telephone_and_a_browser_hear_each_other(stage: Stage, law: str) -> None:
    phone_leg, phone = telephone(stage, law)
    leg, peer = stage.peer()
    stage.plane.join(phone_leg, leg)
    stage.run(40, {phone_leg: 1000, leg: 2000})
    assert loudness(np.concatenate(peer.heard[10:]), 1000) > loudness(tone(1000, 30), 1000) - 2
    assert loudness(np.concatenate(phone.heard[10:]), 2000) > loudness(tone(2000, 30), 2000) - 2
    assert {(packet.payload_type, len(packet.payload)) for packet in phone.rtp} == {(phone.payload_type, 160)}
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(phone.rtp)} == {160}
    assert stage.plane.stats(phone_leg)["concealed"] == 0
    assert stage.plane.stats(phone_leg)["lost"] == 0


@pytest.mark.parametrize("milliseconds", [10, 20, 30, 40, 60])
def test_packets_of_any_usual_length_are_played_without_a_hole(stage: Stage, milliseconds: int) -> None:
    phone_leg, phone = telephone(stage)
    mixer = stage.plane.add_mixer()
    stage.plane.join(phone_leg, mixer)
    tap = stage.plane.tap(mixer)
    phone.timestamp = 2**32 - 4000  # it wraps on the way
    encoder = Companded("pcmu")
    wave = b"".join(encoder.encode(frame) for frame in tone(440, 60).reshape(-1, FRAME))
    size = milliseconds * 8
    sent = 0
    for tick in range(60):
        while sent + size <= (tick + 1) * 160:
            phone.say(wave[sent : sent + size], stage.address, timestamp=phone.timestamp)
            phone.timestamp = (phone.timestamp - 160 + size) & 0xFFFFFFFF
            sent += size
        stage.tick()
    heard = stage.plane.tap_read(tap)[8 * FRAME : 55 * FRAME]
    steps = np.abs(np.diff(heard.astype(int)))
    assert steps.max() < 2 * np.abs(np.diff(tone(440, 10).astype(int))).max()
    assert np.abs(heard).reshape(-1, 480).max(axis=1).min() > 6000
    assert stage.plane.stats(phone_leg)["jitter_ms"] < 21 + milliseconds


def test_comfort_noise_is_taken_and_bridges_a_pause(stage: Stage) -> None:
    phone_leg, phone = telephone(stage)
    mixer = stage.plane.add_mixer()
    stage.plane.join(phone_leg, mixer)
    tap = stage.plane.tap(mixer)
    stage.run(10, {phone_leg: 440})
    phone.say(bytes([45, 1, 2]), stage.address, payload_type=13)
    stage.tick(2)
    stage.plane.tap_read(tap)
    stage.tick(1)
    noise = stage.plane.tap_read(tap).astype(float)
    assert 0 < np.sqrt(np.mean(noise**2)) < 32768 * 10 ** (-40 / 20)
    assert stage.plane.stats(phone_leg)["dropped_payload_type"] == 0


def test_comfort_noise_ends_with_the_next_sound_or_after_a_while(stage: Stage) -> None:
    phone_leg, phone = telephone(stage)
    mixer = stage.plane.add_mixer()
    stage.plane.join(phone_leg, mixer)
    tap = stage.plane.tap(mixer)
    stage.run(10, {phone_leg: 440})
    phone.say(bytes([30]), stage.address, payload_type=13)
    stage.tick(3)
    assert np.abs(stage.plane.tap_read(tap)[-FRAME:]).max() > 300
    stage.run(10, {phone_leg: 440})
    heard = stage.plane.tap_read(tap)[-5 * FRAME :]
    assert loudness(heard, 440) - loudness(heard, 1700) > 40
    phone.say(bytes([30]), stage.address, payload_type=13)
    stage.tick(15)
    assert not stage.plane.tap_read(tap)[-FRAME:].any()


def test_comfort_noise_is_nothing_to_opus(stage: Stage) -> None:
    leg, peer = stage.peer()
    peer.say(bytes([45]), stage.address, payload_type=13)
    stage.tick()
    assert stage.plane.stats(leg)["dropped_payload_type"] == 1


def test_silence_is_the_codes_of_silence(stage: Stage) -> None:
    _, mu = telephone(stage, "pcmu")
    _, a = telephone(stage, "pcma")
    stage.tick(20)
    assert mu.rtp[-1].payload == b"\xff" * 160
    assert a.rtp[-1].payload == b"\xd5" * 160
    assert len(mu.rtp) == 20


@pytest.mark.parametrize("asleep", [False, True])
def test_what_waits_when_another_codec_comes_is_not_decoded_by_it(stage: Stage, asleep: bool) -> None:
    leg, peer = stage.peer()
    mixer = stage.plane.add_mixer()
    stage.plane.join(leg, mixer)
    if asleep:  # what was silent is kept
        for _ in range(120):
            peer.say(np.zeros(FRAME, np.int16), stage.address)
            stage.tick()
        assert stage.plane.stats(leg)["spared"]
    else:  # some of it has not been played
        for n in range(5):
            peer.say(tone(440, 1, n), stage.address)
        stage.tick()
    stage.plane.set_codec(leg, payload_type=0, name="pcmu")
    tap = stage.plane.tap(leg)
    peer.payload_type, peer.codec, peer.unit = 0, Companded("pcmu"), 6
    peer.timestamp //= 6
    for _ in range(40):
        peer.say(np.zeros(FRAME, np.int16), stage.address)
        stage.tick()
    assert np.abs(stage.plane.tap_read(tap).astype(int)).max() < 20
    assert stage.plane.stats(leg)["undecodable"] == 0
