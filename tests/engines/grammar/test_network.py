"""Grammars as networks of words: they take what the grammars take."""

from __future__ import annotations

from itertools import product

import pytest

from focus.engines.grammar import Grammar, Match, Matcher, load
from focus.engines.grammar.network import END, START, Network, NoNetwork, network

NS = 'xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="voice"'

RULES = [
    "a b c",
    "<one-of><item>a</item><item>b c</item><item>c <tag>x</tag></item></one-of>",
    '<item repeat="0-1">a</item> b',
    '<item repeat="2-3"><one-of><item>a</item><item>b</item></one-of></item>',
    '<item repeat="1-">a <item repeat="0-">b</item></item>',
    '<item repeat="0-">a</item>',
    'a <ruleref special="NULL"/> b',
    'a <one-of><item>b</item><item><ruleref special="VOID"/> c</item></one-of>',
    'a <one-of><item><ruleref special="NULL"/></item><item><ruleref uri="#r"/></item></one-of>',
]


async def grammar(rule: str) -> Grammar:
    return await load(f'<grammar {NS} root="r"><rule id="r">{rule}</rule></grammar>')


def takes(made: Network, sentence: tuple[str, ...]) -> bool:
    states = {START}
    for word in sentence:
        states = {after for before, after, _, read in made.transitions if before in states and read == word}
    return any(before in states and after == END for before, after, _, read in made.transitions if read is None)


def matches(grammars: list[Grammar], sentence: tuple[str, ...]) -> bool:
    return Matcher(grammars).feed_all(sentence) in (Match.MATCH, Match.MATCH_END)


@pytest.mark.parametrize("first", RULES)
async def test_a_network_takes_what_any_of_its_grammars_matches(first: str) -> None:
    for second in (first, *RULES):
        grammars = [await grammar(first), await grammar(second)]
        made = network(grammars)
        for length in range(1, 5):
            for sentence in product("abc", repeat=length):
                assert takes(made, sentence) == matches(grammars, sentence), (second, sentence)


async def test_a_network_does_not_take_nothing() -> None:
    made = network([await grammar('<item repeat="0-">a</item>')])
    assert not takes(made, ())
    assert made.words == {"a"}


async def test_weights_are_probabilities() -> None:
    rule = '<one-of><item weight="3">a</item><item weight="1">b</item><item weight="0">c</item></one-of>'
    made = network([await grammar(rule)])
    likely = {word: probability for _, _, probability, word in made.transitions if word}
    assert likely["a"] == pytest.approx(0.75, abs=1e-4)
    assert likely["b"] == pytest.approx(0.25, abs=1e-4)
    assert 0 < likely["c"] < 1e-20


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ('a <ruleref special="GARBAGE"/>', "GARBAGE"),
        ('<ruleref special="VOID"/>', "nothing that could be said"),
        ('<item repeat="0-400"><item repeat="0-1">a</item></item>', "too large"),
        ("<one-of>" + "".join(f"<item>a{n}</item>" for n in range(5001)) + "</one-of>", "too large"),
    ],
)
async def test_what_cannot_be_a_network_is_refused(rule: str, why: str) -> None:
    made = await grammar(rule)
    with pytest.raises(NoNetwork, match=why):
        network([made])
