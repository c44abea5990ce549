"""An output on the real plane: what is heard, where it is, how it ends. The sound says of each sample which it is."""

from __future__ import annotations

import asyncio
import io
import logging
import wave
from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest

from focus.engines.espeak import Espeak
from focus.engines.fetching import Fetched, FetchError
from focus.engines.piper import Piper
from focus.engines.synthesizer import Samples, UnknownVoice
from focus.media.plane import MediaPlane
from focus.media.tempo import Tempo
from focus.rayo.component import Facilities
from focus.rayo.components.output import FASTER
from focus.rayo.documents import Documents
from focus.rayo.rendering import Silence, SoundFile, Source
from focus.rayo.repertoire import Recital
from focus.wire.conditions import BadRequest, OptionNotSupported, ResourceConstraint, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo_component import Complete, Failed, Stop, Stopped
from focus.wire.rayo_output import (
    Document,
    Finish,
    MaxTime,
    Output,
    Pause,
    Resume,
    Seek,
    SpeedUp,
    VolumeDown,
)
from tests.engines.test_piper import TOOLS, VOICES, installed

from .at_work import CLIENT, RATE, Scene
from .test_rendering import Clock

#: Of the ramp that the marked sound is.
STEP = 8


def marked(seconds: float) -> Samples:
    """A ramp, slow enough for each millisecond to have a value of its own; 1000 and more, to be told from silence."""
    return (1000 + np.arange(int(seconds * RATE)) // STEP).astype(np.int16)


def wav(samples: Samples) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writing:
        writing.setparams((1, 2, RATE, 0, "NONE", ""))
        writing.writeframes(samples.tobytes())
    return file.getvalue()


LOUD = 20_000
SINE = (LOUD * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.int16)


class Web:
    """What can be fetched."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {
            "http://x/two": ("audio/wav", wav(marked(2))),
            "http://x/short": ("audio/wav", wav(marked(0.2))),
            "http://x/list": ("text/uri-list", b"# these\nshort\r\nhttp://x/short\n"),
            "http://x/text": ("text/plain", b"Hello"),
            "http://x/moved": ("text/uri-list", b"sound\n"),
            "http://x/there/sound": ("audio/wav", wav(marked(0.2))),
            "http://x/tone": ("audio/wav", wav(SINE)),
            "http://x/nested": ("text/uri-list", b"http://x/list\n"),
        }

    async def __call__(self, uri: str) -> Fetched:
        if uri == "http://x/busy":
            raise FetchError("later", temporary=True)
        if uri not in self.pages:
            raise FetchError(f"{uri}: HTTP 404")
        kind, body = self.pages[uri]
        uri = uri.replace("/moved", "/there/")
        return Fetched(uri, kind, "", io.BytesIO(body))


def seconds(samples: Samples, at: int) -> float:
    """Which place of the marked sound is heard at sample `at` of a part; beginnings and ends are ramps."""
    return (int(samples[at]) - 1000) * STEP / RATE


def begins(part: Samples) -> float:
    return seconds(part, 480) - 0.01


def ends(part: Samples) -> float:
    """Behind the last sample, which dies away in 5 ms."""
    return seconds(part, len(part) - 240 - 480) + 0.01


def leaps(parts: list[Samples]) -> list[tuple[float, float]]:
    """Where one part ends and the next begins, if they do not belong together: a busy machine makes parts of one."""
    ways = [(ends(one), begins(other)) for one, other in pairwise(parts)]
    return [(left, landed) for left, landed in ways if landed != pytest.approx(left, abs=0.003)]


@pytest.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
async def scene(plane: MediaPlane) -> AsyncIterator[Scene]:
    scene = Scene(plane, Facilities(plane, fetch=Web(), synthesizers={"espeak": Espeak()}))
    yield scene
    await scene.close()
    assert plane.snapshot()["mixers"] == 0


def url(*names: str) -> tuple[Document, ...]:
    return tuple(Document(url=f"http://x/{name}") for name in names)


async def test_sounds_are_heard_one_after_another_and_each_sample_of_them(scene: Scene) -> None:
    three = np.tile(marked(0.2), 3)
    for _ in range(5):  # once in a second in which nothing else has the processor
        await scene.begin(Output(documents=url("short", "list"), repeat_times=2, repeat_interval=100))
        assert await scene.complete() == Complete(reason=Finish())
        rounds = scene.parts()
        if (lengths := [len(part) for part in rounds]) == [pytest.approx(len(three), abs=300)] * 2:
            break
        scene.forget()
    else:
        pytest.fail(f"{lengths} samples are heard, not {len(three)} and the 240 in which it dies away")
    for part in rounds:
        middle = three[480:-480]  # the first samples of the ramp up are zero
        assert any((part[480 - lost : 480 - lost + len(middle)] == middle).all() for lost in range(20))


async def test_a_list_is_relative_to_where_it_was_found(scene: Scene) -> None:
    await scene.begin(Output(documents=url("moved")))
    assert (await scene.complete()).reason == Finish()
    assert len(scene.parts()) == 1


async def test_the_beginning_can_be_skipped(scene: Scene) -> None:
    await scene.begin(Output(documents=url("two"), start_offset=1500))
    await scene.complete()
    assert begins(scene.parts()[0]) == pytest.approx(1.5, abs=0.002)


async def test_a_pause_loses_nothing_and_repeats_nothing(scene: Scene) -> None:
    await scene.begin(Output(documents=url("two"), start_paused=True))
    await scene.does(Resume())
    await scene.until_heard(0.3)
    await scene.does(Pause())
    await scene.does(Pause())
    await scene.silence(0.3)
    await scene.does(Resume())
    assert (await scene.complete()).reason == Finish()
    parts = scene.parts()
    assert len(parts) > 1
    assert not leaps(parts)
    assert ends(parts[-1]) == pytest.approx(2, abs=0.003)


@pytest.mark.parametrize(("direction", "amount"), [("forward", 1000), ("back", 200), ("back", 9000)])
async def test_it_goes_forward_and_back(scene: Scene, direction: str, amount: int) -> None:
    await scene.begin(Output(documents=url("two")))
    await scene.until_heard(0.3)
    await scene.does(Seek(direction=direction, amount=amount))  # type: ignore[arg-type]
    await scene.does(Pause())  # so that there is silence between
    await scene.silence(0.2)
    await scene.does(Resume())
    await scene.complete()
    ((left, landed),) = leaps(scene.parts())
    expected = max(left + (amount if direction == "forward" else -amount) / 1000, 0)
    assert landed == pytest.approx(expected, abs=0.003)
    assert ends(scene.parts()[-1]) == pytest.approx(2, abs=0.003)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [((-1500, 1500), 1.5), ((300, 900), 1.2), ((900, -300), 0.6), ((900, -300, -700, 400, 800, -200), 1.0)],
)
async def test_each_seek_begins_where_the_one_before_has_ended(
    scene: Scene, moves: tuple[int, ...], expected: float
) -> None:
    await scene.begin(Output(documents=url("two"), start_paused=True))
    for move in moves:
        await scene.does(Seek(direction="forward" if move > 0 else "back", amount=abs(move)))
    await scene.does(Resume())
    await scene.complete()
    assert begins(scene.parts()[0]) == pytest.approx(expected, abs=0.002)


async def test_to_go_behind_the_end_ends_it(scene: Scene) -> None:
    await scene.begin(Output(documents=url("two")))
    await scene.does(Seek(direction="forward", amount=60_000))
    assert (await scene.complete()).reason == Finish()


async def test_faster_takes_less_time(scene: Scene) -> None:
    await scene.begin(Output(documents=url("two"), start_paused=True))
    await scene.does(SpeedUp())
    await scene.does(SpeedUp())
    await scene.does(Resume())
    await scene.complete()
    assert np.count_nonzero(scene.heard()) / RATE == pytest.approx(2 / FASTER**2, rel=0.05)


async def test_there_is_a_fastest_and_a_softest_and_the_pitch_stays(scene: Scene) -> None:
    await scene.begin(Output(documents=url("tone"), start_paused=True))
    for _ in range(20):
        await scene.does(SpeedUp())
        await scene.does(VolumeDown())
    await scene.does(Resume())
    await scene.complete()
    heard = scene.heard()
    assert np.count_nonzero(heard) / RATE == pytest.approx(2 / 2.5, rel=0.05)
    assert np.argmax(np.abs(np.fft.rfft(heard))) * RATE / len(heard) == pytest.approx(440, rel=0.02)
    usual = np.median(np.abs(heard[heard != 0]))  # the first 20 ms may be on their way from how loud it was before
    assert usual == pytest.approx(LOUD * np.sqrt(0.5) * 10 ** (-24 / 20), rel=0.1)


async def test_softer_is_softer(scene: Scene) -> None:
    await scene.begin(Output(documents=url("two"), start_paused=True))
    for _ in range(2):
        await scene.does(VolumeDown())
    await scene.does(Resume())
    await scene.until_heard(0.5)
    part = scene.parts()[0]
    assert part[4800:9600].mean() / marked(2)[4800:9600].mean() == pytest.approx(10 ** (-6 / 20), rel=0.01)


async def test_it_ends_when_its_time_is_over_in_which_pauses_do_not_count(scene: Scene) -> None:
    await scene.begin(Output(documents=url("short"), repeat_times=0, max_time=500, start_paused=True))
    await scene.does(Resume())
    assert (await scene.complete()).reason == MaxTime()
    assert 0.3 < np.count_nonzero(scene.heard()) / RATE < 1.0


async def test_what_is_stopped_falls_silent(scene: Scene) -> None:
    await scene.begin(Output(documents=url("two")))
    await scene.until_heard(0.2)
    await scene.does(Stop())
    assert (await scene.complete()).reason == Stopped()
    assert np.count_nonzero(scene.heard()) < 1.5 * RATE


async def test_text_and_ssml_are_spoken_and_sounds_played_between(scene: Scene) -> None:
    body = """<?xml version="1.0"?><speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">
      One <audio src="http://x/short"/> two <audio src="http://x/none">three</audio></speak>"""
    text, markup = (
        Document(content_type="text/plain", body="Hello"),
        Document(content_type="application/ssml+xml", body=body),
    )
    await scene.begin(Output(documents=(text, markup, *url("text"))))
    assert (await scene.complete()).reason == Finish()
    heard = scene.heard()
    assert np.abs(heard.astype(int)).max() > 5000
    pattern = marked(0.2)[480:-480]
    starts = np.flatnonzero(heard == pattern[0])
    assert any((heard[at : at + len(pattern)] == pattern).all() for at in starts if at + len(pattern) <= len(heard))


async def test_between_sounds_and_before_the_first_word_there_is_silence_where_a_break_is(plane: MediaPlane) -> None:
    body = """<speak xmlns="http://www.w3.org/2001/10/synthesis"><audio src="http://x/short"/><break time="700ms"/>
      <audio src="http://x/short"/><break time="0.9s"/>One</speak>"""
    sounds: list[Source] = []
    facilities = Facilities(plane, fetch=Web(), synthesizers={"espeak": Espeak()})
    documents = Documents(facilities, renderer=None, voice=None, into=sounds)
    await documents.take([Document(content_type="application/ssml+xml", body=body)])
    assert [type(each) for each in sounds] == [SoundFile, Silence, SoundFile, Silence, Recital]
    assert [each.length for each in sounds if isinstance(each, Silence)] == [0.7 * RATE, 0.9 * RATE]
    for each in sounds:
        await each.close()


class Bilingual(Clock):
    """Speaks German, and English by the voice "joe"."""

    async def language(self, voice: str | None) -> str:
        if voice == "nobody":
            raise UnknownVoice("there is nobody")
        return "en-us" if voice == "joe" else "de-de"


@pytest.mark.parametrize(("voice", "words"), [("joe", "3rd"), (None, "3")])
async def test_the_synthesizer_says_which_language_it_speaks(plane: MediaPlane, voice: str | None, words: str) -> None:
    sounds: list[Source] = []
    bilingual = Bilingual()
    documents = Documents(
        Facilities(plane, synthesizers={"bilingual": bilingual}), renderer=None, voice=voice, into=sounds
    )
    body = "<speak><say-as interpret-as='ordinal'>3</say-as></speak>"
    await documents.take([Document(content_type="application/ssml+xml", body=body)])
    assert [f">{words}<" in each for each in bilingual.asked] == [True]
    for each in sounds:
        await each.close()


async def test_who_says_nothing_needs_no_voice(plane: MediaPlane) -> None:
    sounds: list[Source] = []
    facilities = Facilities(plane, synthesizers={"bilingual": Bilingual()})
    documents = Documents(facilities, renderer=None, voice="nobody", into=sounds)
    await documents.take([Document(content_type="application/ssml+xml", body="<speak><break/></speak>")])
    assert [type(each) for each in sounds] == [Silence]


@installed
@pytest.mark.timeout(180)
async def test_the_renderer_that_is_asked_for_speaks(plane: MediaPlane) -> None:
    piper = Piper(str(TOOLS / "bin" / "piper"), folders=VOICES, tempo=Tempo)
    scene = Scene(plane, Facilities(plane, fetch=Web(), synthesizers={"espeak": Espeak(), "piper": piper}))
    assert [block async for block in piper.synthesize("One")]  # the voice is loaded by now
    document = Document(content_type="application/ssml+xml", body="<speak>One <audio src='http://x/short'/></speak>")
    with pytest.raises(OptionNotSupported, match="no voice 'nobody'"):
        await scene.begin(Output(documents=(document,), renderer="piper", voice="nobody"))
    await scene.begin(Output(documents=(document,), renderer="piper", voice="joe"))
    assert (await scene.complete()).reason == Finish()
    assert np.abs(scene.heard().astype(int)).max() > 3000
    await scene.close()
    await piper.close()


@pytest.mark.parametrize(
    ("output", "refusal"),
    [
        (Output(documents=url("none")), OptionNotSupported),
        (Output(documents=url("busy")), ResourceConstraint),
        (Output(documents=url("two", "nested")), OptionNotSupported),
        (Output(documents=url("two"), renderer="orchestra"), OptionNotSupported),
        (Output(documents=(Document(content_type="text/plain", body="x"),), voice="nobody"), OptionNotSupported),
        (Output(documents=(Document(content_type="text/html", body="<p/>"),)), OptionNotSupported),
        (Output(documents=(Document(content_type="application/ssml+xml", body="<speak><p></speak>"),)), BadRequest),
        (Output(documents=(Document(content_type="application/ssml+xml", body="<vxml/>"),)), BadRequest),
        (
            Output(
                documents=(Document(content_type="application/ssml+xml", body="<speak><audio src='none'/></speak>"),)
            ),
            OptionNotSupported,
        ),
        (Output(documents=(Document(content_type="text/uri-list", body="http://x/two\n" * 101),)), ResourceConstraint),
    ],
)
async def test_what_cannot_be_rendered_is_refused_before_anything_is_heard(
    scene: Scene, output: Output, refusal: type[StanzaError]
) -> None:
    with pytest.raises(refusal):
        await scene.begin(output)
    assert not scene.events
    assert not np.count_nonzero(scene.heard())


async def test_the_log_says_who_plays_to_whom_and_for_how_long(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "focus.rayo.components.output")
    await scene.begin(Output(documents=url("short", "short")))
    assert (await scene.complete()).reason == Finish()
    assert caplog.messages == [
        f"{CLIENT} plays to tea@focus.example.org, sounds: 2",
        f"what {CLIENT} plays to tea@focus.example.org has ended (finish): 0.4 s",
    ]


async def test_what_the_house_itself_plays_is_no_news(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "focus.rayo.components.output")
    async with asyncio.timeout(60):
        component = scene.execute(JID.parse("focus@focus.example.org/tea"), Output(documents=url("short")))
        await component.ready
        component.begin()
        await scene.ended.wait()
    assert np.count_nonzero(scene.heard())
    assert caplog.messages == []


async def test_whose_media_has_ended_cannot_be_heard(scene: Scene, plane: MediaPlane) -> None:
    node, scene.node = scene.node, None
    await scene.begin(Output(documents=url("two")))
    complete = await scene.complete()
    assert isinstance(complete.reason, Failed)
    scene.node = node


async def test_several_are_heard_at_once(plane: MediaPlane) -> None:
    facilities = Facilities(plane, fetch=Web())
    one = Scene(plane, facilities)
    await one.begin(Output(documents=url("two")))
    await one.until_heard(0.2)
    first = one.component
    other = await one.begin(Output(documents=url("two")), "other")
    await one.until(lambda: int(one.heard().max()) > int(marked(2).max()))  # no single one gets so loud
    for each in (first, other):
        each.end(Stopped())
    await one.until(lambda: len(one.events) == 2)
    await one.close()
