"""Every cell of the tables in `focus.rayo.stages`, on real calls and mixers: they do as the tables say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from focus.rayo.call import Call
from focus.rayo.stages import Stage, Step
from focus.wire.conditions import FeatureNotImplemented, ItemNotFound, ServiceUnavailable, StanzaError, WrongState
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.message import CallMessage
from focus.wire.rayo import (
    Accept,
    Answer,
    Answered,
    Command,
    Dial,
    End,
    Hangup,
    Join,
    JoinDirection,
    Joined,
    Redirect,
    Ref,
    Reject,
    Ringing,
    Unjoin,
    Unjoined,
)
from focus.wire.rayo_input import Grammar, Input
from tests.jingle.pair import End as Peer

from .calling import answered, call_in
from .scene import Client, FakePlane, Focus, eventually, settled
from .test_stages import EXPECTED


@pytest.fixture(autouse=True)
def pace() -> None:
    """Components work in threads too, which need time."""


COMMANDS: dict[Step, Command] = {
    Step.ACCEPT: Accept(),
    Step.ANSWER: Answer(),
    Step.REDIRECT: Redirect(to="xmpp:other@example.org"),
    Step.REJECT: Reject.model_validate({"busy": {}}),
    Step.HANGUP: Hangup(),
    Step.JOIN: Join(mixer_name="tea"),
    Step.MESSAGE: CallMessage(body="hello"),
}


@pytest.fixture(params=["honest fakes"])
def plane() -> FakePlane:
    return FakePlane()


@contextmanager
def refused(condition: type[StanzaError]) -> Iterator[None]:
    with pytest.raises(condition) as caught:
        yield
    assert type(caught.value) is condition


async def at_stage(stage: Stage, focus: Focus, owner: Client, admin: Client, peer: Peer) -> tuple[Client, JID, Call]:
    """A call that has come so far, and who controls it."""
    if stage in (Stage.DIALLED, Stage.RINGING, Stage.CONNECTED):
        peer.answering = {
            Stage.DIALLED: lambda session: None,
            Stage.RINGING: lambda session: session.ring(),
            Stage.CONNECTED: lambda session: session.accept(),
        }[stage]
        address = await admin.dial(Dial(to=f"xmpp:{peer.jid.bare}"))
        if stage is not Stage.DIALLED:
            await admin.event(Ringing if stage is Stage.RINGING else Answered)
        return admin, address, focus.call(address)
    if stage in (Stage.OFFERED, Stage.ACCEPTED):
        address = await call_in(focus, peer, owner)
        if stage is Stage.ACCEPTED:
            await owner.command(address, Accept())
        return owner, address, focus.call(address)
    address = await answered(focus, peer, owner)
    call = focus.call(address)
    if stage is Stage.ENDING:
        peer.deaf = True  # so that the goodbye lasts
        await owner.command(address, Hangup())
    elif stage is Stage.ENDED:
        await owner.command(address, Hangup())
        await owner.event(End)
    return owner, address, call


@pytest.mark.parametrize("step", COMMANDS)
@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ENDING])
async def test_every_command_at_every_stage(
    focus: Focus, owner: Client, admin: Client, alice: Peer, stage: Stage, step: Step
) -> None:
    client, address, call = await at_stage(stage, focus, owner, admin, alice)
    assert call.stage is stage
    # what is said to a caller takes no call: a controller may say it before anybody has taken it
    await does_as_the_table_says(admin if step is Step.MESSAGE else client, address, call, stage, step)


async def test_every_command_while_it_ends(focus: Focus, owner: Client, admin: Client, alice: Peer) -> None:
    client, address, call = await at_stage(Stage.ENDING, focus, owner, admin, alice)
    for step in COMMANDS:
        await does_as_the_table_says(client, address, call, Stage.ENDING, step)


async def does_as_the_table_says(client: Client, address: JID, call: Call, stage: Stage, step: Step) -> None:
    expected = EXPECTED[step][list(Stage).index(stage)]
    if stage is Stage.ENDED:
        expected = ItemNotFound  # section 6.6.4
    elif step is Step.MESSAGE and not isinstance(expected, Stage):
        expected = FeatureNotImplemented  # section 6.8
    heard = len(client.entries)
    if isinstance(expected, Stage):
        await client.command(address, COMMANDS[step])
        assert call.stage in ({Stage.ENDING, Stage.ENDED} if expected is Stage.ENDING else {expected})
    else:
        with refused(expected):
            await client.command(address, COMMANDS[step])
        assert call.stage is stage
        assert len(client.entries) == heard
        assert not call.joins


#: Works until it is stopped.
WORK = Input(
    mode="dtmf",
    grammars=(
        Grammar(
            content_type="application/srgs+xml",
            body="""<grammar mode="dtmf" version="1.0" root="r" xmlns="http://www.w3.org/2001/06/grammar">
            <rule id="r">1</rule></grammar>""",
        ),
    ),
)


@pytest.mark.parametrize("stage", Stage)
async def test_a_component_at_every_stage(
    focus: Focus, owner: Client, admin: Client, alice: Peer, stage: Stage
) -> None:
    """Section 6.5.1: where there is media, and will be."""
    client, address, call = await at_stage(stage, focus, owner, admin, alice)
    if stage is Stage.CONNECTED:
        await eventually(lambda: call.node is not None)
    if stage in (Stage.ANSWERED, Stage.CONNECTED):
        assert isinstance(await client.command(address, WORK), Ref)
        return
    with refused(ItemNotFound if stage is Stage.ENDED else WrongState):
        await client.command(address, WORK)
    assert not call.components


@pytest.mark.parametrize("stage", Stage)
async def test_the_end_of_the_session_at_every_stage_is_told_once(
    focus: Focus, owner: Client, admin: Client, alice: Peer, stage: Stage
) -> None:
    client, address, call = await at_stage(stage, focus, owner, admin, alice)
    call.end_session(Reason.of("general-error"))
    await client.event(End)
    await eventually(focus.is_empty)
    call.peer_ended(Reason.of("success"), True)
    assert call.stage is Stage.ENDED
    assert [type(event) for event in client.events(address)].count(End) == 1
    with refused(ItemNotFound):
        await client.command(address, Hangup())


#: Whether the join is there, and audio flows through it.
LINKS = ["absent", "waiting", "flowing"]


@pytest.mark.parametrize("change", ["join", "join the other way", "unjoin", "unjoin all", "answer", "fail", "end"])
@pytest.mark.parametrize("link", LINKS)
async def test_every_change_of_every_join(
    focus: Focus, owner: Client, alice: Peer, bob: Peer, link: str, change: str
) -> None:
    """Of two calls: Bob's is answered, and so is Alice's where audio is to flow."""
    other = await answered(focus, bob, owner)
    call = await call_in(focus, alice, owner, number=2)
    if link == "flowing":
        await owner.command(call, Answer())
        await eventually(lambda: focus.call(call)._connected)
    if link != "absent":
        await owner.command(call, Join(call_uri=other.uri, direction="send"))
    before = {at: len(owner.events(at)) for at in (call, other)}
    parties = focus.call(call), focus.call(other)

    def told() -> list[list[type]]:
        return [
            [type(event) for event in owner.events(at)[before[at] :] if isinstance(event, Joined | Unjoined)]
            for at in (call, other)
        ]

    there: JoinDirection | None = None if link == "absent" else "send"
    news: type | None = None
    match change:
        case "join" | "join the other way":
            there = "send" if change == "join" else "recv"
            await owner.command(call, Join(call_uri=other.uri, direction=there))
        case "unjoin" if link == "absent":
            with refused(ServiceUnavailable):
                await owner.command(call, Unjoin(call_uri=other.uri))
        case "unjoin" | "unjoin all":
            await owner.command(call, Unjoin(call_uri=other.uri if change == "unjoin" else None))
            there, news = None, Unjoined if link == "flowing" else None
        case "answer" | "fail":
            if change == "fail":  # the other's leg has gone, but not yet its session
                leg = parties[1].leg
                assert leg is not None
                await leg.close()
            await owner.command(call, Answer())
            await eventually(lambda: parties[0]._connected)
            if link == "waiting":
                there, news = (None, Unjoined) if change == "fail" else ("send", Joined)
        case "end":
            alice.sessions[-1].hangup(Reason.of("success"))
            await eventually(lambda: parties[0].stage is Stage.ENDED)
            there, news = None, Unjoined if link == "flowing" else None
    await settled()
    one, two = parties
    assert (one.joins[two].value if two in one.joins else None) == there
    assert (two in one.joins) is (one in two.joins)
    assert told() == [[news] if news else []] * 2
