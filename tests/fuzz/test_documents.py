"""Whatever strangers write in documents is read or refused in as many steps as it is long, and matches what it says."""

from __future__ import annotations

import random

import pytest

from fuzz import documents
from fuzz.documents import TARGETS, Definition
from fuzz.evolution import TooMuch, once
from fuzz.inputs import DOCUMENTS, inputs
from fuzz.mutation import Mutation
from fuzz.seeds import DOCUMENTS as SEEDS

#: Changed documents of each target that are tried here; `./dev fuzz` tries more.
CHANGED = {"grammar": 60, "builtin": 60, "speech": 300, "result": 300}


def test_each_target_has_documents_to_begin_with() -> None:
    assert set(DOCUMENTS) == set(TARGETS) == set(SEEDS) == set(CHANGED)
    assert len(SEEDS["grammar"]()) > 130


@pytest.mark.parametrize("target", DOCUMENTS)
def test_everything_in_the_corpus_is_survived(target: str) -> None:
    found = list(inputs(target))
    assert found
    for name, data in found:
        try:
            once(target, data)
        except Exception as error:
            raise AssertionError(f"fuzz/corpus/{name}") from error


@pytest.mark.parametrize("target", DOCUMENTS)
def test_what_is_well_formed_and_what_is_changed_a_little_is_survived(target: str) -> None:
    seeds = SEEDS[target]()
    for seed in seeds:
        TARGETS[target](seed)
    known = [*seeds, *(data for _, data in inputs(target))]
    mutation = Mutation(random.Random(6), known)
    for number in range(CHANGED[target]):
        once(target, mutation.changed(known[number * 7 % len(known)]))


def test_who_takes_longer_than_he_may_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "ANYTHING", 0)
    monkeypatch.setattr(documents, "A_BYTE", 0)
    with pytest.raises(TooMuch, match="lines of Python where"):
        once("speech", SEEDS["speech"]()[0])


def test_who_does_not_match_what_is_written_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Definition, "is_match", lambda definition: True)
    document = b'<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="r"><rule id="r">1 2'
    with pytest.raises(AssertionError, match="PARTIAL"):
        once("grammar", document + b"</rule></grammar>\n---\n1\n")
