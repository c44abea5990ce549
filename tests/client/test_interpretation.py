"""Results of inputs, read."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from focus.client import Interpretation
from focus.engines import nlsml
from focus.engines.grammar import Matcher, Mode, load, of_input
from tests.engines.grammar.test_matching import run

NAMESPACE = "http://www.ietf.org/xml/ns/mrcpv2"


def result(inner: str, namespace: str = NAMESPACE, attributes: str = "") -> str:
    return f'<result xmlns="{namespace}"{attributes}>{inner}</result>'


def test_a_result_of_the_listing_is_read() -> None:
    document = result(
        '<interpretation><input mode="dtmf" confidence="100">1 2 3 4</input></interpretation>',
        attributes=' grammar="http://foodorder"',
    )
    read = Interpretation.parse(f"\n  <?xml version='1.0'?>\n{document}\n")
    assert read == Interpretation("1 2 3 4", None, "dtmf", 1, "http://foodorder")
    assert read.meaning == "1234"


@pytest.mark.parametrize("namespace", [NAMESPACE, "http://www.w3c.org/2000/11/nlsml", ""])
def test_the_first_of_several_counts_whatever_their_namespace(namespace: str) -> None:
    inner = (
        "<interpretation grammar='session:1' confidence='0.75'><instance><city> New\n York </city></instance>"
        "<input mode='speech'>new york</input></interpretation>"
        "<interpretation><input mode='speech'>newark</input></interpretation>"
    )
    read = Interpretation.parse(result(inner, namespace))
    assert read == Interpretation("new york", "New York", "speech", 0.75, "session:1")
    assert read.meaning == "New York"


def test_words_mean_themselves() -> None:
    read = Interpretation.parse(result("<interpretation><input mode='speech'>new york</input></interpretation>"))
    assert (read.meaning, read.confidence) == ("new york", 1)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "no element found"),
        ("new york", "syntax error"),
        (result(""), "no interpretation"),
        ("<speak><interpretation/></speak>", "no interpretation"),
        (result("<interpretation><instance>1</instance></interpretation>"), "what was put in"),
        (result("<interpretation><input confidence='101'/></interpretation>"), "101 is no confidence"),
        (result("<interpretation><input confidence='nan'/></interpretation>"), "nan is no confidence"),
        (result("<interpretation><input confidence='1.5'/></interpretation>"), "1.5 is no confidence"),
        (result("<interpretation><input confidence='much'/></interpretation>"), "could not convert"),
        ("<!DOCTYPE result [<!ENTITY a 'b'>]><result>&a;</result>", "it has a document type"),
        ("<!DOCTYPE result SYSTEM 'http://example.org/x'><result/>", "it has a document type"),
    ],
)
def test_what_is_no_result_is_a_value_error(document: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Interpretation.parse(document)


#: What XML can have in it; of white space nothing is to be expected.
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"], exclude_characters="\ufffe\uffff"))


@given(st.lists(_WORDS.filter(bool), min_size=1, max_size=5), _WORDS, st.integers(0, 100))
@example(["¨"], "", 100)  # of which the compatible form begins with a space
def test_what_is_written_is_read(said: list[str], tag: str, percent: int) -> None:
    escaped = tag.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    grammar = run(
        load(
            '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" root="r"><rule id="r">'
            f'<ruleref special="GARBAGE"/><item repeat="0-1">{"<tag>" + escaped + "</tag>"}</item></rule></grammar>',
            uri="http://example.org/g?a&b",
        )
    )
    matcher = Matcher([grammar])
    if not of_input(" ".join(said), Mode.VOICE):  # all of it is punctuation
        return
    matcher.feed_all(of_input(" ".join(said), Mode.VOICE))
    matched = matcher.matched()
    assert matched is not None
    read = Interpretation.parse(nlsml.result(matched, percent / 100))
    assert read.input == " ".join(matched.tokens)
    assert read.instance == (matched.meaning if matched.is_tagged else None)
    assert (read.mode, read.grammar) == ("speech", "http://example.org/g?a&b")
    assert read.confidence == pytest.approx(percent / 100)
