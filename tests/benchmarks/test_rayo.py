"""The load on a real Prosody and a real focus: clients that are bare sockets, phones, and the table of it all."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.rayo import QUICK, Figure, Tally, _dealt, _each, _median
from benchmarks.rayo_server import PASSWORD, Cores, Taken, configuration, main_thread_seconds, prosody_and_focus
from benchmarks.result import Column
from benchmarks.workbench import Workbench, on_core
from benchmarks.xmpp_client import PING, Client, Refused
from focus.service import config
from focus.service.prosody import Prosody

pytestmark = pytest.mark.interop


@pytest.fixture
def bench() -> Iterator[Workbench]:
    with Workbench.temporary(quick=True, say=lambda text: None) as bench:
        yield bench


def is_positive(cell: object) -> bool:
    return isinstance(cell, float) and cell > 0


def test_every_part_is_measured_and_leaves_what_the_next_one_needs(bench: Workbench) -> None:
    result = BENCHMARKS["rayo"].run(bench)
    rows = {str(row[0]): dict(zip((column.name for column in result.columns), row, strict=True)) for row in result.rows}
    assert len(rows) == 7 + QUICK.calls // QUICK.step + 1
    for row in rows.values():
        assert all(is_positive(row[name]) for name in ("stanzas", "a second", "Prosody, µs"))
    alone, *others = rows.values()
    assert alone["of Prosody alone"] == 1
    assert all(is_positive(row["focus, µs"]) for row in others)
    # a ping or a command, and its answer
    for name in ("pings between two clients, without the focus", "pings to the focus"):
        assert rows[name]["stanzas"] == 2
    assert rows["commands (join in another direction)"]["stanzas"] == 2
    calls = rows["calls dialled, until media can flow"]
    assert calls["n"] == QUICK.calls
    assert is_positive(calls["KiB"])


async def test_clients_log_in_with_and_without_an_account_and_ping_each_other(prosody: Prosody) -> None:
    await prosody.add_user(f"desk@{prosody.domain}", PASSWORD)
    desk = await Client.connect(prosody.c2s, prosody.domain, account=("desk", PASSWORD), resource="one")
    guest = await Client.connect(prosody.c2s, prosody.guests)
    assert desk.jid == f"desk@{prosody.domain}/one"
    assert guest.jid.endswith(f"@{prosody.guests}/bench")
    before = Client.stanzas
    answer = await desk.ask(guest.jid, "get", PING)
    assert answer.get("from") == guest.jid
    assert Client.stanzas - before == 4  # two stanzas, each of them sent and received
    with pytest.raises(Refused, match="service-unavailable"):
        await guest.ask(f"nobody@{prosody.domain}/there", "get", PING)
    for client in (desk, guest):
        await client.close()


async def test_a_wrong_password_is_said(prosody: Prosody) -> None:
    await prosody.add_user(f"desk@{prosody.domain}", PASSWORD)
    with pytest.raises(ConnectionError, match="not-authorized"):
        await Client.connect(prosody.c2s, prosody.domain, account=("desk", "wrong"))


async def test_what_nobody_answers_ends_with_the_connection(prosody: Prosody) -> None:
    deaf = await Client.connect(prosody.c2s, prosody.guests)
    asking = await Client.connect(prosody.c2s, prosody.guests)
    assert deaf._transport is not None
    deaf._transport.pause_reading()
    waiting = asking.ask(deaf.jid, "get", PING)
    prosody.kill()
    with pytest.raises(ConnectionError, match="has lost its connection"):
        await waiting
    for client in (deaf, asking):
        await client.close()


def test_the_configuration_of_the_run_is_one(bench: Workbench) -> None:
    prosody = Prosody(bench.directory / "prosody", c2s=("127.0.0.1", 1))
    file = bench.directory / "focus.toml"
    file.write_text(configuration(prosody).replace("port = 0", "port = 5347", 1))
    settings = config.load(file)
    assert settings.rayo.clients == (prosody.guests, f"desk@{prosody.domain}")
    assert settings.limits.registrations >= 1000


async def test_turns_are_dealt_and_a_client_waits_for_few_answers_at_once() -> None:
    one, two = Client(), Client()
    now: dict[Client, int] = {one: 0, two: 0}
    most, done = 0, []

    async def ask(client: Client) -> None:
        nonlocal most
        now[client] += 1
        most = max(most, now[client])
        await asyncio.sleep(0)
        now[client] -= 1
        done.append(client)

    await _each(_dealt([one, two], 21), ask)
    assert (done.count(one), done.count(two)) == (11, 10)
    assert most == 4


async def test_a_tally_waits_for_all_that_were_ever_counted() -> None:
    tally = Tally()
    tally.add()
    await tally.until(1)
    waiting = asyncio.create_task(tally.until(3))
    await asyncio.sleep(0)
    tally.add()
    await asyncio.sleep(0)
    assert not waiting.done()
    tally.add()
    await waiting


def test_figures_are_for_one_each_and_held_against_the_first_of_their_run() -> None:
    alone = Figure("alone", 100, 200, Taken(seconds=1.0, focus=0.0, prosody=0.1, others=0.0))
    slow = Figure("events", 50, 50, Taken(seconds=0.5, focus=0.005, prosody=0.001, others=0.2), memory=51200)
    (_, row) = _median([[alone, slow]])
    assert row == ["events", 50, 1.0, 100.0, 0.5, 100.0, 20.0, 1.0, "20% (!)"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
async def test_the_focus_has_a_core_for_itself_wherever_the_load_is(bench: Workbench) -> None:
    cores = Cores.of_this_thread()
    with on_core(cores.load):
        async with prosody_and_focus(bench, cores) as pair:
            assert pair.prosody.pid is not None
            assert os.sched_getaffinity(pair.focus) == {cores.focus} == {pair.core}
            assert os.sched_getaffinity(pair.prosody.pid) == {cores.prosody}
            assert cores.focus not in (cores.prosody, cores.load)


def test_the_clock_of_the_main_thread_runs_while_it_works() -> None:
    before = main_thread_seconds(int(Path("/proc/self").readlink().name))
    while main_thread_seconds(int(Path("/proc/self").readlink().name)) <= before:
        sum(range(1000))


def test_every_component_ends_as_it_should_and_the_calls_go_on(bench: Workbench) -> None:
    result = BENCHMARKS["components"].run(bench)
    (figures,) = result.raw
    ended = {figure["what"]: figure["ended"] for figure in figures}  # type: ignore[attr-defined]
    assert ended == {
        "the calls alone": {},
        "outputs of a sound file": {"stop": 4},
        "inputs of keys, one a second": {"match": 4},
        "recordings, wav": {"stop": 4},
        "recordings, ogg": {"stop": 4},
        "an output, an input and a recording (wav) each": {"stop": 8, "match": 4},
    }
    assert all(0 < row[result.columns.index(Column("≤ 20 ms", ".2%"))] <= 1 for row in result.rows)  # type: ignore[operator]
