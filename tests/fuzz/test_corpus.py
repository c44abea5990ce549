"""What fuzzing has found worth keeping does no harm to the extension as it is built here."""

import subprocess
import sys

import pytest

from fuzz.inputs import CORPUS, DOCUMENTS, TARGETS, inputs
from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS as FUNCTIONS

# A process of its own, which says what comes next: a crash does not take the tests along, and has a name.
REPLAY = """
import sys
from fuzz.inputs import inputs
from fuzz.targets import TARGETS
for name, data in inputs(sys.argv[1]):
    print(name, flush=True)
    TARGETS[sys.argv[1]](data)
"""


@pytest.mark.parametrize("target", TARGETS)
def test_everything_in_the_corpus_is_survived(target: str) -> None:
    names = [name for name, _ in inputs(target)]
    assert names
    command = [sys.executable, "-X", "faulthandler", "-c", REPLAY, target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    reached = done.stdout.split()
    assert done.returncode == 0, f"fuzz/corpus/{reached[-1] if reached else target}:\n{done.stderr[-3000:]}"
    assert reached == names


@pytest.mark.parametrize("target", TARGETS)
def test_well_formed_inputs_are_survived(target: str) -> None:
    for seed in SEEDS[target]():
        FUNCTIONS[target](seed)


def test_each_target_has_a_corpus_and_it_is_small() -> None:
    assert set(TARGETS) == set(FUNCTIONS) == set(SEEDS)
    assert {path.name for path in CORPUS.iterdir()} == {*TARGETS, *DOCUMENTS}
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000
