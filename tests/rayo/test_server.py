"""Calls that come in and go out, who may command them, and what is left at the end: nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from typing_extensions import override

from focus.jingle.peer import PeerSession
from focus.media.plane import Direction
from focus.rayo.limits import Limits
from focus.wire.base import StrictFlag
from focus.wire.conditions import (
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    InternalServerError,
    ItemNotFound,
    NotAuthorized,
    NotTheOwner,
    OptionNotSupported,
    ResourceConstraint,
    ServiceUnavailable,
    StanzaError,
    WrongState,
)
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect, Propose
from focus.wire.message import CallMessage
from focus.wire.rayo import (
    Accept,
    Answer,
    Answered,
    Command,
    Dial,
    End,
    Hangup,
    Header,
    Join,
    Joined,
    Offer,
    Redirect,
    Ref,
    Reject,
    Ringing,
    Unjoin,
    Unjoined,
)
from focus.wire.rtp import Description, Hold, Mute, Unhold, Unmute
from focus.wire.session import Session, Watch
from focus.wire.shim import MAX_HEADERS, Shim, ShimHeader
from tests.jingle.pair import End as Caller

from .calling import answered, call_in
from .conftest import ADMIN, QUICK
from .scene import DOMAIN, Client, FakePlane, Focus, Net, eventually, settled

# --- calls that come in ---


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None])
async def test_an_inbound_call_from_offer_to_end(
    focus: Focus, owner: Client, alice: Caller, dialect: Dialect | None
) -> None:
    to = JID.parse(f"tea@{DOMAIN}")
    session, caller = alice.call(to if dialect else to.with_resource("focus"), dialect)
    await session.start()
    call = await owner.offered()
    assert owner.events(call) == [Offer(to=f"xmpp:tea@{DOMAIN}", from_="xmpp:alice@example.org/desk")]

    assert await owner.command(call, Accept()) is None
    await caller.until("ringing")
    assert await owner.command(call, Answer()) is None
    await caller.until("connected")
    assert ("focus", True) in caller.entries

    session.hangup(Reason.of("success"))
    _, end = await owner.event(End)
    assert isinstance(end, End)
    assert (end.reason, end.hungup and end.hungup.platform_code) == ("hungup", "success")
    await eventually(focus.is_empty)
    assert len(owner.events(call)) == 2
    with pytest.raises(ItemNotFound):
        await owner.command(call, Hangup())


async def test_joining_a_mixer_is_announced_once_on_both_sides(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    reference = await owner.command(call, Join(mixer_name="tea"))
    mixer = focus.addresses.mixer("tea")
    assert getattr(reference, "uri", None) == mixer.uri
    await owner.command(call, Join(mixer_name="tea", direction="recv"))
    await owner.command(call, Join(mixer_name="tea", direction="duplex"))
    assert owner.events(call)[1:] == [Joined(mixer_name="tea")]
    assert owner.events(mixer) == [Joined(call_uri=call.uri)]

    await owner.command(call, Unjoin(mixer_name="tea"))
    assert owner.events(call)[1:] == [Joined(mixer_name="tea"), Unjoined(mixer_name="tea")]
    assert focus.mixer("tea") is None
    with pytest.raises(ServiceUnavailable):
        await owner.command(call, Unjoin(mixer_name="tea"))


async def test_a_join_before_the_answer_waits_for_it(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await call_in(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    assert owner.events(call)[1:] == []
    await owner.command(call, Answer())
    await owner.event(Joined, call)
    mixer = focus.addresses.mixer("tea")
    await owner.event(Joined, mixer)
    assert [kind for kind in owner.events() if isinstance(kind, Joined)] == [
        Joined(mixer_name="tea"),
        Joined(call_uri=call.uri),
    ]


async def test_calls_are_joined_with_each_other(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    assert await owner.command(one, Join(call_uri=two.uri, direction="send")) is None
    assert owner.events(one)[1:] == [Joined(call_uri=two.uri)]
    assert owner.events(two)[1:] == [Joined(call_uri=one.uri)]
    assert focus.call(two).joins[focus.call(one)].value == "recv"
    await owner.command(two, Unjoin())
    assert owner.events(one)[2:] == [Unjoined(call_uri=two.uri)]
    assert owner.events(two)[2:] == [Unjoined(call_uri=one.uri)]


async def test_a_join_that_is_sent_to_both_calls_is_one_join(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    """Clients MUST send it to one of them (XEP-0327 section 6.3): to the other it is a join again."""
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    await owner.command(one, Join(call_uri=two.uri, direction="send"))
    await owner.command(two, Join(call_uri=one.uri, direction="duplex"))
    assert owner.events(one)[1:] == [Joined(call_uri=two.uri)]
    assert owner.events(two)[1:] == [Joined(call_uri=one.uri)]
    assert [focus.call(call).joins[focus.call(other)].value for call, other in ((one, two), (two, one))] == [
        "duplex",
        "duplex",
    ]
    await owner.command(two, Unjoin(call_uri=one.uri))
    assert not focus.call(one).joins
    assert not focus.call(two).joins


async def test_what_cannot_be_joined(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    for join, refusal in (
        (Join(call_uri=f"xmpp:nobody@{DOMAIN}"), ServiceUnavailable),
        (Join(call_uri=call.uri), Conflict),
        (Join(mixer_name="tea", media="direct"), OptionNotSupported),
        (Join(mixer_name="a@b"), BadRequest),
        (Join(mixer_name="a/b"), BadRequest),
        (Join(mixer_name="a b"), BadRequest),
        (Join(mixer_name="a\u00a0b"), BadRequest),
        (Join(mixer_name="focus"), BadRequest),
        (Join(mixer_name=call.local), Conflict),
    ):
        with pytest.raises(refusal):
            await owner.command(call, join)
    assert not list(focus.server.directory.mixers())
    assert focus.plane.snapshot()["mixers"] == 0


async def test_a_mixer_has_one_address_however_its_name_is_written(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    """XEP-0327 calls one myMixer; the local part of a JID is prepared by servers (RFC 6122 section 2.3)."""
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    await owner.command(one, Join(mixer_name="myMixer"))
    await owner.command(two, Join(mixer_name="mymixer"))
    assert [mixer.address for mixer in focus.server.directory.mixers()] == [JID("mymixer", DOMAIN)]
    await owner.command(two, Unjoin(mixer_name="MYMIXER"))
    assert Unjoined(mixer_name="myMixer") in owner.events(two)
    await owner.command(two, Join(mixer_name="Straße"))
    assert await owner.command(two, Join(mixer_name="STRASSE")) == Ref(uri=f"xmpp:strasse@{DOMAIN}")
    await owner.command(two, Unjoin(mixer_name="strasse"))
    assert Unjoined(mixer_name="Straße") in owner.events(two)


async def test_calls_are_in_several_mixers_at_once(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    for call in (one, two):
        await owner.command(call, Join(mixer_name="tea"))
        await owner.command(call, Join(mixer_name="milk"))
    assert len(list(focus.server.directory.mixers())) == 2
    await owner.command(one, Unjoin())
    assert len(list(focus.server.directory.mixers())) == 2
    await owner.command(two, Unjoin())
    assert not list(focus.server.directory.mixers())


async def test_a_join_that_the_plane_refuses_leaves_no_mixer(focus: Focus, owner: Client, alice: Caller) -> None:
    """As for a call whose leg has gone, but not yet its session."""
    call = await answered(focus, alice, owner)
    leg = focus.call(call).leg
    assert leg is not None
    await leg.close()
    with pytest.raises(ServiceUnavailable):
        await owner.command(call, Join(mixer_name="tea"))
    assert focus.mixer("tea") is None
    assert not focus.call(call).joins


async def test_a_join_that_has_waited_and_cannot_be_made_is_unjoined_on_both_sides(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    """As with a call whose leg has gone meanwhile, but not yet its session."""
    one, two = await answered(focus, alice, owner), await call_in(focus, bob, owner, number=2)
    await owner.command(two, Join(mixer_name="tea"))
    await owner.command(two, Join(call_uri=one.uri))
    leg = focus.call(one).leg
    assert leg is not None
    await leg.close()
    await owner.command(two, Answer())
    await owner.event(Joined, two)
    assert owner.events(one)[1:] == [Unjoined(call_uri=two.uri)]
    assert Unjoined(call_uri=one.uri) in owner.events(two)
    assert Unjoined(mixer_name="tea") not in owner.events(two)
    assert not focus.call(one).joins


async def test_hanging_up_unjoins_first_and_ends_then(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    await owner.command(call, Hangup())
    assert owner.events(call)[-1] == Unjoined(mixer_name="tea")  # before the session is over, XEP-0327 section 6.6.3
    assert await alice.owners[0].until_ended() == ("success", True)
    _, end = await owner.event(End)
    assert isinstance(end, End)
    assert end.reason == "hangup-command"
    assert [type(event) for event in owner.events(call)] == [Offer, Joined, Unjoined, End]
    await eventually(focus.is_empty)


async def test_the_reason_of_a_hangup_is_a_header(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Hangup(headers=(Header(name="jingle-reason", value="gone"),)))
    assert await alice.owners[0].until_ended() == ("gone", True)


@pytest.mark.parametrize("command", [Hangup(), Reject(decline=StrictFlag())])
async def test_what_else_the_reason_says_are_headers(
    focus: Focus, owner: Client, alice: Caller, command: Hangup | Reject
) -> None:
    call = await call_in(focus, alice, owner)
    text, elsewhere = (
        Header(name="jingle-text", value="Closed."),
        Header(name="jingle-redirect", value="xmpp:bar@x.org"),
    )
    await owner.command(call, command.model_copy(update={"headers": (text, elsewhere, *HEADERS)}))
    await alice.owners[0].until_ended()
    reason = alice.owners[0].reason
    assert reason is not None
    assert (reason.text, reason.redirect) == ("Closed.", "xmpp:bar@x.org")
    assert alice.sessions[0].told == Shim.of(ROUTE), "and are not for the peer otherwise"


@pytest.mark.parametrize("value", ["nonsense", "text", ""])
async def test_an_unknown_reason_is_success(focus: Focus, owner: Client, alice: Caller, value: str) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Hangup(headers=(Header(name="jingle-reason", value=value),)))
    assert await alice.owners[0].until_ended() == ("success", True)


async def test_a_peer_that_leaves_is_unjoined_and_ended(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    alice.sessions[0].hangup(Reason.of("success"))
    await owner.event(End)
    assert [type(event) for event in owner.events(call)] == [Offer, Joined, Unjoined, End]
    await eventually(focus.is_empty)


async def test_no_join_is_made_while_a_call_ends(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    alice.deaf = True  # so that the goodbye lasts
    await owner.command(call, Hangup())
    with pytest.raises(WrongState):
        await owner.command(call, Join(mixer_name="tea"))
    await owner.event(End)
    await eventually(focus.is_empty)


@pytest.mark.parametrize(("reject", "told"), [("decline", "decline"), ("busy", "busy"), ("error", "general-error")])
async def test_a_call_is_rejected(focus: Focus, owner: Client, alice: Caller, reject: str, told: str) -> None:
    call = await call_in(focus, alice, owner)
    await owner.command(call, Reject.model_validate({reject: {}}))
    assert await alice.owners[0].until_ended() == (told, True)
    await eventually(focus.is_empty)


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None])
@pytest.mark.parametrize("accepted", [False, True])
async def test_a_caller_is_sent_elsewhere(
    focus: Focus, owner: Client, alice: Caller, dialect: Dialect | None, accepted: bool
) -> None:
    to = JID.parse(f"tea@{DOMAIN}")
    session, caller = alice.call(to if dialect else to.with_resource("focus"), dialect)
    await session.start()
    call = await owner.offered()
    if accepted:
        await owner.command(call, Accept())
    await owner.command(call, Redirect(to="xmpp:other@example.org"))
    assert await caller.until_ended() == ("decline", True)
    assert caller.reason is not None
    assert caller.reason.redirect == "xmpp:other@example.org"
    _, end = await owner.event(End)
    assert isinstance(end, End)
    assert end.reason == "hangup-command"
    await eventually(focus.is_empty)


async def test_a_redirect_to_no_uri_changes_nothing(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await call_in(focus, alice, owner)
    for nowhere in ("other@example.org", "xmpp:", "xmpp:a b"):
        with pytest.raises(BadRequest):
            await owner.command(call, Redirect(to=nowhere))
    await owner.command(call, Answer())


async def test_an_answered_call_cannot_be_redirected(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    with pytest.raises(WrongState) as refused:
        await owner.command(call, Redirect(to="xmpp:other@example.org"))
    assert (refused.value.condition, refused.value.type) == ("unexpected-request", "wait")  # XEP-0327 section 6.6.1


async def test_what_is_for_inbound_calls_has_no_place_in_others(focus: Focus, admin: Client, alice: Caller) -> None:
    alice.answering = lambda session: session.ring()
    call = await admin.dial(Dial(to="xmpp:alice@example.org"))
    await admin.event(Ringing)
    for command in (Accept(), Answer(), Reject.model_validate({"busy": {}}), Redirect(to="xmpp:other@example.org")):
        with pytest.raises(WrongState):
            await admin.command(call, command)


async def test_an_answered_call_cannot_be_rejected(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    with pytest.raises(StanzaError) as refused:
        await owner.command(call, Reject.model_validate({"busy": {}}))
    assert (refused.value.condition, refused.value.type) == ("not-allowed", "cancel")  # XEP-0327 section 6.6.2


async def test_answering_twice_changes_nothing(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Answer())
    await owner.command(call, Accept())
    assert alice.owners[0].count("accepted") == 1


async def test_a_call_without_a_controlling_party_is_refused(focus: Focus, alice: Caller) -> None:
    session, caller = alice.call(JID.parse(f"tea@{DOMAIN}"), JMI_0)
    await session.start()
    assert (await caller.until_ended())[0] == "gone"
    await eventually(focus.is_empty)


@pytest.mark.parametrize(
    "address",
    [DOMAIN, f"focus@{DOMAIN}", f"focus@{DOMAIN}/a@b", f"focus@{DOMAIN}/a b", f"focus@{DOMAIN}/Tea", f"a@b@{DOMAIN}"],
)
async def test_what_is_no_room_cannot_be_called(focus: Focus, owner: Client, alice: Caller, address: str) -> None:
    session, caller = alice.call(JID.parse(address), JMI_0)
    await session.start()
    assert (await caller.until_ended())[0] == "general-error"
    assert owner.events() == []
    assert focus.is_empty()


async def test_the_address_of_a_call_is_no_room(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    call = await answered(focus, alice, owner)
    for address in (call.with_resource("x"), JID("focus", DOMAIN, call.local)):
        session, caller = bob.call(address, None)
        await session.start()
        assert (await caller.until_ended())[0] == "gone"


async def test_a_caller_with_the_longest_address_is_a_caller(
    focus: Focus, owner: Client, net: Net, far_planes: list[FakePlane]
) -> None:
    """RFC 7622 section 3.1: each part may have 1023 bytes."""
    name = f"{'a' * 1023}@{'b' * 1023}/{'c' * 1023}"
    caller = Caller(net, name, far_planes[2].create_leg, timeouts=QUICK)
    call = await answered(focus, caller, owner)
    description = await owner.command(call, Watch())
    assert isinstance(description, Session)
    assert description.peer == name


async def test_a_caller_that_nobody_can_be_told_of_is_refused(
    focus: Focus, owner: Client, net: Net, far_planes: list[FakePlane]
) -> None:
    """Its address is one, but too long as a URI, in which most of it is spelled in percents."""
    caller = Caller(net, f"{'a' * 200}@example.org/{'[' * 1023}", far_planes[2].create_leg, timeouts=QUICK)
    session, told = caller.call(JID.parse(f"tea@{DOMAIN}"), JMI_0)
    await session.start()
    assert (await told.until_ended())[0] == "general-error"
    assert not owner.events()
    assert focus.is_empty()


async def test_lines_are_limited(net: Net, alice: Caller, bob: Caller) -> None:
    focus = Focus(net, FakePlane(), limits=Limits(calls=1))
    await focus.start()
    owner = focus.client("juliet@example.org/balcony")
    focus.takers.parties = [owner.jid]
    await call_in(focus, alice, owner)
    with pytest.raises(ResourceConstraint):
        focus.server._take_in(bob.jid, JID.parse(f"tea@{DOMAIN}"), _propose("s2"))
    await focus.stop()


def _propose(sid: str) -> Propose:
    return Propose(id=sid, descriptions=(Description(media="audio"),))


# --- headers ---

ROUTE = (("Route", "foo"), ("x-skill", "agent"), ("Route", "bar"))
HEADERS = tuple(Header(name=name, value=value) for name, value in ROUTE)


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None])
async def test_headers_of_an_outbound_call_go_both_ways_in_order(
    focus: Focus, admin: Client, alice: Caller, dialect: Dialect | None
) -> None:
    """XEP-0327 section 6.7: several of one name are an ordered collection."""

    async def speaks(peer: JID) -> Dialect | None:
        return dialect

    said = []

    def answering(session: PeerSession) -> None:
        said.append(session.told)
        session.ring(Shim.of([*ROUTE, ("x-step", "ringing")]))
        session.accept(Shim.of([*ROUTE, ("x-step", "accepted")]))

    focus.dialect, alice.answering = speaks, answering
    call = await admin.dial(Dial(to=f"xmpp:{alice.jid if dialect is None else alice.jid.bare}", headers=HEADERS))
    await admin.event(Answered)
    assert said == [Shim.of(ROUTE)]
    alice.sessions[0].hangup(Reason.of("success"), headers=Shim.of([*ROUTE, ("x-step", "gone")]))
    _, end = await admin.event(End)
    ringing, answered, _ = admin.events(call)
    for event, step in ((ringing, "ringing"), (answered, "accepted"), (end, "gone")):
        assert isinstance(event, Ringing | Answered | End)
        told = [header for header in event.headers if header.name != "x-step"]
        assert {header.value for header in event.headers if header.name == "x-step"} == {step}
        assert tuple(told[:3]) == HEADERS


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None])
async def test_headers_of_an_inbound_call_go_both_ways_in_order(
    focus: Focus, owner: Client, alice: Caller, dialect: Dialect | None
) -> None:
    to = JID.parse(f"tea@{DOMAIN}" + ("" if dialect else "/focus"))
    session, caller = alice.call(to, dialect, headers=Shim.of(ROUTE))
    await session.start()
    call = await owner.offered()
    (offer,) = owner.events(call)
    assert isinstance(offer, Offer)
    assert offer.headers == HEADERS
    await owner.command(call, Accept(headers=HEADERS))
    await caller.until("ringing")
    assert session.told == Shim.of(ROUTE)
    await owner.command(call, Answer(headers=HEADERS[1:]))
    await caller.until("accepted")
    assert session.told is not None
    assert session.told.pairs[:2] == list(ROUTE[1:])
    why = Header(name="jingle-reason", value="gone")  # is for us
    await owner.command(call, Hangup(headers=(*HEADERS, why)))
    assert await caller.until_ended() == ("gone", True)
    assert session.told == Shim.of(ROUTE)


MANY = tuple((f"x-{number}", "1") for number in range(MAX_HEADERS + 1))


@pytest.mark.parametrize("dialect", [JMI_0, None])
async def test_a_call_does_not_fail_for_how_much_is_said_with_it(
    focus: Focus, admin: Client, owner: Client, alice: Caller, bob: Caller, dialect: Dialect | None
) -> None:
    """In a stanza, or in the two that are one step here."""

    async def speaks(peer: JID) -> Dialect | None:
        return dialect

    def answering(session: PeerSession) -> None:
        session.ring(many)
        session.accept(many)

    many = Shim.model_construct(entries=tuple(ShimHeader(name=name, value=value) for name, value in MANY))
    few = tuple(Header(name=name, value=value) for name, value in MANY[:MAX_HEADERS])
    focus.dialect, bob.answering = speaks, answering
    call = await admin.dial(Dial(to=f"xmpp:{bob.jid if dialect is None else bob.jid.bare}"))
    for kind in (Ringing, Answered):
        _, event = await admin.event(kind)
        assert isinstance(event, Ringing | Answered)
        assert event.headers == few
    bob.sessions[0].hangup(Reason.of("success"), headers=many)
    _, end = await admin.event(End, call)
    assert isinstance(end, End)
    assert end.headers == few

    to = JID.parse(f"tea@{DOMAIN}" + ("" if dialect else "/focus"))
    session, _ = alice.call(to, dialect, headers=many)
    await session.start()
    (offer,) = owner.events(await owner.offered())
    assert isinstance(offer, Offer)
    assert offer.headers == few


async def test_a_rejected_call_is_told_the_headers(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await call_in(focus, alice, owner)
    sorry = Header(name="x-reject-description", value="Sorry, she cannae take it!")
    await owner.command(call, Reject.model_validate({"busy": {}, "headers": [sorry]}))
    await alice.owners[0].until_ended()
    assert alice.sessions[0].told == Shim.of([(sorry.name, sorry.value)])


# --- messages ---


async def test_a_message_to_a_call_is_handed_on_to_the_peer(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await call_in(focus, alice, owner)
    await owner.command(call, Accept())
    message = CallMessage(subject="names", body="Art thou not Romeo, and a Montague?")
    await owner.command(call, message)
    assert focus.handed_on == [(JID("tea", DOMAIN, "focus"), alice.jid, message)]
    stranger = focus.client("tybalt@example.org/sword")
    with pytest.raises(NotTheOwner):
        await stranger.command(call, message)
    with pytest.raises(FeatureNotImplemented) as refused:  # there is no translation, XEP-0327 section 6.8
        await owner.command(call, CallMessage())
    assert (refused.value.condition, refused.value.type) == ("feature-not-implemented", "cancel")
    assert len(focus.handed_on) == 1


async def test_nothing_is_handed_on_while_nobody_is_there(focus: Focus, admin: Client, alice: Caller) -> None:
    alice.answering = lambda session: None
    call = await admin.dial(Dial(to="xmpp:alice@example.org"))
    with pytest.raises(FeatureNotImplemented):
        await admin.command(call, CallMessage(body="hello?"))
    await admin.command(call, Hangup())
    assert not focus.handed_on


# --- who may command ---


async def test_the_first_party_that_commands_controls_the_call(focus: Focus, owner: Client, alice: Caller) -> None:
    other = focus.client("romeo@example.org/orchard")
    focus.takers.parties = [owner.jid, other.jid]
    call = await call_in(focus, alice, owner)
    await other.event(Offer)
    await owner.command(call, Accept())
    for command in (Accept(), Answer(), Hangup(), Join(mixer_name="tea")):
        with pytest.raises(NotTheOwner) as refused:
            await other.command(call, command)
        assert (refused.value.condition, refused.value.type) == ("conflict", "cancel")
    await owner.command(call, Hangup())
    await owner.event(End)
    await other.event(End)  # section 6.6.4: to all JIDs to which an offer was sent
    assert [type(event) for event in other.events()] == [Offer, End]


async def test_strangers_do_not_command_a_call(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await call_in(focus, alice, owner)
    stranger = focus.client("tybalt@example.org/sword")
    with pytest.raises(NotTheOwner):
        await stranger.command(call, Answer())
    await owner.command(call, Answer())
    await owner.command(call, Hangup())
    await owner.event(End)
    assert stranger.events() == []  # section 6.6.4 has the end told to whom commands have come from


async def test_configured_controllers_command_any_call(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    call = await answered(focus, alice, owner)
    await admin.command(call, Join(mixer_name="tea"))
    assert Joined(mixer_name="tea") in owner.events(call)  # it stays the owner's
    await admin.command(call, Hangup())
    await owner.event(End)
    await admin.event(End)  # section 6.6.4: and from which a command was received


@pytest.mark.parametrize("command", [Answer(), Hangup(), Join(mixer_name="tea")])
async def test_nobody_is_not_found(focus: Focus, admin: Client, command: Command) -> None:
    with pytest.raises(ItemNotFound):
        await admin.command(JID("nobody", DOMAIN), command)


@pytest.mark.parametrize(
    ("what", "commands"),
    [
        ("service", ["accept", "answer", "redirect", "reject", "hangup", "join", "unjoin"]),
        ("mixer", ["accept", "answer", "redirect", "reject", "hangup", "dial"]),
        ("call", ["dial"]),
    ],
)
async def test_a_command_is_for_some_actors_only(
    focus: Focus, admin: Client, owner: Client, alice: Caller, what: str, commands: list[str]
) -> None:
    """XEP-0327 section 5.2."""
    call = await answered(focus, alice, owner)
    await admin.command(call, Join(mixer_name="tea"))
    all_of_them = {
        "accept": Accept(),
        "answer": Answer(),
        "redirect": Redirect(to="xmpp:other@example.org"),
        "reject": Reject.model_validate({"busy": {}}),
        "hangup": Hangup(),
        "join": Join(mixer_name="tea"),
        "unjoin": Unjoin(),
        "dial": Dial(to="xmpp:bob@example.org"),
    }
    at = {"service": focus.addresses.service, "mixer": focus.addresses.mixer("tea"), "call": call}[what]
    for name in commands:
        with pytest.raises(FeatureNotImplemented, match=f"<{name}/>") as refused:
            await admin.command(at, all_of_them[name])
        assert (refused.value.condition, refused.value.type) == ("feature-not-implemented", "cancel")
    assert focus.call(call).joins


async def test_dialling_is_for_controllers(focus: Focus) -> None:
    stranger = focus.client("tybalt@example.org/sword")
    with pytest.raises(NotAuthorized):
        await stranger.dial(Dial(to="xmpp:alice@example.org"))


# --- calls that go out ---


async def test_an_outbound_call_with_a_nested_join(focus: Focus, admin: Client, alice: Caller) -> None:
    def answering(session: PeerSession) -> None:
        session.ring()
        session.accept()

    alice.answering = answering
    call = await admin.dial(Dial(to="xmpp:alice@example.org", joins=(Join(mixer_name="tea"),)))
    await admin.event(Joined, focus.addresses.mixer("tea"))
    assert [type(event) for event in admin.events(call)] == [Ringing, Answered, Joined]
    assert focus.takers.opened == ["tea"]
    await admin.command(call, Hangup())
    await admin.event(End)
    await eventually(focus.is_empty)


@pytest.mark.parametrize(
    ("dial", "caller", "is_focus"),
    [
        ({}, DOMAIN, False),
        ({"from_": f"xmpp:desk@{DOMAIN}"}, f"desk@{DOMAIN}", False),
        ({"joins": (Join(mixer_name="myMixer"),)}, f"mymixer@{DOMAIN}", True),
        ({"joins": (Join(mixer_name="tea"),), "from_": f"xmpp:desk@{DOMAIN}"}, f"desk@{DOMAIN}", True),
    ],
)
async def test_whom_a_call_comes_from(
    focus: Focus, admin: Client, alice: Caller, dial: dict[str, object], caller: str, is_focus: bool
) -> None:
    await admin.dial(Dial.model_validate({"to": "xmpp:alice@example.org", **dial}))
    await eventually(lambda: bool(alice.owners))
    await alice.owners[0].until("connected")
    assert alice.sessions[0].peer == JID.parse(f"{caller}/focus")
    assert (("focus", True) in alice.owners[0].entries) is is_focus


@pytest.mark.parametrize(
    ("condition", "reason"), [("busy", "busy"), ("decline", "rejected"), ("gone", "hungup"), ("media-error", "error")]
)
async def test_why_nobody_answered(focus: Focus, admin: Client, alice: Caller, condition: str, reason: str) -> None:
    alice.answering = lambda session: session.reject(Reason.of(condition))
    await admin.dial(Dial(to="xmpp:alice@example.org", joins=(Join(mixer_name="tea"),)))
    _, end = await admin.event(End)
    assert isinstance(end, End)
    assert end.reason == reason
    assert [type(event) for event in admin.events()] == [End]  # what was never joined is not unjoined
    await eventually(focus.is_empty)


async def test_an_answer_is_waited_for_as_long_as_the_dial_says(focus: Focus, admin: Client, alice: Caller) -> None:
    alice.answering = lambda session: None
    await admin.dial(Dial(to="xmpp:alice@example.org", timeout=50))
    _, end = await admin.event(End)
    assert isinstance(end, End)
    assert end.reason == "timeout"
    await eventually(focus.is_empty)


async def test_the_time_for_an_answer_begins_with_the_dial(focus: Focus, admin: Client, alice: Caller) -> None:
    never = asyncio.Event()

    async def dialect(peer: JID) -> Dialect | None:
        await never.wait()
        return None

    focus.dialect = dialect
    await admin.dial(Dial(to="xmpp:alice@example.org", timeout=50))
    _, end = await admin.event(End)
    assert isinstance(end, End)
    assert end.reason == "timeout"
    await eventually(focus.is_empty)


async def test_a_call_is_made_where_it_is_wanted(focus: Focus, admin: Client, alice: Caller) -> None:
    call = await admin.dial(Dial(to="xmpp:alice@example.org", uri=f"xmpp:mine@{DOMAIN}"))
    assert call == JID("mine", DOMAIN)
    with pytest.raises(StanzaError) as refused:
        await admin.dial(Dial(to="xmpp:alice@example.org", uri=f"xmpp:mine@{DOMAIN}"))
    assert (refused.value.condition, refused.value.type) == ("conflict", "modify")  # section 6.2.1.1


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"to": "tel:+13055195825"}, OptionNotSupported),
        ({"to": "sip:juliet@example.org"}, OptionNotSupported),
        ({"uri": f"xmpp:mine@{DOMAIN}/x"}, BadRequest),
        ({"to": f"xmpp:tea@{DOMAIN}"}, OptionNotSupported),  # with one port its legs could not be told apart
        ({"to": "foo:juliet@example.org"}, BadRequest),
        ({"to": "xmpp:"}, BadRequest),
        ({"from_": "xmpp:juliet@elsewhere.example"}, OptionNotSupported),
        ({"from_": f"xmpp:focus@{DOMAIN}/tea"}, BadRequest),
        ({"uri": "xmpp:mine@elsewhere.example"}, BadRequest),
        ({"uri": f"xmpp:{DOMAIN}"}, BadRequest),
        ({"joins": (Join(mixer_name="tea", media="direct"),)}, OptionNotSupported),
        ({"joins": (Join(call_uri=f"xmpp:nobody@{DOMAIN}"),)}, ServiceUnavailable),
        ({"joins": (Join(mixer_name="tea"), Join(call_uri=f"xmpp:nobody@{DOMAIN}"))}, ServiceUnavailable),
        ({"joins": (Join(mixer_name="focus"),)}, BadRequest),
        ({"uri": f"xmpp:mine@{DOMAIN}", "joins": (Join(mixer_name="mine"),)}, Conflict),
        ({"uri": f"xmpp:mine@{DOMAIN}", "joins": (Join(call_uri=f"xmpp:mine@{DOMAIN}"),)}, Conflict),
    ],
)
async def test_what_cannot_be_dialled_leaves_nothing(
    focus: Focus, admin: Client, changes: dict[str, object], refusal: type[StanzaError]
) -> None:
    with pytest.raises(refusal):
        await admin.dial(Dial.model_validate({"to": "xmpp:alice@example.org", **changes}))
    assert focus.is_empty()


class Failing(FakePlane):
    """Fails in a way that nobody has foreseen, at the second mixer or at every join."""

    @override
    def create_mixer(
        self,
        dominant_changed: Callable[[int | None], None] | None = None,
        *,
        room: str | None = None,
        near: int | None = None,
    ) -> int:
        if self._mixers:
            raise MemoryError
        return super().create_mixer(room=room)

    @override
    def join(self, a: int, b: int, direction: Direction = Direction.DUPLEX) -> None:
        raise RuntimeError("the plane has been stopped")


async def test_a_dial_that_fails_leaves_nothing_whatever_the_reason(net: Net) -> None:
    focus = Focus(net, Failing(), controllers=frozenset({JID.parse(ADMIN)}))
    await focus.start()
    admin = focus.client(f"{ADMIN}/rayo")
    with pytest.raises(InternalServerError):
        await admin.dial(
            Dial(to="xmpp:alice@example.org", joins=(Join(mixer_name="tea"), Join(mixer_name="milk"))),
        )
    assert focus.is_empty()
    await focus.stop()


async def test_a_join_that_fails_leaves_no_mixer_whatever_the_reason(net: Net) -> None:
    plane = Failing()
    focus = Focus(net, plane)
    await focus.start()
    alice = Caller(net, "alice@example.org/desk", plane.create_leg, timeouts=QUICK)
    owner = focus.client("juliet@example.org/balcony")
    focus.takers.parties = [owner.jid]
    call = await answered(focus, alice, owner)
    with pytest.raises(InternalServerError):
        await owner.command(call, Join(mixer_name="tea"))
    assert focus.mixer("tea") is None
    assert not focus.call(call).joins
    await focus.stop()


async def test_a_dial_that_is_hung_up_before_anything_was_sent_sends_nothing(
    focus: Focus, admin: Client, alice: Caller
) -> None:
    asked = asyncio.Event()

    async def dialect(peer: JID) -> Dialect | None:
        await asked.wait()
        return JMI_0

    focus.dialect = dialect
    other = focus.client("admin@example.org/other")
    call = await admin.dial(Dial(to="xmpp:alice@example.org", joins=(Join(mixer_name="tea"),)))
    hangup = asyncio.ensure_future(other.command(call, Hangup()))
    await settled()
    asked.set()
    await hangup
    for client in (admin, other):  # who has commanded it is told, too
        _, end = await client.event(End, call)
        assert isinstance(end, End)
        assert end.reason == "hangup-command"
    assert alice.heard.entries == []
    await eventually(focus.is_empty)


@pytest.mark.parametrize("fault", [ValueError("no"), TimeoutError()])
async def test_a_dial_that_breaks_ends_as_an_error(
    focus: Focus, admin: Client, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def dialect(peer: JID) -> Dialect | None:
        raise fault

    focus.dialect = dialect
    await admin.dial(Dial(to="xmpp:alice@example.org", joins=(Join(mixer_name="tea"),)))
    _, end = await admin.event(End)
    assert isinstance(end, End)
    assert end.reason == "error"
    await eventually(focus.is_empty)


async def test_an_account_that_cannot_be_proposed_to_ends_as_an_error(
    focus: Focus, admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def dialect(peer: JID) -> Dialect | None:
        return None

    focus.dialect = dialect
    await admin.dial(Dial(to="xmpp:alice@example.org"))
    await admin.event(End)
    await eventually(focus.is_empty)


# --- mixers ---


async def test_a_mixer_goes_with_its_last_join(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    await owner.command(one, Join(mixer_name="tea"))
    await owner.command(two, Join(mixer_name="tea"))
    await owner.command(one, Unjoin())
    assert focus.mixer("tea") is not None
    bob.sessions[0].hangup(Reason.of("success"))
    await eventually(lambda: focus.mixer("tea") is None)
    assert focus.plane.snapshot()["mixers"] == 0


async def test_a_bound_mixer_stays_until_it_is_released(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    room = JID("focus", DOMAIN, "tea")
    watcher = focus.client(str(room), local=True)
    focus.server.mixers.bind("tea", room)
    call = await answered(focus, alice, owner)
    await admin.command(call, Join(mixer_name="tea"))
    await admin.command(call, Unjoin())
    assert watcher.events() == [Joined(call_uri=call.uri), Unjoined(call_uri=call.uri)]
    assert focus.mixer("tea") is not None
    assert not focus.server.mixers.is_in_use("tea")
    focus.server.mixers.release("tea", room)
    assert focus.mixer("tea") is None
    focus.server.mixers.release("tea", room)


async def test_who_binds_a_mixer_hears_of_those_in_it(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    """A mixer that a client's join has made is bound a moment later; the room must not miss that join."""
    call = await answered(focus, alice, owner)
    await admin.command(call, Join(mixer_name="tea"))
    room = JID("focus", DOMAIN, "tea")
    watcher = focus.client(str(room), local=True)
    focus.server.mixers.bind("tea", room)
    focus.server.mixers.bind("tea", room)
    assert watcher.events() == [Joined(call_uri=call.uri)]
    focus.server.mixers.release("tea", room)


