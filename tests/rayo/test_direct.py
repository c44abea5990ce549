"""Joins with media='direct': who has called and who is called have their media with each other, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from focus.wire.conditions import (
    FeatureNotImplemented,
    NotAllowed,
    OptionNotSupported,
    ResourceConstraint,
    TieBreak,
    WrongState,
)
from focus.wire.ice import Transport
from focus.wire.jid import JID
from focus.wire.jingle import Action, Content, Jingle, Reason
from focus.wire.jingle_message import JMI_0, Dialect, Proceed, Propose
from focus.wire.rayo import (
    Accept,
    Answer,
    Dial,
    End,
    Event,
    Hangup,
    Join,
    Joined,
    JoinMedia,
    Offer,
    Reject,
    Ringing,
    Unjoin,
    Unjoined,
)
from focus.wire.rayo_output import Document, Output
from focus.wire.rtp import Description, Hold, Mute
from focus.wire.shim import Shim
from tests.jingle.pair import End as Peer
from tests.jingle.pair import candidate

from .scene import DOMAIN, Client, Focus, eventually, settled


@pytest.fixture
def juliet(focus: Focus) -> Client:
    """Who controls all calls."""
    client = focus.client("admin@example.org/rayo")
    focus.takers.parties = [client.jid]
    return client


@pytest.fixture(autouse=True)
def rings(bob: Peer) -> None:
    """Bob takes his time."""
    bob.answering = lambda session: session.ring()


async def call_in(alice: Peer, juliet: Client, dialect: Dialect | None = JMI_0, number: int = 1) -> JID:
    to = JID("tea", DOMAIN, "" if dialect else "focus")
    session, _ = alice.call(to, dialect)
    await session.start()
    return await juliet.offered(number)


async def dial(juliet: Client, to: JID, *joins: Join) -> JID:
    """Until it rings."""
    call = await juliet.dial(Dial(to=to.uri, joins=joins))
    await juliet.event(Ringing, call)
    return call


def directly(call: JID) -> Join:
    return Join(call_uri=call.uri, media="direct")


def accept(peer: Peer) -> None:
    peer.sessions[-1].accept()


async def connected(alice: Peer, bob: Peer, juliet: Client, dialect: Dialect | None = JMI_0) -> tuple[JID, JID]:
    first = await call_in(alice, juliet, dialect)
    second = await dial(juliet, bob.jid.bare, directly(first))
    accept(bob)
    await juliet.event(Joined, first)
    await alice.owners[-1].until("connected")
    await bob.owners[-1].until("connected")
    return first, second


def heard(peer: Peer, *actions: Action) -> list[Jingle]:
    return [each for each in peer.heard.entries if isinstance(each, Jingle) and each.action in actions]


async def says(peer: Peer, jingle: Jingle) -> None:
    """In its last session. Returns when that was acknowledged."""
    session = peer.sessions[-1]
    await peer.iq_set(peer.jid, session.peer, jingle.model_copy(update={"sid": session.sid}))


def names(events: list[Event]) -> list[str]:
    return [event.reason if isinstance(event, End) else type(event).__name__ for event in events]


# --- how two peers come together ---


@pytest.mark.parametrize("is_invited", [True, False])
@pytest.mark.parametrize("dialect", [JMI_0, None])
async def test_two_peers_have_their_media_with_each_other(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, dialect: Dialect | None, is_invited: bool
) -> None:
    first = await call_in(alice, juliet, dialect)
    second = await dial(juliet, bob.jid.bare if is_invited else bob.jid, directly(first))
    assert names(juliet.events(first)) == ["Offer"]
    accept(bob)
    await alice.owners[-1].until("connected")
    await bob.owners[-1].until("connected")
    await juliet.event(Joined, first)
    assert names(juliet.events(second)) == ["Ringing", "Answered", "Joined"]
    assert juliet.events(second)[-1] == Joined(call_uri=first.uri)
    assert juliet.events(first)[-1] == Joined(call_uri=second.uri)
    assert [focus.call(call).leg for call in (first, second)] == [None, None]
    (initiate,), (answer,) = heard(bob, Action.SESSION_INITIATE), heard(alice, Action.SESSION_ACCEPT)
    ours = next(each for each in alice.said if isinstance(each, Jingle) and each.action is Action.SESSION_INITIATE)
    theirs = next(each for each in bob.said if isinstance(each, Jingle) and each.action is Action.SESSION_ACCEPT)
    assert (initiate.contents, initiate.group) == (ours.contents, ours.group)
    assert (answer.contents, answer.group) == (theirs.contents, theirs.group)
    assert (initiate.sid, initiate.initiator) != (ours.sid, ours.initiator)


async def test_who_is_only_proposed_a_call_is_asked_for_it_when_somebody_takes_it(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    first = await call_in(alice, juliet)
    await dial(juliet, bob.jid.bare, directly(first))
    await settled()
    assert not [each for each in alice.heard.entries if isinstance(each, Proceed)]
    accept(bob)
    await alice.owners[-1].until("connected")
    assert len([each for each in alice.heard.entries if isinstance(each, Proceed)]) == 1


async def test_what_is_proposed_is_what_the_caller_wants_to_send(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    """There are clients that take nothing else afterwards."""
    both = (Description(media="audio"), Description(media="video"))
    alice.message(alice.jid, JID("tea", DOMAIN), Propose(id="p1", descriptions=both))
    first = await juliet.offered()
    await dial(juliet, bob.jid.bare, directly(first))
    (proposal,) = [each for each in bob.heard.entries if isinstance(each, Propose)]
    assert proposal.descriptions == both
    await juliet.command(first, Reject.model_validate({"decline": {}}))


async def test_who_was_proposed_something_else_rings_for_that(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    """A call with video cannot become of a proposal of sound: there are clients that take it for an attack."""
    both = (Description(media="audio"), Description(media="video"))
    alice.message(alice.jid, JID("tea", DOMAIN), Propose(id="p1", descriptions=both))
    first, second = await juliet.offered(), await dial(juliet, bob.jid.bare)
    for one, other in ((first, second), (second, first)):
        with pytest.raises(OptionNotSupported):
            await juliet.command(one, directly(other))
    assert focus.call(first).relay is focus.call(second).relay is None
    await juliet.command(first, Reject.model_validate({"decline": {}}))


@pytest.mark.parametrize("is_sent_to_the_caller", [True, False])
async def test_calls_are_joined_directly_while_one_of_them_rings(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, is_sent_to_the_caller: bool
) -> None:
    first, second = await call_in(alice, juliet), await dial(juliet, bob.jid.bare)
    await juliet.command(first, Join(call_uri=second.uri))  # first thought
    one, other = (first, second) if is_sent_to_the_caller else (second, first)
    assert await juliet.command(one, directly(other)) is None
    await juliet.command(other, directly(one))
    accept(bob)
    await alice.owners[-1].until("connected")
    await juliet.event(Joined, first)
    assert [focus.call(call).leg for call in (first, second)] == [None, None]


@pytest.mark.parametrize("command", [Join, Unjoin])
async def test_calls_have_their_media_here_if_one_thinks_better_of_it_in_time(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, command: type[Join] | type[Unjoin]
) -> None:
    first = await call_in(alice, juliet)
    second = await dial(juliet, bob.jid.bare, directly(first))
    await juliet.command(second, command(call_uri=first.uri))
    accept(bob)
    await bob.owners[-1].until("connected")
    await juliet.command(first, Answer())
    await alice.owners[-1].until("connected")
    assert None not in [focus.call(call).leg for call in (first, second)]
    joined = [event for event in juliet.events(first) if isinstance(event, Joined)]
    assert bool(joined) is (command is Join)


# --- what the peers say ---


async def test_candidates_are_passed_on_whenever_they_come(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    def trickled(port: int) -> Jingle:
        bare = Content(name="audio", transport=Transport(candidates=(candidate(port),)))
        return Jingle(action=Action.TRANSPORT_INFO, sid="this", contents=(bare,))

    def ports(jingle: Jingle) -> list[int]:
        transport = jingle.contents[0].transport
        assert transport is not None
        return [each.port for each in transport.candidates]

    first = await call_in(alice, juliet, None)
    await eventually(lambda: bool(focus.call(first).session.offer))  # type: ignore[union-attr]
    await says(alice, trickled(1))
    await dial(juliet, bob.jid, directly(first))
    await eventually(lambda: bool(heard(bob, Action.SESSION_INITIATE)))
    assert ports(heard(bob, Action.SESSION_INITIATE)[0])[-1] == 1
    await says(alice, trickled(2))
    await eventually(lambda: [ports(each) for each in heard(bob, Action.TRANSPORT_INFO)] == [[2]])
    await says(bob, trickled(3))
    accept(bob)
    await alice.owners[-1].until("connected")
    assert ports(heard(alice, Action.SESSION_ACCEPT)[0])[-1] == 3
    await says(bob, trickled(4))
    await says(alice, trickled(5))
    await eventually(lambda: [ports(each) for each in heard(alice, Action.TRANSPORT_INFO)] == [[4]])
    await eventually(lambda: [ports(each) for each in heard(bob, Action.TRANSPORT_INFO)] == [[2], [5]])


@pytest.mark.parametrize("is_answered_here", [True, False])
async def test_what_the_caller_says_while_one_rings_is_for_who_answers_in_the_end(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, is_answered_here: bool
) -> None:
    """Another one, or we."""
    first = await call_in(alice, juliet, None)
    second = await dial(juliet, bob.jid, directly(first))
    await eventually(lambda: bool(heard(bob, Action.SESSION_INITIATE)))
    bare = Content(name="audio", transport=Transport(candidates=(candidate(7),)))
    await says(alice, Jingle(action=Action.TRANSPORT_INFO, sid="this", contents=(bare,)))
    modified = Content(name="audio", senders="initiator")
    await says(alice, Jingle(action=Action.CONTENT_MODIFY, sid="this", contents=(modified,)))
    await eventually(lambda: bool(heard(bob, Action.CONTENT_MODIFY)))
    bob.sessions[-1].hangup(Reason.of("busy"))
    await juliet.event(End, second)
    if is_answered_here:
        await juliet.command(first, Answer())
        await eventually(lambda: bool(heard(alice, Action.SESSION_ACCEPT)))
        (content,) = heard(alice, Action.SESSION_ACCEPT)[0].contents
    else:
        await dial(juliet, bob.jid, directly(first))
        await eventually(lambda: len(heard(bob, Action.SESSION_INITIATE)) == 2)
        (content,) = heard(bob, Action.SESSION_INITIATE)[1].contents
        assert content.transport is not None
        assert content.transport.candidates[-1] == candidate(7)
    assert content.senders == "initiator"


async def test_what_one_peer_says_of_its_media_the_other_is_told(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    first, second = await connected(alice, bob, juliet)
    alice.sessions[-1].send_info(Hold())
    bob.sessions[-1].send_info(Mute())
    await eventually(lambda: Hold() in bob.owners[-1].entries and Mute() in alice.owners[-1].entries)
    assert (focus.call(first).describe(juliet.jid).held, focus.call(second).describe(juliet.jid).muted) == (True, True)
    await says(alice, Jingle(action=Action.SESSION_INFO, sid="this", mute=Mute(), headers=Shim.of([("for", "juliet")])))
    await eventually(lambda: len(heard(bob, Action.SESSION_INFO)) == 2)
    assert heard(bob, Action.SESSION_INFO)[-1].headers is None

    (content,) = heard(bob, Action.SESSION_INITIATE)[0].contents
    for action, changes in (
        (Action.CONTENT_MODIFY, {"senders": "initiator", "description": None, "transport": None}),
        (Action.DESCRIPTION_INFO, {"transport": None}),
    ):
        changed = content.model_copy(update=changes)
        await says(alice, Jingle(action=action, sid="this", contents=(changed,)))
        await eventually(lambda: bool(heard(bob, action)))  # noqa: B023
        assert heard(bob, action)[0].contents == (changed,)


async def test_a_content_that_one_peer_adds_the_other_rejects_or_does_not_know(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    await connected(alice, bob, juliet)
    (content,) = heard(bob, Action.SESSION_INITIATE)[0].contents
    more = Jingle(action=Action.CONTENT_ADD, sid="this", contents=(content.model_copy(update={"name": "more"}),))
    await says(alice, more)
    await eventually(lambda: len(heard(alice, Action.CONTENT_REJECT)) == 1)
    assert len(heard(bob, Action.CONTENT_ADD)) == 1
    bob.refusing = lambda jingle: FeatureNotImplemented("none") if jingle.action is Action.CONTENT_ADD else None
    await says(alice, more)
    await eventually(lambda: len(heard(alice, Action.CONTENT_REJECT)) == 2)


@pytest.mark.parametrize(
    ("action", "rejection"),
    [
        (Action.CONTENT_ADD, Action.CONTENT_REJECT),
        (Action.TRANSPORT_REPLACE, Action.TRANSPORT_REJECT),
        (Action.CONTENT_MODIFY, None),
    ],
)
async def test_of_what_both_peers_want_at_once_each_is_told_that_the_other_has_refused_it(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, action: Action, rejection: Action | None
) -> None:
    """Each refuses it with a tie-break, as each was acknowledged first (XEP-0166 section 7.2.16)."""
    await connected(alice, bob, juliet)
    (content,) = heard(bob, Action.SESSION_INITIATE)[0].contents
    changes: dict[Action, dict[str, object]] = {
        Action.CONTENT_ADD: {"name": "more"},
        Action.TRANSPORT_REPLACE: {"description": None},
        Action.CONTENT_MODIFY: {"senders": "none", "description": None, "transport": None},
    }
    wish = Jingle(action=action, sid="this", contents=(content.model_copy(update=changes[action]),))
    for peer in (alice, bob):
        peer.refusing = lambda jingle: TieBreak("I want that now") if jingle.action is action else None
    await asyncio.gather(says(alice, wish), says(bob, wish))
    await eventually(lambda: all(len(heard(peer, action)) == 1 for peer in (alice, bob)))
    if rejection is not None:
        await eventually(lambda: all(len(heard(peer, rejection)) == 1 for peer in (alice, bob)))
    alice.sessions[-1].send_info(Mute())
    await eventually(lambda: Mute() in bob.owners[-1].entries)
    answers = (Action.CONTENT_REJECT, Action.TRANSPORT_REJECT)
    assert [len(heard(peer, *answers)) for peer in (alice, bob)] == [int(rejection is not None)] * 2


async def test_a_session_without_contents_ends_both_calls(focus: Focus, juliet: Client, alice: Peer, bob: Peer) -> None:
    first, second = await connected(alice, bob, juliet)
    (content,) = heard(bob, Action.SESSION_INITIATE)[0].contents
    bare = content.model_copy(update={"description": None, "transport": None})
    alice.refusing = lambda jingle: FeatureNotImplemented("no") if jingle.action is Action.CONTENT_REMOVE else None
    await says(bob, Jingle(action=Action.CONTENT_REMOVE, sid="this", contents=(bare,)))
    for call in (first, second):
        await juliet.event(End, call)
        assert names(juliet.events(call))[-2:] == ["Unjoined", "hungup"]


# --- the end ---


Deed = Callable[[Focus, Client, Peer, JID], Awaitable[object]]


async def _hang_up(focus: Focus, juliet: Client, peer: Peer, call: JID) -> None:
    peer.sessions[-1].hangup(Reason.of("success"))


async def _fail(focus: Focus, juliet: Client, peer: Peer, call: JID) -> None:
    peer.sessions[-1].hangup(Reason.of("connectivity-error"))


async def _vanish(focus: Focus, juliet: Client, peer: Peer, call: JID) -> None:
    focus.server.peer_unavailable(peer.jid)


async def _command(focus: Focus, juliet: Client, peer: Peer, call: JID) -> None:
    await juliet.command(call, Hangup())


async def _end_unexplained(focus: Focus, juliet: Client, peer: Peer, call: JID) -> None:
    await says(peer, Jingle(action=Action.SESSION_TERMINATE, sid="this"))


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (_hang_up, "hungup"),
        (_end_unexplained, "hungup"),
        (_vanish, "hungup"),
        (_fail, "error"),
        (_command, "hangup-command"),
    ],
)
async def test_both_calls_end_with_one_of_them_and_for_the_same_reason(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, who: int, deed: Deed, reason: str
) -> None:
    calls = await connected(alice, bob, juliet)
    peers = (alice, bob)
    await deed(focus, juliet, peers[who], calls[who])
    for call in calls:
        await juliet.event(End, call)
        assert names(juliet.events(call))[-2:] == ["Unjoined", reason]
    unjoined = [sender for sender, event in juliet.stream if isinstance(event, Unjoined | End)]
    assert set(unjoined[:2]) == set(calls)  # before either ends (section 6.6.3)
    condition, _ = await peers[1 - who].owners[-1].until_ended()
    assert condition == {"hungup": "success", "error": "connectivity-error", "hangup-command": "success"}[reason] or (
        deed is _vanish and condition == "gone"
    )
    await eventually(lambda: not list(focus.server.directory.calls()))


async def test_who_rings_goes_on_when_the_caller_has_gone(focus: Focus, juliet: Client, alice: Peer, bob: Peer) -> None:
    """Nothing has been passed on: it is a call like any other."""
    first = await call_in(alice, juliet)
    second = await dial(juliet, bob.jid.bare, directly(first))
    alice.sessions[-1].hangup(Reason.of("cancel"))
    await juliet.event(End, first)
    accept(bob)
    await bob.owners[-1].until("connected")
    assert focus.call(second).leg is not None
    assert names(juliet.events(second)) == ["Ringing", "Answered"]


async def test_who_has_the_callers_offer_ends_with_the_caller(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    first = await call_in(alice, juliet, None)
    second = await dial(juliet, bob.jid, directly(first))
    alice.sessions[-1].hangup(Reason.of("cancel"))
    await juliet.event(End, second)
    assert [names(juliet.events(call))[-1] for call in (first, second)] == ["hungup", "hungup"]
    assert (await bob.owners[-1].until_ended())[0] == "cancel"


async def test_an_answer_that_comes_too_late_joins_nobody(focus: Focus, juliet: Client, alice: Peer, bob: Peer) -> None:
    first = await call_in(alice, juliet, None)
    second = await dial(juliet, bob.jid, directly(first))
    contents = heard(bob, Action.SESSION_INITIATE)[0].contents
    await asyncio.gather(
        says(alice, Jingle(action=Action.SESSION_TERMINATE, sid="this")),
        says(bob, Jingle(action=Action.SESSION_ACCEPT, sid="this", contents=contents)),
    )
    await juliet.event(End, second)
    assert names(juliet.events(second)) == ["Ringing", "Answered", "hungup"]
    assert names(juliet.events(first)) == ["Offer", "hungup"]
    assert not heard(alice, Action.SESSION_ACCEPT)


async def _is_refused(focus: Focus, juliet: Client, bob: Peer, call: JID) -> None:
    bob.sessions[-1].reject(Reason.of("busy"))


async def _is_given_up(focus: Focus, juliet: Client, bob: Peer, call: JID) -> None:
    await juliet.command(call, Hangup())


@pytest.mark.parametrize("is_invited", [True, False])
@pytest.mark.parametrize(("deed", "reason"), [(_is_refused, "busy"), (_is_given_up, "hangup-command")])
async def test_the_caller_waits_when_who_is_called_does_not_answer(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer, deed: Deed, reason: str, is_invited: bool
) -> None:
    first = await call_in(alice, juliet)
    second = await dial(juliet, bob.jid.bare if is_invited else bob.jid, directly(first))
    await deed(focus, juliet, bob, second)
    await juliet.event(End, second)
    assert names(juliet.events(second))[-1] == reason
    assert names(juliet.events(first)) == ["Offer"]
    await juliet.command(first, Accept())
    await juliet.command(first, Answer())
    await alice.owners[-1].until("connected")
    assert focus.call(first).leg is not None


async def test_the_caller_waits_when_the_time_for_an_answer_is_over(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    bob.deaf = True
    first = await call_in(alice, juliet)
    second = await juliet.dial(Dial(to=bob.jid.bare.uri, timeout=1, joins=(directly(first),)))
    _, end = await juliet.event(End, second)
    assert end.reason == "timeout"  # type: ignore[attr-defined]
    second = await juliet.dial(Dial(to=bob.jid.bare.uri, joins=(directly(first),)))
    await juliet.command(second, Hangup())
    await juliet.command(first, Reject.model_validate({"decline": {}}))
    assert (await alice.owners[-1].until_ended())[0] == "decline"


async def test_who_was_asked_for_its_offer_in_vain_waits_on(
    focus: Focus, juliet: Client, alice: Peer, bob: Peer
) -> None:
    """It is slow, and the other one does not wait for it."""
    first = await call_in(alice, juliet)
    second = await dial(juliet, bob.jid.bare, directly(first))
    alice.deaf = True
    accept(bob)
    await alice.heard.until(lambda each: isinstance(each, Proceed))
    with pytest.raises(OptionNotSupported):
        await juliet.command(second, Unjoin())
    bob.sessions[-1].hangup(Reason.of("success"))
    await juliet.event(End, second)
    assert names(juliet.events(first)) == ["Offer"]
    await juliet.command(first, Accept())
    await juliet.command(first, Answer())
    alice.deaf = False
    (proceed,) = [each for each in alice.heard.entries if isinstance(each, Proceed)]
    alice.take_message(alice.sessions[-1].peer.with_resource("focus"), proceed.to_string())
    await alice.owners[-1].until("connected")
    assert focus.call(first).leg is not None


# --- rooms of ours ---


async def call_room(focus: Focus, juliet: Client, first: JID, media: JoinMedia = "direct") -> tuple[JID, JID]:
    """Our call to a room of ours, joined with `first`, and the same call as it comes in there."""
    known = len([event for event in juliet.events() if isinstance(event, Offer)])
    call = await juliet.dial(Dial(to=f"xmpp:tea@{DOMAIN}", joins=(Join(call_uri=first.uri, media=media),)))
    return call, await juliet.offered(known + 1)


async def test_who_calls_is_connected_with_a_room_of_ours(focus: Focus, juliet: Client, alice: Peer) -> None:
    """With one port, too: only one end of the caller's media is here."""
    first = await call_in(alice, juliet)
    call, there = await call_room(focus, juliet, first)
    await juliet.command(there, Answer())
    await juliet.event(Joined, first)
    await alice.owners[-1].until("connected")
    await eventually(lambda: focus.call(there).describe(juliet.jid).connected)
    assert [focus.call(each).leg is not None for each in (first, call, there)] == [False, False, True]


