"""SSML is cut where something is to be played: each piece is a document, and together they say what the whole says."""

from __future__ import annotations

from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.engines.markup import MAX_BYTES, MAX_DEPTH
from focus.engines.ssml import MAX_PIECES, MAX_WRITTEN, SSML, DocumentError, Paused, Piece, Played, Spoken, parse

#: An attribute's value, or a name; and what makes many pieces, in each of which that would be written again.
LONG = "x" * 100_000
SOUNDS = "x<audio src='a'/>" * 100


def speak(inner: str, attributes: str = "") -> str:
    return f"<speak version='1.1' xmlns='{SSML}'{attributes}>{inner}</speak>"


def said(pieces: tuple[Piece, ...]) -> list[object]:
    """What is spoken, the seconds of pauses, and in tuples the sounds with what is said instead."""
    return [_said(each) for each in pieces]


def _said(piece: Piece) -> object:
    match piece:
        case Spoken():
            return piece.text
        case Paused():
            return piece.seconds
        case Played():
            return (piece.src, said(piece.instead))


def test_a_document_without_sounds_is_one_piece() -> None:
    speech = parse(speak("<p><s>Good <emphasis>day</emphasis>.</s></p>", " xml:lang='en-GB'"))
    (piece,) = speech.pieces
    assert isinstance(piece, Spoken)
    assert (speech.language, piece.text) == ("en-GB", "Good day.")
    assert ET.fromstring(piece.markup).find("p/s/emphasis") is not None


def test_it_is_cut_at_sounds_and_the_elements_around_go_on() -> None:
    inner = "<p xml:lang='de'><prosody rate='-20%'>one<audio src='a.wav'/>two<audio src='b.wav'/></prosody></p>three"
    one, played, two, last, three = parse(speak(inner)).pieces
    assert said((one, played, two, last, three)) == ["one", ("a.wav", []), "two", ("b.wav", []), "three"]
    for piece in (one, two):
        assert isinstance(piece, Spoken)
        paragraph = ET.fromstring(piece.markup).find("p")
        assert paragraph is not None
        assert paragraph.get("{http://www.w3.org/XML/1998/namespace}lang") == "de"
        assert paragraph.find("prosody[@rate='-20%']") is not None


def test_what_is_said_instead_of_a_sound_may_have_sounds_itself() -> None:
    inner = "<audio src='a'>no <desc>a bell</desc><emphasis>bell<audio src='b'>nor this</audio></emphasis></audio>"
    assert said(parse(speak(inner)).pieces) == [("a", ["no bell", ("b", ["nor this"])])]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<sub alias='World Wide Web'>WWW</sub> here", ["World Wide Web here"]),
        ("<sub alias='a'>b<!-- c -->d</sub>", ["a"]),
        ("<meta name='x' content='y'/><lexicon uri='x'/><metadata><x>no</x></metadata>yes", ["yes"]),
        ("<x xmlns='urn:x'>foreign</x>own", ["own"]),
        (" \n ", []),
        ("<break time='1s'/>", [1.0]),
        ("a<break time='1s'/>", ["a"]),
        ("<p><break strength='none'/><mark name='x'/><break time='250ms'/>a</p>", [0.25, "a"]),
        ("<audio src='a'><break/></audio><break time='2s'/><audio src='b'/>", [("a", [0.4]), 2.0, ("b", [])]),
        ("a &amp; b &lt; c <![CDATA[<d>]]>", ["a & b < c <d>"]),
        ("", []),
    ],
)
def test_what_is_spoken(inner: str, expected: list[str]) -> None:
    assert said(parse(speak(inner)).pieces) == expected


