"""Each benchmark runs, small and short, and says what it promises to say. What comes out is not judged here."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import conference, janus, quality, upkeep
from benchmarks.__main__ import BEGIN, BENCHMARKS, END, README, main, run, update_readme
from benchmarks.generator import Load, generate, is_late
from benchmarks.mix import _ffmpeg, _gstreamer, cpu_of, numpy_mix_minus
from benchmarks.plane_server import keys
from benchmarks.result import Benchmark, Column, Result, Unavailable
from benchmarks.servers import Server, plane
from benchmarks.start import page_sizes
from benchmarks.workbench import CHECKOUT, FRAME, RATE, Workbench, frames_of, sound
from mixer_ext import mix_minus

needs_speech = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng")


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with Workbench.temporary(quick=True, say=lambda text: None) as bench:
        yield bench


def figures(result: Result) -> dict[str, list[object]]:
    """The columns of a table by name, all rows being as long as the heading."""
    assert result.rows
    assert all(len(row) == len(result.columns) for row in result.rows)
    return {column.name: [row[n] for row in result.rows] for n, column in enumerate(result.columns)}


# --- the load generator and the servers -------------------------------------------------------------------------------


@needs_speech
@pytest.mark.parametrize("srtp", ["none", "gcm", "cm"])
def test_every_participant_is_sent_to_and_the_marker_is_found_again(bench: Workbench, srtp: str) -> None:
    with plane(bench, 4, srtp=srtp) as server:
        run = generate(bench, server, Load.of(3, 4), warm=1, seconds=3)
    assert run["participants"] == 4
    assert run["markers"] >= 2
    assert run["received_ratio"] > 0
    assert run["unauthentic"] == 0
    assert run["latencies_ms"]
    assert run["server_cpu_s"] > 0
    assert run["generator"]["sent"] >= 4 * 3 * 50
    total = server.statistics["total"]
    assert isinstance(total, dict)
    assert total["received"] > 0
    assert total["dropped_auth"] == total["dropped_malformed"] == 0


def reflect(sockets: list[socket.socket], done: threading.Event) -> None:
    """Send what the first participant says to all the others, as it is."""
    known: dict[int, tuple[str, int]] = {}
    while not done.is_set():
        for ready in select.select(sockets, [], [], 0.05)[0]:
            n = sockets.index(ready)
            data, known[n] = ready.recvfrom(2048)
            for other in sockets[1:] if n == 0 else []:
                if sockets.index(other) in known:
                    other.sendto(data, known[sockets.index(other)])


@needs_speech
@pytest.mark.parametrize(("codec", "payload_type"), [("opus", 111), ("pcmu", 0)])
def test_a_mirror_sends_the_marker_back_at_once(
    bench: Workbench, tmp_path: Path, codec: str, payload_type: int
) -> None:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    done = threading.Event()
    mirror = threading.Thread(target=reflect, args=(sockets, done))
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        peers = tmp_path / "peers"
        peers.write_text("".join(f"127.0.0.1 {one.getsockname()[1]} {payload_type} 7\n" for one in sockets))
        mirror.start()
        run = generate(bench, Server(os.getpid(), peers), Load(1, codec=codec), warm=1, seconds=3)
    finally:
        done.set()
        mirror.join()
        for one in sockets:
            one.close()
    assert run["worst_ratio"] == 0  # the first hears nothing
    assert 0.3 < run["received_ratio"] < 0.7
    assert run["latencies_ms"]
    assert min(run["latencies_ms"]) > -1  # never before it was sent


@needs_speech
def test_with_all_talking_everybody_speaks(bench: Workbench) -> None:
    load = Load.of(None, 7)
    assert load.talkers == 7
    assert [option for option in load.options(bench) if "quiet" in option]


@pytest.mark.parametrize(("latest", "slots_late", "late"), [(1.0, 0, False), (100.0, 1, True), (3.0, 50, True)])
def test_a_run_with_a_late_generator_is_known(latest: float, slots_late: int, late: bool) -> None:
    assert is_late({"generator": {"latest_ms": latest, "late_slots": slots_late, "slots": 1000}}) is late


def test_the_plane_server_tells_of_its_legs_and_ends_with_its_statistics(tmp_path: Path) -> None:
    peers = tmp_path / "peers"
    command = [sys.executable, "-m", "benchmarks.plane_server", "--legs", "3", "--rooms", "2"]
    command += ["--peers-file", str(peers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == f"ready {server.pid}\n"
        lines = [line.split() for line in peers.read_text().splitlines()]
        server.send_signal(signal.SIGTERM)
        statistics = json.loads(server.stdout.read())
    assert server.returncode == 0
    assert [line[0] for line in lines] == ["127.0.0.1"] * 3
    assert len({line[3] for line in lines}) == 3
    assert {line[2] for line in lines} == {"111"}
    assert (statistics["legs"], statistics["rooms"], statistics["plane"]["mixers"]) == (3, 2, 2)


def test_the_plane_server_spreads_its_rooms_over_shards(tmp_path: Path) -> None:
    peers = tmp_path / "peers"
    command = [sys.executable, "-m", "benchmarks.plane_server", "--legs", "6", "--rooms", "3", "--shards", "2"]
    command += ["--peers-file", str(peers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == f"ready {server.pid}\n"
        ports = [line.split()[1] for line in peers.read_text().splitlines()]
        server.send_signal(signal.SIGTERM)
        statistics = json.loads(server.stdout.read())
    assert [ports.count(port) for port in dict.fromkeys(ports)] == [4, 2]
    assert (statistics["plane"]["legs"], statistics["plane"]["mixers"]) == (6, 3)


def test_what_the_plane_server_does_not_take_is_said_in_its_words(bench: Workbench) -> None:
    with pytest.raises(Unavailable, match="some rooms"), plane(bench, 1, rooms=0):
        pass


def test_keys_have_the_length_of_their_profile() -> None:
    assert keys("gcm") == ("AEAD_AES_128_GCM", bytes(range(28)), bytes(range(128, 156)))
    assert [len(part) for part in keys("cm")[1:]] == [30, 30]


@needs_speech
@pytest.mark.skipif(shutil.which("janus") is None, reason="no Janus")
def test_janus_bridges_the_same_load_and_is_gone_afterwards(bench: Workbench) -> None:
    with janus.room(bench, 3) as server:
        run = generate(bench, server, Load.of(3, 3), warm=1, seconds=3)
        assert Path(f"/proc/{server.pid}").exists()
    assert not Path(f"/proc/{server.pid}").exists()
    assert run["received_ratio"] > 0
    assert run["latencies_ms"]


# --- sounds -----------------------------------------------------------------------------------------------------------


@needs_speech
def test_speech_peaks_where_it_should_and_is_whole_frames() -> None:
    loud, quiet = sound("talk0"), sound("quiet0")
    assert len(loud) % FRAME == 0
    assert len(loud) > 5 * RATE
    assert np.abs(loud).max() == pytest.approx(32768 * 10 ** (-9 / 20), rel=0.01)
    assert np.abs(quiet).max() == pytest.approx(32768 * 10 ** (-27 / 20), rel=0.01)


@pytest.mark.parametrize(("codec", "length"), [("opus", None), ("pcmu", 160)])
def test_sounds_are_encoded_frame_by_frame(bench: Workbench, codec: str, length: int | None) -> None:
    payloads = frames_of(bench.frames("marker", codec=codec))
    assert len(payloads) == len(sound("marker")) // FRAME
    assert all(payloads)
    if length is not None:
        assert {len(payload) for payload in payloads} == {length}


# --- the other benchmarks ---------------------------------------------------------------------------------------------


def test_numpy_mixes_the_same_as_the_extension() -> None:
    frames = np.random.default_rng(3).integers(-32768, 32767, (5, FRAME)).astype(np.int16)
    np.testing.assert_array_equal(mix_minus(frames), numpy_mix_minus(frames))


@pytest.mark.parametrize(("program", "command"), [("ffmpeg", _ffmpeg), ("gst-launch-1.0", _gstreamer)])
@pytest.mark.parametrize("mixed", [True, False])
def test_the_other_mixers_understand_their_command_lines(
    program: str, command: Callable[[Path, int, bool], list[str]], mixed: bool, tmp_path: Path
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")
    path = tmp_path / "second.raw"
    path.write_bytes(bytes(2 * RATE))
    assert cpu_of(command(path, 3, mixed)) > 0


@needs_speech
def test_primitives(bench: Workbench) -> None:
    found = figures(BENCHMARKS["primitives"].run(bench))
    names = found["primitive"]
    for part in (
        "opus encode 32k complexity 5",
        "mixer_ext.Srtp.unprotect GCM, 400 streams",
        "recvmmsg, a packet of 64",
    ):
        assert part in names
    assert all(isinstance(value, float) for value in found["µs"])


def test_idle_rooms(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "ROOMS", 40)
    monkeypatch.setattr(upkeep, "SETTLING", 1.0)
    found = figures(BENCHMARKS["idle"].run(bench))
    assert all(isinstance(share, float) and share >= 0 for share in found["% of a core"])


@needs_speech
def test_memory_of_legs(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LEGS", 100)
    found = figures(BENCHMARKS["memory"].run(bench))
    assert all(isinstance(size, float) and size > 1 for size in found["resident, MiB"])


def test_documents_are_counted_and_all_but_the_first_are_partial(bench: Workbench) -> None:
    found = figures(BENCHMARKS["coin"].run(bench))
    assert all(isinstance(rate, float) and rate > 1 for rate in found["documents/s"])
    assert found["partial"] == [1.0]
    assert all(isinstance(size, float) and 300 < size < 3000 for size in found["bytes"])
    assert all(isinstance(late, float) for late in found["late p50"])


def test_changes_of_voice_are_timed(bench: Workbench) -> None:
    found = figures(BENCHMARKS["voice"].run(bench))
    for first, then in (("IQ p50", "IQ p95"), ("IQ p95", "IQ max"), ("presence p50", "presence p95")):
        assert all(0 < one <= two for one, two in zip(found[first], found[then], strict=True))  # type: ignore[operator]


@needs_speech
def test_ticks_are_counted_while_the_interpreter_is_locked(bench: Workbench) -> None:
    with plane(bench, 2, hold_gil=0.2) as server:
        generate(bench, server, Load.of(2, 2), warm=0.2, seconds=1)
    lock = server.statistics["lock"]
    assert isinstance(lock, dict)
    assert lock["held_seconds"] > 0
    assert lock["ticks_meanwhile"] > 0


def test_faxes_have_their_figures(bench: Workbench) -> None:
    cost = figures(BENCHMARKS["fax"].run(bench))
    assert cost["pages received"] == [10]
    loss = figures(BENCHMARKS["fax-loss"].run(bench))
    assert loss["lost, %"] == [0.0, 0.5]
    assert loss["sent with ECM, %"][0] == 100


@needs_speech
def test_each_grammar_has_its_figures(bench: Workbench) -> None:
    rows = BENCHMARKS["grammar"].run(bench).rows
    assert len(rows) == 3
    assert all(isinstance(figure, int | float) and figure > 0 for row in rows for figure in row[1:5])


def test_lost_packets_leave_their_traces(bench: Workbench) -> None:
    payloads = frames_of(bench.frames("talk0", fec=True))
    lost = quality.one_lost(payloads, 77)
    assert lost["lost"] == len(range(77, len(payloads) - 50, 77))
    assert lost["recovered"] + lost["concealed"] > 0
    assert 0 < quality.random_loss(payloads, 0.5) < quality.random_loss(payloads, 0.0) == 1


def test_a_tone_is_pure_and_a_leap_in_it_is_not() -> None:
    time = np.arange(RATE) / RATE
    tone = (quality.AMPLITUDE * np.sin(2 * np.pi * quality.TONE * time)).astype(np.int16)
    leap = np.concatenate([tone[:10_100], tone[10_125:]])
    assert quality.impurity(tone).max() < 0.01
    assert np.flatnonzero(quality.impurity(leap) > 0.1).tolist() == [10_100 // quality.WINDOW]


def test_a_clock_that_is_right_drifts_nowhere() -> None:
    found = quality.drift(quality.tone_payloads(12 * 50), 0.0)
    assert found["clicks"] == 0
    assert found["seconds"] == 12


def test_a_page_is_smaller_on_the_wire(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>hello</p>" * 100)
    (tmp_path / "sound.ogg").write_bytes(os.urandom(50))
    sizes = page_sizes(tmp_path)
    assert sizes["sound.ogg"] == (50, 50)
    plain, wire = sizes["index.html"]
    assert plain == 1200
    assert wire < plain


# --- results ----------------------------------------------------------------------------------------------------------

RESULT = Result("mix", "A title", [Column("what"), Column("µs", ".1f")], [["one", 1.25], ["two", None]], ["A note."])


def test_a_result_is_a_table_in_markdown_and_a_document() -> None:
    assert RESULT.markdown().splitlines() == [
        "### A title",
        "",
        "| what | µs |",
        "|---|---:|",
        "| one | 1.2 |",
        "| two | - |",
        "",
        "* A note.",
    ]
    assert json.loads(json.dumps(RESULT.document()))["rows"] == [["one", 1.25], ["two", None]]


def test_new_tables_take_the_place_of_old_ones_of_their_name_only() -> None:
    facts = {"date": "2026-01-01", "processor": "a processor", "load": "0.1"}
    other = Result("idle", "Another", [Column("what")], [["kept"]])
    text = update_readme(f"before\n{BEGIN}\n{END}\nafter\n", [RESULT, other], facts)
    again = update_readme(text, [Result("mix", "A new title", [Column("what")], [["new"]])], facts)
    assert again.startswith("before\n")
    assert again.endswith("\nafter\n")
    assert "A new title" in again
    assert "A title" not in again
    assert "| kept |" in again
    assert again.index("A new title") < again.index("Another")
    assert "Other work" not in again
    assert "Other work" in update_readme(again, [RESULT], facts | {"load": "2.5, 0.1, 0.1"})


def test_the_readme_has_a_place_for_the_tables() -> None:
    update_readme(README.read_text(), [RESULT], {"date": "", "processor": "", "load": "0.0"})


def test_a_benchmark_that_fails_does_not_end_the_others(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Workbench) -> Result:
        raise Unavailable("nothing here")

    def wrong(_: Workbench) -> Result:
        raise ZeroDivisionError

    monkeypatch.setitem(BENCHMARKS, "mix", Benchmark("mix", "", missing))
    monkeypatch.setitem(BENCHMARKS, "idle", Benchmark("idle", "", wrong))
    monkeypatch.setitem(BENCHMARKS, "lock", Benchmark("lock", "", lambda _: RESULT))
    results, failures = run(["mix", "idle", "lock"], bench)
    assert results == [RESULT]
    assert failures == ["mix is skipped: nothing here", "idle failed: ZeroDivisionError()"]


@needs_speech
def test_a_conference_without_janus_still_has_our_rows(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise Unavailable("janus is not installed")

    monkeypatch.setattr(janus, "version", nowhere)
    monkeypatch.setattr(conference, "QUICK_SIZES", (3,))
    monkeypatch.setattr(conference, "TALKERS", (3,))
    result = BENCHMARKS["conference"].run(bench)
    found = figures(result)
    assert found["server"] == ["focus"]
    assert "Janus is skipped: janus is not installed" in result.notes


def test_what_there_is_can_be_listed_and_nothing_else_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--list"])
    assert main() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "nonsense"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "no such benchmark: nonsense" in capsys.readouterr().err
