"""Grammars and what inputs are to them (suite/), and grammars that are refused (refused.txt).

A file of the suite is a grammar, or a URI, and after `---` a line for each input: the input, what it is after its last
token, and what it means if it matches. In refused.txt a case is a line with the place and how the fault begins, and a
grammar with `|` before each line, in which <G> is the start tag of a grammar of keys.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from focus.engines import nlsml
from focus.engines.grammar import DocumentError, Grammar, Match, Matcher, load, load_from, of_input

HERE = Path(__file__).parent
START = '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="r">'
SUITE = {path.stem: path.read_text().partition("\n---\n") for path in sorted((HERE / "suite").glob("*.txt"))}


def cases() -> Iterator[tuple[str, str, str, str | None]]:
    for name, (_, _, inputs) in SUITE.items():
        for line in inputs.splitlines():
            text, match, *meaning = (part.strip() for part in line.split("|"))
            said = text.encode("raw_unicode_escape").decode("unicode_escape") if "\\u" in text else text
            yield name, said, match, meaning[0] if meaning else None


def refused() -> Iterator[tuple[str, str]]:
    lines = (HERE / "refused.txt").read_text().splitlines()
    expected = ""
    for is_document, group in itertools.groupby(lines, lambda line: line.startswith("|")):
        if is_document:
            yield expected, "\n".join(line[1:] for line in group).replace("<G>", START)
        else:
            (expected,) = group


CASES, REFUSED = list(cases()), list(refused())


async def grammar(name: str) -> Grammar:
    document = SUITE[name][0]
    return await (load_from(document) if document.startswith("builtin:") else load(document))


@pytest.mark.parametrize(("name", "text", "match", "meaning"), CASES)
async def test_an_input_is_what_the_suite_says(name: str, text: str, match: str, meaning: str | None) -> None:
    matcher = Matcher([await grammar(name)])
    assert matcher.feed_all(of_input(text, matcher.mode)).value == match
    matched = matcher.matched()
    assert (matched.meaning if matched else None) == meaning


@pytest.mark.parametrize(("expected", "document"), REFUSED)
async def test_a_faulty_grammar_is_refused_with_its_place(expected: str, document: str) -> None:
    with pytest.raises(DocumentError) as refusal:
        await load(document)
    place, _, what = expected.partition(" ")
    assert str(refusal.value).startswith(f"grammar:{place}: {what}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", SUITE)
async def test_after_nomatch_nothing_matches_and_after_match_end_neither(name: str) -> None:
    machine = await grammar(name)
    for case, text, _, _ in CASES:
        if case == name:
            matcher = Matcher([machine])
            matches = [matcher.feed(token) for token in of_input(text, matcher.mode)]
            for before, after in itertools.pairwise(matches):
                if before in (Match.NOMATCH, Match.MATCH_END):
                    assert after is Match.NOMATCH


@pytest.mark.parametrize("name", SUITE)
async def test_each_match_has_a_result_that_is_xml(name: str) -> None:
    machine = await grammar(name)
    for case, text, match, meaning in CASES:
        matcher = Matcher([machine])
        matcher.feed_all(of_input(text, matcher.mode))
        if case != name or not match.startswith("match"):
            continue
        matched = matcher.matched()
        assert matched is not None
        result = ElementTree.fromstring(nlsml.result(matched))
        assert result.findtext(f".//{{{nlsml.NAMESPACE}}}input") == " ".join(matcher.tokens)
        assert result.findtext(f".//{{{nlsml.NAMESPACE}}}instance", meaning) == meaning


def test_the_suite_is_large() -> None:
    """It has some of everything: what is accepted, in part, refused, tagged, said, and referred to."""
    kinds = Counter(match for _, _, match, _ in CASES)
    assert len(CASES) >= 290
    assert len(REFUSED) >= 80
    assert min(kinds[match.value] for match in Match) >= 40
    spoken = [name for name, (document, _, _) in SUITE.items() if 'mode="voice"' in document]
    assert sum(name in spoken for name, _, _, _ in CASES) >= 60
    tagged = [name for name, (document, _, _) in SUITE.items() if "<tag>" in document]
    assert sum(name in tagged and meaning is not None for name, _, _, meaning in CASES) >= 50
    for what in ("xml:lang=", 'special="NULL"', 'special="VOID"', 'special="GARBAGE"', "<ruleref uri=", "builtin:"):
        assert any(what in document for document, _, _ in SUITE.values()), what
