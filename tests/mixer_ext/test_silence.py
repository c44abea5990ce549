"""Silent streams cost nothing, and nothing is lost by it."""

import av
import numpy as np
import pytest

from mixer_ext import JitterBuffer, Opus, level
from tests.mixer_ext.peers import FRAME, RATE, Peer, Samples, Stage, loudness, tone
from tests.mixer_ext.test_stream import voice

SPEECH = voice(100).reshape(-1, FRAME)
LEVEL = 5


def background(frames: int, dbov: float = -65.0) -> Samples:
    noise = np.random.default_rng(7).normal(0, 32768 * 10 ** (dbov / 20), (frames, FRAME))
    return noise.astype(np.int16)


def decodes(stage: Stage) -> int:
    return int(stage.plane.plane_stats()["decodes"])


def packets(encoder: Opus, frames: Samples) -> list[bytes]:
    return [encoder.encode(frame) for frame in frames]


def test_the_voice_of_a_packet_is_seen_without_decoding_it() -> None:
    opus = Opus()
    silent = packets(opus, background(100))[50:]
    spoken = packets(opus, SPEECH)
    assert not any(opus.voiced(payload) for payload in silent)
    assert sum(opus.voiced(payload) for payload in spoken) > 75
    assert opus.voiced(spoken[0])
    assert not opus.voiced(b"\xf8\xff\xfe")  # nothing at all
    assert not opus.voiced(b"\x08")  # a pause
    with pytest.raises(ValueError, match="not an Opus packet"):
        opus.voiced(b"")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("milliseconds", [10, 20, 40, 60])
def test_so_it_is_in_packets_of_any_length(milliseconds: int, channels: int) -> None:
    opus = Opus()
    for sound, wanted in ((background(120), False), (SPEECH, True)):
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate, codec.format = RATE, "s16"
        codec.layout, codec.bit_rate = ("mono" if channels == 1 else "stereo"), 16000 * channels
        codec.options = {"application": "voip", "frame_duration": str(milliseconds), "vbr": "on"}
        size = RATE * milliseconds // 1000
        flat = np.repeat(sound.reshape(-1), channels).reshape(1, -1)
        found = []
        for start in range(0, flat.shape[1] - size * channels + 1, size * channels):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(flat[:, start : start + size * channels]), format="s16", layout=codec.layout.name
            )
            frame.sample_rate = RATE
            found += [opus.voiced(bytes(packet)) for packet in codec.encode(frame) if not bytes(packet)[0] & 0x80]
        later = found[len(found) // 2 :]
        assert later
        assert (np.mean(later) > 0.6) if wanted else not any(later)


def say(stage: Stage, peer: Peer, frame: Samples, told: bool) -> None:
    if told:
        loud = level(frame)
        peer.say(frame, stage.address, level_extension=LEVEL, level=int(min(127, -loud)), voice=True)
    else:
        peer.say(frame, stage.address)


@pytest.mark.parametrize("told", [True, False], ids=["by the level", "by the codec"])
def test_the_silent_are_neither_decoded_nor_mixed_nor_encoded_for(stage: Stage, told: bool) -> None:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer(level_extension=LEVEL * told)[0] for _ in range(6)]
    for leg in legs:
        stage.plane.join(leg, mixer)
    quiet = background(500)
    for n in range(500):
        if n == 400:
            before = stage.plane.plane_stats()
        for leg in legs:
            say(stage, stage.peers[leg], SPEECH[n % 100] if leg == legs[0] else quiet[n], told)
        stage.tick()
    after = stage.plane.plane_stats()
    # Whoever tells no level is listened to for a moment now and then.
    assert 100 <= after["decodes"] - before["decodes"] <= (100 if told else 100 + 5 * 4)
    assert after["encodes"] - before["encodes"] == 100
    assert after["mixes"] - before["mixes"] == 200  # that of the others, and that of the talker, who hears nothing
    assert stage.plane.stats(legs[1])["spared"] > 450
    assert not any(event[0] == "speaking" and event[1] != legs[0] for event in stage.events)


def lag(got: Samples, right: Samples) -> int:
    """Samples that one comes later than the other."""
    size = 2 * len(got)
    spectrum = np.fft.rfft(got.astype(float), size) * np.conj(np.fft.rfft(right.astype(float), size))
    return int(np.argmax(np.fft.irfft(spectrum)[: 10 * FRAME]))


