"""What a client is told, for who reads it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import chain

import pytest

from focus.client import EventsLost, Feed, SessionLost

NOON, LATER = datetime(2026, 11, 21, 12, tzinfo=UTC), datetime(2026, 11, 21, 13, tzinfo=UTC)


async def read(feed: Feed[int]) -> list[int]:
    return [one async for one in feed]


async def test_what_came_before_somebody_reads_is_kept_with_its_time() -> None:
    feed: Feed[int] = Feed(10)
    feed.put(1, NOON)
    feed.put(2, LATER)
    assert (await anext(feed), feed.at) == (1, NOON)
    assert (await anext(feed), feed.at) == (2, LATER)


async def test_an_end_comes_after_the_rest_and_stays() -> None:
    feed: Feed[int] = Feed(10)
    feed.put(1, NOON)
    feed.end()
    feed.end(SessionLost("later"))
    feed.put(2, NOON)
    assert await read(feed) == [1]
    assert await read(feed) == []


async def test_an_error_is_raised_after_the_rest_each_time() -> None:
    feed: Feed[int] = Feed(10)
    feed.put(1, NOON)
    feed.end(SessionLost("gone"))
    assert await anext(feed) == 1
    for _ in range(2):
        with pytest.raises(SessionLost, match="gone"):
            await anext(feed)


async def test_who_does_not_read_is_told_that_something_is_missing() -> None:
    feed: Feed[int] = Feed(2)
    for number in range(4):
        feed.put(number, NOON)
    assert [await anext(feed), await anext(feed)] == [0, 1]
    with pytest.raises(EventsLost) as caught:
        await anext(feed)
    assert (caught.value.condition, caught.value.type) == ("resource-constraint", "wait")


async def test_who_was_told_that_something_is_missing_can_read_on() -> None:
    feed: Feed[int] = Feed(2)
    for number in range(4):
        feed.put(number, NOON)
    with pytest.raises(EventsLost):
        await read(feed)
    feed.put(4, NOON)
    assert await anext(feed) == 4
    for number in range(5, 8):
        feed.put(number, NOON)
    feed.end()
    with pytest.raises(EventsLost):
        await read(feed)
    assert await read(feed) == []


async def test_one_that_begins_late_has_the_latest_for_its_first_reader_and_all_from_then_on() -> None:
    feed: Feed[int] = Feed(2, begins_late=True)
    for number in range(4):
        feed.put(number, NOON)
    assert await anext(feed) == 2
    feed.put(4, NOON)
    feed.put(5, NOON)
    assert [await anext(feed), await anext(feed)] == [3, 4]
    with pytest.raises(EventsLost):
        await anext(feed)


async def test_several_readers_share_it_and_all_learn_the_end() -> None:
    feed: Feed[int] = Feed(10)
    readers = [asyncio.create_task(read(feed)) for _ in range(3)]
    await asyncio.sleep(0)
    for number in range(5):
        feed.put(number, NOON)
    await asyncio.sleep(0)
    feed.end()
    async with asyncio.timeout(60):
        assert sorted(chain(*await asyncio.gather(*readers))) == [0, 1, 2, 3, 4]
