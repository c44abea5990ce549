"""Who speaks in a mixer, for whoever records them apart."""

from focus.wire.jid import JID
from focus.wire.rayo import Join
from tests.jingle.pair import End as Caller

from .calling import answered
from .scene import Client, Focus


def names(focus: Focus, client: Client, name: str) -> set[tuple[str, str, str]]:
    mixer = focus.server.find_mixer(client.jid, name)
    assert mixer is not None
    return {(each.name, each.jid, each.call) for each in mixer.people(client.jid)}


async def test_those_who_are_heard_are_named_by_their_nick_or_their_account(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    one, two = await answered(focus, alice, owner), await answered(focus, bob, owner, number=2)
    for call in (one, two):
        await owner.command(call, Join(mixer_name="own"))
    focus.takers.nicks[alice.jid.bare] = "Alice A."
    heard = {
        ("Alice A.", str(alice.jid.bare), one.uri),
        ("bob", str(bob.jid.bare), two.uri),
    }
    assert names(focus, owner, "own") == heard
    await owner.command(two, Join(mixer_name="own", direction="recv"))  # is muted
    assert names(focus, owner, "own") == {("Alice A.", str(alice.jid.bare), one.uri)}


async def test_all_calls_of_one_account_are_one_persons(focus: Focus, owner: Client, alice: Caller) -> None:
    for number in (1, 2):
        call = await answered(focus, alice, owner, number=number)
        await owner.command(call, Join(mixer_name="own"))
    mixer = focus.server.find_mixer(owner.jid, "own")
    assert mixer is not None
    found = list(mixer.people(owner.jid))
    assert len({each.node for each in found}) == 2
    assert {each.who for each in found} == {str(alice.jid.bare)}


async def test_who_is_heard_by_way_of_another_mixer_is_one_of_them_as_far_as_they_may_be_known(
    focus: Focus, owner: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    call = await answered(focus, alice, owner)
    await owner.command(call, Join(mixer_name="own"))
    own = focus.addresses.mixer("own")
    assert await owner.command(own, Join(mixer_name="other")) is not None
    assert names(focus, owner, "other") == {("alice", str(alice.jid.bare), call.uri)}
    await owner.command(own, Join(mixer_name="other", direction="recv"))
    assert names(focus, owner, "other") == set()
    stranger = JID.parse("romeo@example.org/orchard")
    mixer = focus.server.find_mixer(owner.jid, "own")
    assert mixer is not None
    assert [(each.name, each.jid, each.call) for each in mixer.people(stranger)] == [("", "", "")]
