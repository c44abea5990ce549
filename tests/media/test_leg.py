"""Legs on real planes against real peers: other legs, aiortc's RTCPeerConnection, and aiortc's bare ICE and DTLS."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket

import aioice.ice
import numpy as np
import pytest

from focus.media.leg import Leg, bitrate_for, ptime_for
from focus.media.plane import MediaPlane, machine_addresses
from focus.media.tones import SAMPLE_RATE, Tone
from focus.wire import dtls, ice, rtp

from .conftest import PlaneFactory
from .peers import OPUS, PCMU, Ear, Observer, OrtcPeer, PeerConnection, closing, level, until

SECOND = SAMPLE_RATE
EVENTS = [
    rtp.PayloadType(id=number, name="telephone-event", clockrate=rate) for number, rate in ((110, 48000), (101, 8000))
]


async def connected(
    a: MediaPlane, b: MediaPlane, *, controlling: tuple[bool, bool] = (True, False), a_role: str = "active"
) -> tuple[Leg, Leg, Observer, Observer]:
    """Two legs, one in each plane, that have found each other."""
    observers = Observer(), Observer()
    legs = [
        plane.create_leg(controlling=role, observer=observer)
        for plane, role, observer in zip((a, b), controlling, observers, strict=True)
    ]
    for leg in legs:
        leg.set_codec(OPUS, level_extension=1)
    await legs[0].connect(legs[1].local_transport, dtls_role="active" if a_role == "active" else "passive")
    await legs[1].connect(legs[0].local_transport, dtls_role="passive" if a_role == "active" else "active")
    for observer in observers:
        await observer.connected()
    return legs[0], legs[1], *observers


stray = functools.partial(
    ice.Candidate, component=1, foundation="x", ip="127.0.0.1", port=9, priority=1, protocol="udp", type="host"
)


JUNK = (
    stray(component=2),
    stray(protocol="tcp", tcptype="active"),
    stray(ip="fe80::1"),
    stray(ip="6a4b6d0e-6d0c-4d43-a3c4-3a4b33e7d9d2.local"),
    stray(ip="not an address"),
    stray(port=0),
)


# --- audio ---


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("role", ["active", "passive"])
async def test_two_legs_hear_each_other(start_plane: PlaneFactory, host: str, role: str) -> None:
    if host not in machine_addresses():
        pytest.skip(f"this machine has no {host}")
    here, there, _, _ = await connected(await start_plane([host]), await start_plane([host]), a_role=role)
    here.play(Tone(440).samples(60 * SECOND))
    there.play(Tone(660).samples(60 * SECOND))
    for leg, other, own in ((here, 660, 440), (there, 440, 660)):
        tap = leg.tap()
        await Ear(tap.read).until_only(other, without=[own])
        tap.close()
    stats = here.stats()
    assert stats["received"] > 0
    assert stats["dropped_auth"] == 0


@pytest.mark.parametrize("ptimes", [(10, 60), (40, 20)])
async def test_packets_of_any_length_are_heard(start_plane: PlaneFactory, ptimes: tuple[int, int]) -> None:
    here, there, _, _ = await connected(await start_plane(["127.0.0.1"]), await start_plane(["127.0.0.1"]))
    for leg, ptime, tone in ((here, ptimes[0], 440), (there, ptimes[1], 660)):
        leg.set_codec(OPUS.model_copy(update={"ptime": ptime}), level_extension=1)
        leg.play(Tone(tone).samples(60 * SECOND))
    for leg, other, own in ((here, 660, 440), (there, 440, 660)):
        tap = leg.tap()
        await Ear(tap.read).until_only(other, without=[own])
        tap.close()


async def test_three_peer_connections_hear_exactly_the_other_two(plane: MediaPlane) -> None:
    """In one mixer, two having called us and one called by us."""
    tones = (300, 440, 660)
    peers = [PeerConnection(tone) for tone in tones]
    observers = [Observer() for _ in tones]
    mixer = plane.create_mixer()
    legs = []
    async with closing(*peers):
        for peer, observer, called in zip(peers, observers, (False, False, True), strict=True):
            leg = plane.create_leg(controlling=called, observer=observer)
            if called:
                remote, opus, extension = await peer.answer(leg)
                leg.set_codec(opus, level_extension=extension)
                await leg.connect(remote, dtls_role="passive")  # aiortc answers "active"
            else:
                remote, opus, extension = await peer.offer()
                leg.set_codec(opus, level_extension=extension)
                await leg.connect(remote, dtls_role="active")
                await peer.accept(leg, opus, extension, "active")
            plane.join(leg.node, mixer)
            legs.append(leg)
        for observer in observers:
            await observer.connected()
        for peer, own in zip(peers, tones, strict=True):
            await peer.ear.until_heard(*(tone for tone in tones if tone != own))
        for peer, own in zip(peers, tones, strict=True):
            await peer.ear.until_only(*(tone for tone in tones if tone != own), without=[own])
        for peer, leg in zip(peers, legs, strict=True):
            assert peer.contributing == {other.source_id for other in legs if other is not leg}


async def test_a_peer_that_speaks_only_pcmu_is_in_the_mix_with_one_that_speaks_opus(plane: MediaPlane) -> None:
    peers = {440: PeerConnection(440, PCMU), 660: PeerConnection(660)}
    observers = [Observer() for _ in peers]
    mixer = plane.create_mixer()
    async with closing(*peers.values()):
        for peer, observer in zip(peers.values(), observers, strict=True):
            leg = plane.create_leg(controlling=False, observer=observer)
            remote, codec, extension = await peer.offer()
            leg.set_codec(codec, level_extension=extension)
            await leg.connect(remote, dtls_role="active")
            await peer.accept(leg, codec, extension, "active")
            plane.join(leg.node, mixer)
        for observer in observers:
            await observer.connected()
        await peers[440].ear.until_heard(660)
        await peers[660].ear.until_heard(440)


async def test_a_peer_that_speaks_is_noticed(start_plane: PlaneFactory) -> None:
    here, _, _, there = await connected(await start_plane(), await start_plane())
    here.play(Tone(440).samples(SECOND))
    await until(lambda: there.speaking[:2] == [True, False])


@pytest.mark.parametrize("codec", [OPUS, PCMU])
async def test_keys_are_pressed_both_ways(start_plane: PlaneFactory, codec: rtp.PayloadType) -> None:
    here, there, heard_here, heard_there = await connected(await start_plane(), await start_plane())
    for leg in (here, there):
        leg.set_codec(codec, level_extension=1, mixed_extension=2, telephone_events=EVENTS)
    tap = there.tap()
    here.play(Tone(440).samples(60 * SECOND))
    here.press("19#D", duration=0.08)
    there.press("0")
    await until(lambda: len(heard_there.keys) >= 4 and len(heard_here.keys) >= 1)
    assert heard_there.keys == [(key, 0.08) for key in "19#D"]
    assert heard_here.keys == [("0", 0.1)]
    await until(lambda: here.keys_pending() == there.keys_pending() == 0)
    await Ear(tap.read).until_heard(440)


async def test_keys_that_are_not_taken_as_events_can_be_played(start_plane: PlaneFactory) -> None:
    here, there, _, heard_there = await connected(await start_plane(), await start_plane())
    with pytest.raises(ValueError, match="in_band"):
        here.press("5")
    tap = there.tap()
    here.press("5" * 4, duration=2, in_band=True)
    await Ear(tap.read).until_heard(770, 1336)
    assert heard_there.keys == []


async def test_of_those_who_speak_in_a_mixer_as_many_are_heard_as_the_plane_is_told(start_plane: PlaneFactory) -> None:
    plane = MediaPlane([("127.0.0.1", 0)], loudest=1)
    await plane.start()
    mixer = plane.create_mixer()
    ends = [await connected(await start_plane(), plane) for _ in range(2)]
    for n, (here, there, _, _) in enumerate(ends):
        plane.join(there.node, mixer)
        here.play(Tone([440, 880][n]).samples(60 * SECOND))
    await until(lambda: sum(bool(there.stats()["heard"]) for _, there, _, _ in ends) == 1)
    await plane.stop()


async def test_who_is_too_quiet_is_made_louder_where_the_plane_is_told_to(start_plane: PlaneFactory) -> None:
    """What one peer says, to two legs of which one leaves it as it is."""
    plane = await start_plane(agc=True)
    pairs = [await connected(await start_plane(), plane) for _ in range(2)]
    ends = [there for _, there, _, _ in pairs]
    ends[1].set_agc(False)
    taps = [there.tap() for there in ends]
    time = np.arange(60 * SECOND) / SECOND
    syllables = Tone(440).samples(60 * SECOND) * np.clip(np.sin(2 * np.pi * 4 * time), 0, None) / 8
    for here, *_ in pairs:
        here.play(syllables.astype(np.int16))
    said = [np.zeros(0, np.int16) for _ in taps]

    def louder() -> bool:
        said[:] = [np.concatenate([before, tap.read()])[-SECOND:] for before, tap in zip(said, taps, strict=True)]
        return level(said[0], 440) > level(said[1], 440) + 5

    await until(louder)


async def test_a_mixer_tells_who_leads_the_talk_in_it(start_plane: PlaneFactory) -> None:
    plane = await start_plane()
    here, leg, _, _ = await connected(await start_plane(), plane)
    leaders: list[int | None] = []
    mixer = plane.create_mixer(leaders.append)
    plane.join(leg.node, mixer)
    here.play(Tone(440).samples(SECOND))
    await until(lambda: leaders == [leg.node])
    plane.unjoin(leg.node, mixer)
    await until(lambda: leaders == [leg.node, None])
    plane.remove_mixer(mixer)


async def test_a_muted_peer_is_not_heard_and_a_leg_on_hold_hears_nothing(start_plane: PlaneFactory) -> None:
    here, there, _, _ = await connected(await start_plane(), await start_plane())
    tap = there.tap()
    ear = Ear(tap.read)
    here.play(Tone(440).samples(60 * SECOND))
    await ear.until_heard(440)
    there.set_mute(True)
    await until(lambda: len(heard := tap.read()) >= 960 and not heard[-960:].any())
    assert not (await ear.next(0.3)).any()
    there.set_mute(False)
    await ear.until_heard(440)
    there.set_gain(0)
    await until(lambda: len(heard := tap.read()) >= 960 and not heard[-960:].any())
    there.set_gain(1.5)
    await ear.until_heard(440)
    here.set_send(False)
    await until(lambda: level(np.concatenate([np.ones(9600), tap.read()])[-9600:], 440) < -60)
    sent = here.stats()["sent"]
    await ear.next(0.3)
    assert here.stats()["sent"] == sent


async def test_one_peer_alone_hears_another_as_loud_as_it_wants(plane: MediaPlane, start_plane: PlaneFactory) -> None:
    """Two peers that listen to one who plays."""
    pairs = [await connected(plane, await start_plane()) for _ in range(3)]
    (talker, said, *_), (listener, _, *_), (other, _, *_) = pairs
    mixer = plane.create_mixer()
    for leg in (talker, listener, other):
        plane.join(leg.node, mixer)
    ears = [Ear(leg.tap(sent=True).read) for leg in (listener, other)]
    said.play(Tone(440).samples(60 * SECOND))
    for ear in ears:
        await ear.until_heard(440)
    listener.set_listener_gain(talker, 0)
    tap = listener.tap(sent=True)
    await until(lambda: len(heard := tap.read()) >= 960 and not heard[-960:].any())
    await ears[1].until_heard(440)
    plane.set_listener_gain(listener.node, talker.node, 1)
    assert not listener._hears, "it is kept no longer"
    await ears[0].until_heard(440)
    with pytest.raises(ValueError, match="0 to 4"):
        listener.set_listener_gain(talker, 5)
    with pytest.raises(ValueError, match="different shards"):
        listener.set_listener_gain(said, 0.5)
    await talker.close()
    with pytest.raises(ValueError, match="no such node"):
        plane.set_listener_gain(listener.node, talker.node, 0.5)


async def test_who_goes_on_with_another_leg_is_heard_and_hears_as_before(
    plane: MediaPlane, start_plane: PlaneFactory
) -> None:
    pairs = [await connected(plane, await start_plane()) for _ in range(4)]
    (old, *_), (new, said, *_), (listener, *_), (other, others, *_) = pairs
    plane.set_gain(old.node, 0.5)
    new.set_mute(True)
    plane.set_listener_gain(listener.node, old.node, 0)
    old.set_listener_gain(other, 0)
    plane.succeed(new.node, old.node)
    mixer = plane.create_mixer()
    for leg in (new, listener, other):
        plane.join(leg.node, mixer)
    ears = {leg: Ear(leg.tap(sent=True).read) for leg in (new, listener, other)}

    async def heard(leg: Leg, frequency: float) -> float:
        return level(await ears[leg].next(0.2), frequency)

    said.play(Tone(440).samples(60 * SECOND))
    others.play(Tone(660).samples(60 * SECOND))
    await ears[listener].until_heard(660)
    assert max([await heard(leg, 440) for leg in (listener, other)]) < -60, "it is muted"
    old.set_mute(True)
    new.set_mute(False)
    plane.succeed(new.node, old.node)
    await ears[other].until_heard(440)
    said.play(Tone(440).samples(60 * SECOND))
    quiet = await heard(other, 440)
    assert await heard(listener, 440) < -60, "it is not heard there"
    assert await heard(new, 660) < -60, "and does not hear those whom it did not"
    plane.set_gain(new.node, 1)
    async with asyncio.timeout(60):
        while await heard(other, 440) < quiet + 4:
            pass
    await old.close()
    with pytest.raises(ValueError, match="not both legs"):
        plane.succeed(new.node, old.node)


# --- finding each other ---


async def test_a_peer_is_found_by_candidates_trickled_before_and_after(plane: MediaPlane) -> None:
    for late in (False, True):
        peer, observer = OrtcPeer(controlling=False), Observer()
        leg = plane.create_leg(controlling=True, observer=observer)
        async with closing(peer, leg):
            remote = await peer.transport()
            bare = remote.model_copy(update={"candidates": ()})
            if not late:
                await leg.add_remote_candidates(JUNK)
                await leg.add_remote_candidates(remote.candidates)
            await leg.connect(bare, dtls_role="passive")
            # without our candidates the peer waits for our checks
            answer = asyncio.create_task(peer.connect(leg.local_transport, candidates=False))
            if late:
                for candidate in (*JUNK, *remote.candidates):
                    await leg.add_remote_candidates([candidate])
            await observer.connected()
            await answer
            assert peer.dtls.state == "connected"


@pytest.mark.parametrize("candidates", [(), JUNK])
async def test_a_peer_that_signals_no_usable_candidate_is_learned_from_its_checks(
    plane: MediaPlane, candidates: tuple[ice.Candidate, ...]
) -> None:
    peer, observer = OrtcPeer(controlling=True, client=False), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        remote = (await peer.transport()).model_copy(update={"candidates": candidates})
        await leg.connect(remote, dtls_role="active")
        await peer.connect(leg.local_transport)
        await observer.connected()
        assert peer.dtls.state == "connected"


async def test_checks_that_come_before_the_answer_count(plane: MediaPlane) -> None:
    """We offered; the peer's checks overtake its session-accept."""
    peer, observer = OrtcPeer(controlling=False), Observer()
    leg = plane.create_leg(controlling=True, observer=observer)
    async with closing(peer, leg):
        remote = await peer.transport()
        answer = asyncio.create_task(peer.connect(leg.local_transport))
        await until(lambda: bool(leg._ice._early_checks))
        await leg.connect(remote.model_copy(update={"candidates": ()}), dtls_role="passive")
        await observer.connected()
        await answer


