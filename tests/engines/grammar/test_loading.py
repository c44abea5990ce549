"""Grammars that refer to others."""

from __future__ import annotations

import pytest

from focus.engines.fetching import FetchError
from focus.engines.grammar import (
    DocumentError,
    Grammar,
    Match,
    Matcher,
    Mode,
    load,
    load_from,
    of_input,
)

NS = 'xmlns="http://www.w3.org/2001/06/grammar" version="1.0"'
MAIN = f'<grammar {NS} mode="dtmf" root="r"><rule id="r"># <ruleref uri="%s"/></rule></grammar>'
DIGITS = f"""<grammar {NS} mode="dtmf" root="two" tag-format="semantics/1.0-literals">
  <rule id="two"><item repeat="2"><ruleref uri="#digit"/></item></rule>
  <rule id="digit" scope="public"><one-of><item>1<tag>one</tag></item><item>2<tag>two</tag></item></one-of></rule>
  <rule id="hidden">3</rule>
</grammar>"""


class Library:
    """Documents by URI; remembers which were asked for."""

    def __init__(self, **documents: str | bytes) -> None:
        self.documents = {f"http://example.org/{name}": document for name, document in documents.items()}
        self.asked: list[str] = []

    async def __call__(self, uri: str) -> str | bytes:
        self.asked.append(uri)
        if uri not in self.documents:
            raise FetchError("404 Not Found")
        return self.documents[uri]


async def main(reference: str, library: Library) -> Grammar:
    return await load(MAIN % reference, uri="http://example.org/main", fetch=library)


def meaning(grammar: Grammar, text: str) -> tuple[Match, str | None]:
    matcher = Matcher([grammar])
    match = matcher.feed_all(of_input(text, matcher.mode))
    matched = matcher.matched()
    return match, matched.meaning if matched else None


@pytest.mark.parametrize("reference", ["digits", "http://example.org/digits", "/digits", "./digits#two"])
async def test_a_reference_leads_to_the_root_of_another_document(reference: str) -> None:
    library = Library(digits=DIGITS)
    grammar = await main(reference, library)
    assert library.asked == ["http://example.org/digits"]
    assert meaning(grammar, "#12") == (Match.MATCH_END, "two")


async def test_a_reference_leads_to_a_public_rule() -> None:
    assert meaning(await main("digits#digit", Library(digits=DIGITS)), "#1") == (Match.MATCH_END, "one")


async def test_the_name_of_a_rule_may_be_written_as_in_any_uri() -> None:
    library = Library(a=f'<grammar {NS} mode="dtmf"><rule id="clé" scope="public">1</rule></grammar>')
    assert meaning(await main("a#cl%C3%A9", library), "#1") == (Match.MATCH_END, "# 1")
    assert meaning(await main("a#clé", library), "#1") == (Match.MATCH_END, "# 1")
    inside = '<rule id="r"><ruleref uri="#cl%C3%A9"/></rule><rule id="clé">1</rule>'
    assert meaning(await load(f'<grammar {NS} mode="dtmf" root="r">{inside}</grammar>'), "1") == (Match.MATCH_END, "1")


async def test_bytes_are_read_in_their_own_encoding() -> None:
    cafe = f'<?xml version="1.0" encoding="ISO-8859-1"?><grammar {NS} root="r"><rule id="r">café</rule></grammar>'
    assert meaning(await load(cafe.encode("latin-1")), "CAFÉ") == (Match.MATCH_END, "café")
    assert meaning(await load(cafe), "CAFÉ") == (Match.MATCH_END, "café")
    assert meaning(await load(cafe.replace("ISO-8859-1", "UTF-16").encode("utf-16")), "CAFÉ")[0] is Match.MATCH_END


async def test_the_base_of_a_document_counts() -> None:
    document = f'<grammar {NS} mode="dtmf" root="r" xml:base="http://example.org/">'
    document += '<rule id="r"><ruleref uri="digits"/></rule></grammar>'
    assert meaning(await load(document, fetch=Library(digits=DIGITS)), "22") == (Match.MATCH_END, "two")


