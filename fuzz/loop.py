"""`python -m fuzz.loop TARGET OPTIONS`: libFuzzer's loop around a target; `TARGET seeds DIRECTORY`: its seeds, written.

Run by `python -m fuzz`, which preloads libFuzzer and the sanitizer.
"""

import ctypes
import os
import sys
import traceback
from pathlib import Path

from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS


def main(name: str, options: list[str]) -> int:
    target = TARGETS[name]

    def once(data: int, size: int) -> int:
        try:
            target(ctypes.string_at(data, size))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os.abort()  # which libFuzzer takes for a finding
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)(once)
    again = f"{sys.executable} -P -m fuzz.loop {name}"  # merging, libFuzzer starts itself
    words = [word.encode() for word in (again, *options)]
    vector = ctypes.cast((ctypes.c_char_p * (len(words) + 1))(*words, None), ctypes.POINTER(ctypes.c_char_p))
    run = ctypes.CDLL(None).LLVMFuzzerRunDriver
    return int(run(ctypes.byref(ctypes.c_int(len(words))), ctypes.byref(vector), callback))


def write_seeds(name: str, directory: Path) -> None:
    for number, seed in enumerate(SEEDS[name]()):
        (directory / f"seed{number}").write_bytes(seed)


if sys.argv[2] == "seeds":
    write_seeds(sys.argv[1], Path(sys.argv[3]))
else:
    sys.exit(main(sys.argv[1], sys.argv[2:]))
