"""Log lines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from focus.service import logs
from focus.wire import context


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in logs.TALKATIVE:
        logging.getLogger(name).setLevel(logging.NOTSET)


def configured(form: Literal["text", "json"], level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream


async def test_each_line_carries_the_room_and_call_of_its_task() -> None:
    stream = configured("json")
    log = logging.getLogger("focus.test")

    async def call(name: str) -> None:
        context.call.set(name)
        await asyncio.sleep(0)
        log.info("hello from %s", name)

    async def room(name: str) -> None:
        context.room.set(name)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call(f"{name}-1"))
            tasks.create_task(call(f"{name}-2"))

    await asyncio.gather(room("tea"), room("coffee"))
    log.info("alone")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {(line.get("room"), line.get("call"), line["message"]) for line in lines} == {
        ("tea", "tea-1", "hello from tea-1"),
        ("tea", "tea-2", "hello from tea-2"),
        ("coffee", "coffee-1", "hello from coffee-1"),
        ("coffee", "coffee-2", "hello from coffee-2"),
        (None, None, "alone"),
    }
    assert {(line["level"], line["logger"]) for line in lines} == {("info", "focus.test")}


def test_text_is_for_people() -> None:
    stream = configured("text")
    token = context.room.set("tea")
    logging.getLogger("focus.test").warning("it is %d", 5)
    context.room.reset(token)
    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == "warning focus.test [room=tea] it is 5\n"


def test_a_peer_cannot_forge_a_line() -> None:
    stream = configured("text")
    logging.getLogger("focus.test").info("got %s", "x\n2026-01-01 error all is lost\x1b[2J")
    assert stream.getvalue().count("\n") == 1
    assert "x\\n2026-01-01" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_kept(form: Literal["text", "json"]) -> None:
    stream = configured(form)
    try:
        raise ValueError("bad day")
    except ValueError:
        logging.getLogger("focus.test").exception("failed")
    assert "ValueError: bad day" in stream.getvalue()


def test_libraries_are_quiet_unless_asked() -> None:
    stream = configured("text")
    logging.getLogger("aioice.ice").info("Connection(0) Check")
    logging.getLogger("focus.test").debug("detail")
    assert stream.getvalue() == ""
    stream = configured("text", "debug")
    logging.getLogger("aioice.ice").info("Connection(0) Check")
    logging.getLogger("focus.test").debug("detail")
    assert len(stream.getvalue().splitlines()) == 2
