"""What all components have in common (XEP-0327 section 6.5), shown by one that does as it is told."""

import asyncio
import io
import threading
from collections.abc import Iterable, Iterator
from typing import ClassVar

import pytest
from pydantic_xml import attr

from focus.engines.fetching import Fetched
from focus.media.threads import in_thread
from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, Facilities, registry
from focus.rayo.limits import Limits
from focus.rayo.listing import Listing
from focus.wire import context
from focus.wire.base import Name
from focus.wire.conditions import (
    FeatureNotImplemented,
    InternalServerError,
    ItemNotFound,
    NotTheOwner,
    OptionNotSupported,
    ResourceConstraint,
    StanzaError,
    WrongState,
)
from focus.wire.jid import JID
from focus.wire.jingle import Reason as JingleReason
from focus.wire.rayo import Answer, Command, End, Hangup, Join, Joined, Ref, StoppedSpeaking, Unjoined
from focus.wire.rayo_component import Complete, Execution, Failed, HungUp, Metadata, Reason, Stop, Stopped
from focus.wire.rayo_input import Grammar, Input, Match
from focus.wire.rayo_output import Document, Finish, Output, Pause
from focus.wire.rayo_prompt import Prompt
from focus.wire.session import Gathered, Keypad, Move
from tests.jingle.pair import End as Caller

from .calling import answered, call_in
from .conftest import ADMIN
from .scene import Client, FakePlane, Focus, eventually, settled

TEST = "urn:example:act"
TWO = (
    '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="two"><rule id="two">2</rule>'
    "</grammar>"
)


class Act(Execution, tag="act", ns="", nsmap={"": TEST}):
    how: Name = attr(default="until stopped")


class Speak(Command, tag="speak", ns="", nsmap={"": TEST}):
    """Has an event told."""


class Brought(Metadata, tag="brought", ns="", nsmap={"": TEST}):
    what: Name = attr()


class Actress(Component[Act]):
    """Does what the command says."""

    all: ClassVar[list["Actress"]] = []
    gate: ClassVar[asyncio.Event]
    stuck: ClassVar[threading.Event]

    async def prepare(self) -> None:
        self.all.append(self)
        self.log: list[str] = []
        match self.command.how:
            case "refuse":
                raise OptionNotSupported("not this")
            case "crash early":
                raise KeyError("early")
            case "think for ever":
                await asyncio.Event().wait()

    async def work(self) -> Reason:
        assert self.node
        self.about = (context.room.get(), context.call.get())
        self.log.append("work")
        match self.command.how:
            case "finish":
                return Finish()
            case "fail":
                raise ComponentError("the piano is locked")
            case "crash":
                raise KeyError("late")
        await asyncio.Event().wait()
        raise AssertionError

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        self.log.append(f"wind up: {type(reason).__name__}")
        match self.command.how:
            case "crash at the end":
                raise KeyError("end")
            case "wind up slowly":
                await self.gate.wait()
            case "wind up in a thread":
                await in_thread(self.stuck.wait)
        return (Brought(what="a hat"),)

    @on(Speak)
    async def speak(self, sender: JID, command: Speak) -> Outcome:
        self.emit(Joined(mixer_name="not really"))
        return None


@pytest.fixture(autouse=True)
def pace() -> None:
    """Components work in threads too, which need time."""


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    registry.component(Act)(Actress)
    Actress.gate, Actress.stuck = asyncio.Event(), threading.Event()
    yield
    del registry._kinds[Act, ""]
    Actress.all.clear()


async def started(client: Client, target: JID, what: str | Execution = "until stopped") -> JID:
    reference = await client.command(target, Act(how=what) if isinstance(what, str) else what)
    assert isinstance(reference, Ref)
    return JID.from_uri(reference.uri)


def ends(client: Client, component: JID) -> list[Complete]:
    return [event for event in client.events(component) if isinstance(event, Complete)]


