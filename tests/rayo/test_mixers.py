"""Whose a mixer is, who is told what of it, and how long it lives."""

from dataclasses import replace

import pytest

from focus.rayo.limits import Limits
from focus.rayo.registration import Availability
from focus.wire.conditions import Conflict, ItemNotFound, NotAllowed, NotTheOwner, ServiceUnavailable
from focus.wire.jid import JID
from focus.wire.rayo import (
    Answer,
    Dial,
    End,
    Hangup,
    Join,
    Joined,
    Offer,
    Ref,
    StartedSpeaking,
    StoppedSpeaking,
    Unjoin,
    Unjoined,
)
from tests.jingle.pair import End as Caller

from .calling import answered, call_in
from .conftest import ADMIN
from .scene import DOMAIN, Client, FakePlane, Focus, Net, eventually, settled


@pytest.fixture
def other(focus: Focus) -> Client:
    """A client of another security zone."""
    return focus.client("romeo@example.org/orchard")


async def taken_by(client: Client, focus: Focus, caller: Caller) -> JID:
    """An answered call that `client` controls."""
    focus.takers.parties = [client.jid]
    return await answered(focus, caller, client, number=sum(isinstance(each, Offer) for each in client.events()) + 1)


def speak(focus: Focus, call: JID, speaking: bool = True) -> None:
    session = focus.call(call).session
    assert session is not None
    session.leg_speaking(speaking)


# --- zones ---


async def test_two_tenants_have_a_mixer_of_the_same_name_each(
    focus: Focus, owner: Client, other: Client, alice: Caller, bob: Caller
) -> None:
    one, two = await taken_by(owner, focus, alice), await taken_by(other, focus, bob)
    address = focus.addresses.mixer("mymixer")
    for client, call in ((owner, one), (other, two)):
        assert await client.command(call, Join(mixer_name="myMixer")) == Ref(uri=address.uri)
    assert len(list(focus.server.directory.mixers())) == 2
    for client, call in ((owner, one), (other, two)):
        assert client.events(address) == [Joined(call_uri=call.uri)]
        assert client.presences == [(address, True, 1)]  # after the offer, before all events
    speak(focus, one)
    await owner.event(StartedSpeaking)
    await owner.command(address, Unjoin(call_uri=one.uri))
    assert len(list(focus.server.directory.mixers())) == 1
    assert other.events(address) == [Joined(call_uri=two.uri)]
    with pytest.raises(ItemNotFound):  # the one that is there is somebody else's
        await owner.command(address, Unjoin())
    await other.command(address, Unjoin())