@pytest.mark.parametrize("controlling", [True, False])
async def test_a_role_conflict_is_settled(start_plane: PlaneFactory, controlling: bool) -> None:
    await connected(await start_plane(), await start_plane(), controlling=(controlling, controlling))


async def test_a_plane_with_several_addresses_is_reached_at_any(start_plane: PlaneFactory) -> None:
    plane = await start_plane(["127.0.0.2", "127.0.0.3", *({"::1"} & set(machine_addresses()))])
    assert {port for _, port in plane.addresses} == {plane.port}
    for index in range(len(plane.addresses)):
        observer, other = Observer(), Observer()
        host = plane.addresses[index][0]
        leg = plane.create_leg(controlling=False, observer=observer)
        caller = (await start_plane([host if ":" in host else "127.0.0.1"])).create_leg(
            controlling=True, observer=other
        )
        only = leg.local_transport.model_copy(update={"candidates": leg.local_transport.candidates[index : index + 1]})
        await leg.connect(caller.local_transport.model_copy(update={"candidates": ()}), dtls_role="active")
        await caller.connect(only, dtls_role="passive")
        await observer.connected()
        await other.connected()


async def test_media_follows_the_pair_that_the_peer_nominates(
    plane: MediaPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1", "127.0.0.2"])
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        remote = await peer.transport()
        leg.set_codec(OPUS, level_extension=None)
        leg.play(Tone(440).samples(60 * SECOND))
        await leg.connect(remote, dtls_role="passive")
        await peer.connect(leg.local_transport)
        await observer.connected()

        agent = peer.connection
        arrived = dict.fromkeys(agent._protocols, 0)
        for protocol in agent._protocols:

            def count(data: bytes, address: tuple[str, int], protocol: aioice.ice.StunProtocol = protocol) -> None:
                arrived[protocol] += data[0] >> 6 == 2  # RTP
                type(protocol).datagram_received(protocol, data, address)

            monkeypatch.setattr(protocol, "datagram_received", count)
        for _ in range(2):  # there and back again
            old = agent._nominated[1]
            await until(lambda old=old: arrived[old.protocol] > 0)  # type: ignore[misc]
            new_protocol = next(protocol for protocol in agent._protocols if protocol is not old.protocol)
            new = agent._find_pair(new_protocol, old.remote_candidate)
            if new is None:
                new = aioice.ice.CandidatePair(new_protocol, old.remote_candidate)
                agent._check_list.append(new)
            # the first check makes the pair known to the other side, the second finds it valid there
            for _ in range(2):
                await agent.check_start(new)
            async with asyncio.timeout(60):
                moved = False
                while not moved:
                    before = dict(arrived)
                    await until(lambda: arrived[new_protocol] >= before[new_protocol] + 10)  # noqa: B023
                    moved = arrived[old.protocol] == before[old.protocol]


async def test_a_peer_that_restarts_ice_is_followed_to_where_it_is_now(plane: MediaPlane) -> None:
    peer, observer = PeerConnection(440), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        remote, payload, extension = await peer.offer()
        leg.set_codec(payload, level_extension=extension)
        await leg.connect(remote, dtls_role="active")
        await peer.accept(leg, payload, extension, "active")
        await observer.connected()
        first = leg.local_transport
        leg.play(Tone(660).samples(60 * SECOND))
        await peer.ear.until_heard(660)
        for generation in (1, 2):
            again = await peer.restart(generation)
            ours = await leg.restart(again.model_copy(update={"candidates": ()}))
            await leg.add_remote_candidates(again.candidates)
            assert ours == leg.local_transport
            assert len({(each.ufrag, each.pwd) for each in (first, ours)}) == 2
            assert {each.generation for each in ours.candidates} == {generation}
            assert ours.fingerprints == first.fingerprints
            await peer.restarted(ours)
            leg.play(Tone(660).samples(60 * SECOND))
            await peer.ear.until_heard(660)
            tap = leg.tap()
            await Ear(tap.read).until_heard(440)
            tap.close()
        assert observer.events == ["connected"]
        await until(lambda: leg.stats()["consents"] > 0)


async def test_a_restart_while_the_peer_is_still_looked_for(plane: MediaPlane) -> None:
    peer, observer = PeerConnection(440), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        remote, payload, extension = await peer.offer()
        leg.set_codec(payload, level_extension=extension)
        wrong = remote.model_copy(update={"ufrag": "another", "pwd": "another-password-of-no-use", "candidates": ()})
        await leg.connect(wrong, dtls_role="active")
        await leg.restart(remote)
        await peer.accept(leg, payload, extension, "active")
        await observer.connected()
        leg.play(Tone(660).samples(60 * SECOND))
        await peer.ear.until_heard(660)


async def test_who_restarts_and_is_not_found_again_is_lost(start_plane: PlaneFactory) -> None:
    here, there, observer, _ = await connected(await start_plane(), await start_plane())
    here._connect_timeout = 2.0
    nowhere = ice.Transport(ufrag="another", pwd="another-password-of-no-use")
    await here.restart(nowhere)
    assert await observer.last(2) == "failed: ICE found no new path to the peer in 2 s"
    assert await here.restart(nowhere) is None
    await there.close()


async def test_a_restart_needs_credentials_and_a_leg_that_connects(plane: MediaPlane) -> None:
    leg = plane.create_leg(controlling=False, observer=Observer())
    with pytest.raises(ValueError, match="ufrag"):
        await leg.restart(ice.Transport(ufrag="another"))
    with pytest.raises(RuntimeError):
        await leg.restart(ice.Transport(ufrag="another", pwd="another-password-of-no-use"))
    await leg.close()


async def test_twenty_legs_share_one_port(plane: MediaPlane, start_plane: PlaneFactory) -> None:
    """Half of them against aiortc's own sockets, half against other planes, one of which speaks."""
    mixer = plane.create_mixer()
    peers = [OrtcPeer(controlling=True) for _ in range(10)]
    others = [await start_plane() for _ in range(10)]
    observers = [Observer() for _ in range(20)]
    legs = [plane.create_leg(controlling=False, observer=observer) for observer in observers]
    far_observers = [Observer() for _ in others]
    far = [
        other.create_leg(controlling=True, observer=observer)
        for other, observer in zip(others, far_observers, strict=True)
    ]
    async with closing(*peers):
        for leg in (*legs, *far):
            leg.set_codec(OPUS, level_extension=1)
        for leg, peer in zip(legs[:10], peers, strict=True):
            plane.join(leg.node, mixer)
            await leg.connect(await peer.transport(), dtls_role="passive")
        for leg, caller in zip(legs[10:], far, strict=True):
            plane.join(leg.node, mixer)
            await leg.connect(caller.local_transport, dtls_role="passive")
            await caller.connect(leg.local_transport, dtls_role="active")
        await asyncio.gather(*(peer.connect(leg.local_transport) for peer, leg in zip(peers, legs[:10], strict=True)))
        for observer in (*observers, *far_observers):
            await observer.connected()
        far[0].play(Tone(440).samples(60 * SECOND))
        for leg in far[1:]:
            tap = leg.tap()
            await Ear(tap.read).until_heard(440)
            tap.close()
        assert plane.snapshot()["legs"] == 20


# --- names ---


async def test_no_two_sources_of_a_plane_have_the_same_name(plane: MediaPlane) -> None:
    a, b = (plane.create_leg(controlling=True, observer=Observer()) for _ in range(2))
    assert len({a.ssrc, a.source_id, b.ssrc, b.source_id}) == 4
    assert a.cname != b.cname
    assert len(a.cname) >= 16
    a.prefer_source_id(4711)
    assert a.source_id == 4711
    taken = b.source_id
    for ssrc in (4711, a.ssrc, b.ssrc, 0):
        b.prefer_source_id(ssrc)
        assert b.source_id == taken
    await a.close()
    b.prefer_source_id(4711)
    assert b.source_id == 4711


async def test_a_preferred_name_does_not_cost_the_connection(plane: MediaPlane) -> None:
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        leg.prefer_source_id(4711)
        await leg.connect(await peer.transport(), dtls_role="passive")
        await peer.connect(leg.local_transport)
        await observer.connected()
        with pytest.raises(RuntimeError):
            leg.prefer_source_id(4712)


async def test_what_is_signalled_is_complete(start_plane: PlaneFactory) -> None:
    plane = await start_plane(["127.0.0.1"], public_addresses=["203.0.113.7"])
    leg = plane.create_leg(controlling=True, observer=Observer())
    transport = leg.local_transport
    assert transport.ufrag is not None
    assert len(transport.ufrag) >= 8
    assert transport.pwd is not None
    assert len(transport.pwd) >= 22
    assert [(f.hash, f.setup) for f in transport.fingerprints] == [("sha-256", None)]
    assert [(c.ip, c.port) for c in transport.candidates] == [("127.0.0.1", plane.port), ("203.0.113.7", plane.port)]
    assert ice.Transport.parse(transport.to_element()) == transport


# --- refusals ---


async def test_a_peer_with_another_certificate_is_refused(plane: MediaPlane) -> None:
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        remote = await peer.transport()
        wrong = dtls.Fingerprint(hash="sha-256", value=":".join(["AB"] * 32))
        await leg.connect(remote.model_copy(update={"fingerprints": (wrong,)}), dtls_role="passive")
        await peer.connect(leg.local_transport)
        assert await observer.last(1) == "failed: the certificate of the peer is not the one it announced"


async def test_a_stranger_without_the_password_never_gets_in(start_plane: PlaneFactory) -> None:
    plane = await start_plane(connect_timeout=1.5)
    stranger, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(stranger, leg):
        remote = (await stranger.transport()).model_copy(update={"candidates": ()})
        await leg.connect(remote, dtls_role="passive")
        guess = leg.local_transport.model_copy(update={"pwd": "x" * 24})
        attempt = asyncio.create_task(stranger.connect(guess))
        assert await observer.last(1) == "failed: ICE found no path to the peer in 1.5 s"
        assert leg._ice._passed == set()
        before = plane.snapshot()["dropped_unknown"]
        for protocol in stranger.connection._protocols:
            protocol.transport.sendto(b"\x16\xfe\xff" + bytes(20), plane.addresses[0])
            protocol.transport.sendto(b"\x80\x60" + bytes(40), plane.addresses[0])
        await until(lambda: plane.snapshot()["dropped_unknown"] > before)
        assert leg._ice._queue.empty()
        attempt.cancel()


async def test_nobody_answers(start_plane: PlaneFactory) -> None:
    plane = await start_plane(connect_timeout=0.3)
    observer = Observer()
    leg = plane.create_leg(controlling=True, observer=observer)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        remote = plane.create_leg(controlling=False, observer=Observer()).local_transport
        leg.set_codec(OPUS, level_extension=None)
        leg.play(Tone(440).samples(SECOND))
        candidates = (stray(port=silent.getsockname()[1]),)
        await leg.connect(remote.model_copy(update={"candidates": candidates}), dtls_role="active")
        assert await observer.last(1) == "failed: ICE found no path to the peer in 0.3 s"
        silent.setblocking(False)
        got = silent.recv(2048)
        with contextlib.suppress(BlockingIOError):
            while True:
                assert got[0] < 4  # checks, and nothing else without consent
                got = silent.recv(2048)


async def test_a_peer_that_never_shakes_hands_fails_the_leg(start_plane: PlaneFactory) -> None:
    plane = await start_plane(connect_timeout=3)
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        await leg.connect(await peer.transport(), dtls_role="passive")
        remote = leg.local_transport
        peer.connection.remote_username, peer.connection.remote_password = remote.ufrag, remote.pwd
        for candidate in remote.candidates:
            await peer.connection.add_remote_candidate(
                aioice.Candidate(
                    candidate.foundation, 1, "udp", candidate.priority, candidate.ip, candidate.port, "host"
                )
            )
        await peer.connection.connect()
        assert await observer.last(1) == "failed: the peer did not complete the DTLS handshake in 3 s"


@pytest.mark.parametrize("missing", ["ufrag", "pwd", "fingerprints"])
async def test_a_transport_without_the_essentials_is_refused(plane: MediaPlane, missing: str) -> None:
    leg, other = (plane.create_leg(controlling=True, observer=Observer()) for _ in range(2))
    remote = other.local_transport.model_copy(update={missing: () if missing == "fingerprints" else None})
    with pytest.raises(ValueError, match="without"):
        await leg.connect(remote, dtls_role="active")


async def test_a_leg_connects_once(plane: MediaPlane) -> None:
    leg, other = (plane.create_leg(controlling=True, observer=Observer()) for _ in range(2))
    await leg.connect(other.local_transport, dtls_role="active")
    with pytest.raises(RuntimeError):
        await leg.connect(other.local_transport, dtls_role="active")
    await other.close()
    with pytest.raises(RuntimeError):
        await other.connect(leg.local_transport, dtls_role="active")


@pytest.mark.parametrize(
    ("wish", "bitrate"),
    [
        (None, 32000), ("24000", 24000), ("6000", 6000), ("510000", 32000),
        ("5999", 32000), ("510001", 32000), ("0", 32000), ("-1", 32000), ("fast", 32000), ("9" * 1000, 32000),
    ],
)  # fmt: skip
def test_a_peer_is_sent_no_more_than_it_asks_for_if_that_makes_sense(wish: str | None, bitrate: int) -> None:
    """RFC 7587 section 6.1."""
    parameters = () if wish is None else (rtp.Parameter(name="maxaveragebitrate", value=wish),)
    assert bitrate_for(OPUS.model_copy(update={"parameters": parameters})) == bitrate


@pytest.mark.parametrize(
    ("ptime", "maxptime", "minptime", "sent"),
    [
        (None, None, None, 20), (20, 60, "10", 20), (10, None, None, 10), (30, None, None, 20), (40, 120, None, 40),
        (60, None, None, 60), (10000, None, None, 60), (None, 10, None, 10), (60, 40, None, 40), (20, 1, None, 10),
        (None, None, "40", 40), (None, None, "0", 20), (None, None, "fast", 20), (None, None, "9" * 1000, 20),
    ],
)  # fmt: skip
def test_packets_are_as_long_as_the_peer_would_like_and_can_take(
    ptime: int | None, maxptime: int | None, minptime: str | None, sent: int
) -> None:
    """XEP-0167 section 4, RFC 7587 section 6.1."""
    parameters = () if minptime is None else (rtp.Parameter(name="minptime", value=minptime),)
    changes = {"ptime": ptime, "maxptime": maxptime, "parameters": parameters}
    assert ptime_for(OPUS.model_copy(update=changes)) == sent


async def test_an_unknown_codec_is_refused(plane: MediaPlane) -> None:
    leg = plane.create_leg(controlling=True, observer=Observer())
    with pytest.raises(ValueError, match="speex"):
        leg.set_codec(rtp.PayloadType(id=97, name="speex", clockrate=16000), level_extension=None)


# --- the end ---


async def test_the_goodbye_of_a_peer_is_told(plane: MediaPlane) -> None:
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(leg):
        await leg.connect(await peer.transport(), dtls_role="passive")
        await peer.connect(leg.local_transport)
        await observer.connected()
        await peer.close()
        assert await observer.last(2) == "closed"


async def test_who_has_said_goodbye_gets_no_sound_back_by_another_pair(
    plane: MediaPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7675 section 5.2: the end of DTLS is the end of consent, whatever ICE does afterwards."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1", "127.0.0.2"])
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        leg.set_codec(OPUS, level_extension=None)
        leg.play(Tone(440).samples(60 * SECOND))
        await leg.connect(await peer.transport(), dtls_role="passive")
        await peer.connect(leg.local_transport)
        await observer.connected()
        await until(lambda: leg.stats()["sent"] > 0)
        await peer.dtls.stop()
        assert await observer.last(2) == "closed"
        got: list[bytes] = []
        agent = peer.connection
        old = agent._nominated[1]
        protocol = next(each for each in agent._protocols if each is not old.protocol)

        def hear(data: bytes, address: tuple[str, int]) -> None:
            got.append(data)
            type(protocol).datagram_received(protocol, data, address)

        monkeypatch.setattr(protocol, "datagram_received", hear)
        pair = agent._find_pair(protocol, old.remote_candidate)
        if pair is None:
            pair = aioice.ice.CandidatePair(protocol, old.remote_candidate)
            agent._check_list.append(pair)
        # the first check makes the pair known to the other side, the second finds it valid there
        for _ in range(2):
            await agent.check_start(pair)
        there = protocol.transport.get_extra_info("sockname")[:2]
        await until(lambda: leg._ice._selected is not None and leg._ice._selected[1] == there)
        before = plane.snapshot()["ticks"]
        await until(lambda: plane.snapshot()["ticks"] >= before + 10)
        leg._plane.send(0, there, b"\xff behind it")
        await until(lambda: b"\xff behind it" in got)
        assert not [data for data in got if data[0] >> 6 == 2]  # RTP


