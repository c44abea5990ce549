"""Keys that are sound alone, heard on real legs while somebody waits for keys of who has no telephone events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest

from focus.engines.spandsp import library
from focus.media.leg import Leg, Tap
from focus.media.plane import MediaPlane
from focus.rayo import call as call_module
from focus.rayo import in_band
from focus.rayo.call import Call
from focus.wire.base import Element
from focus.wire.jid import JID
from focus.wire.jingle import Jingle
from focus.wire.rayo import Join, Unjoin
from focus.wire.rayo_component import Complete, Stop
from focus.wire.rayo_input import Grammar, Input, Match
from tests.engines.signalled import keys
from tests.jingle.pair import End as Caller

from .calling import answered
from .conftest import QUICK
from .scene import Client, Focus, Net, eventually, settled
from .test_component import _known, started  # noqa: F401 - a fixture, which is used by itself


class Desk(Caller):
    """A caller that knows one codec, and telephone events only if it is told to."""

    codec = "PCMU"
    has_events = False

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        if isinstance(element, Jingle) and element.contents and element.contents[0].description is not None:
            (content,) = element.contents
            assert content.description is not None
            known = {self.codec} | ({"telephone-event"} if self.has_events else set())
            spoken = tuple(each for each in content.description.payload_types if each.name in known)
            description = content.description.model_copy(update={"payload_types": spoken})
            content = content.model_copy(update={"description": description})
            element = element.model_copy(update={"contents": (content,)})
        await super().iq_set(sender, to, element)


@pytest.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
def desk(net: Net, far_planes: list[MediaPlane]) -> Desk:
    return Desk(net, "alice@example.org/desk", far_planes[0].create_leg, timeouts=QUICK)


def digits(length: int, patience: int = -1) -> Input:
    grammar = Grammar(url=f"builtin:dtmf/digits?length={length}")
    return Input(mode="dtmf", inter_digit_timeout=patience, initial_timeout=patience, grammars=(grammar,))


async def gathered(client: Client, component: JID) -> str:
    """The keys; nothing where they do not match, or there are none."""
    _, complete = await client.event(Complete, component)
    assert isinstance(complete, Complete)
    if not isinstance(complete.reason, Match):
        return ""
    (put_in,) = ET.fromstring(complete.reason.result).iter("{http://www.ietf.org/xml/ns/mrcpv2}input")
    return (put_in.text or "").replace(" ", "")


def leg_of(caller: Caller) -> Leg:
    leg = caller.sessions[0].leg
    assert isinstance(leg, Leg)
    return leg


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_what_is_pressed_is_heard_once_by_all_who_wait_for_keys(
    focus: Focus, owner: Client, desk: Desk, codec: str
) -> None:
    desk.codec = codec
    call = await answered(focus, desk, owner)
    await owner.command(call, Join(mixer_name="tea"))
    for _ in range(5):  # a machine that stalls tears holes into what is played
        places = call, focus.addresses.mixer("tea")
        components = [await started(owner, place, digits(4, 8000)) for place in places]
        leg_of(desk).play(keys("11234", 0.15, 0.15))
        found = [await gathered(owner, component) for component in components]
        assert found[0] == found[1]
        if found[0] == "1123":
            break
    assert found[0] == "1123"
    await eventually(lambda: not focus.server._in_band._ears)


async def test_who_has_telephone_events_is_not_listened_to(focus: Focus, owner: Client, desk: Desk) -> None:
    desk.has_events = True
    call = await answered(focus, desk, owner)
    component = await started(owner, call, digits(1))
    leg_of(desk).play(keys("77", 0.2, 0.2))
    await eventually(lambda: not leg_of(desk).play_pending())
    assert not focus.server._in_band._ears
    leg_of(desk).press("5")
    assert await gathered(owner, component) == "5"


async def test_who_has_told_a_key_by_jingle_is_listened_to_no_more(focus: Focus, owner: Client, desk: Desk) -> None:
    call = await answered(focus, desk, owner)
    component = await started(owner, call, digits(2))
    await eventually(lambda: bool(focus.server._in_band._ears))
    await settled()
    focus.call(call).peer_pressed("5", 0.1)
    await eventually(lambda: not focus.server._in_band._ears)
    focus.call(call).peer_pressed("6", 0.1)
    assert await gathered(owner, component) == "56"


async def test_a_key_that_was_heard_before_it_is_told_counts_once(focus: Focus, owner: Client, desk: Desk) -> None:
    call = await answered(focus, desk, owner)
    component = await started(owner, call, digits(5))
    await settled()
    for key in "122":
        focus.call(call).sounded(key, 0.1)
    for key in "12233":
        focus.call(call).peer_pressed(key, 0.1)
    assert await gathered(owner, component) == "12233"


async def test_a_key_that_was_misheard_keeps_no_other_from_being_the_same(
    focus: Focus, owner: Client, desk: Desk
) -> None:
    call = await answered(focus, desk, owner)
    component = await started(owner, call, digits(4))
    await settled()
    for key in "92":
        focus.call(call).sounded(key, 0.1)
    for key in "127":
        focus.call(call).peer_pressed(key, 0.1)
    assert await gathered(owner, component) == "9217"


async def test_what_would_have_been_told_by_now_is_not_remembered(
    focus: Focus, owner: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "UNTOLD", -1.0)
    call = focus.call(await answered(focus, desk, owner))
    for _ in range(3):
        call.sounded("1", 0.1)
    assert len(call._sounded) == 1


@pytest.mark.parametrize("where", ["call", "mixer"])
async def test_a_caller_who_cannot_be_listened_to_costs_the_others_nothing(
    focus: Focus, owner: Client, desk: Desk, bob: Caller, caplog: pytest.LogCaptureFixture, plane: MediaPlane,
    monkeypatch: pytest.MonkeyPatch, where: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(Call, "tells_keys", False)
    call, other = await answered(focus, desk, owner), await answered(focus, bob, owner, 2)
    ears, tap = focus.server._in_band._ears, plane.tap

    def no_more(node: int) -> Tap:
        if node == focus.call(call).node:
            raise RuntimeError("nobody has foreseen this")
        return tap(node)

    with monkeypatch.context() as failing:
        failing.setattr(plane, "tap", no_more)
        components = [await started(owner, each, digits(1)) for each in (call, other, other)]
        await eventually(lambda: [*ears] == [focus.call(other)])
        await settled()
    assert caplog.text.count("not heard any more") == 1
    if where == "mixer":
        await owner.command(call, Join(mixer_name="tea"))
    place = call if where == "call" else focus.addresses.mixer("tea")
    components.append(await started(owner, place, digits(1)))  # for whom it may be different
    await eventually(lambda: set(ears) == {focus.call(call), focus.call(other)})
    for component in components:
        await owner.command(component, Stop())
        await owner.event(Complete, component)
    await eventually(lambda: not ears)


async def test_after_a_fault_all_are_listened_to_again(
    focus: Focus, owner: Client, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_band, "AFTER_FAULT", 0.0)
    call = await answered(focus, desk, owner)
    component = await started(owner, call, digits(1))
    ears = focus.server._in_band._ears
    await eventually(lambda: bool(ears))
    with monkeypatch.context() as failing:
        failing.delattr(in_band, "_detect")
        await eventually(lambda: "for a moment" in caplog.text)
    await eventually(lambda: bool(ears))
    await owner.command(component, Stop())
    await owner.event(Complete, component)
    await eventually(lambda: not ears)


async def test_where_somebody_waits_who_hears_nobody_the_next_one_is_not_kept_waiting(
    focus: Focus, owner: Client, desk: Desk, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_band, "LOOK_AGAIN", 3600.0)
    call, other = await answered(focus, desk, owner), await answered(focus, bob, owner, 2)
    waiting = await started(owner, other, digits(1))
    await settled()
    assert not focus.server._in_band._ears
    component = await started(owner, call, digits(1))
    await eventually(lambda: bool(focus.server._in_band._ears))
    for each in (component, waiting):
        await owner.command(each, Stop())
        await owner.event(Complete, each)


async def test_what_fails_on_one_call_does_not_outlast_it(
    focus: Focus, owner: Client, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await answered(focus, desk, owner)
    ears = focus.server._in_band._ears
    for what in ("lost", "not heard any more"):
        component = await started(owner, call, digits(1))
        await eventually(lambda: bool(ears))
        if what == "lost":
            (gatherer,) = focus.call(call).components

            def fail(key: str, duration: float) -> None:
                raise RuntimeError("no key is taken")

            monkeypatch.setattr(gatherer, "key_pressed", fail)
        else:
            (ear,) = ears.values()
            monkeypatch.delattr(ear, "_narrowing")
        while what not in caplog.text:
            leg_of(desk).play(keys("5", 0.2, 0.2))
            await eventually(lambda: not leg_of(desk).play_pending())
        await owner.command(component, Stop())
        await owner.event(Complete, component)
        await eventually(lambda: not ears)
    for _ in range(5):
        component = await started(owner, call, digits(1, 4000))
        leg_of(desk).play(keys("5", 0.2, 0.2))
        if (found := await gathered(owner, component)) == "5":
            break
    assert found == "5"


async def test_those_who_come_and_go_are_listened_to_while_they_are_there(
    focus: Focus, owner: Client, desk: Desk, bob: Caller
) -> None:
    call, other = await answered(focus, desk, owner), await answered(focus, bob, owner, 2)
    ears = focus.server._in_band._ears
    for each in (call, other):
        await owner.command(each, Join(mixer_name="tea"))
    component = await started(owner, focus.addresses.mixer("tea"), digits(1))
    await eventually(lambda: bool(ears))
    assert [*ears] == [focus.call(call)]
    await owner.command(call, Unjoin(mixer_name="tea"))
    await eventually(lambda: not ears)
    await owner.command(component, Stop())


async def test_nobody_is_listened_to_for_who_wants_no_keys(focus: Focus, owner: Client, desk: Desk) -> None:
    call = await answered(focus, desk, owner)
    await started(owner, call)
    await settled()
    assert focus.server._in_band._listening is None


async def test_where_nothing_can_detect_them_keys_are_told_otherwise(
    focus: Focus, owner: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(library, "NAME", "libno-such.so")
    library.load.cache_clear()
    call = await answered(focus, desk, owner)
    component = await started(owner, call, digits(1))
    await eventually(lambda: "libspandsp2" in caplog.text)
    await settled()
    focus.call(call).peer_pressed("5", 0.1)
    assert await gathered(owner, component) == "5"
    await started(owner, call, digits(1))
    assert caplog.text.count("libspandsp2") == 1
    monkeypatch.undo()
    library.load.cache_clear()