@pytest.mark.parametrize("plane", ["honest fakes"], indirect=True)
async def test_who_is_connected_with_a_room_takes_no_ports_from_others(
    focus: Focus, juliet: Client, alice: Peer
) -> None:
    focus.plane.most_with_itself = 1
    first, other = await call_in(alice, juliet), await call_in(alice, juliet, number=2)
    await call_room(focus, juliet, first)
    await juliet.dial(Dial(to=f"xmpp:tea@{DOMAIN}"))
    with pytest.raises(ResourceConstraint):
        await juliet.dial(Dial(to=f"xmpp:tea@{DOMAIN}"))
    await call_room(focus, juliet, other)


async def test_a_call_to_a_room_gets_its_media_here_only_where_there_are_ports(
    focus: Focus, juliet: Client, alice: Peer
) -> None:
    first = await call_in(alice, juliet)
    call, _ = await call_room(focus, juliet, first)
    for one, other in ((first, call), (call, first)):
        with pytest.raises(OptionNotSupported, match="shards"):
            await juliet.command(one, Join(call_uri=other.uri, media="bridge"))


# --- what is refused ---


async def test_what_cannot_be_joined_directly(focus: Focus, juliet: Client, alice: Peer, bob: Peer) -> None:
    first, other = await call_in(alice, juliet), await call_in(alice, juliet, number=2)
    second, third = await dial(juliet, bob.jid.bare), await dial(juliet, bob.jid.bare)
    for one, join in (
        (first, directly(other)),  # both call
        (second, directly(third)),  # both are called
        (first, Join(call_uri=second.uri, media="direct", direction="send")),
        (first, Join(mixer_name="milk", media="direct")),
    ):
        with pytest.raises(OptionNotSupported):
            await juliet.command(one, join)
    assert not list(focus.server.directory.mixers())

    await juliet.command(first, Join(mixer_name="milk"))
    for one, party in ((first, second), (second, first)):
        with pytest.raises(OptionNotSupported):
            await juliet.command(one, directly(party))
    with pytest.raises(OptionNotSupported):
        await juliet.command(focus.addresses.mixer("milk"), directly(second))
    await juliet.command(first, Unjoin())

    await juliet.command(first, directly(second))
    for one, join in (
        (first, Join(mixer_name="milk")),
        (second, Join(call_uri=other.uri)),
        (other, Join(call_uri=second.uri)),
        (other, directly(second)),
    ):
        with pytest.raises(OptionNotSupported):
            await juliet.command(one, join)
    with pytest.raises(WrongState):
        await juliet.command(first, Answer())
    assert not list(focus.server.directory.mixers())
    assert list(focus.call(first).joins) == [focus.call(second)]


