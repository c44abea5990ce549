"""Several grammars at once, and results."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.engines import nlsml
from focus.engines.grammar import Match, Matcher, Mode, load, load_from, of_input

NS = 'xmlns="http://www.w3.org/2001/06/grammar" version="1.0"'


def document(content: str, mode: str = "dtmf") -> str:
    return f'<grammar {NS} mode="{mode}" root="r"><rule id="r">{content}</rule></grammar>'


async def test_of_several_grammars_the_longest_wait_counts() -> None:
    short, long = await load(document("1 2")), await load(document("1 2 3"))
    matcher = Matcher([long, short])
    assert [matcher.feed(key) for key in "123"] == [Match.PARTIAL, Match.MATCH, Match.MATCH_END]
    matched = matcher.matched()
    assert matched is not None
    assert matched.grammar is long


async def test_of_several_grammars_that_match_the_first_counts() -> None:
    first, second = await load(document("1 <tag>a</tag>")), await load(document("1 <tag>b</tag>"))
    for grammars in ([first, second], [second, first]):
        matcher = Matcher(grammars)
        assert matcher.feed("1") is Match.MATCH_END
        matched = matcher.matched()
        assert matched is not None
        assert matched.grammar is grammars[0]


async def test_a_grammar_that_does_not_match_leaves_the_others_alone() -> None:
    matcher = Matcher([await load(document("9")), await load_from("builtin:dtmf/digits?length=2")])
    assert matcher.feed_all("12") is Match.MATCH_END
    matched = matcher.matched()
    assert matched is not None
    assert nlsml.result(matched) == (
        '<result xmlns="http://www.ietf.org/xml/ns/mrcpv2" grammar="builtin:dtmf/digits?length=2"><interpretation>'
        '<input mode="dtmf" confidence="100">1 2</input><instance>12</instance></interpretation></result>'
    )


async def test_grammars_of_different_modes_are_not_matched_together() -> None:
    with pytest.raises(ValueError, match="same mode"):
        Matcher([await load(document("1")), await load(document("one", "voice"))])
    with pytest.raises(ValueError, match="needs grammars"):
        Matcher([])


async def test_there_is_no_result_without_a_match() -> None:
    matcher = Matcher([await load(document("1 2"))])
    assert matcher.matched() is None
    matcher.feed("1")
    assert matcher.matched() is None


async def test_keys_are_taken_in_either_case() -> None:
    matcher = Matcher([await load(document("A"))])
    assert matcher.feed("a") is Match.MATCH_END
    assert matcher.tokens == ("A",)


async def test_matchers_of_a_grammar_do_not_disturb_each_other() -> None:
    grammar = await load(document("1 2"))
    one, other = Matcher([grammar]), Matcher([grammar])
    assert one.feed("1") is Match.PARTIAL
    assert other.feed("2") is Match.NOMATCH
    assert one.feed("2") is Match.MATCH_END


async def test_a_result_has_the_shape_of_the_listing() -> None:
    matcher = Matcher([await load(document("1 2 3 4"), uri="http://foodorder")])
    matcher.feed_all("1234")
    matched = matcher.matched()
    assert matched is not None
    assert nlsml.result(matched) == (
        '<result xmlns="http://www.ietf.org/xml/ns/mrcpv2" grammar="http://foodorder"><interpretation>'
        '<input mode="dtmf" confidence="100">1 2 3 4</input></interpretation></result>'
    )


async def test_a_result_of_speech_has_its_confidence_and_what_cannot_be_xml_is_replaced() -> None:
    grammar = await load(document('<ruleref special="GARBAGE"/> a&amp;b <tag>&lt;x&gt;</tag>', "voice"))
    matcher = Matcher([grammar])
    matcher.feed_all([*of_input("\x01 ]]> \ud800", Mode.VOICE), "a&b"])
    matched = matcher.matched()
    assert matched is not None
    assert nlsml.result(matched, 0.456) == (
        '<result xmlns="http://www.ietf.org/xml/ns/mrcpv2"><interpretation><input mode="speech" confidence="46">'
        "\ufffd ]]&gt; \ufffd a&amp;b</input><instance>&lt;x&gt;</instance></interpretation></result>"
    )
    with pytest.raises(ValueError, match="between 0 and 1"):
        nlsml.result(matched, 46)


# --- against a plain definition of what an expansion matches ----------------------------------------------------------

KEYS = "12"
Ends = frozenset[int]


class Model:
    """An expansion as XML, and as a function from a text and a beginning to all its ends."""

    def __init__(self, xml: str, ends) -> None:  # type: ignore[no-untyped-def]
        self.xml, self.ends = xml, ends


def token(key: str) -> Model:
    return Model(f" {key} ", lambda text, at: frozenset({at + 1} if text[at : at + 1] == key else ()))


def series(one: Model, other: Model) -> Model:
    return Model(
        f"{one.xml}{other.xml}", lambda text, at: frozenset(e for m in one.ends(text, at) for e in other.ends(text, m))
    )


def choice(models: list[Model]) -> Model:
    return Model(
        "<one-of>" + "".join(f"<item>{model.xml}</item>" for model in models) + "</one-of>",
        lambda text, at: frozenset(end for model in models for end in model.ends(text, at)),
    )


def repeated(model: Model, least: int, more: int | None) -> Model:
    def ends(text: str, at: int) -> Ends:
        reached, found = frozenset({at}), set({at} if least == 0 else ())
        for time in range(1, least + (len(text) + 1 if more is None else more) + 1):
            reached = frozenset(end for begin in reached for end in model.ends(text, begin))
            if time >= least:
                found |= reached
        return frozenset(found)

    most = "" if more is None else least + more
    return Model(f'<item repeat="{least}-{most}">{model.xml}</item>', ends)


models = st.recursive(
    st.sampled_from(KEYS).map(token) | st.just(Model('<ruleref special="NULL"/>', lambda text, at: frozenset({at}))),
    lambda inner: (
        st.builds(series, inner, inner)
        | st.lists(inner, min_size=1, max_size=3).map(choice)
        | st.builds(repeated, inner, st.integers(0, 2), st.none() | st.integers(0, 2))
    ),
    max_leaves=8,
)


T = TypeVar("T")


def run(coroutine: Coroutine[object, None, T]) -> T:
    """What a coroutine returns that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        returned: T = done.value
        return returned
    raise AssertionError("it waits")


@given(models, st.text(KEYS, min_size=1, max_size=7))
def test_what_matches_is_what_the_definition_says(model: Model, text: str) -> None:
    matcher = Matcher([run(load(document(model.xml + '<ruleref special="NULL"/>')))])
    matches = [matcher.feed(key) for key in text]
    for length, match in enumerate(matches, 1):
        is_match = length in model.ends(text[:length], 0)
        assert (match in (Match.MATCH, Match.MATCH_END)) == is_match
        if match in (Match.NOMATCH, Match.MATCH_END):
            assert not any(length + 1 + n in model.ends(text, 0) for n in range(len(text) - length))
    assert (matcher.matched() is not None) == (len(text) in model.ends(text, 0))


@given(models, st.text(KEYS, min_size=1, max_size=7))
def test_tags_never_change_what_matches(model: Model, text: str) -> None:
    plain = Matcher([run(load(document(model.xml + '<ruleref special="NULL"/>')))])
    tagged = document(model.xml.replace(" 1 ", " 1 <tag>one</tag>") + "<tag>all</tag>")
    matcher = Matcher([run(load(tagged))])
    assert [matcher.feed(key) for key in text] == [plain.feed(key) for key in text]
    if matched := matcher.matched():
        assert matched.meaning == "all"
