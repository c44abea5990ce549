"""Components that a Rayo client starts, on the real service: what they do is heard, and it is told how they end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from focus.client import (
    JID,
    Call,
    Component,
    Document,
    Event,
    Failed,
    Finish,
    HungUp,
    InputTimersStarted,
    MaxTime,
    RayoClient,
    RayoError,
    SessionLost,
    Stopped,
)
from focus.media.files import read_audio
from focus.service.config import Settings
from focus.service.sections.components import RecordingSettings
from focus.wire.rayo import Ref
from focus.wire.rayo_component import Complete, Execution
from focus.wire.rayo_record import MaxDuration
from tests.client.conftest import RayoFactory
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears
from tests.interop.rayo_listings.sounds import Listener, rising, tone
from tests.interop.running import PATIENCE, RunningFocus, eventually, serve
from tests.interop.servers import Server
from tests.media.peers import level

pytestmark = pytest.mark.interop


async def completed(component: Component) -> Complete:
    async with asyncio.timeout(PATIENCE):
        complete = await component.completed()
    assert component.complete is complete
    return complete


async def taken(focus: RunningFocus, client: RayoClient, alice: AiortcCaller) -> Call:
    calling = asyncio.create_task(alice.call(focus.mixer("desk-1")))
    async with asyncio.timeout(PATIENCE):
        call = await anext(client.offers)
        await call.accept()
        await call.answer()
        await calling
    return call


async def test_an_output_is_heard_and_does_as_it_is_told(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory, tmp_path: Path
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call, listener = await taken(focus, juliet, alice), Listener(alice)
    output = await call.output(url=rising(tmp_path), start_offset=10, max_time=60)
    assert await listener.begins() == pytest.approx(10, abs=4)
    await output.pause()
    left = await listener.falls_silent()
    await output.seek(20)
    await output.seek(-5)
    await output.resume()
    assert await listener.begins() == pytest.approx(left + 15, abs=2.4)
    await output.speed_up()
    await output.volume_up()
    await listener.moves(1.25)
    await listener.is_as_loud_as(10 ** (3 / 20))
    await output.speed_down()
    await output.volume_down()
    await output.stop()
    assert await completed(output) == Complete(reason=Stopped())
    await output.stop()
    with pytest.raises(RayoError) as refused:
        await output.pause()
    assert refused.value.condition == "item-not-found"


async def test_a_call_and_a_mixer_are_recorded(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory, tmp_path: Path
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    await call.join(mixer="tea")
    room = juliet.mixer("tea")
    records = [await call.record(format="flac", mix=True), await room.record(direction="recv", hints={"colour": "red"})]
    for frequency in (1000, 1500):
        output = await room.output(url=tone(tmp_path, frequency))
        assert (await completed(output)).reason == Finish()
        for record in records:
            await (record.pause() if frequency == 1000 else record.resume())
    assert (await completed(await room.output(url=tone(tmp_path, 2000)))).reason == Finish()
    for record in records:
        assert record.recording is None
        await record.stop()
        assert (await completed(record)).reason == Stopped()
        assert record.recording is not None
        heard = np.concatenate([*read_audio(Path(unquote(urlparse(record.recording.uri).path)))])
        *there, paused = (level(heard, frequency) for frequency in (300, 1000, 2000, 1500))
        assert min(there) > -40
        assert paused < min(there[1:]) - 10
        assert record.recording.duration == pytest.approx(len(heard) / 48, abs=30)


async def test_of_a_room_each_who_speaks_is_recorded_in_a_track(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    controller = await rayo("controller")
    alice, bob = await caller("alice", 600), await caller("bob", 1800)
    await alice.call(focus.mixer("tea"))
    record = await controller.mixer("tea").record(format="ogg", hints={"tracks": "speaker"})
    await bob.call(focus.mixer("tea"))
    await assert_hears(alice, [1800], 600)
    await assert_hears(bob, [600], 1800)
    await record.stop()
    assert (await completed(record)).reason == Stopped()
    assert {(track.name, track.jid) for track in record.tracks} == {
        (name, f"{name}@{focus.prosody.domain}") for name in ("alice", "bob")
    }
    found = {
        track.name: np.concatenate([*read_audio(Path(unquote(urlparse(track.uri).path)))]) for track in record.tracks
    }
    assert len({len(samples) for samples in found.values()}) == 1
    heard = {name: [level(samples, pitch) > -45 for pitch in (600, 1800)] for name, samples in found.items()}
    assert heard == {"alice": [True, False], "bob": [False, True]}


async def test_a_call_and_a_mixer_in_two_shards_are_played_to_and_recorded(
    prosody: Server, settings: Settings, rayo: RayoFactory, caller: CallerFactory, tmp_path: Path
) -> None:
    media = settings.media.model_copy(update={"shards": 2})
    async with serve(prosody, settings.model_copy(update={"media": media})) as focus:
        juliet, alice = await rayo("juliet"), await caller("alice", 300)
        call = await taken(focus, juliet, alice)
        await call.join(mixer="tea")
        room = juliet.mixer("tea")
        places = [focus.service._server.actor_at(each.address, juliet.jid) for each in (call, room)]
        assert len({place.node % 2 for place in places}) == 2  # type: ignore[attr-defined]
        records = [await room.record(hints={"tracks": "speaker"}), await call.record(direction="recv")]
        for place, frequency in ((room, 1500), (call, 2000)):
            output = await place.output(url=tone(tmp_path, frequency))
            assert (await completed(output)).reason == Finish()
        for record in records:
            await record.stop()
            await completed(record)
        assert records[0].recording is not None
        assert records[1].recording is not None
        (track,) = records[0].tracks
        uris = (records[0].recording.uri, track.uri, records[1].recording.uri)
        found = [np.concatenate([*read_audio(Path(unquote(urlparse(uri).path)))]) for uri in uris]
        heard = [[level(samples, frequency) > -45 for frequency in (300, 1500, 2000)] for samples in found]
        assert heard == [[True, True, False], [True, False, False], [False, True, True]]


async def test_who_is_muted_hears_what_is_played_and_who_holds_does_not(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory, tmp_path: Path
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    output = await call.output(url=tone(tmp_path, 1500), repeat_times=0)

    async def hears(wanted: bool) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                samples = await alice.connection.ear.within(0.6)
                if (len(samples) > 20_000 and level(samples, 1500) > -45) is wanted:
                    return

    await hears(True)
    for info, wanted in (("mute", True), ("unmute", True), ("hold", False), ("unhold", True)):
        await alice.jingle("session-info", f"<{info} xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>")
        await hears(wanted)
    await alice.jingle("session-info", "<hold xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>")
    assert (await completed(await call.output(url=tone(tmp_path, 2000)))).reason == Finish()
    record = await call.record(max_duration=0.5)
    assert (await completed(record)).reason == MaxDuration()
    assert record.recording is not None
    assert record.recording.duration == 500
    await output.stop()
    assert (await completed(output)).reason == Stopped()


async def test_what_is_recorded_when_the_service_ends_is_handed_over(
    prosody: Server, settings: Settings, rayo: RayoFactory, caller: CallerFactory, tmp_path: Path
) -> None:
    hook, told = tmp_path / "hook", tmp_path / "told"
    hook.write_text(f'#!/bin/sh\nsleep 0.2\necho "$1" >> {told}\n')
    hook.chmod(0o755)
    recordings = RecordingSettings(folder=tmp_path / "recordings", hook=hook)
    async with serve(prosody, settings.model_copy(update={"recordings": recordings})) as focus:
        juliet, alice = await rayo("juliet"), await caller("alice", 300)
        call = await taken(focus, juliet, alice)
        await call.record()
        await call.join(mixer="tea")
        await juliet.mixer("tea").record()
    files = list((tmp_path / "recordings").iterdir())
    assert sorted(told.read_text().split()) == sorted(map(str, files))
    assert len(files) == 2


async def test_what_ends_at_once_has_ended(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    outputs = await asyncio.gather(*(call.output(text="Hello", max_time=0) for _ in range(8)))
    assert [(await completed(output)).reason for output in outputs] == [MaxTime()] * 8
    assert not juliet._early
    documents = (Document(content_type="text/plain", body="One"), Document(content_type="text/plain", body="two"))
    output = await call.output(documents=documents, ssml="<speak>three</speak>", voice="de")
    assert (await completed(output)).reason == Finish()


class Hasty:
    """A session in which a component has told all that it tells before anybody has read where it is."""

    def __init__(self, client: RayoClient, *events: Event) -> None:
        self._client = client
        self._events = events

    async def start(self, to: JID, command: Execution, *, within: float | None = None) -> Ref:
        for event in self._events:
            for name in ("another", "9f3a61c0"):
                self._client.told(to.with_resource(name), event, datetime.now(UTC))
        return Ref(uri=to.with_resource("9f3a61c0").uri)


async def test_an_end_that_comes_with_the_answer_is_not_lost() -> None:
    juliet = RayoClient("juliet@example.org", "secret")
    told = (InputTimersStarted(), Complete(reason=Finish()))
    juliet._session = Hasty(juliet, *told)  # type: ignore[assignment]
    output = await juliet.call("a@focus.example.org").output(text="Hello")
    assert await completed(output) == told[1]
    assert tuple([event async for event in output.events]) == told
    assert not juliet._components
    assert not juliet._early


async def test_what_cannot_be_done_is_refused(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    for doing, condition in (
        (call.output(url="file:///etc/passwd"), "feature-not-implemented"),
        (call.output(ssml="<speak>"), "bad-request"),
        (call.record(format="8track"), "feature-not-implemented"),
        (juliet.mixer("nowhere").record(), "item-not-found"),
    ):
        with pytest.raises(RayoError) as refused:
            await doing
        assert refused.value.condition == condition
    for wrong in (call.output(), call.output(text="x", start_offset=-1), call.record(direction="up")):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="validation error"):
            await wrong
    assert not juliet._components


async def test_components_end_with_their_call_and_with_the_client(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    juliet, alice, bob = await rayo("juliet"), await caller("alice", 300), await caller("bob", 440)
    call = await taken(focus, juliet, alice)
    output, record = await call.output(text="Hello", start_paused=True), await call.record()
    await alice.hang_up()
    assert [(await completed(each)).reason for each in (output, record)] == [HungUp()] * 2
    assert record.recording is not None
    with pytest.raises(RayoError):
        await call.output(text="Hello")
    other = await taken(focus, juliet, bob)
    output = await other.output(text="Hello", start_paused=True)
    await juliet.close()
    for doing in (output.completed(), output.pause()):
        with pytest.raises(SessionLost):
            await doing


async def test_an_end_that_cannot_be_read_is_one(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    output = await call.output(text="Hello", start_paused=True)
    juliet.shown(output.address, available=False)
    assert isinstance((await completed(output)).reason, Failed)


async def test_who_no_longer_waits_for_a_component_has_it_stopped(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    for _ in range(40):  # more than can be at work at once, if they stayed
        starting = asyncio.create_task(call.output(text="Hello", start_paused=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait((starting,))
        assert starting.cancelled()
        await eventually(lambda: not juliet._session._undoing)
    assert not juliet._components
    await (await call.output(text="Hello", start_paused=True)).stop()