async def test_media_that_is_here_stays_here(focus: Focus, juliet: Client, alice: Peer, bob: Peer) -> None:
    first, second = await call_in(alice, juliet), await dial(juliet, bob.jid.bare)
    accept(bob)
    await bob.owners[-1].until("connected")
    with pytest.raises(OptionNotSupported):
        await juliet.command(first, directly(second))
    await juliet.command(first, Answer())
    await alice.owners[-1].until("connected")
    with pytest.raises(OptionNotSupported):
        await juliet.dial(Dial(to=bob.jid.bare.uri, joins=(directly(first),)))
    assert len(list(focus.server.directory.calls())) == 2
    await juliet.command(second, Join(call_uri=first.uri))


async def test_peers_that_send_to_each_other_stay_so(focus: Focus, juliet: Client, alice: Peer, bob: Peer) -> None:
    first, second = await connected(alice, bob, juliet)
    for command in (
        Unjoin(),
        Unjoin(call_uri=second.uri),
        Join(call_uri=second.uri),
        Join(call_uri=second.uri, media="direct", direction="recv"),
        Join(mixer_name="milk"),
    ):
        with pytest.raises(OptionNotSupported):
            await juliet.command(first, command)
    with pytest.raises(WrongState):
        await juliet.command(first, Output(documents=(Document(content_type="text/plain", body="Hello"),)))
    await juliet.command(second, directly(first))
    await juliet.command(first, Answer())
    await settled()
    assert focus.call(first).leg is None
    with pytest.raises(NotAllowed):
        await juliet.command(first, Reject.model_validate({"decline": {}}))
    assert names(juliet.events(first)) == ["Offer", "Joined"]
    assert not list(focus.server.directory.mixers())


