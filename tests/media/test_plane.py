from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket

import numpy as np
import pytest

from focus.media.plane import Direction, MediaPlane, UnknownName, machine_addresses
from focus.media.tones import SAMPLE_RATE, Tone

from .conftest import PlaneFactory
from .peers import Ear, Observer, level, until
from .test_leg import connected


def test_the_machine_is_reached_at_its_addresses_loopback_last() -> None:
    addresses = [ipaddress.ip_address(address) for address in machine_addresses()]
    assert ipaddress.ip_address("127.0.0.1") in addresses
    assert not any(address.is_link_local for address in addresses)
    assert [address.is_loopback for address in addresses] == sorted(address.is_loopback for address in addresses)
    for address in addresses:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))


async def test_the_unspecified_address_means_all_of_them_on_one_port() -> None:
    plane = MediaPlane([("0.0.0.0", 0), ("::", 0)])
    await plane.start()
    assert sorted(host for host, _ in plane.addresses) == sorted(machine_addresses())
    assert {port for _, port in plane.addresses} == {plane.port}
    assert plane.port != 0
    await plane.stop()


async def test_a_port_in_use_is_refused(plane: MediaPlane) -> None:
    other = MediaPlane([("127.0.0.1", plane.port)])
    with pytest.raises(OSError, match=r".") as refusal:
        await other.start()
    assert refusal.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("addresses", [[], [("localhost", 0)], [("127.0.0.256", 0)]])
def test_what_is_no_address_is_refused(addresses: list[tuple[str, int]]) -> None:
    with pytest.raises(ValueError, match=r"address"):
        MediaPlane(addresses)


async def test_public_addresses_may_be_names_that_are_looked_up_at_the_start(start_plane: PlaneFactory) -> None:
    plane = await start_plane(["127.0.0.1"], public_addresses=["203.0.113.7", "localhost"])
    assert plane.public_addresses[0] == "203.0.113.7"
    assert "127.0.0.1" in plane.public_addresses[1:]


async def test_a_public_address_that_leads_nowhere_is_named_before_a_port_is_taken(plane: MediaPlane) -> None:
    other = MediaPlane([("127.0.0.1", plane.port)], public_addresses=["nowhere.invalid"])
    with pytest.raises(UnknownName, match=r"^nowhere\.invalid has no address: ."):
        await other.start()
    with pytest.raises(UnknownName, match=r"has no address: ."):
        await MediaPlane([("127.0.0.1", 0)], public_addresses=[f"{'x' * 70}.org"]).start()


async def test_a_plane_that_does_not_run_makes_no_legs() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        MediaPlane([("127.0.0.1", 0)]).create_leg(controlling=True, observer=Observer())


async def test_the_port_is_free_again_after_stopping() -> None:
    first = MediaPlane([("127.0.0.1", 0)])
    await first.start()
    port = first.port
    await first.stop()
    second = MediaPlane([("127.0.0.1", port)])
    await second.start()
    assert second.port == port
    await second.stop()


@pytest.mark.parametrize(
    ("direction", "first_is_heard", "first_hears"),
    [(Direction.DUPLEX, True, True), (Direction.SEND, True, False), (Direction.RECV, False, True)],
)
async def test_a_join_goes_the_way_it_says(
    start_plane: PlaneFactory, direction: Direction, first_is_heard: bool, first_hears: bool
) -> None:
    plane = await start_plane()
    leg, far, _, _ = await connected(plane, await start_plane())
    mixer = plane.create_mixer()
    plane.join(leg.node, mixer, direction)
    far.play(Tone(440).samples(60 * SAMPLE_RATE))
    plane.play(mixer, Tone(660).samples(60 * SAMPLE_RATE))
    assert plane.play_pending(mixer) > 0
    said, mixed, reached = leg.tap(), plane.tap(mixer), far.tap()
    await Ear(said.read).until_only(440, without=[660])
    if first_is_heard:
        await Ear(mixed.read).until_heard(440, 660)
    else:
        await Ear(mixed.read).until_only(660, without=[440])
    if first_hears:
        await Ear(reached.read).until_only(660, without=[440])
    else:
        assert not (await Ear(reached.read).next(0.5)).any()
    plane.unjoin(leg.node, mixer)
    if first_is_heard:
        await until(lambda: level(np.concatenate([np.ones(9600), mixed.read()])[-9600:], 440) < -60)
    plane.remove_mixer(mixer)
    plane.unjoin(leg.node, mixer)
    for tap in (said, mixed, reached):
        tap.close()
        tap.close()
        assert not len(tap.read())


async def test_a_loop_and_an_unknown_node_are_refused(plane: MediaPlane) -> None:
    a, b, c = (plane.create_mixer() for _ in range(3))
    plane.join(a, b)
    plane.join(b, c)
    with pytest.raises(ValueError, match=r"."):
        plane.join(c, a)
    with pytest.raises(ValueError, match=r"."):
        plane.join(a, 1_000_000)


async def test_what_is_played_has_the_volume_of_its_mixer(plane: MediaPlane) -> None:
    mixer = plane.create_mixer()
    tap = plane.tap(mixer)
    plane.set_gain(mixer, 0.5)
    plane.play(mixer, np.full(4800, 1000, np.int16))
    await asyncio.wait_for(plane.played(mixer), 60)
    heard = tap.read()
    assert int((heard == 500).sum()) >= 4800 - 3 * 240
    assert heard.max() <= 1000
    tap.close()
    with pytest.raises(ValueError, match="0 to 4"):
        plane.set_gain(mixer, 5)


async def test_the_end_of_what_is_played_can_be_waited_for(plane: MediaPlane) -> None:
    mixer, other = plane.create_mixer(), plane.create_mixer()
    await plane.played(mixer)
    tap = plane.tap(mixer)
    plane.play(mixer, np.full(4800, 1000, np.int16))
    await asyncio.wait_for(plane.played(mixer), 60)
    assert plane.play_pending(mixer) == 0
    heard = tap.read()
    assert int((heard == 1000).sum()) == 4800 - 239  # but for the ramp at its beginning
    assert tap.overruns == 0
    tap.close()
    assert tap.overruns == 0
    plane.play(other, np.full(480000, 1000, np.int16))
    waiting = asyncio.create_task(plane.played(other))
    await asyncio.sleep(0)
    plane.remove_mixer(other)
    await asyncio.wait_for(waiting, 60)


async def test_nobody_waits_for_the_end_of_what_is_played_when_the_plane_has_stopped() -> None:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    mixer = plane.create_mixer()
    plane.play(mixer, np.full(480000, 1000, np.int16))
    waiting = asyncio.create_task(plane.played(mixer))
    await asyncio.sleep(0)
    await plane.stop()
    await asyncio.wait_for(waiting, 60)
