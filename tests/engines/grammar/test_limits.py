"""Grammars that ask for too much, and grammars that only look as if they did."""

from __future__ import annotations

import itertools

import pytest

from focus.engines import markup
from focus.engines.grammar import DocumentError, Grammar, Match, Matcher, load
from focus.engines.grammar.limits import MAX_TOKENS, MAX_WORK
from focus.engines.grammar.matching import Runner

START = '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="r">'


async def grammar(rules: str) -> Grammar:
    return await load(f"{START}{rules}</grammar>")


def rule(content: str, name: str = "r") -> str:
    return f'<rule id="{name}">{content}</rule>'


def item(repeat: str, content: str) -> str:
    return f'<item repeat="{repeat}">{content}</item>'


def looked_at(machine: Grammar, tokens: str) -> int:
    """How many nodes are looked at in all for these tokens by who has seen none of them before."""
    runner = Runner(machine)
    state, nodes = runner.start, 0
    for token in tokens:
        state = runner.step(state, token)
        nodes += len(state.nodes)
    return nodes


AMBIGUOUS = rule(
    item("1-", "<one-of><item>1</item><item>1 1</item><item>" + item("1-", "1") + "</item></one-of>") + "2"
)


async def test_an_ambiguous_grammar_costs_as_much_for_each_token() -> None:
    machine = await grammar(AMBIGUOUS)
    at_first, later = (looked_at(machine, "1" * n) - looked_at(machine, "1" * (n - 1)) for n in (10, 400))
    assert at_first == later


async def test_the_way_through_an_ambiguous_grammar_is_found_once() -> None:
    tagged = AMBIGUOUS.replace("<item>1</item>", "<item>1<tag>one</tag></item>", 1)
    matcher = Matcher([await grammar(tagged)])
    assert matcher.feed_all("1" * (MAX_TOKENS - 1) + "2") is Match.MATCH_END
    matched = matcher.matched()
    assert matched is not None
    assert matched.meaning == "one"


async def test_longer_input_than_is_allowed_matches_nothing() -> None:
    matcher = Matcher([await grammar(rule(item("1-", "1")))])
    assert matcher.feed_all("1" * MAX_TOKENS) is Match.MATCH
    assert matcher.feed("1") is Match.NOMATCH
    assert matcher.feed("1") is Match.NOMATCH
    assert matcher.matched() is None
    assert len(matcher.tokens) == MAX_TOKENS + 2


async def test_a_grammar_that_is_too_much_work_matches_nothing_in_the_end() -> None:
    machine = await grammar(rule(item("140", item("1-140", "1"))))
    matcher = Matcher([machine])
    matches = [matcher.feed("1") for _ in range(MAX_TOKENS)]
    assert matches[0] is Match.PARTIAL
    assert matches[-1] is Match.NOMATCH
    nodes = [len(state.nodes) for state in matcher._paths[0]]
    assert sum(nodes[:-1]) <= MAX_WORK + 1


async def test_what_a_grammar_remembers_is_limited_and_forgetting_changes_nothing() -> None:
    machine = await grammar(
        rule(item("9", item("1-9", "<one-of><item>1</item><item>1 2</item><item>2</item></one-of>")))
    )
    forgetful, other = Runner(machine, most=2000), Runner(machine)
    for n in range(2000):
        forgets, remembers = forgetful.start, other.start
        for key in f"{n % 40:012b}{n:011b}".replace("0", "2"):
            forgets, remembers = forgetful.step(forgets, key), other.step(remembers, key)
            assert forgets.nodes == remembers.nodes
            assert forgetful.remembered <= 2000 + len(machine.automaton.edges) + 1
    assert other.remembered > 4000


async def test_words_that_are_in_no_grammar_are_remembered_as_one() -> None:
    machine = await load(START.replace("dtmf", "voice") + rule('<ruleref special="GARBAGE"/> one') + "</grammar>")
    runner = Runner(machine)
    assert len({runner.step(runner.start, f"word{n}") for n in range(100)}) == 1
    assert len(runner.start.next) == 1


@pytest.mark.parametrize("content", ["1", '<ruleref special="NULL"/>', '<ruleref special="VOID"/>', "1<tag>x</tag>"])
async def test_doubling_is_refused_whatever_is_doubled(content: str) -> None:
    names = ["r", *(f"r{n}" for n in range(60))]
    doubling = [rule(f'<ruleref uri="#{b}"/><ruleref uri="#{b}"/>', a) for a, b in itertools.pairwise(names)]
    with pytest.raises(DocumentError, match="too large"):
        await grammar("".join(doubling) + rule(content, names[-1]))


async def test_a_long_chain_of_rules_is_refused_before_it_is_too_deep_for_us() -> None:
    names = ["r", *(f"r{n}" for n in range(3000))]
    chain = [rule(f'<ruleref uri="#{b}"/>', a) for a, b in itertools.pairwise(names)]
    with pytest.raises(DocumentError, match="rules nest more than 250 deep"):
        await grammar("".join(chain) + rule("1", names[-1]))


async def test_a_chain_of_a_hundred_rules_is_well() -> None:
    names = ["r", *(f"r{n}" for n in range(100))]
    chain = [rule(f'1<ruleref uri="#{b}"/>', a) for a, b in itertools.pairwise(names)]
    assert Matcher([await grammar("".join(chain) + rule("2", names[-1]))]).feed_all("1" * 100 + "2") is Match.MATCH_END


async def test_elements_in_elements_without_end_are_refused() -> None:
    with pytest.raises(DocumentError, match="<item>: nested more than 64 deep"):
        await grammar(rule("<item>" * 5000 + "1" + "</item>" * 5000))


async def test_thousands_of_empty_alternatives_are_one() -> None:
    machine = await grammar(rule(item("1-", "<one-of>" + "<item/>" * 20000 + "<item>1<tag>x</tag></item></one-of>")))
    assert len(machine.automaton.edges) < 10
    assert sum(map(len, machine.automaton.edges)) < 20


async def test_a_thousand_names_fit() -> None:
    names = "".join(f"<item>{n:04}<tag>n{n}</tag></item>" for n in range(4000))
    matcher = Matcher([await grammar(rule(f"<one-of>{names}</one-of>"))])
    assert matcher.feed_all("3127") is Match.MATCH_END
    matched = matcher.matched()
    assert matched is not None
    assert matched.meaning == "n3127"


async def test_a_document_that_is_too_long_is_refused() -> None:
    with pytest.raises(DocumentError, match=f"longer than {markup.MAX_BYTES} bytes"):
        await grammar(" " * markup.MAX_BYTES)


async def test_a_document_with_too_many_elements_is_refused() -> None:
    with pytest.raises(DocumentError, match=f"more than {markup.MAX_ELEMENTS} elements"):
        await grammar(rule("<item/>" * markup.MAX_ELEMENTS))