@pytest.mark.parametrize("told", [True, False], ids=["by the level", "by the codec"])
def test_of_who_begins_to_speak_not_a_syllable_is_lost(stage: Stage, told: bool) -> None:
    leg, peer = stage.peer(level_extension=LEVEL * told)
    mixer = stage.plane.add_mixer()
    stage.plane.join(leg, mixer)
    tap = stage.plane.tap(mixer)
    decoder, right, heard = Opus(), [], []
    for frame in (*background(150), *SPEECH):
        payload = peer.codec.encode(frame)
        extension = {"level_extension": LEVEL, "level": int(min(127, -level(frame)))} if told else {}
        peer.say(payload, stage.address, **extension)
        right.append(np.frombuffer(decoder.decode(payload), np.int16))
        stage.tick()
        heard.append(stage.plane.tap_read(tap))
    assert stage.plane.stats(leg)["spared"] > 100
    start = 150 * FRAME
    late = lag(np.concatenate(heard), np.concatenate(right))
    wanted = np.concatenate(right)[start : start + 50 * FRAME].astype(float)
    got = np.concatenate(heard)[start + late : start + late + 50 * FRAME].astype(float)

    def error(first: int, last: int) -> float:
        part = slice(first * FRAME, last * FRAME)
        return float(10 * np.log10(np.square(got[part] - wanted[part]).sum() / np.square(wanted[part]).sum() + 1e-12))

    assert error(0, 1) < -20
    assert error(1, 3) < -30
    assert error(10, 50) < -60


def test_a_tone_is_no_voice_and_is_heard_all_the_same(stage: Stage) -> None:
    leg, peer = stage.peer()
    mixer = stage.plane.add_mixer()
    stage.plane.join(leg, mixer)
    tap = stage.plane.tap(mixer)
    stage.run(200, {leg: 440})
    assert isinstance(peer.codec, Opus)
    assert not peer.codec.voiced(peer.codec.encode(tone(440, 1, 200)))
    assert loudness(stage.plane.tap_read(tap)[-24000:], 440) > 120
    assert stage.plane.stats(leg)["spared"] <= 3


def test_who_records_a_leg_hears_its_background_too(stage: Stage) -> None:
    leg, peer = stage.peer(level_extension=LEVEL)
    frames = background(150)
    for n, frame in enumerate(frames):
        if n == 100:
            tap = stage.plane.tap(leg)
        say(stage, peer, frame, True)
        stage.tick()
    assert stage.plane.stats(leg)["spared"] > 95
    assert level(stage.plane.tap_read(tap)[-FRAME:]) > -75


def test_a_level_that_says_silence_of_what_is_voice_is_not_believed(stage: Stage) -> None:
    leg, peer = stage.peer(level_extension=LEVEL)
    for n in range(100):
        peer.say(SPEECH[n], stage.address, level_extension=LEVEL, level=127, voice=False)
        stage.tick()
    assert stage.plane.stats(leg)["level_dbov"] > -30
    assert ("speaking", leg, True) in stage.events


def test_what_grows_too_slowly_to_be_voice_is_heard_within_seconds(stage: Stage) -> None:
    leg, peer = stage.peer()
    opus = Opus()
    silent = packets(opus, background(150))[-1]
    loud = packets(Opus(), tone(440, 100).reshape(-1, FRAME))[-1]
    assert not opus.voiced(silent)
    assert not opus.voiced(loud)
    for _ in range(300):
        peer.say(silent, stage.address)
        stage.tick()
    spared = stage.plane.stats(leg)["spared"]
    assert spared > 280
    for _ in range(330):
        peer.say(loud, stage.address)
        stage.tick()
    assert stage.plane.stats(leg)["level_dbov"] > -30
    assert stage.plane.stats(leg)["spared"] - spared <= 300


def test_the_noise_of_who_is_only_joined_to_another_leg_is_heard(stage: Stage) -> None:
    """In a call there is nobody who could be heard in its place."""
    (one, first), (other, second) = stage.peer(), stage.peer()
    stage.plane.join(one, other)
    for frame in background(150, -55.0):
        first.say(frame, stage.address)
        stage.tick()
    assert level(second.heard[-1]) > -70
    assert stage.plane.stats(one)["spared"] == 0