async def test_nothing_is_told_after_the_end(start_plane: PlaneFactory) -> None:
    """A peer that goes in the middle of a word has stopped speaking, but that is no news."""
    here, there, _, observer = await connected(await start_plane(), await start_plane())
    tap = there.tap()
    here.play(Tone(440).samples(60 * SECOND))
    await until(lambda: bool(observer.speaking))
    await here.close()
    assert await observer.last(2) == "closed"
    said = list(observer.speaking)
    await until(lambda: there.stats()["level_dbov"] == -127)
    await Ear(tap.read).next(1)
    assert observer.speaking == said


async def test_a_closed_leg_says_goodbye_and_leaves_nothing(plane: MediaPlane) -> None:
    before = asyncio.all_tasks()
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    await leg.connect(await peer.transport(), dtls_role="passive")
    await peer.connect(leg.local_transport)
    await observer.connected()
    assert plane.snapshot()["legs"] == 1
    await asyncio.gather(leg.close(), leg.close())
    await leg.close()
    await until(lambda: peer.dtls.state == "closed")
    await peer.close()
    assert observer.events == ["connected"]
    await until(lambda: plane.snapshot()["legs"] == 0)
    assert asyncio.all_tasks() == before


async def test_a_leg_closed_while_connecting_tells_nothing(plane: MediaPlane) -> None:
    before = asyncio.all_tasks()
    peer = OrtcPeer(controlling=True)
    remote = await peer.transport()
    for steps in range(0, 40, 3):
        observer = Observer()
        leg = plane.create_leg(controlling=False, observer=observer)
        await leg.connect(remote, dtls_role="passive")
        for _ in range(steps):
            await asyncio.sleep(0)
        await leg.close()
        assert observer.events == []
    await peer.close()
    assert asyncio.all_tasks() == before
    await until(lambda: plane.snapshot()["legs"] == 0)


