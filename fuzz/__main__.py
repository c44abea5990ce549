"""`python -m fuzz [TARGET [SECONDS]]`: look for inputs that a target does not survive, each target in turn or one.

The extension is built apart with clang, in .dev/fuzz, with the sanitizers and with counters that tell libFuzzer what
an input has reached. What it finds on the way is kept in .dev/fuzz/corpus for the next run; `--keep` puts the few of
them that are enough to reach all of it into fuzz/corpus. Inputs that failed are in .dev/fuzz/findings; `--once FILE`
runs such a file alone.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from fuzz import evolution
from fuzz.inputs import CORPUS, DOCUMENTS, TARGETS

CHECKOUT = Path(__file__).parent.parent
PLACE = CHECKOUT / ".dev" / "fuzz"
BUILT = PLACE / "lib"
RUNTIME = PLACE / "libfuzzer.so"
LONGEST = 1500  # bytes of an input
KEPT = 32_000  # bytes of a target's inputs in fuzz/corpus


class Unavailable(Exception):
    """Something that is needed is not there."""


def clang() -> str:
    for name in ("clang", "clang-19", "clang-16", "clang-14"):
        if found := shutil.which(name):
            return found
    raise Unavailable("no clang (Debian: clang-14, libclang-rt-14-dev)")


def runtime(compiler: str, name: str) -> Path:
    """One of clang's libraries."""
    where = subprocess.run([compiler, "--print-resource-dir"], check=True, capture_output=True, text=True).stdout
    for found in Path(where.strip(), "lib").glob(f"*/libclang_rt.{name}"):
        if "i386" not in found.name:
            return found
    raise Unavailable(f"no {name} for {compiler} (Debian: libclang-rt-14-dev)")


def pyx_of(library: Path) -> Path:
    return CHECKOUT / "mixer_ext" / f"{library.name.partition('.')[0]}.pyx"


def build(compiler: str) -> None:
    """The instrumented extension, and libFuzzer as a library, where they are not there or older than their sources."""
    sources = [CHECKOUT / "setup.py", *sorted((CHECKOUT / "mixer_ext").glob("*.[ph]*"))]
    state = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    stamp = PLACE / "built"
    if stamp.exists() and stamp.read_text() == state:
        return
    print("building the extension with sanitizers (some minutes the first time)", flush=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    for library in BUILT.glob("mixer_ext/*.so"):
        if library.stat().st_mtime < sources[0].stat().st_mtime or not pyx_of(library).exists():
            library.unlink()
    archive = runtime(compiler, "fuzzer_no_main-x86_64.a")
    whole = ["-Wl,--whole-archive", str(archive), "-Wl,--no-whole-archive", "-lstdc++", "-lpthread", "-lm"]
    subprocess.run([compiler, "-shared", "-o", str(RUNTIME), *whole], check=True)
    command = ["setup.py", "-q", "build", "--build-base", str(PLACE / "build"), "--build-lib", str(BUILT)]
    environment = os.environ | {"CC": compiler, "MIXER_EXT_SANITIZE": "fuzzer"}
    with open(PLACE / "build.log", "w") as log:
        subprocess.run([sys.executable, *command], check=True, cwd=CHECKOUT, env=environment, stdout=log, stderr=log)
    stamp.write_text(state)


def run(compiler: str, target: str, *options: str, quiet: bool = False) -> tuple[int, str]:
    """libFuzzer in a process of its own; its exit status and what it said."""
    environment = os.environ | {
        # The counters must be libFuzzer's: the sanitizer has functions of the same names that do nothing.
        "LD_PRELOAD": f"{RUNTIME} {runtime(compiler, 'asan-x86_64.so')}",
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "ASAN_SYMBOLIZER_PATH": shutil.which("llvm-symbolizer-14") or shutil.which("llvm-symbolizer") or "",
        "PYTHONMALLOC": "malloc",  # else Python's small objects would have no fences
        "PYTHONPATH": f"{BUILT}{os.pathsep}{CHECKOUT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fuzz.loop", target, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if not quiet:
            print(line, end="", flush=True)
    return process.wait(), "".join(said)


def places(target: str) -> tuple[Path, Path]:
    """Where what is found is kept, and what failed."""
    found, findings = PLACE / "corpus" / target, PLACE / "findings"
    found.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    return found, findings


def fuzz(compiler: str, target: str, seconds: int) -> bool:
    """Whether nothing was found."""
    found, findings = places(target)
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    run(compiler, target, "seeds", str(found), quiet=True)
    status, said = run(
        compiler,
        target,
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-timeout=30",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
        "-reload=0",
        f"-artifact_prefix={findings}/{target}-",
        str(found),
        str(CORPUS / target),
        quiet=True,
    )
    done = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
    runs = re.search(r"number_of_executed_units: (\d+)", said)
    reached = f"{done[-1][0]} edges, {done[-1][1]} features" if done else "nothing"
    print(
        f"{target}: {runs[1] if runs else '?'} runs, {reached}{'' if status == 0 else ', and a finding:'}", flush=True
    )
    if status:
        print(said[-6000:])
    return status == 0


def keep(compiler: str, target: str) -> None:
    """Into fuzz/corpus the inputs that reach all that the whole corpus reaches."""
    merged = PLACE / "merged" / target
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    kept = CORPUS / target
    named = [path for path in kept.iterdir() if not re.fullmatch("[0-9a-f]{12}", path.name)]
    # Edges alone, not how often: a tenth of the files.
    options = [
        "-merge=1",
        "-use_counters=0",
        f"-max_len={LONGEST}",
        str(merged),
        str(kept),
        str(PLACE / "corpus" / target),
    ]
    status, said = run(compiler, target, *options, quiet=True)
    if status:
        raise Unavailable(f"merging {target} failed: {said[-2000:]}")
    files = sorted(merged.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    for path in set(kept.iterdir()) - set(named):
        path.unlink()
    total = 0
    for path in files:
        total += path.stat().st_size
        if total <= KEPT:
            data = path.read_bytes()
            (kept / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    print(f"{target}: {len(files)} files, {total} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description="Fuzz the media plane, and what reads documents.")
    parser.add_argument(
        "target", nargs="?", choices=TARGETS + DOCUMENTS, help="all of them, one after another, when left out"
    )
    parser.add_argument("seconds", nargs="?", type=int, default=60, help="for each target (60)")
    parser.add_argument("--keep", action="store_true", help="put what was found into fuzz/corpus, made small")
    parser.add_argument("--once", metavar="FILE", help="run the target on this file alone")
    arguments = parser.parse_args()
    if arguments.target in DOCUMENTS:
        return documents([arguments.target], arguments)
    try:
        compiler = clang()
        build(compiler)
        if arguments.once:
            return run(compiler, arguments.target, arguments.once)[0]
        well = True
        for target in [arguments.target] if arguments.target else TARGETS:
            if arguments.seconds:
                well = fuzz(compiler, target, arguments.seconds) and well
            if arguments.keep:
                keep(compiler, target)
    except Unavailable as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 69
    if not arguments.target:
        well = documents(DOCUMENTS, arguments) == 0 and well
    return 0 if well else 1


def documents(targets: Iterable[str], arguments: argparse.Namespace) -> int:
    well = True
    for target in targets:
        if arguments.once:
            evolution.once(target, Path(arguments.once).read_bytes())
            continue
        found, findings = places(target)
        if arguments.seconds:
            well = evolution.fuzz(target, arguments.seconds, found, findings) and well
        if arguments.keep:
            evolution.keep(target, found)
    return 0 if well else 1


sys.exit(main())
