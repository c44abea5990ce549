"""The Cython extensions; everything else about the distribution is in pyproject.toml.

MIXER_EXT_DEBUG=1 builds with bounds checks, MIXER_EXT_SANITIZE=1 also with the address and undefined behaviour
sanitizers. Between the two kinds, build with --force.
"""

import os
import shlex
import subprocess
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("MIXER_EXT_SANITIZE", "") not in ("", "0")
DEBUG = SANITIZE or os.environ.get("MIXER_EXT_DEBUG", "") not in ("", "0")
LIBRARIES = {"codec": "opus", "srtp": "libcrypto"}


def flags(what: str, package: str) -> list[str]:
    """What pkg-config says that a library needs, so that it may live anywhere."""
    pkg_config = os.environ.get("PKG_CONFIG", "pkg-config")
    return shlex.split(subprocess.run([pkg_config, what, package], check=True, capture_output=True, text=True).stdout)


def extension(source: Path) -> Extension:
    compile_args = ["-O1", "-g"] if DEBUG else ["-O3", "-g1"]
    compile_args += ["-Wno-unused-function", "-fno-math-errno", "-fno-trapping-math"]
    link_args: list[str] = []
    if SANITIZE:
        compile_args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined"]
        link_args += ["-fsanitize=address,undefined"]
    if library := LIBRARIES.get(source.stem):
        compile_args += flags("--cflags", library)
        link_args += flags("--libs", library)
    return Extension(
        f"mixer_ext.{source.stem}", [str(source)], extra_compile_args=compile_args, extra_link_args=link_args
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
        force=DEBUG,
    ),
)