@pytest.mark.parametrize("steps", range(6))
async def test_a_leg_is_closed_while_a_datagram_of_the_handshake_comes(
    plane: MediaPlane, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    peer, observer = OrtcPeer(controlling=True, client=False), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    receive, received = leg.dtls_received, asyncio.Event()

    def receive_the_first(data: bytes) -> None:
        if not received.is_set():
            receive(data)
            received.set()

    monkeypatch.setattr(leg, "dtls_received", receive_the_first)
    await leg.connect(await peer.transport(), dtls_role="active")
    connecting = asyncio.create_task(peer.connect(leg.local_transport))
    await received.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await leg.close()
    assert plane.snapshot()["legs"] == 0
    await peer.close()
    await asyncio.wait([connecting])
    assert observer.events == []


async def test_a_peer_that_falls_silent_fails_the_leg(plane: MediaPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7675, with the waiting made short."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 20)
    peer, observer = OrtcPeer(controlling=True), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        leg.set_codec(OPUS, level_extension=None)
        await leg.connect(await peer.transport(), dtls_role="passive")
        await peer.connect(leg.local_transport)
        await observer.connected()
        await until(lambda: leg.stats()["sent"] > 0)
        assert peer.connection._query_consent_task is not None
        peer.connection._query_consent_task.cancel()  # it must not end by itself
        got: list[bytes] = []
        for protocol in peer.connection._protocols:
            monkeypatch.setattr(protocol, "datagram_received", lambda data, address: got.append(data))
        assert await observer.last(2) == "failed: the peer stopped answering"
        # from here on nothing is sent, not even a goodbye
        address = peer.connection._protocols[0].transport.get_extra_info("sockname")[:2]
        for fence in (b"\xff before", b"\xff after"):
            leg._plane.send(0, address, fence)
            await until(lambda fence=fence: fence in got)  # type: ignore[misc]
            await leg.close()
        assert got[got.index(b"\xff before") :] == [b"\xff before", b"\xff after"]


async def test_a_plane_that_stops_closes_its_legs(start_plane: PlaneFactory) -> None:
    a, b = await start_plane(), await start_plane()
    _, _, _, there = await connected(a, b)
    await a.stop()
    await a.stop()
    assert await there.last(2) == "closed"


async def test_an_observer_that_breaks_breaks_nothing_else(plane: MediaPlane, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Observer):
        def leg_connected(self) -> None:
            super().leg_connected()
            raise ZeroDivisionError

    peer, observer = OrtcPeer(controlling=True), Broken()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(leg):
        await leg.connect(await peer.transport(), dtls_role="passive")
        await peer.connect(leg.local_transport)
        await observer.connected()
        await peer.close()
        assert await observer.last(2) == "closed"
    assert "its observer broke" in caplog.text


async def test_checks_of_consent_are_answered_in_the_plane(
    start_plane: PlaneFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many times in the life of a consent: nobody is lost, and the agent, once it is connected, is not asked."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 60)
    a, b, first, second = await connected(await start_plane(), await start_plane())
    asked = a.stats()["consents"], b.stats()["consents"]
    await until(lambda: a.stats()["consents"] >= asked[0] + 15 and b.stats()["consents"] >= asked[1] + 15)
    assert first.events == second.events == ["connected"]
