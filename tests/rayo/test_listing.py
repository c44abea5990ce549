"""Who is shown which calls and mixers."""

import pytest

from focus.rayo.listing import Listing
from focus.wire.conditions import NotTheOwner
from focus.wire.jid import JID
from focus.wire.rayo import Accept, Answer, Dial, Hangup, Join, Unjoin
from tests.jingle.pair import End as Caller

from .calling import answered, call_in
from .scene import Client, Focus, eventually


@pytest.fixture
def listing(focus: Focus) -> Listing:
    return Listing(focus.server)


async def test_who_sees_a_call_is_told_what_its_peer_is_called_in_the_room(
    focus: Focus, listing: Listing, owner: Client, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(focus.server, "nick", lambda room, peer: f"{peer.local} in {room}")
    call = await answered(focus, alice, owner)
    assert listing.nick(owner.jid, call) == ""
    await owner.command(call, Join(mixer_name="tea"))
    assert listing.nick(owner.jid, call) == "alice in tea"
    assert listing.nick(JID.parse("romeo@example.org/orchard"), call) == ""


async def test_clients_see_what_is_of_their_account(
    focus: Focus, listing: Listing, owner: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    romeo = focus.client("romeo@example.org/orchard")
    colleague = focus.client("juliet@example.org/tomb")
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="myMixer"))
    mixer = (focus.addresses.mixer("mymixer"), "myMixer")
    for client in (owner, colleague):
        assert list(listing.calls(client.jid)) == [(call, str(alice.jid))]
        assert list(listing.mixers(client.jid)) == [mixer]
        assert list(listing.joined(client.jid, call)) == [mixer]
        assert list(listing.joined(client.jid, mixer[0])) == [(call, str(alice.jid))]
    assert listing.directions(owner.jid, call) == {}
    await owner.command(call, Join(mixer_name="myMixer", direction="recv"))
    assert listing.directions(colleague.jid, call) == {"recv": [mixer[0].uri]}
    assert listing.directions(colleague.jid, mixer[0]) == {"send": [call.uri]}
    assert listing.directions(romeo.jid, call) == listing.directions(romeo.jid, mixer[0]) == {}
    assert list(listing.calls(admin.jid)) == [(call, str(alice.jid))]
    assert list(listing.mixers(admin.jid)) == []
    for found in (
        listing.calls(romeo.jid),
        listing.mixers(romeo.jid),
        listing.joined(romeo.jid, call),
        listing.joined(romeo.jid, mixer[0]),
        listing.joined(owner.jid, focus.addresses.mixer("nothing")),
    ):
        assert list(found) == []


async def test_who_may_know_of_a_call_sees_how_far_it_has_come(
    focus: Focus, listing: Listing, owner: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    romeo = focus.client("romeo@example.org/orchard")
    call = await call_in(focus, alice, owner)
    seen = [listing.state(owner.jid, call)]
    for command in (Accept(), Answer()):
        await owner.command(call, command)
        seen.append(listing.state(owner.jid, call))
    assert seen == ["offered", "accepted", "answered"]
    assert listing.state(romeo.jid, call) == listing.state(owner.jid, focus.addresses.mixer("x")) == ""

    bob.answering = lambda session: session.ring()
    made = await admin.dial(Dial(to=f"xmpp:{bob.jid.bare}"))
    assert listing.state(admin.jid, made) == "dialled"
    await eventually(lambda: listing.state(admin.jid, made) == "ringing")
    bob.sessions[-1].accept()
    await eventually(lambda: listing.state(admin.jid, made) == "answered")


@pytest.mark.parametrize("name", [r"my\20Room", r"tea\40conference.example.org", r"a\5c20b"])
async def test_a_mixer_is_listed_by_the_name_that_commands_take(
    focus: Focus, listing: Listing, owner: Client, alice: Caller, name: str
) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name=name))
    listed = [*listing.mixers(owner.jid), *listing.joined(owner.jid, call)]
    assert [name for _, name in listed] == [name, name]
    assert [focus.server.mixers.address(name) for _, name in listed] == [address for address, _ in listed]


async def test_a_call_that_is_offered_is_seen_by_those_who_may_take_it(
    focus: Focus, listing: Listing, owner: Client, alice: Caller
) -> None:
    romeo = focus.client("romeo@example.org/orchard")
    focus.takers.parties = [owner.jid, romeo.jid]
    call = await call_in(focus, alice, owner)
    assert [address for address, _ in listing.calls(romeo.jid)] == [call]
    await owner.command(call, Join(mixer_name="desk"))
    assert list(listing.calls(romeo.jid)) == []


async def test_the_calls_of_a_room_are_seen_by_its_moderators(
    focus: Focus, listing: Listing, owner: Client, alice: Caller
) -> None:
    moderator, visitor = JID.parse("romeo@example.org/x"), JID.parse("mercutio@example.org/x")
    focus.server.mixers.bind("tea", owner.jid, lambda client: client == moderator)
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="tea"))
    tea = focus.addresses.mixer("tea")
    assert [address for address, _ in listing.calls(moderator)] == [call]
    assert list(listing.mixers(moderator)) == [(tea, "tea")]
    assert [address for address, _ in listing.joined(moderator, tea)] == [call]
    assert list(listing.calls(visitor)) == list(listing.joined(visitor, tea)) == []
    focus.server.mixers.release("tea", owner.jid)
    assert list(listing.calls(moderator)) == []


async def test_what_others_have_joined_with_ones_own_has_no_name(
    focus: Focus, listing: Listing, owner: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    romeo = focus.client("romeo@example.org/orchard")
    mine = await answered(focus, alice, owner)
    focus.takers.parties = [romeo.jid]
    theirs = await answered(focus, bob, romeo)
    await admin.command(mine, Join(call_uri=theirs.uri))
    assert list(listing.joined(owner.jid, mine)) == [(theirs, "")]
    assert list(listing.joined(romeo.jid, theirs)) == [(mine, "")]
    assert list(listing.joined(admin.jid, mine)) == [(theirs, str(bob.jid))]

    await admin.command(mine, Unjoin())
    await owner.command(mine, Join(mixer_name="myMixer"))
    mixer = focus.addresses.mixer("mymixer")
    await admin.command(theirs, Join(mixer_name="tea"))
    await admin.command(focus.addresses.mixer("tea"), Join(call_uri=mine.uri))
    assert list(listing.joined(owner.jid, mine)) == [(mixer, "myMixer"), (focus.addresses.mixer("tea"), "")]
    assert list(listing.joined(owner.jid, mixer)) == [(mine, str(alice.jid))]
    assert {name for _, name in listing.joined(admin.jid, mine)} == {"", "tea"}


async def test_a_call_of_another_client_of_the_account_is_seen_and_not_commanded(
    focus: Focus, listing: Listing, owner: Client, alice: Caller
) -> None:
    colleague = focus.client("juliet@example.org/tomb")
    call = await answered(focus, alice, owner)
    assert list(listing.calls(colleague.jid)) == [(call, str(alice.jid))]
    with pytest.raises(NotTheOwner):
        await colleague.command(call, Hangup())
