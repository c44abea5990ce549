"""Signals in a mixer and on real calls: told, or the end of the component (XEP-0341)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import numpy as np
import pytest

from focus.engines.spandsp import library
from focus.media.plane import MediaPlane
from focus.rayo.component import Facilities
from focus.rayo.components import registry
from focus.wire.conditions import BadRequest, OptionNotSupported, StanzaError
from focus.wire.jingle import Reason as JingleReason
from focus.wire.rayo import Join
from focus.wire.rayo_component import Complete, HungUp, Stop, Stopped
from focus.wire.rayo_cpa import CPA, Signal
from focus.wire.rayo_input import Grammar, Input, NoInput
from tests.engines.signalled import cadence, keys, tone
from tests.engines.spoken import say, silence

from .at_work import Scene
from .calling import answered
from .scene import Client, Focus, settled
from .test_component import started
from .test_in_band import Desk, desk, leg_of, plane  # noqa: F401 - fixtures

URN = "urn:xmpp:rayo:cpa:"


def cpa(*signals: str, **options: object) -> Input:
    grammars = tuple(Grammar(url=f"{URN}{name}") for name in signals)
    return Input(mode="cpa", grammars=grammars, **options)  # type: ignore[arg-type]


@pytest.fixture
async def scene(plane: MediaPlane) -> AsyncIterator[Scene]:  # noqa: F811
    scene = Scene(plane, Facilities(plane))
    scene.speakers = [plane.create_mixer()]
    yield scene
    await scene.close()


def play(scene: Scene, sound: np.ndarray) -> None:
    """Somebody in the mixer sends this."""
    (speaker,) = scene.speakers
    assert scene._plane.play(speaker, sound) == len(sound)


CALLED = np.concatenate([cadence(1, 0.5, 0.5, frequencies=[1100]), tone(0.4, 1400), silence(1)])


async def test_each_signal_is_told_until_one_that_is_to_end_it(scene: Scene) -> None:
    await scene.begin(cpa("fax-cng:1", "beep:1?terminate=true", "busy:1"))
    play(scene, CALLED)
    reason = (await scene.complete()).reason
    assert isinstance(reason, Signal)
    assert (reason.type, reason.value) == (f"{URN}beep:1", "1400")
    assert reason.duration == pytest.approx(400, abs=80)
    assert scene.events[:-1] == [Signal(type=f"{URN}fax-cng:1")]


async def test_what_nobody_has_asked_for_is_not_told(scene: Scene) -> None:
    await scene.begin(cpa("fax-ced:1", "sit:1?terminate=true"))
    play(scene, np.concatenate([CALLED, tone(0.33, 950), tone(0.33, 1400), tone(0.33, 1800), silence(0.5)]))
    reason = (await scene.complete()).reason
    assert isinstance(reason, Signal)
    assert reason.type == f"{URN}sit:1"
    assert len(scene.events) == 1


async def test_what_is_played_in_a_mixer_is_no_signal(scene: Scene) -> None:
    await scene.begin(cpa("beep:1?terminate=true"))
    assert scene.node is not None
    scene._plane.play(scene.node, np.concatenate([silence(0.2), tone(0.4, 1400), silence(0.2)]))
    play(scene, np.concatenate([silence(0.8), tone(0.4, 1000), silence(0.5)]))
    reason = (await scene.complete()).reason
    assert isinstance(reason, Signal)
    assert reason.value == "1000"
    assert len(scene.events) == 1


async def test_keys_are_signals_with_how_long_they_were(scene: Scene) -> None:
    component = await scene.begin(cpa("dtmf:1"))
    assert component.wants_keys
    for key in "1!#":
        component.key_pressed(key, 0.12)
    await scene.until(lambda: len(scene.events) == 2)
    assert scene.events == [Signal(type=f"{URN}dtmf:1", duration=120, value=key) for key in "1#"]
    await scene.does(Stop())
    assert (await scene.complete()).reason == Stopped()


async def test_where_nothing_is_heard_in_time_it_ends(scene: Scene) -> None:
    await scene.begin(cpa("beep:1", "dtmf:1", initial_timeout=200))
    assert (await scene.complete()).reason == NoInput()


async def test_speech_is_a_persons_or_a_machines(scene: Scene) -> None:
    speech = await say("Hello?")
    await scene.begin(cpa("speech:1?maxTime=4000;minSpeechDuration=100;minVolume=10;finalSilence=500;terminate=true"))
    play(scene, np.concatenate([silence(0.3), speech, silence(1.5)]))
    reason = (await scene.complete()).reason
    assert isinstance(reason, Signal)
    assert (reason.type, reason.value) == (f"{URN}speech:1", "human")


@pytest.mark.parametrize(
    ("command", "refusal", "why"),
    [
        (cpa("yawn:1"), OptionNotSupported, "yawn"),
        (cpa("beep:1?pitch=3"), OptionNotSupported, "pitch"),
        (cpa("dtmf:1?length=3"), OptionNotSupported, "dtmf"),
        (cpa("beep:1?minDuration=soon"), BadRequest, "minDuration"),
        (cpa("beep:1", "beep:1?terminate=true"), BadRequest, "twice"),
        (cpa("beep:1", terminator="#"), OptionNotSupported, "terminator"),
        (cpa("beep:1", max_silence=100), OptionNotSupported, "max-silence"),
        (cpa("beep:1", recognizer="ears"), OptionNotSupported, "recognizer"),
        (Input(mode="cpa", grammars=(Grammar(url="builtin:dtmf/digits"),)), BadRequest, "builtin"),
        (
            Input(mode="cpa", grammars=(Grammar(url=f"{URN}beep:1"), Grammar(content_type="a/b", body="<grammar/>"))),
            BadRequest,
            "URIs",
        ),
        (Input(mode="dtmf", grammars=(Grammar(url=f"{URN}beep:1"),)), BadRequest, URN),
    ],
)
async def test_what_cannot_be_listened_for_is_refused(
    scene: Scene, command: Input, refusal: type[StanzaError], why: str
) -> None:
    with pytest.raises(refusal, match=why):
        await scene.begin(command)
    assert not scene.events


async def test_without_the_library_what_it_detects_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NAME", "libno-such.so")
    library.load.cache_clear()
    with pytest.raises(OptionNotSupported, match="libspandsp2"):
        await scene.begin(cpa("modem:1"))
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    for signal in ("vad:1", "speech:1"):
        with pytest.raises(OptionNotSupported, match="webrtcvad"):
            await scene.begin(cpa(signal))
    await scene.begin(cpa("ring:1", initial_timeout=100))
    assert (await scene.complete()).reason == NoInput()
    monkeypatch.undo()
    library.load.cache_clear()


def test_it_is_told_that_signals_are_detected() -> None:
    assert CPA in registry.features


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_a_call_and_the_mixer_it_is_in_hear_what_its_peer_sends(
    focus: Focus,
    owner: Client,
    desk: Desk,  # noqa: F811
    codec: str,
) -> None:
    desk.codec = codec
    call = await answered(focus, desk, owner)
    await owner.command(call, Join(mixer_name="tea"))
    places = call, focus.addresses.mixer("tea")
    for _ in range(5):  # a machine that stalls tears holes into what is played
        components = [await started(owner, each, cpa("beep:1?terminate=true", initial_timeout=5000)) for each in places]
        await settled()
        leg_of(desk).play(np.concatenate([silence(0.2), tone(0.6, 1400), silence(0.6)]))
        reasons = []
        for component in components:
            _, complete = await owner.event(Complete, component)
            assert isinstance(complete, Complete)
            reasons.append(complete.reason)
        if all(isinstance(each, Signal) for each in reasons):
            break
    assert [each.value for each in reasons if isinstance(each, Signal)] == ["1400", "1400"]


async def test_keys_that_are_sound_are_signals_too_and_the_end_of_the_call_is_its_end(
    focus: Focus,
    owner: Client,
    desk: Desk,  # noqa: F811
) -> None:
    call = await answered(focus, desk, owner)
    component = await started(owner, call, cpa("dtmf:1"))
    leg_of(desk).play(keys("5", 0.4))
    _, signal = await owner.event(Signal, component)
    assert isinstance(signal, Signal)
    assert signal.value == "5"
    assert signal.duration
    desk.sessions[0].hangup(JingleReason.of("success"))
    _, complete = await owner.event(Complete, component)
    assert isinstance(complete, Complete)
    assert complete.reason == HungUp()