@pytest.mark.parametrize(
    ("how", "reason", "brings"),
    [
        ("finish", Finish(), True),
        ("fail", Failed(text="the piano is locked"), True),
        ("crash", Failed(text="internal error"), True),
        ("crash at the end", Failed(text="internal error"), False),
    ],
)
async def test_a_component_that_ends_says_so_once_and_is_gone(
    focus: Focus, owner: Client, alice: Caller, how: str, reason: Reason, brings: bool
) -> None:
    call = await answered(focus, alice, owner)
    component = await started(owner, call, how)
    assert component.bare == call
    assert len(component.resource) == 16
    if how == "crash at the end":
        await owner.command(component, Stop())
    await owner.event(Complete, component)
    await settled()
    metadata = (Brought(what="a hat"),) if brings else ()
    assert owner.events(component) == [Complete(reason=reason, metadata=metadata)]
    assert not focus.call(call).components
    with pytest.raises(ItemNotFound):
        await owner.command(component, Stop())


async def test_log_lines_of_components_name_room_and_call(focus: Focus, owner: Client, alice: Caller) -> None:
    call, mixer = await answered(focus, alice, owner), focus.addresses.mixer("tea")
    await owner.command(call, Join(mixer_name="tea"))
    components = [await started(owner, place) for place in (call, mixer)]
    await eventually(lambda: all(each.log for each in Actress.all))
    assert [each.about for each in Actress.all] == [("tea", call.local), ("tea", "")]
    for address, about in (
        (components[0], ("tea", call.local)),
        (components[1], ("tea", "")),
        (focus.addresses.occupant("tea"), ("tea", "")),
        (focus.addresses.service, ("", "")),
    ):
        focus.server.name_in_logs(address)
        assert (context.room.get(), context.call.get()) == about
    assert focus.server.components_started == {"act": 2}
    assert len(list(focus.server.directory.components())) == 2