async def test_all_clients_of_an_account_share_its_mixers(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    second = focus.client("juliet@example.org/garden")
    one, two = await taken_by(owner, focus, alice), await taken_by(second, focus, bob)
    mixer = focus.addresses.mixer("tea")
    await owner.command(one, Join(mixer_name="tea"))
    await second.command(two, Join(mixer_name="tea"))
    assert len(list(focus.server.directory.mixers())) == 1
    assert owner.events(mixer) == [Joined(call_uri=one.uri), Joined(call_uri=two.uri)]
    assert second.events(mixer) == [Joined(call_uri=one.uri), Joined(call_uri=two.uri)]
    await second.command(mixer, Unjoin())
    assert second.presences == [(mixer, True, 1), (mixer, False, len(second.entries))]


async def test_calls_of_other_zones_cannot_be_joined_with(
    focus: Focus, owner: Client, other: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    one, two = await taken_by(owner, focus, alice), await taken_by(other, focus, bob)
    with pytest.raises(NotAllowed) as refused:
        await owner.command(one, Join(call_uri=two.uri))
    assert (refused.value.condition, refused.value.type) == ("not-allowed", "cancel")  # XEP-0327 section 6.3.1
    assert not focus.call(one).joins
    await admin.command(one, Join(call_uri=two.uri))
    assert Joined(call_uri=one.uri) in other.events(two)


async def test_who_joins_something_with_an_offered_call_controls_it(
    focus: Focus, owner: Client, other: Client, alice: Caller, bob: Caller
) -> None:
    one = await taken_by(owner, focus, alice)
    focus.takers.parties = [owner.jid, other.jid]
    two = await call_in(focus, bob, owner, number=2)
    await owner.command(one, Join(call_uri=two.uri))
    with pytest.raises(NotTheOwner):
        await other.command(two, Answer())


async def test_a_call_cannot_be_made_where_a_mixer_of_the_zone_is(
    focus: Focus, admin: Client, owner: Client, alice: Caller
) -> None:
    call = await taken_by(owner, focus, alice)
    await owner.command(call, Join(mixer_name="tea"))
    made = await admin.dial(Dial(to="xmpp:bob@example.org", uri=f"xmpp:tea@{DOMAIN}"))
    assert made == JID("tea", DOMAIN)
    await owner.command(made, Unjoin())  # what is there for the owner is the mixer
    await admin.command(made, Hangup())
    await admin.event(End)


async def test_a_controller_that_brings_a_call_to_a_room_shows_nobody_the_room(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    call, mixer = await taken_by(owner, focus, alice), focus.addresses.mixer("tea")
    focus.server.mixers.bind("tea", JID("focus", DOMAIN, "tea"))
    await admin.command(call, Join(mixer_name="tea"))
    assert owner.events(call)[1:] == [Joined(mixer_name="tea")]
    assert not owner.events(mixer)
    assert not owner.presences
    with pytest.raises(ItemNotFound):
        await owner.command(mixer, Unjoin())
    await owner.command(call, Unjoin(mixer_name="tea"))  # it is its call
    focus.server.mixers.release("tea", JID("focus", DOMAIN, "tea"))


async def test_whose_call_listens_to_a_room_cannot_make_it_heard_there(
    focus: Focus, owner: Client, admin: Client, alice: Caller
) -> None:
    call, room = await taken_by(owner, focus, alice), JID("focus", DOMAIN, "tea")
    focus.server.mixers.bind("tea", room)
    await admin.command(call, Join(mixer_name="tea", direction="recv"))
    with pytest.raises(NotAllowed):
        await owner.command(call, Join(mixer_name="tea", direction="duplex"))
    assert [direction.value for direction in focus.call(call).joins.values()] == ["recv"]
    await admin.command(call, Join(mixer_name="tea", direction="duplex"))
    await owner.command(call, Unjoin(mixer_name="tea"))
    focus.server.mixers.release("tea", room)


async def test_whose_call_is_joined_with_anothers_cannot_change_that(
    focus: Focus, owner: Client, other: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    one, two = await taken_by(owner, focus, alice), await taken_by(other, focus, bob)
    await admin.command(one, Join(call_uri=two.uri, direction="recv"))
    with pytest.raises(NotAllowed):
        await owner.command(one, Join(call_uri=two.uri))
    await owner.command(one, Unjoin(call_uri=two.uri))


async def test_what_a_moderator_has_led_out_of_a_room_ends_with_the_office(
    focus: Focus, other: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    conference = focus.client(f"focus@{DOMAIN}/tea", local=True)
    moderators = {other.jid.bare}
    focus.server.mixers.bind("tea", conference.jid, lambda client: client.bare in moderators)
    participant, listening = await taken_by(conference, focus, alice), await taken_by(other, focus, bob)
    await conference.command(participant, Join(mixer_name="tea"))
    await other.command(participant, Join(mixer_name="tea", direction="recv"))  # is muted, and stays so
    await other.command(listening, Join(mixer_name="own"))
    await other.command(focus.addresses.mixer("own"), Join(mixer_name="tea", direction="recv"))
    own, tea = focus.mixer("own"), focus.mixer("tea")
    assert own is not None
    assert tea is not None
    assert own in tea.joins

    moderators.clear()
    focus.server.mixers.guard_changed("tea")
    assert {party: direction.value for party, direction in tea.joins.items()} == {focus.call(participant): "send"}
    assert list(own.joins) == [focus.call(listening)]
    focus.server.mixers.release("tea", conference.jid)


# --- mixers among themselves ---


async def test_mixers_are_joined_and_tell_of_it(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    one, two = await taken_by(owner, focus, alice), await taken_by(owner, focus, bob)
    await owner.command(one, Join(mixer_name="tea"))
    await owner.command(two, Join(mixer_name="milk"))
    tea, milk = focus.addresses.mixer("tea"), focus.addresses.mixer("milk")
    assert await owner.command(tea, Join(mixer_name="milk", direction="send")) == Ref(uri=milk.uri)
    await owner.command(tea, Join(mixer_name="milk"))
    assert owner.events(tea) == [Joined(call_uri=one.uri), Joined(mixer_name="milk")]
    assert owner.events(milk) == [Joined(call_uri=two.uri), Joined(mixer_name="tea")]
    with pytest.raises(Conflict):  # it would hear everybody twice
        await owner.command(one, Join(mixer_name="milk"))
    await owner.command(milk, Unjoin(mixer_name="tea"))
    assert owner.events(tea)[-1] == Unjoined(mixer_name="milk")
    assert owner.events(milk)[-1] == Unjoined(mixer_name="tea")
    assert len(list(focus.server.directory.mixers())) == 2


async def test_mixers_that_are_joined_with_each_other_only_go_together(
    focus: Focus, owner: Client, alice: Caller
) -> None:
    call = await taken_by(owner, focus, alice)
    await owner.command(call, Join(mixer_name="tea"))
    tea = focus.addresses.mixer("tea")
    await owner.command(tea, Join(mixer_name="milk"))
    await owner.command(tea, Join(mixer_name="sugar"))
    await owner.command(focus.addresses.mixer("milk"), Join(mixer_name="lemon"))
    with pytest.raises(Conflict):
        await owner.command(focus.addresses.mixer("sugar"), Join(mixer_name="lemon"))
    assert len(list(focus.server.directory.mixers())) == 4
    await owner.command(call, Unjoin())
    assert not list(focus.server.directory.mixers())
    assert focus.plane.snapshot()["mixers"] == 0


async def test_a_mixer_joins_a_call_to_itself(focus: Focus, owner: Client, alice: Caller, bob: Caller) -> None:
    one, two = await taken_by(owner, focus, alice), await taken_by(owner, focus, bob)
    await owner.command(one, Join(mixer_name="tea"))
    tea = focus.addresses.mixer("tea")
    assert await owner.command(tea, Join(call_uri=two.uri, direction="send")) is None
    assert owner.events(two)[1:] == [Joined(mixer_name="tea")]
    mixer = focus.mixer("tea")
    assert mixer is not None
    assert focus.call(two).joins[mixer].value == "recv"
    with pytest.raises(ServiceUnavailable):
        await owner.command(tea, Unjoin(mixer_name="milk"))
    with pytest.raises(ServiceUnavailable):
        await owner.command(tea, Join(call_uri=f"xmpp:nobody@{DOMAIN}"))


# --- presence ---


async def test_a_mixer_is_shown_as_long_as_there_is_something_to_tell(
    focus: Focus, owner: Client, admin: Client, alice: Caller, bob: Caller
) -> None:
    one, two = await taken_by(owner, focus, alice), await taken_by(owner, focus, bob)
    mixer = focus.addresses.mixer("tea")
    await owner.command(one, Join(mixer_name="tea"))
    await owner.command(two, Join(mixer_name="tea"))
    await owner.command(one, Unjoin())
    assert [available for _, available, _ in owner.presences] == [True]
    await owner.command(two, Hangup())
    assert owner.presences == [(mixer, True, 2), (mixer, False, len(owner.entries))]
    await owner.event(End, two)


async def test_subscribers_of_the_zone_are_told_everything_once(
    focus: Focus, owner: Client, other: Client, alice: Caller
) -> None:
    account, mixer = owner.jid.bare, focus.addresses.mixer("tea")
    watcher = focus.client(str(account))
    stranger = focus.client(str(other.jid.bare))
    call = await taken_by(owner, focus, alice)
    focus.server.mixers.subscribe(other.jid.bare, mixer)
    await owner.command(call, Join(mixer_name="tea"))
    focus.server.mixers.subscribe(account, mixer)
    assert not watcher.events()  # its client hears everything already

    garden = focus.client("juliet@example.org/garden")
    focus.server.mixers.clients_of = lambda one: [garden.jid, owner.jid] if one == account else []
    focus.server.mixers.clients_changed(account)
    assert garden.presences == [(mixer, True, 0)]
    assert garden.events() == [Joined(call_uri=call.uri)]
    speak(focus, call)
    await garden.event(StartedSpeaking)
    assert owner.events(mixer) == garden.events() == [Joined(call_uri=call.uri), StartedSpeaking(call_uri=call.uri)]
    focus.server.mixers.unsubscribe(account, mixer)
    assert garden.presences[1:] == [(mixer, False, 2)]
    await owner.command(call, Hangup())
    await owner.event(End)
    assert len(garden.events()) == 2
    assert not stranger.events()
    assert not stranger.presences


async def test_who_subscribes_early_is_shown_the_mixer_when_it_comes(
    focus: Focus, admin: Client, owner: Client, alice: Caller
) -> None:
    mixer = focus.addresses.mixer("tea")
    watcher = focus.client(str(admin.jid.bare))
    focus.server.mixers.subscribe(admin.jid.bare, mixer)
    call = await taken_by(owner, focus, alice)
    await owner.command(call, Join(mixer_name="tea"))
    assert not watcher.presences  # the owner's tea is not the house's
    focus.server.mixers.bind("tea", JID("focus", DOMAIN, "tea"))
    assert watcher.presences == [(mixer, True, 0)]
    focus.server.mixers.release("tea", JID("focus", DOMAIN, "tea"))
    assert watcher.presences == [(mixer, True, 0), (mixer, False, 0)]


@pytest.mark.parametrize("limits", [Limits(subscriptions_of_client=2), Limits(subscriptions=3)])
async def test_of_who_has_most_subscriptions_the_oldest_are_forgotten(net: Net, limits: Limits) -> None:
    account, room = JID.parse(ADMIN), JID("focus", DOMAIN, "tea")
    focus = Focus(net, FakePlane(), limits=limits, controllers=frozenset({account}))
    await focus.start()
    mixers = focus.server.mixers
    watcher, greedy = focus.client(str(account)), JID.parse("mallory@example.org")
    focus.server.mixers.bind("tea", room)
    mixers.subscribe(account, focus.addresses.mixer("tea"))
    for name in ("tea", "milk", "sugar", "milk", "lemon"):
        mixers.subscribe(greedy, focus.addresses.mixer(name))
    assert [available for _, available, _ in watcher.presences] == [True]
    assert list(mixers._watched[greedy]) == [focus.addresses.mixer("milk"), focus.addresses.mixer("lemon")]
    for name in ("tea", "milk", "lemon"):
        mixers.unsubscribe(account, focus.addresses.mixer(name))
        mixers.unsubscribe(greedy, focus.addresses.mixer(name))
    assert not any((mixers._number, mixers._accounts, mixers._watched))
    focus.server.mixers.release("tea", room)
    await focus.stop()


async def test_a_mixer_that_is_gone_is_not_shown_again(
    focus: Focus, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where who it was to be shown to turns out to be gone by that, which changes who is told."""
    clients = [admin, focus.client("admin@example.org/other"), focus.client("admin@example.org/third")]
    there = [client.jid for client in clients]
    mixers, mixer, room = focus.server.mixers, focus.addresses.mixer("tea"), JID("focus", DOMAIN, "tea")
    mixers.clients_of = lambda account: list(there)
    mixers.subscribe(admin.jid.bare, mixer)
    focus.server.mixers.bind("tea", room)
    show = focus.mixer_presence

    def lose(sender: JID, to: JID, *, available: bool) -> None:
        show(sender, to, available=available)
        if clients[1].jid in there:
            there.remove(clients[1].jid)
            mixers.clients_changed(to.bare)

    monkeypatch.setattr(focus, "mixer_presence", lose)
    focus.server.mixers.release("tea", room)
    for client in clients:
        assert [available for _, available, _ in client.presences] == [True, False]

    focus.server.mixers.bind("tea", room)
    there.append(clients[1].jid)
    mixers.clients_changed(admin.jid.bare)
    there.clear()
    mixers.clients_changed(admin.jid.bare)
    for client in clients:
        assert [available for _, available, _ in client.presences][-1] is False
    focus.server.mixers.release("tea", room)


async def test_a_client_that_is_a_controller_sees_the_rooms_and_others_of_its_account_do_not(
    net: Net, plane: FakePlane
) -> None:
    account, mixer, room = JID.parse("admin@example.org"), JID("tea", DOMAIN), JID("focus", DOMAIN, "tea")
    focus = Focus(net, plane, controllers=frozenset({account.with_resource("rayo")}), clients=frozenset({account}))
    await focus.start()
    clients = [focus.client(f"{account}/{resource}") for resource in ("rayo", "phone")]
    for client in clients:
        focus.server.registrations.update(client.jid, Availability.READY)
    focus.server.mixers.subscribe(account, mixer)
    focus.server.mixers.bind("tea", room)
    focus.server.mixers.release("tea", room)
    assert [available for _, available, _ in clients[0].presences] == [True, False]
    assert not clients[1].presences
    await focus.stop()


async def test_a_probe_shows_a_mixer_to_who_sees_it_already(focus: Focus, admin: Client) -> None:
    mixers, mixer, room = focus.server.mixers, focus.addresses.mixer("tea"), JID("focus", DOMAIN, "tea")
    mixers.clients_of = lambda account: [admin.jid]
    focus.server.mixers.bind("tea", room)
    mixers.probe(admin.jid, mixer)
    assert not admin.presences
    mixers.subscribe(admin.jid.bare, mixer)
    for prober in (admin.jid, admin.jid.bare, JID.parse("mallory@example.org"), replace(admin.jid, resource="other")):
        mixers.probe(prober, mixer)
    assert [available for _, available, _ in admin.presences] == [True, True, True]
    focus.server.mixers.release("tea", room)


# --- who speaks ---


async def test_who_is_not_heard_does_not_speak(focus: Focus, owner: Client, alice: Caller) -> None:
    call, mixer = await taken_by(owner, focus, alice), focus.addresses.mixer("tea")
    speak(focus, call)
    await eventually(lambda: focus.call(call).speaking)
    await owner.command(call, Join(mixer_name="tea", direction="recv"))
    await owner.command(call, Join(mixer_name="tea", direction="send"))
    await owner.command(call, Join(mixer_name="tea"))
    await owner.command(call, Join(mixer_name="tea", direction="recv"))
    await owner.command(call, Join(mixer_name="tea"))
    await owner.command(call, Unjoin())
    uri = call.uri
    assert owner.events(mixer) == [
        Joined(call_uri=uri),
        StartedSpeaking(call_uri=uri),
        StoppedSpeaking(call_uri=uri),
        StartedSpeaking(call_uri=uri),
        StoppedSpeaking(call_uri=uri),
        Unjoined(call_uri=uri),
    ]
    await settled()