def plain(content: Content) -> Content:
    """Which anybody could hear."""
    assert content.transport is not None
    return content.model_copy(update={"transport": content.transport.model_copy(update={"fingerprints": ()})})


def silent(content: Content) -> Content:
    """Of something that is not RTP."""
    return content.model_copy(update={"description": None})


@pytest.mark.parametrize(("spoilt", "condition"), [(plain, "security-error"), (silent, "unsupported-applications")])
async def test_an_offer_that_cannot_be_passed_on_is_not(
    focus: Focus,
    juliet: Client,
    alice: Peer,
    bob: Peer,
    spoilt: Callable[[Content], Content],
    condition: str,
) -> None:
    first = await call_in(alice, juliet, None)
    session = focus.call(first).session
    assert session is not None
    await eventually(lambda: session.offer is not None)
    assert session.offer is not None
    good = session.offer
    bad = good.model_copy(update={"contents": tuple(map(spoilt, good.contents))})
    session._contents.offer = bad
    with pytest.raises(OptionNotSupported):
        await juliet.dial(Dial(to=bob.jid.bare.uri, joins=(directly(first),)))
    assert list(focus.server.directory.calls()) == [focus.call(first)]
    session._contents.offer = good
    second = await dial(juliet, bob.jid.bare, directly(first))
    session._contents.offer = bad
    accept(bob)
    _, end = await juliet.event(End, second)
    assert end.error.platform_code == condition  # type: ignore[attr-defined]
    session._contents.offer = good
    await juliet.command(first, Answer())
    await alice.owners[-1].until("connected")


def another(content: Content) -> Content:
    """Which nobody has offered."""
    return content.model_copy(update={"name": "another"})


@pytest.mark.parametrize(("spoilt", "condition"), [(plain, "security-error"), (another, "incompatible-parameters")])
async def test_an_answer_that_is_none_ends_who_is_called(
    focus: Focus,
    juliet: Client,
    alice: Peer,
    bob: Peer,
    spoilt: Callable[[Content], Content],
    condition: str,
) -> None:
    first = await call_in(alice, juliet, None)
    second = await dial(juliet, bob.jid, directly(first))
    (initiate,) = heard(bob, Action.SESSION_INITIATE)
    await says(bob, Jingle(action=Action.SESSION_ACCEPT, sid="this", contents=tuple(map(spoilt, initiate.contents))))
    _, end = await juliet.event(End, second)
    assert end.error.platform_code == condition  # type: ignore[attr-defined]
    assert names(juliet.events(first)) == ["Offer"]
