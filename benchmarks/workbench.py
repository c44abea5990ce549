"""What benchmarks work with: a folder that goes away, compiled programs, speech, cores, and clocks of processes."""

import io
import os
import platform
import select
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import AnyStr

import av
import numpy as np
import numpy.typing as npt

from benchmarks.result import Unavailable

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
RATE = 48000
FRAME = 960
TICKS = 50  # a second
SPEECH_BITRATE = 24000
PEAK = 32768 * 10 ** (-9 / 20)
QUIETER = 10 ** (-18 / 20)

Samples = npt.NDArray[np.int16]

# Three voices, each with something of their own to say, so that they are not in step.
SPEAKERS = (
    (
        "en-us+m3",
        "Good morning everybody. Let us begin with the list from last week, because two of the points were left open. "
        "The first one was the budget for the new building, and I believe that it has been settled by now. "
        "The other one was the question who will travel in March.",
    ),
    (
        "en-gb+f2",
        "I can tell you a little about that. The offers came in on Tuesday, we have read all of them, and there is "
        "one that stands out. It is not the cheapest, but they would start at once, and they have done it before. "
        "I will send it round after the meeting.",
    ),
    (
        "en-us+f4",
        "Before we go on, may I ask something? Is there already a date for the inspection? If it falls into the "
        "holidays, nobody will be there to open the doors, and then we shall have to wait for another month. "
        "Perhaps somebody could simply call them and find out.",
    ),
)


class Workbench:
    """One run's surroundings. quick: small and short, to see that everything works; its figures mean little. runs:
    over how many runs under load a median is taken.
    """

    def __init__(
        self, directory: Path, *, quick: bool = False, runs: int = 3, say: Callable[[str], None] | None = None
    ) -> None:
        self.directory = directory
        self.quick = quick
        self.runs = 1 if quick else runs
        self.say = say or (lambda text: print(f"bench: {text}", file=sys.stderr, flush=True))
        self._programs: dict[str, Path] = {}
        self._frames: dict[str, Path] = {}

    @classmethod
    @contextmanager
    def temporary(
        cls, *, quick: bool = False, runs: int = 3, say: Callable[[str], None] | None = None
    ) -> "Iterator[Workbench]":
        """A workbench whose folder is removed at the end. Another user may look into it: Janus runs as one."""
        with tempfile.TemporaryDirectory(prefix="focus-bench-") as folder:
            Path(folder).chmod(0o755)
            yield cls(Path(folder), quick=quick, runs=runs, say=say)

    def program(self, source: str) -> Path:
        """The program of a C file in this folder, compiled when it is first asked for."""
        if source not in self._programs:
            require("cc", "gcc")
            require("pkg-config", "pkg-config")
            program = self.directory / Path(source).stem
            libraries = run("pkg-config", "--cflags", "--libs", "opus", "libsrtp2").split()
            self.say(f"compiling {source}")
            run("cc", "-O2", "-Wall", "-o", str(program), str(HERE / source), *libraries, "-lm")
            self._programs[source] = program
        return self._programs[source]

    def frames(self, name: str, *, codec: str = "opus", fec: bool = False) -> Path:
        """A file of encoded frames (load/frames.h) of one of the `sounds`."""
        key = f"{name}-{codec}{'-fec' * fec}"
        if key not in self._frames:
            path = self.directory / f"{key}.frames"
            samples = sound(name).tobytes()
            command = [str(self.program("load/encode.c")), codec, str(SPEECH_BITRATE), str(int(fec)), str(path)]
            subprocess.run(command, input=samples, check=True)
            self._frames[key] = path
        return self._frames[key]


def frames_of(path: Path) -> list[bytes]:
    """The payloads in a file of frames."""
    data = path.read_bytes()
    payloads, offset = [], 16
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 2], sys.byteorder)
        payloads.append(data[offset + 4 : offset + 4 + length])
        offset += 4 + length
    return payloads


# --- sounds -----------------------------------------------------------------------------------------------------------