@pytest.mark.parametrize(
    ("document", "place", "what"),
    [
        ("<vxml/>", "1:1", "not <speak/>"),
        ("<speak xmlns='urn:x'/>", "1:1", "not <speak/>"),
        ("<speak>\n  <audio/></speak>", "2:3", "src is needed"),
        ("<speak>\n\n<audio src=' '/></speak>", "3:1", "src is needed"),
        ("<speak><p></speak>", "1:13", "mismatched tag in <p>"),
        ("<speak>&bell;</speak>", "1:8", "undefined entity"),
        ("", "1:1", "no element found"),
        ("<!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>", "1:", "declarations"),
        ("<!DOCTYPE speak [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><speak>&a;</speak>", "1:", "declarations"),
        ("<!DOCTYPE s PUBLIC '-//x' 'http://x/' [ ]><speak/>", "1:", "declarations"),
        ("<!DOCTYPE s SYSTEM 'http://x/'><speak>&a;</speak>", "1:", "&a;"),
        (f"<speak>{'<p>' * MAX_DEPTH}", f"1:{8 + 3 * (MAX_DEPTH - 1)}", f"more than {MAX_DEPTH} deep"),
        (speak("x" * MAX_BYTES), "1:1", "longer than"),
        (speak("<audio src='a'/>" * (MAX_PIECES + 1)), "1:", f"more than {MAX_PIECES} pieces"),
        (speak("<audio src='a'>x</audio>" * (MAX_PIECES // 2 + 1)), "1:", f"more than {MAX_PIECES} pieces"),
        (speak(f"<p id='{LONG}'>{SOUNDS}</p>"), "1:", f"more than {MAX_WRITTEN} characters"),
        (speak(f"{SOUNDS}<p id='{LONG}'><audio src='a'>{SOUNDS}</audio></p>"), "1:", f"more than {MAX_WRITTEN}"),
        (f"<{LONG}>", "1:", "no element found in <xxx"),
        ("<speak>\x00</speak>", "1:", "not well-formed"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(document: str, place: str, what: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse(document, "here")
    assert str(refused.value).startswith(f"here:{place}")
    assert what in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("written", "usual"), [("digits", "telephone"), ("spell-out", "characters"), ("characters", "characters")]
)
def test_what_is_to_be_spelt_is_written_as_synthesizers_know_it(written: str, usual: str) -> None:
    (piece,) = parse(speak(f"<say-as interpret-as='{written}' format='x'>12</say-as>")).pieces
    assert isinstance(piece, Spoken)
    assert ET.fromstring(piece.markup).find(f"say-as[@interpret-as='{usual}'][@format='x']") is not None


def test_a_document_type_is_not_looked_at() -> None:
    kind = '<!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "http://www.w3.org/TR/speech-synthesis/x.dtd">'
    document = f'\n  <?xml version="1.0"?>\n{kind}\n{speak("Hello")}'
    assert said(parse(document).pieces) == ["Hello"]


#: Trees of what is said (text, or None for a sound), in elements of which some are silent.
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
_LEAVES = _WORDS | st.none()
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.tuples(st.sampled_from(["p", "s", "emphasis", "meta", "desc"]), st.lists(inner)),
    max_leaves=20,
)


def _written(tree: object) -> str:
    if tree is None:
        return "<audio src='a'>or</audio>"
    if isinstance(tree, str):
        return escape(tree)
    name, children = tree  # type: ignore[misc]
    return f"<{name}>{''.join(map(_written, children))}</{name}>"  # type: ignore[has-type]


def _heard(tree: object) -> str:
    if tree is None:
        return "\ufff9"  # stands for a sound, and for nothing else
    if isinstance(tree, str):
        return tree.replace("\ufff9", "")
    name, children = tree  # type: ignore[misc]
    return "" if name in ("meta", "desc") else "".join(map(_heard, children))  # type: ignore[has-type]


@given(st.lists(_TREES, max_size=6))
def test_the_pieces_say_what_the_document_says_and_each_is_a_document(trees: list[object]) -> None:
    document = speak("".join(map(_written, trees))).replace("\ufff9", "")
    pieces = parse(document).pieces
    expected = [" ".join(part.split()) for part in "".join(map(_heard, trees)).split("\ufff9")]
    spoken = [""]
    for piece in pieces:
        if isinstance(piece, Played):
            assert said((piece,)) == [("a", ["or"])]
            spoken.append("")
            continue
        assert isinstance(piece, Spoken)
        assert not spoken[-1]  # there is a sound between any two
        spoken[-1] = piece.text
        whole = ET.fromstring(piece.markup)
        assert whole.tag == "speak"
        assert not list(whole.iter("audio"))
        assert " ".join("".join(whole.itertext()).split()) == piece.text
    assert spoken == expected
