"""Several planes behave as one: whatever is joined is heard, wherever it is."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest

from focus.media.plane import Direction, MediaPlane
from focus.media.tones import SAMPLE_RATE, Tone

from .conftest import PlaneFactory
from .peers import Observer, until
from .test_leg import connected


def mixers_apart(plane: MediaPlane) -> tuple[int, int]:
    """A mixer in each of two shards."""
    first = plane.create_mixer()
    plane.create_leg(controlling=True, observer=Observer(), near=first)
    other = plane.create_mixer()
    assert (first - other) % 2
    return first, other


@pytest.fixture
async def sharded(start_plane: PlaneFactory) -> MediaPlane:
    return await start_plane(shards=2)


async def test_each_shard_has_a_port(start_plane: PlaneFactory) -> None:
    plane = await start_plane(shards=3)
    assert len({port for _, port in plane.addresses}) == 3
    assert plane.port == plane.addresses[0][1]


async def test_the_ports_of_shards_follow_each_other() -> None:
    for port in range(20000, 60000, 997):
        plane = MediaPlane([("127.0.0.1", port)], shards=2)
        try:
            await plane.start()
        except OSError:
            continue
        assert plane.addresses == (("127.0.0.1", port), ("127.0.0.1", port + 1))
        await plane.stop()
        return
    pytest.fail("no two free ports in a row")


async def test_a_shard_without_its_port_leaves_none_behind() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        plane = MediaPlane([("127.0.0.1", port - 1)], shards=2)
        with pytest.raises(OSError, match=r"."):
            await plane.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", port - 1))


@pytest.mark.parametrize(("port", "shards"), [(65535, 2), (1, 0)])
def test_shards_need_ports(port: int, shards: int) -> None:
    with pytest.raises(ValueError, match="shards"):
        MediaPlane([("127.0.0.1", port)], shards=shards)


async def test_what_belongs_together_is_in_one_shard(sharded: MediaPlane) -> None:
    def shard(node: int) -> int:
        return node % 2

    def leg(**where: object) -> int:
        made = sharded.create_leg(controlling=True, observer=Observer(), **where)  # type: ignore[arg-type]
        return made.node

    first = leg(room="one")
    assert shard(sharded.create_mixer(room="one")) == shard(first)
    assert shard(leg(room="two")) != shard(first)
    assert shard(leg(room="one")) == shard(leg(room="one")) == shard(first)
    assert shard(leg()) != shard(first)
    assert shard(leg(near=first)) == shard(first)


@pytest.mark.parametrize("shards", [2, 4, 5])
async def test_the_ends_of_a_call_with_itself_are_in_different_shards(start_plane: PlaneFactory, shards: int) -> None:
    plane = await start_plane(shards=shards)
    room = plane.create_mixer(room="one")
    ends = [
        plane.create_leg(controlling=way, observer=Observer(), near=room, with_ourselves=True)
        for way in (True, False)
        for _ in range(plane.calls_with_itself)
    ]
    assert len(ends) == len({end.node % shards for end in ends}) == shards // 2 * 2
    first = ends[0].node
    await ends[0].close()
    again = plane.create_leg(controlling=True, observer=Observer(), near=room, with_ourselves=True)
    assert (again.node - first) % shards == 0 or shards == 5


async def test_a_plane_of_one_port_cannot_call_itself(start_plane: PlaneFactory) -> None:
    plane = await start_plane()
    assert plane.calls_with_itself == 0
    for controlling in (True, False):  # which somebody finds out who has been told, but not by an exception
        plane.create_leg(controlling=controlling, observer=Observer(), with_ourselves=True)


async def test_a_room_that_has_emptied_may_be_anywhere(sharded: MediaPlane) -> None:
    first = sharded.create_mixer(room="one")
    sharded.create_leg(controlling=True, observer=Observer(), room="one")
    sharded.create_leg(controlling=True, observer=Observer(), near=first)
    sharded.remove_mixer(first)
    follower = sharded.create_mixer(room="one")
    assert (first - follower) % 2 == 0
    elsewhere = sharded.create_mixer(room="two")
    assert (first - elsewhere) % 2


async def test_rooms_without_callers_yet_spread_over_the_shards(start_plane: PlaneFactory) -> None:
    plane = await start_plane(shards=3)
    rooms = [plane.create_mixer(room=f"room {n}") for n in range(6)]
    assert [sum(room % 3 == shard for room in rooms) for shard in range(3)] == [2, 2, 2]
    legs = [plane.create_leg(controlling=True, observer=Observer(), room=f"room {n}").node for n in range(6)]
    assert [leg % 3 for leg in legs] == [room % 3 for room in rooms]


async def test_a_leg_alone_in_a_room_that_changes_its_source_stays_there(sharded: MediaPlane) -> None:
    leg = sharded.create_leg(controlling=True, observer=Observer(), room="one")
    before = leg.node
    leg.prefer_source_id(leg.source_id ^ 1)
    assert leg.node != before
    follower = sharded.create_mixer(room="one")
    assert (leg.node - follower) % 2 == 0


async def test_a_room_without_a_name_is_not_where_all_go_that_call_none(sharded: MediaPlane) -> None:
    unnamed = sharded.create_leg(controlling=True, observer=Observer(), room="").node
    assert (unnamed - sharded.create_mixer()) % 2
    assert (unnamed - sharded.create_mixer(room="")) % 2 == 0


async def test_of_rooms_and_legs_that_are_gone_nothing_is_kept(sharded: MediaPlane) -> None:
    """Whoever calls ever other addresses does not fill the memory with them."""
    for n in range(20):
        mixer = sharded.create_mixer(room=f"room {n}")
        leg = sharded.create_leg(controlling=True, observer=Observer(), room=f"room {n}", near=mixer)
        await leg.close()
        sharded.remove_mixer(mixer)
    kept = sharded.create_mixer(room="kept")
    for _ in range(20):
        leg = sharded.create_leg(controlling=True, observer=Observer(), room="kept", near=kept)
        await leg.close()
    shards = sharded._shards
    assert {room: list(nodes) for room, nodes in shards._rooms.items()} == {"kept": [kept]}
    sharded.remove_mixer(kept)
    assert not any(value for name, value in vars(shards).items() if name != "planes")


async def heard(plane: MediaPlane, source: int, ear: int) -> bool:
    """Whether what is played at one mixer arrives at the other, most of it: as the value that nobody else plays. A
    shard that loses the processor for a moment loses what the other has said then, so it is said again if need be."""
    tap = plane.tap(ear)
    value = 1000 + source
    count = 0
    for _ in range(5):
        plane.play(source, np.full(SAMPLE_RATE // 5, value, np.int16))
        await asyncio.wait_for(plane.played(source), 60)
        after = plane.snapshot()["ticks"]
        await until(lambda: plane.snapshot()["ticks"] >= after + 20)  # noqa: B023
        count = int((tap.read() == value).sum())
        if count > SAMPLE_RATE // 10 or not count:
            break
    tap.close()
    return count > SAMPLE_RATE // 10


@pytest.mark.parametrize(
    ("direction", "there", "back"),
    [(Direction.DUPLEX, True, True), (Direction.SEND, True, False), (Direction.RECV, False, True)],
)
async def test_mixers_of_two_shards_are_joined(
    sharded: MediaPlane, direction: Direction, there: bool, back: bool
) -> None:
    first, other = mixers_apart(sharded)
    sharded.join(first, other, direction)
    assert await heard(sharded, first, other) is there
    assert await heard(sharded, other, first) is back
    assert sharded.snapshot()["links"] == 2
    sharded.join(other, first, Direction.SEND)  # seen from the other side: the second to the first
    assert await heard(sharded, first, other) is False
    assert await heard(sharded, other, first) is True
    sharded.unjoin(other, first)
    sharded.unjoin(other, first)
    assert sharded.snapshot()["links"] == 0
    assert await heard(sharded, other, first) is False


async def test_a_mixer_has_one_link_into_a_shard_for_all_who_are_there(sharded: MediaPlane) -> None:
    first, other = mixers_apart(sharded)
    legs = [sharded.create_leg(controlling=True, observer=Observer(), near=other) for _ in range(3)]
    for leg in legs:
        sharded.join(leg.node, first)
    sharded.join(first, other, Direction.RECV)
    assert sharded.snapshot()["links"] == 2
    for leg in legs[1:]:
        await leg.close()
    sharded.unjoin(first, other)
    assert sharded.snapshot()["links"] == 2
    await legs[0].close()
    assert sharded.snapshot()["links"] == 0
    sharded.join(first, other)
    assert sharded.snapshot()["links"] == 2
    sharded.remove_mixer(first)
    assert sharded.snapshot()["links"] == 0
    sharded.unjoin(first, other)


@pytest.mark.parametrize("leaves", [0, 1])
async def test_a_link_ends_with_either_of_the_legs_that_it_is_for(sharded: MediaPlane, leaves: int) -> None:
    """Nobody else has to come or go for that, and the planes rest then."""
    legs = [sharded.create_leg(controlling=True, observer=Observer()) for _ in range(2)]
    assert (legs[0].node - legs[1].node) % 2
    sharded.join(legs[0].node, legs[1].node)
    assert sharded.snapshot()["links"] == 2
    await legs[leaves].close()
    assert sharded.snapshot()["links"] == 0
    await until(lambda: sharded.snapshot()["live"] == 0)
    await legs[1 - leaves].close()


async def test_joins_that_cannot_be_leave_no_link(sharded: MediaPlane) -> None:
    first, other = mixers_apart(sharded)
    third = sharded.create_mixer()
    assert (third - other) % 2 == 0
    sharded.join(first, other)
    sharded.join(first, third)
    with pytest.raises(ValueError, match="loop"):
        sharded.join(other, third)
    leg = sharded.create_leg(controlling=True, observer=Observer(), near=first)
    sharded.join(leg.node, first)
    with pytest.raises(ValueError, match="loop"):
        sharded.join(leg.node, other)
    links = sharded.snapshot()["links"]
    await leg.close()
    with pytest.raises(ValueError, match="node"):
        sharded.join(leg.node, other)
    with pytest.raises(ValueError, match="node"):
        sharded.join(other, leg.node)
    assert sharded.snapshot()["links"] == links


async def test_calls_of_two_shards_hear_each_other(sharded: MediaPlane, start_plane: PlaneFactory) -> None:
    """With real legs, ICE, DTLS and all, and the two in different shards joined directly."""
    one, far_one, _, _ = await connected(sharded, await start_plane())
    two, far_two, _, _ = await connected(sharded, await start_plane())
    assert (one.node - two.node) % 2
    sharded.join(one.node, two.node)
    tap = far_two.tap()
    far_one.play(Tone(440).samples(60 * SAMPLE_RATE))
    found = np.zeros(0, np.int16)

    def has_heard() -> bool:
        nonlocal found
        found = np.concatenate([found, tap.read()])
        return bool((np.abs(found) > 1000).sum() > SAMPLE_RATE // 2)

    await until(has_heard)
    sharded.unjoin(one.node, two.node)
    assert sharded.snapshot()["links"] == 0
    tap.close()
