"""SSML as text, and how it is to be said."""

from __future__ import annotations

import pytest

from focus.engines.markup import DocumentError
from focus.engines.plain import LONGEST, LOUDEST, MAX_BREAK, RATES, Phrase, phrases, sentences


def said(body: str) -> list[Phrase]:
    return phrases(f'<?xml version="1.0"?><speak xmlns="http://www.w3.org/2001/10/synthesis">{body}</speak>')


def test_text_is_text_whatever_is_around_it() -> None:
    body = "One <emphasis>two</emphasis>, <voice name='x'>three</voice> <mark name='m'/><phoneme ph='x'>four</phoneme>"
    assert said(body) == [Phrase("One two, three four")]


def test_what_is_not_to_be_said_is_not() -> None:
    assert said("<metadata>no</metadata><lexicon>no</lexicon> yes <desc>no</desc>") == [Phrase("yes")]
    assert said(" ") == []


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("time='500ms'", 0.5),
        ("time='2s'", 2),
        ("time='.25s'", 0.25),
        ("time='9999s'", MAX_BREAK),
        ("strength='x-strong'", 1.2),
        ("strength='none'", 0),
        ("time='nonsense'", 0.4),
        ("", 0.4),
    ],
)
def test_a_break_is_so_long(written: str, seconds: float) -> None:
    found = said(f"a <break {written}/> b")
    assert found == ([Phrase("a", pause=seconds), Phrase("b")] if seconds else [Phrase("a b")])


def test_a_paragraph_ends_in_a_pause_and_a_sentence_as_one() -> None:
    assert said("<p><s>One</s><s>two</s></p>three") == [Phrase("One. two.", pause=0.4), Phrase("three")]


def test_what_stands_for_something_else_is_said_so() -> None:
    assert said("<sub alias='World Wide Web'>WWW</sub>") == [Phrase("World Wide Web")]


@pytest.mark.parametrize("kind", ["characters", "digits", "telephone", "spell-out"])
def test_what_is_to_be_spelt_is(kind: str) -> None:
    assert said(f"call <say-as interpret-as='{kind}'>110</say-as>") == [Phrase("call 1, 1, 0")]


def test_what_cannot_be_said_as_asked_for_is_said_as_it_is_written() -> None:
    assert said("<say-as interpret-as='date'>1.2.2026</say-as>") == [Phrase("1.2.2026")]


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("slow", 0.75),
        ("x-fast", 1.75),
        ("80%", 0.8),
        ("+20%", 1.2),
        ("-20%", 0.8),
        ("1.5", 1.5),
        ("100", RATES[1]),
        ("-99%", RATES[0]),
        ("quickly", 1),
    ],
)
def test_it_is_said_so_fast(written: str, rate: float) -> None:
    (phrase,) = said(f"<prosody rate='{written}'>a</prosody>")
    assert phrase.rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("written", "volume"),
    [
        ("silent", 0),
        ("soft", 0.501),
        ("+6dB", 1.995),
        ("-6dB", 0.501),
        ("50", 0.5),
        ("-50%", 0.5),
        ("+99dB", LOUDEST),
        ("-999%", 0),
        ("louder", 1),
    ],
)
def test_it_is_said_so_loudly(written: str, volume: float) -> None:
    (phrase,) = said(f"<prosody volume='{written}'>a</prosody>")
    assert phrase.volume == pytest.approx(volume, abs=0.001)


def test_a_manner_ends_with_its_element_and_holds_for_what_is_in_it() -> None:
    found = said("a <prosody rate='slow'>b <prosody volume='50'>c</prosody> d</prosody> e")
    assert [(each.text, each.rate, each.volume) for each in found] == [
        ("a", 1, 1),
        ("b", 0.75, 1),
        ("c", 0.75, 0.5),
        ("d", 0.75, 1),
        ("e", 1, 1),
    ]


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(DocumentError):
        said("<p>")


def test_text_is_said_by_the_sentence() -> None:
    assert sentences('One. "Two!" Three,  four\n five? ... 6') == ["One.", '"Two!"', "Three, four five?", "6"]
    assert sentences(" ... — ") == []
    long = "word " * 200
    assert " ".join(sentences(long)) == long.strip()
    assert max(map(len, sentences(long + "x" * 900))) <= LONGEST