async def test_documents_that_refer_to_each_other_are_fetched_once() -> None:
    library = Library(
        a=f'<grammar {NS} mode="dtmf" root="r"><rule id="r">1<ruleref uri="b#x"/><ruleref uri="b#y"/></rule></grammar>',
        b=f'<grammar {NS} mode="dtmf"><rule id="x" scope="public">2</rule>'
        '<rule id="y" scope="public">3<item repeat="0-1"><ruleref uri="a"/></item></rule></grammar>',
    )
    grammar = await load_from("http://example.org/a", fetch=library)
    assert library.asked == ["http://example.org/a", "http://example.org/b"]
    assert grammar.uri == "http://example.org/a"
    assert meaning(grammar, "123") == (Match.MATCH, "1 2 3")
    assert meaning(grammar, "123123") == (Match.MATCH, "1 2 3 1 2 3")


async def test_a_grammar_comes_from_a_uri_whose_fragment_is_a_rule() -> None:
    grammar = await load_from("http://example.org/digits#digit", fetch=Library(digits=DIGITS))
    assert meaning(grammar, "2") == (Match.MATCH_END, "two")
    with pytest.raises(DocumentError, match=r"rule 'hidden' of http://example.org/digits is private"):
        await load_from("http://example.org/digits#hidden", fetch=Library(digits=DIGITS))


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("nowhere", "main:1:.*: http://example.org/nowhere cannot be fetched: 404 Not Found"),
        ("digits#hidden", "main:1:.*: rule 'hidden' of http://example.org/digits is private"),
        ("digits#three", "main:1:.*: there is no rule 'three' in http://example.org/digits"),
        ("rootless", "main:1:.*: <ruleref>: http://example.org/rootless has no root"),
        ("voice", "http://example.org/voice:1:1: <grammar>: its mode is 'voice', but 'dtmf' is wanted"),
        ("broken", "http://example.org/broken:1:10: not well-formed: no element found in <grammar>"),
    ],
)
async def test_what_is_wrong_with_another_document_is_said_with_its_place(reference: str, fault: str) -> None:
    library = Library(
        digits=DIGITS,
        broken="<grammar>",
        rootless=f'<grammar {NS} mode="dtmf"><rule id="x" scope="public">1</rule></grammar>',
        voice=f'<grammar {NS} mode="voice" root="x"><rule id="x">one</rule></grammar>',
    )
    with pytest.raises(DocumentError, match=fault):
        await main(reference, library)


async def test_documents_without_end_are_refused() -> None:
    async def endless(uri: str) -> str:
        return MAIN % f"{uri}x"

    with pytest.raises(DocumentError, match="more than 20 documents"):
        await load(MAIN % "http://example.org/x", fetch=endless)


async def test_the_mode_counts_where_a_grammar_says_none() -> None:
    document = f'<grammar {NS} root="r"><rule id="r">12</rule></grammar>'
    assert (await load(document)).mode is Mode.VOICE
    assert meaning(await load(document, mode=Mode.DTMF), "1 2") == (Match.MATCH_END, "1 2")
    with pytest.raises(DocumentError, match="its mode is 'dtmf', but 'voice' is wanted"):
        await load(DIGITS, mode=Mode.VOICE)
    with pytest.raises(DocumentError, match="'dtmf', the grammar is not"):
        await load_from("builtin:dtmf/digits", mode=Mode.VOICE)


async def test_the_language_is_the_documents() -> None:
    document = f'<grammar {NS} xml:lang="de-AT" root="r"><rule id="r">ja</rule></grammar>'
    assert (await load(document)).language == "de-AT"
    assert (await load(DIGITS)).language is None


async def test_scripts_are_remarked() -> None:
    document = (
        f'<grammar {NS} mode="dtmf" root="r" tag-format="semantics/1.0"><rule id="r">1<tag>out=1</tag></rule></grammar>'
    )
    (remark,) = (await load(document)).remarks
    assert "scripts are not run" in remark
