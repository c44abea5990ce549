"""What is to be said as a date, a time, an ordinal or money is written in words, and said so by espeak-ng."""

from __future__ import annotations

import subprocess

import pytest

from focus.engines.say_as import SPELT, kind_of, said
from focus.engines.ssml import Spoken, parse


def phonemes(markup: str, voice: str = "en") -> str:
    """What espeak-ng says, without its stresses and pauses."""
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-m", "-q", "-x", "--stdin"], input=markup.encode(), capture_output=True, check=True
    )
    return " ".join("".join(each for each in spoken.stdout.decode() if each not in "'_:!|,;").split())


@pytest.mark.parametrize(
    ("kind", "form", "text", "words"),
    [
        ("date", "mdy", "10/5/2026", "October 5th, 20 26"),
        ("date", "dmy", "10/5/2026", "May 10th, 20 26"),
        ("date", "dmy", "10.05.26", "May 10th, 20 26"),
        ("date", "ymd", "20261005", "October 5th, 20 26"),
        ("date", "ymd", "261005", "October 5th, 20 26"),
        ("date", "MM/dd/yyyy", "12-25-1999", "December 25th, 19 99"),
        ("date", "", "2026-10-05", "October 5th, 20 26"),
        ("date", "", "25/12/2005", "December 25th, 2005"),
        ("date", "", "5/5/1900", "May 5th, 19 hundred"),
        ("date", "", "10/5/2026", "10/5/2026"),
        ("date", "md", "1/22", "January 22nd"),
        ("date", "my", "7 1905", "July 19 oh 5"),
        ("date", "y", "1066", "1066"),
        ("date", "m", "3", "March"),
        ("date", "d", "3", "3rd"),
        ("date", "mdy", "13/5/2026", "13/5/2026"),
        ("date", "mdy", "tomorrow", "tomorrow"),
        ("time", "hms12", "2:30pm", "2:30 p.m."),
        ("time", "hms12", "02:05 A.M.", "2 oh 5 a.m."),
        ("time", "hms12", "2 pm", "2 p.m."),
        ("time", "hms24", "14:30:01", "14:30 and 1 second"),
        ("time", "hms24", "14:00", "14 hundred"),
        ("time", "", "1430h", "14:30"),
        ("time", "", "0230p", "2:30 p.m."),
        ("time", "", "12:00", "12 o'clock"),
        ("time", "", "25:00", "25:00"),
        ("time", "", "14:75", "14:75"),
        ("ordinal", "", "3", "3rd"),
        ("ordinal", "", "1,012", "1012th"),
        ("ordinal", "", "21st", "21st"),
        ("ordinal", "", "third", "third"),
        ("ordinal", "", " 3 ", " 3rd "),
        ("currency", "", "$42.50", "42 dollars and 50 cents"),
        ("currency", "", "USD1,001.01", "1001 dollars and 1 cent"),
        ("currency", "", "1 EUR", "1 euro"),
        ("currency", "", "-0.20 GBP", "minus 20 pence"),
        ("currency", "", "CHF 3", "CHF 3"),
        ("currency", "", "much", "much"),
        ("telephone", "", "(555) 123-4567", " 555 123 4567"),
        ("phone", "1", "+49.30.1234", "+49 30 1234"),
        ("cardinal", "", "1,234", "1,234"),
        ("name", "", "Jim", "Jim"),
    ],
)
def test_it_is_written_as_it_is_said(kind: str, form: str, text: str, words: str) -> None:
    assert said(text, kind, form, "en-US") == words


@pytest.mark.parametrize(("language", "words"), [("", "3"), ("en", "3rd"), ("EN_us", "3rd"), ("enm", "3"), ("de", "3")])
def test_in_other_languages_it_stays_as_it_is(language: str, words: str) -> None:
    assert said("3", "ordinal", "", language) == words


@pytest.mark.parametrize(
    ("interpret_as", "form", "kind"),
    [
        ("date", "mdy", ("date", "mdy")),
        ("date:mdy", "", ("date", "mdy")),
        ("vxml:Phone", "", ("phone", "")),
        ("vxml:date:mdy", "", ("date", "mdy")),
        ("number:ordinal", "", ("ordinal", "")),
        ("number", "", None),
        ("number:roman", "", None),
        ("acme:date", "", None),
        ("tts:char", "", None),
        ("", "mdy", None),
    ],
)
def test_a_kind_has_several_names(interpret_as: str, form: str, kind: tuple[str, str] | None) -> None:
    assert kind_of(interpret_as, form) == kind


def written(inner: str, language: str = "", spoken: str = "en") -> str:
    lang = f" xml:lang='{language}'" if language else ""
    (piece,) = parse(f"<speak{lang}>{inner}</speak>", language=spoken).pieces
    assert isinstance(piece, Spoken)
    return piece.markup


@pytest.mark.parametrize(
    "attributes",
    ["", ' interpret-as=""', ' interpret-as="number"', ' interpret-as="Acme:thing"', ' interpret-as="tts:char"'],
)
def test_a_kind_that_is_not_known_is_the_synthesizers_to_know(attributes: str) -> None:
    inner = f"<say-as{attributes}>3</say-as>"
    assert inner in written(inner)


@pytest.mark.parametrize(
    ("attributes", "text", "words"),
    [
        ("interpret-as='date' format='mdy'", "10/5/2026", "October fifth, twenty twenty six"),
        ("interpret-as='date' format='my'", "1/1905", "January nineteen oh five"),
        ("interpret-as='ordinal'", "22", "twenty second"),
        ("interpret-as='cardinal'", "22", "twenty two"),
        ("interpret-as='time' format='hms12'", "2:05pm", "two oh five pm"),
        ("interpret-as='time'", "14:30:05", "fourteen thirty and five seconds"),
        ("interpret-as='currency'", "$20.50", "twenty dollars and fifty cents"),
        ("interpret-as='vxml:digits'", "42", "four two"),
        ("interpret-as='phone'", "555-12", "five five five one two"),
        ("interpret-as='characters'", "BC", "bee see"),
    ],
)
def test_espeak_says_it_in_words(attributes: str, text: str, words: str) -> None:
    assert phonemes(written(f"<say-as {attributes}>{text}</say-as>")).replace(" ", "") == phonemes(
        f"<speak>{words}</speak>"
    ).replace(" ", "")


def test_the_language_around_counts_and_then_the_one_that_is_spoken() -> None:
    third = "<say-as interpret-as='ordinal'>3</say-as>"
    assert "3rd" in written(third)
    assert "3rd" not in written(third, spoken="de")
    assert "3rd" in written(third, "en-US", spoken="de")
    assert "3rd" in written(f"<p xml:lang=''>{third}</p>")
    assert "3rd" not in written(f"<p xml:lang='de'>{third}</p>", "en-US")
    assert phonemes(written(third, "de"), "de") == phonemes("<speak>drei</speak>", "de")


def test_what_is_not_only_text_stays() -> None:
    inner = "<say-as interpret-as='ordinal'>3<mark name='x'/>4</say-as>"
    assert inner.replace("'", '"').replace('<mark name="x"/>', "") in written(inner).replace(
        '<mark name="x"></mark>', ""
    )


def test_what_is_spelt_is_one_of_two() -> None:
    assert set(SPELT.values()) == {"telephone", "characters"}