@cache
def sound(name: str) -> Samples:
    """`talk0` to `talk2`: speech with its peaks at -9 dBFS; `quiet0` to `quiet2`: the same 18 dB lower, for when all
    talk at once; `silence`: a noise floor of -84 dBFS; `marker`: the same with 60 ms of 3 kHz in each second. All mono
    at 48 kHz.
    """
    if name.startswith("talk"):
        return _speech(*SPEAKERS[int(name.removeprefix("talk"))])
    if name.startswith("quiet"):
        loud = sound("talk" + name.removeprefix("quiet"))
        return (loud * QUIETER).astype(np.int16)
    floor = np.random.default_rng(7).integers(-3, 4, 10 * RATE).astype(np.int16)
    if name == "silence":
        return floor
    if name != "marker":
        raise ValueError(f"no such sound: {name}")
    time_of = np.arange(int(0.06 * RATE))
    edges = np.minimum(1, np.minimum(time_of, time_of[::-1]) / 48)
    burst = (16000 * edges * np.sin(2 * np.pi * 3000 * time_of / RATE)).astype(np.int16)
    for second in range(10):
        begin = second * RATE + RATE // 2
        floor[begin : begin + len(burst)] += burst
    return floor


def _speech(voice: str, text: str) -> Samples:
    require("espeak-ng", "espeak-ng")
    spoken = subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "--stdout", text], check=True, capture_output=True)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    parts: list[npt.NDArray[np.int16]] = []
    with av.open(io.BytesIO(spoken.stdout), "r") as container:
        for frame in container.decode(audio=0):
            parts += [each.to_ndarray().reshape(-1).astype(np.int16) for each in resampler.resample(frame)]
    samples = np.concatenate(parts).astype(float)
    samples *= PEAK / np.abs(samples).max()
    return samples[: len(samples) // FRAME * FRAME].astype(np.int16)


# --- programs and processes -------------------------------------------------------------------------------------------


def require(program: str, package: str) -> None:
    """Unavailable, with the Debian package to install, when a program is not there."""
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is not installed: apt-get install --no-install-recommends {package}")


def run(*command: str) -> str:
    """Run a short command; its output. Unavailable with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{shlex.join(command)[:200]} fails: {done.stderr.strip()[-2000:]}")
    return done.stdout


def read_line(process: "subprocess.Popen[str]", timeout: float) -> str:
    """The first line that a process prints; "" when there is none in time, or it has ended."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], timeout)[0]:
        return ""
    return process.stdout.readline()


def end_process(process: "subprocess.Popen[AnyStr]", timeout: float = 30) -> tuple[AnyStr, AnyStr]:
    """End a process that we started, if need be by force; what it still had to say on both outputs."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, user and system: the figures of /proc/PID/stat, but in nanoseconds."""
    return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid() makes it


def busy_seconds(core: int) -> float:
    """How long a core has been doing something for anybody, since the machine was started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *spent = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, *_ = map(int, spent)
            return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    raise Unavailable(f"the kernel does not tell what core {core} does")


def resident_bytes(pid: int) -> int:
    """Memory of a process that is its own or shared, and in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Unavailable("the kernel does not tell how much memory a process has")


# --- cores and time ---------------------------------------------------------------------------------------------------


def cores() -> tuple[int, int]:
    """The core for what is measured, and the one for what measures. The same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This thread, and what it starts, runs on one core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def microseconds(work: Callable[[], object], *, seconds: float, rounds: int = 7) -> float:
    """How much CPU time a call takes: the median of some rounds' means, each so many seconds long in all."""
    work()
    began = time.thread_time()
    work()
    each = max(1, int(seconds / rounds / max(1e-7, time.thread_time() - began)))
    taken = []
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(each):
            work()
        taken.append((time.thread_time() - began) / each)
    return statistics.median(taken) * 1e6


def percentile(values: Sequence[float], share: float) -> float | None:
    """None when there are no values."""
    return float(np.percentile(values, share * 100)) if values else None


def machine() -> dict[str, str]:
    """What this was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores usable",
        "memory": f"{memory:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
