"""The Cython extensions; everything else about the distribution is in pyproject.toml.

MIXER_EXT_DEBUG=1 builds with bounds checks, MIXER_EXT_SANITIZE=1 also with the address and undefined behaviour
sanitizers, MIXER_EXT_SANITIZE=thread with that for data races, MIXER_EXT_SANITIZE=fuzzer, for which CC has to be clang,
with the first two and the counters that guide a fuzzer. Built in place they are the extension until it is built again
with --force; fuzz/__main__.py puts its own elsewhere.
"""

import os
import shlex
import subprocess
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZERS = {
    "": [],
    "0": [],
    "1": ["address", "undefined"],
    "thread": ["thread"],
    "fuzzer": ["address", "undefined", "fuzzer-no-link"],
}
SANITIZE = SANITIZERS[os.environ.get("MIXER_EXT_SANITIZE", "")]
DEBUG = bool(SANITIZE) or os.environ.get("MIXER_EXT_DEBUG", "") not in ("", "0")
LIBRARIES = {"codec": "opus", "packing": "opus", "srtp": "libcrypto", "consent": "libcrypto"}
JOBS = len(os.sched_getaffinity(0))
HEADERS = {"mix": ["mixer_ext/kernels.h"]}


def flags(what: str, package: str) -> list[str]:
    """What pkg-config says that a library needs, so that it may live anywhere."""
    pkg_config = os.environ.get("PKG_CONFIG", "pkg-config")
    return shlex.split(subprocess.run([pkg_config, what, package], check=True, capture_output=True, text=True).stdout)


def extension(source: Path) -> Extension:
    compile_args = ["-O1", "-g"] if DEBUG else ["-O3", "-g1"]
    compile_args += ["-Wno-unused-function", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
    link_args: list[str] = []
    if SANITIZE:
        link_args += ["-fsanitize=" + ",".join(SANITIZE)]
        # Python's -fwrapv would make every overflow a lawful one.
        compile_args += [*link_args, "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined", "-fno-wrapv"]
        compile_args += ["-fno-sanitize=pointer-overflow"]  # Cython adds nothing to null pointers
        if "fuzzer-no-link" in SANITIZE:
            link_args += ["-shared-libsan"]  # the runtime comes by LD_PRELOAD: Python itself has none
    if library := LIBRARIES.get(source.stem):
        compile_args += flags("--cflags", library)
        link_args += flags("--libs", library)
    return Extension(
        f"mixer_ext.{source.stem}",
        [str(source)],
        include_dirs=["mixer_ext"],
        depends=HEADERS.get(source.stem, []),
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


setup(
    ext_modules=cythonize(
        [extension(source) for source in sorted(Path("mixer_ext").glob("*.pyx"))],
        language_level=3,
        compiler_directives={
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "binding": True,
            "embedsignature": True,
        },
        build_dir="build/debug" if DEBUG else None,
        nthreads=JOBS,
    ),
    options={"build_ext": {"parallel": JOBS}},
)