def test_a_muted_leg_costs_nothing_and_of_what_it_said_nothing_is_heard_later(stage: Stage) -> None:
    leg, _ = stage.peer()
    tap = stage.plane.tap(leg)
    stage.run(50, {leg: 440})
    said = stage.plane.tap_read(tap)
    stage.plane.set_mute(leg, True)
    stage.run(1, {leg: 440})
    last = stage.plane.tap_read(tap).astype(int)
    steps = np.abs(np.diff(np.concatenate([said[-FRAME:], last])))
    assert steps.max() <= 1.2 * np.abs(np.diff(said.astype(int))).max()  # it fades
    assert last.any()
    assert not last[FRAME // 2 :].any()
    before = decodes(stage)
    stage.run(50, {leg: 440})
    assert decodes(stage) == before
    assert not stage.plane.tap_read(tap).any()
    assert stage.plane.stats(leg)["depth_ms"] == 0
    assert stage.plane.stats(leg)["received"] == 101
    stage.plane.set_mute(leg, False)
    stage.run(25, {leg: 1000})
    sound = stage.plane.tap_read(tap)
    assert loudness(sound[-19200:], 1000) > 110
    assert loudness(sound, 440) < 90


def test_where_nobody_speaks_nothing_is_done(stage: Stage) -> None:
    mixers = [stage.plane.add_mixer() for _ in range(3)]
    stage.plane.join(mixers[0], mixers[1])
    for mixer in mixers:
        for _ in range(2):
            stage.plane.join(stage.peer()[0], mixer)
    stage.tick(20)
    before = stage.plane.plane_stats()
    stage.tick(50)
    after = stage.plane.plane_stats()
    assert after["decodes"] == before["decodes"]
    assert after["encodes"] == before["encodes"]


def test_who_begins_with_a_background_is_not_heard_for_a_moment() -> None:
    """A call begins with the room that it is made from; if each were mixed for that long, all would need encoders."""
    noise = packets(Opus(), background(60))[40:]
    buffer = JitterBuffer()
    buffer.spare(True)
    for n, payload in enumerate(noise):
        buffer.push(n, n * FRAME, payload, arrival=n * 20.0 - 60)
    assert not any(buffer.pull().any() for _ in range(2))


@pytest.mark.parametrize("lost", [(200,), (150, 151, 220), tuple(range(100, 300, 30))])
def test_a_lost_packet_makes_no_background_heard_of_which_the_level_is_known(
    stage: Stage, lost: tuple[int, ...]
) -> None:
    """It is louder than what wakes a stream whose level is not known, and still no speech."""
    mixer = stage.plane.add_mixer()
    (leg, peer), (other, _) = stage.peer(level_extension=LEVEL), stage.peer(level_extension=LEVEL)
    for each in (leg, other):
        stage.plane.join(each, mixer)
    heard = stage.plane.tap(mixer)
    for n, frame in enumerate(background(1100, -46.0), -750):
        if n == 0:  # by now it is known that this is the background
            stage.plane.tap_read(heard)
        packet = peer.packet(frame, level_extension=LEVEL, level=round(-level(frame)), voice=False)
        if n not in lost:
            peer.send(packet, stage.address)
        stage.tick()
    assert not stage.plane.tap_read(heard).any()


def test_who_has_stopped_sending_is_not_heard_later(stage: Stage) -> None:
    """What was kept of him is looked at only when it has just come."""
    mixer = stage.plane.add_mixer()
    (leg, peer), (other, _) = stage.peer(), stage.peer()
    for each in (leg, other):
        stage.plane.join(each, mixer)
    live = stage.plane.tap(mixer)
    silent = packets(Opus(), background(100))[-1]
    loud = packets(Opus(), tone(440, 100, 0, 10000).reshape(-1, FRAME))[-1]
    assert not Opus().voiced(loud)
    for payload in [silent] * 400 + [loud] * 6:
        peer.say(payload, stage.address)
        stage.tick()
    stage.plane.tap_read(live)
    stage.tick(10)
    stage.plane.tap_read(live)
    stage.tick(700)
    assert not stage.plane.tap_read(live).any()