# --- the peer's news ---


async def test_a_watcher_is_told_of_the_session(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    first = await owner.command(call, Watch())
    assert isinstance(first, Session)
    assert (first.accepted, first.connected, first.muted, first.direction) == (True, True, False, "duplex")
    assert first.source_id == focus.call(call).leg.source_id  # type: ignore[union-attr]

    def said(wanted: Session) -> Callable[[], bool]:
        return lambda: owner.events(call)[-1] == wanted

    for info, expected in (
        (Mute(), {"muted": True}),
        (Hold(), {"muted": True, "held": True}),
        (Unhold(), {"muted": True}),
        (Unmute(), {}),
    ):
        alice.sessions[0].send_info(info)
        wanted = first.model_copy(update=expected)
        await eventually(said(wanted))
    await owner.command(call, Join(mixer_name="tea", direction="recv"))
    assert [event for event in owner.events(call) if isinstance(event, Session)][-1].direction == "recv"
    await owner.command(call, Join(mixer_name="tea"))
    assert [event for event in owner.events(call) if isinstance(event, Session)][-1].direction == "duplex"


async def test_speaking_is_told_by_the_mixer(focus: Focus, owner: Client, alice: Caller) -> None:
    from focus.wire.rayo import StartedSpeaking, StoppedSpeaking

    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    mixer = focus.addresses.mixer("tea")
    session = focus.call(call).session
    assert session is not None
    for speaking in (True, True, False, False, True):
        session.leg_speaking(speaking)
    await eventually(lambda: len(owner.events(mixer)) == 4)
    alice.sessions[0].hangup(Reason.of("success"))
    await owner.event(End)
    uri = call.uri
    assert owner.events(mixer) == [
        Joined(call_uri=uri),
        StartedSpeaking(call_uri=uri),
        StoppedSpeaking(call_uri=uri),
        StartedSpeaking(call_uri=uri),
        StoppedSpeaking(call_uri=uri),
        Unjoined(call_uri=uri),
    ]


async def test_a_peer_that_goes_offline_is_hung_up(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    focus.server.peer_unavailable(alice.jid.bare)
    focus.server.peer_unavailable(replace(alice.jid, resource="other"))
    await settled()
    assert not focus.call(one).session.ended  # type: ignore[union-attr]
    focus.server.peer_unavailable(alice.jid)
    _, end = await owner.event(End, one)
    assert isinstance(end, End)
    assert end.reason == "hungup"
    assert focus.server.directory.call(two) is not None


# --- the end of the service ---


async def test_the_end_of_the_service_ends_every_call_and_mixer(
    net: Net, plane: FakePlane, alice: Caller, bob: Caller
) -> None:
    focus = Focus(net, plane, controllers=frozenset({JID.parse("admin@example.org")}))
    await focus.start()
    owner = focus.client("juliet@example.org/balcony")
    admin = focus.client("admin@example.org/x")
    focus.takers.parties = [owner.jid]
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    focus.server.mixers.bind("tea", JID("focus", DOMAIN, "tea"))
    bob.answering = lambda session: session.ring()
    await admin.dial(Dial(to="xmpp:bob@example.org"))
    await admin.event(Ringing)
    never = asyncio.Event()

    async def dialect(peer: JID) -> Dialect | None:
        await never.wait()
        return None

    focus.dialect = dialect
    await admin.dial(Dial(to="xmpp:carol@example.org"))

    await focus.stop()  # although the mixer is still bound and nobody knows how to call carol

    _, end = await owner.event(End, call)
    assert isinstance(end, End)
    assert end.reason == "error"  # nobody has hung up
    assert await alice.owners[0].until_ended() == ("gone", True)
    assert (await bob.owners[0].until_ended())[1]
    assert not list(focus.server.directory.calls())


async def test_nobody_is_taken_in_while_the_service_ends(focus: Focus, owner: Client, alice: Caller) -> None:
    await focus.stop()
    session, caller = alice.call(JID.parse(f"tea@{DOMAIN}/focus"), None)
    await session.start()
    assert (await caller.until_ended())[0] == "gone"
    assert focus.is_empty()


async def test_a_session_that_breaks_costs_its_call_only(
    focus: Focus, owner: Client, alice: Caller, bob: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    broken = focus.call(one)

    def break_down(info: object) -> None:
        raise ZeroDivisionError

    broken.peer_info = break_down  # type: ignore[method-assign]
    alice.sessions[0].send_info(Mute())
    _, end = await owner.event(End, one)
    assert isinstance(end, End)
    assert end.reason == "error"
    assert await owner.command(two, Join(mixer_name="tea")) is not None


async def test_a_client_that_breaks_on_an_event_does_not_keep_a_call_alive(
    focus: Focus, owner: Client, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))

    class Broken:
        def deliver(self, sender: JID, event: object) -> None:
            raise ZeroDivisionError

    focus.server.register(owner.jid, Broken())
    alice.sessions[0].hangup(Reason.of("success"))
    await eventually(focus.is_empty)