async def test_the_address_is_known_before_anything_is_told(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    component = await started(owner, call, "finish")
    assert owner.events(component) == []  # nothing is awaited between the answer and this line
    await owner.event(Complete, component)


async def test_a_component_is_stopped_by_its_creator_alone(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    focus.server.register(owner.jid, owner)
    call = await answered(focus, alice, owner)
    component = await started(owner, call)
    colleague = focus.client("juliet@example.org/tomb")
    for client in (admin, colleague):
        with pytest.raises(NotTheOwner):
            await client.command(component, Stop())
    with pytest.raises(FeatureNotImplemented):
        await owner.command(component, Pause())
    await owner.command(component, Speak())
    assert await owner.command(component, Stop()) is None
    await owner.event(Complete, component)
    told = [Joined(mixer_name="not really"), Complete(reason=Stopped(), metadata=(Brought(what="a hat"),))]
    assert owner.events(component) == told
    assert admin.events(component) == []


@pytest.mark.parametrize("who", ["juliet@example.org/tomb", f"{ADMIN}/rayo"])
async def test_whose_creator_has_gone_is_stopped_by_their_account_or_by_who_commands_the_call(
    focus: Focus, owner: Client, alice: Caller, who: str
) -> None:
    focus.server.register(owner.jid, owner)
    call = await answered(focus, alice, owner)
    component = await started(owner, call)
    focus.server.unregister(owner.jid)
    stranger, client = focus.client("romeo@example.org/orchard"), focus.client(who)
    listing = Listing(focus.server)
    assert list(listing.components(client.jid, call)) == [(component, "act")]
    assert list(listing.components(stranger.jid, call)) == []
    with pytest.raises(NotTheOwner):
        await stranger.command(component, Stop())
    with pytest.raises(NotTheOwner):
        await client.command(component, Speak())
    assert await client.command(component, Stop()) is None
    told = Complete(reason=Stopped(), metadata=(Brought(what="a hat"),))
    assert (await client.event(Complete, component))[1] == told
    assert ends(owner, component) == [told]
    assert stranger.events(component) == []
    with pytest.raises(ItemNotFound):
        await client.command(component, Stop())


async def test_what_cannot_be_done_is_refused_and_leaves_nothing(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    for how, refusal in (("refuse", OptionNotSupported), ("crash early", InternalServerError)):
        with pytest.raises(refusal):
            await owner.command(call, Act(how=how))
    await eventually(lambda: not focus.call(call).components)
    assert [each.log for each in Actress.all] == [["wind up: Failed"]] * 2
    assert [event for event in owner.events() if isinstance(event, Complete)] == []
    del registry._kinds[Act, ""]
    with pytest.raises(FeatureNotImplemented):
        await owner.command(call, Act())
    registry.component(Act)(Actress)


async def test_before_the_answer_there_is_nothing_to_work_on(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await call_in(focus, alice, owner)
    with pytest.raises(WrongState):
        await owner.command(call, Act())
    assert not Actress.all
    await owner.command(call, Answer())
    assert focus.call(call).node is None  # the answer is on its way, and so is the media
    await started(owner, call)
    (actress,) = Actress.all
    await alice.owners[-1].until("connected")
    await eventually(lambda: actress.log == ["work"])


async def test_a_call_that_ends_before_its_media_is_there_ends_what_waits_for_it(
    focus: Focus, owner: Client, alice: Caller
) -> None:
    call = await call_in(focus, alice, owner)
    await owner.command(call, Answer())
    component = await started(owner, call)
    await owner.command(call, Hangup())
    _, complete = await owner.event(Complete, component)
    assert isinstance(complete, Complete)
    assert complete.reason == HungUp()


async def test_what_takes_time_to_prepare_keeps_nobody_waiting(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    thinking = asyncio.create_task(owner.command(call, Act(how="think for ever")))
    await eventually(lambda: bool(Actress.all))
    working = await started(owner, call)
    await owner.command(call, Hangup())
    with pytest.raises(ItemNotFound):
        await thinking
    await owner.event(End, call)
    assert [len(ends(owner, component.address)) for component in Actress.all] == [0, 1]
    assert ends(owner, working)[0].reason == HungUp()


async def test_who_does_not_wait_for_the_answer_gets_no_component(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    thinking = asyncio.create_task(owner.command(call, Act(how="think for ever")))
    await eventually(lambda: bool(Actress.all))
    thinking.cancel()
    await eventually(lambda: not focus.call(call).components)


@pytest.mark.parametrize("who", ["the client", "the peer"])
async def test_at_the_end_of_a_call_components_end_first_then_joins(
    focus: Focus, owner: Client, alice: Caller, who: str
) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    components = {await started(owner, call) for _ in range(3)}
    if who == "the client":
        await owner.command(call, Hangup())
    else:
        alice.sessions[-1].hangup(JingleReason.of("success"))
    await owner.event(End, call)
    of_call = [(sender, type(event)) for sender, event in owner.stream if getattr(sender, "bare", None) == call]
    told = [(sender, kind) for sender, kind in of_call if kind in (Complete, Unjoined, End)]
    assert {sender for sender, kind in told[:3]} == components
    assert [kind for _, kind in told] == [Complete] * 3 + [Unjoined, End]
    assert all(
        ends(owner, each) == [Complete(reason=HungUp(), metadata=(Brought(what="a hat"),))] for each in components
    )


@pytest.mark.parametrize("how", ["hang up", "move"])
async def test_who_is_hung_up_is_out_of_the_mix_while_components_wind_up(
    focus: Focus, owner: Client, alice: Caller, bob: Caller, how: str
) -> None:
    """And no other component begins, which would have to be waited for, too."""
    call, other = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    if how == "hang up":
        await owner.command(call, Join(mixer_name="tea"))
        node, tea = focus.call(call).node, focus.mixer("tea")
        assert node is not None
        assert tea is not None
        assert tea.node is not None
        mixer, joined = tea, (node, tea.node)
        focus.call(call).peer_speaking(True)
    first = await started(owner, call, "wind up slowly")
    await owner.command(call, Hangup() if how == "hang up" else Move(call_uri=other.uri))
    with pytest.raises(WrongState):
        await owner.command(call, Act())
    if how == "hang up":
        if isinstance(focus.plane, FakePlane):
            assert focus.plane.direction(*joined) is None
        assert isinstance(owner.events(mixer.address)[-1], StoppedSpeaking)
        focus.call(call).peer_speaking(True)
        assert not mixer.is_spoken_in
        assert alice.owners[-1].reason is None, "the session ends after the components (section 6.6.3)"
    focus.call(call).peer_accepted()  # its media may have been on its way
    assert focus.call(call).node is None
    assert not ends(owner, first)
    Actress.gate.set()
    await owner.event(End, call)
    assert [complete.reason for complete in ends(owner, first)] == [HungUp()]


async def test_a_wind_up_that_is_stuck_in_a_thread_is_left_behind(
    focus: Focus, owner: Client, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer, say."""
    monkeypatch.setattr("focus.rayo.component.WIND_UP", 0.05)
    call = await answered(focus, alice, owner)
    component = await started(owner, call, "wind up in a thread")
    try:
        await owner.command(call, Hangup())
        await owner.event(End, call)
        (complete,) = ends(owner, component)
        assert complete.reason == Failed(text="what was made could not be brought in within 0.05 s")
    finally:
        Actress.stuck.set()


async def test_a_mixers_components_end_with_it(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    mixer = focus.addresses.mixer("tea")
    component = await started(owner, mixer)
    assert component.bare == mixer
    await owner.command(call, Hangup())
    _, complete = await owner.event(Complete, component)
    assert isinstance(complete, Complete)
    assert complete.reason == HungUp()
    await eventually(focus.is_empty)


async def test_when_the_service_ends_components_of_calls_and_of_rooms_end_before_it(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    call = await answered(focus, alice, owner)
    focus.server.mixers.bind("tea", JID("focus", "focus.example.org", "tea"))
    on_call, in_room = await started(owner, call), await started(admin, focus.addresses.mixer("tea"))
    await focus.stop()  # by itself, although the room is held still
    focus.server.mixers.release("tea", JID("focus", "focus.example.org", "tea"))
    for client, component in ((owner, on_call), (admin, in_room)):
        assert [complete.reason for complete in ends(client, component)] == [HungUp()]
    kinds = [type(event) for _, event in owner.stream if isinstance(event, Complete | End)]
    assert kinds == [Complete, End]


async def test_there_are_not_more_than_the_limits_allow(focus: Focus, owner: Client, alice: Caller) -> None:
    focus.server._quotas._limits = Limits(components=3, components_of_one=2)
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    mixer = focus.addresses.mixer("tea")
    first = await started(owner, call)
    await started(owner, call)
    with pytest.raises(ResourceConstraint):
        await owner.command(call, Act())
    await started(owner, mixer)
    with pytest.raises(ResourceConstraint):
        await owner.command(mixer, Act())
    await owner.command(first, Stop())
    await owner.event(Complete, first)
    await started(owner, mixer)
    focus.server._quotas._limits = Limits(load=-1)
    with pytest.raises(ResourceConstraint):
        await owner.command(mixer, Act())


async def test_what_a_room_says_and_hears_itself_is_not_refused_where_there_is_too_much_sound(focus: Focus) -> None:
    room = focus.client("focus@focus.example.org/tea", local=True)
    focus.server.mixers.bind("tea", room.jid)
    focus.server._quotas._limits = Limits(load=-1)
    await room.command(await started(room, focus.addresses.mixer("tea")), Stop())
    focus.server.mixers.release("tea", room.jid)


async def test_only_who_controls_a_call_starts_components(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    with pytest.raises(StanzaError) as refused:
        await focus.client("mallory@example.org/x").command(call, Act())
    assert (refused.value.condition, refused.value.type) == ("conflict", "cancel")
    await started(focus.client(f"{ADMIN}/other"), call)


# --- keys ---


MENU = """<grammar mode="dtmf" version="1.0" root="r" xmlns="http://www.w3.org/2001/06/grammar">
  <rule id="r"><item repeat="2">1</item></rule></grammar>"""


async def test_keys_are_input_of_the_call_and_of_the_mixers_it_is_in(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    for call, direction in ((one, "duplex"), (two, "recv")):
        await owner.command(call, Join(mixer_name="tea", direction=direction))  # type: ignore[arg-type]
    command = Input(mode="dtmf", grammars=(Grammar(content_type="application/srgs+xml", body=MENU),))
    whole, single, other = [await started(owner, place, command) for place in (focus.addresses.mixer("tea"), one, two)]
    await settled()
    focus.call(one).peer_pressed("1", 0.1)
    focus.call(two).peer_pressed("1", 0.1)  # muted, as he may only listen; he is in the room all the same
    _, complete = await owner.event(Complete, whole)
    assert isinstance(complete, Complete)
    assert isinstance(complete.reason, Match)
    await settled()
    assert not ends(owner, single)
    focus.call(one).peer_pressed("1", 0.1)
    await owner.event(Complete, single)
    await owner.command(two, Hangup())
    _, complete = await owner.event(Complete, other)
    assert isinstance(complete, Complete)
    assert complete.reason == HungUp()


async def test_a_prompt_and_its_parts_live_and_die_with_the_call(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    document = Document(content_type="text/plain", body="x")
    grammar = Grammar(content_type="application/srgs+xml", body=MENU)
    prompt = Prompt(output=Output(documents=(document,)), input=Input(grammars=(grammar,)))
    with pytest.raises(OptionNotSupported):  # nothing speaks here
        await owner.command(call, prompt)
    await eventually(lambda: not focus.call(call).components)
    assert not focus.server._clients
    assert not [event for event in owner.events() if isinstance(event, Complete)]


async def test_a_prompt_of_which_a_part_is_one_too_many_is_refused_and_leaves_nothing(
    focus: Focus, owner: Client, alice: Caller
) -> None:
    call = await answered(focus, alice, owner)
    grammar = Grammar(content_type="application/srgs+xml", body=MENU)
    listed = Document(content_type="text/uri-list", body="# nothing\n")
    for allowed in (1, 2):
        focus.server._quotas._limits = Limits(components_of_one=allowed)
        with pytest.raises(ResourceConstraint):
            await owner.command(call, Prompt(output=Output(documents=(listed,)), input=Input(grammars=(grammar,))))
        await eventually(lambda: not focus.call(call).components)
        assert not focus.server._clients
    assert not [event for event in owner.events() if isinstance(event, Complete)]
    await started(owner, call)


# --- keys ---


@pytest.mark.parametrize("plane", ["honest fakes"], indirect=True)
async def test_keys_are_the_keypads_until_something_else_can_take_them(
    focus: Focus, owner: Client, alice: Caller
) -> None:
    there = asyncio.Event()

    async def fetch(uri: str) -> Fetched:
        await there.wait()
        return Fetched(uri, "application/srgs+xml", "", io.BytesIO(TWO.encode()))

    focus.server._facilities = Facilities(focus.plane, fetch=fetch)
    address = await answered(focus, alice, owner)
    call, digit = focus.call(address), Grammar(url="builtin:dtmf/digits?length=1")
    keypad = await started(owner, address, Keypad(mode="dtmf", grammars=(digit,)))
    command = Input(mode="dtmf", grammars=(Grammar(url="http://x/two.grxml"),))
    fetching = asyncio.create_task(started(owner, address, command))
    await eventually(lambda: len(call.components) == 2)
    call.peer_pressed("1", 0.1)
    await owner.event(Gathered, keypad)
    there.set()
    component = await fetching
    await settled()
    call.peer_pressed("2", 0.1)
    _, complete = await owner.event(Complete, component)
    assert isinstance(complete, Complete)
    assert isinstance(complete.reason, Match)
    assert len([event for event in owner.events(keypad) if isinstance(event, Gathered)]) == 1
