"""Whatever a document is, it is read or refused, with its place in one line."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from focus.engines.grammar import DocumentError, Match, Matcher, load, load_from, of_input
from tests.engines.grammar.test_matching import run
from tests.engines.grammar.test_suite import REFUSED, SUITE

DOCUMENTS = [*(document for _, document in REFUSED), *(document for document, _, _ in SUITE.values())]
PARTS = sorted({part for document in DOCUMENTS for part in document.replace(">", ">\0").split("\0") if part})

pieces = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A document with some of it left out, doubled, or put elsewhere."""
    document = draw(st.sampled_from(DOCUMENTS))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(document)))
        end = draw(st.integers(begin, min(len(document), begin + 40)))
        put = draw(
            st.sampled_from(["", document[begin:end] * 2, '"', "<", "&", "]]>", "0-", "#"])
            | pieces
            | st.text(max_size=3)
        )
        document = document[:begin] + put + document[end:]
    return document


def is_told_well(error: DocumentError) -> bool:
    has_source = str(error).startswith("grammar:") or error.place.source.startswith("builtin:")
    return has_source and error.place.line >= 1 and error.place.column >= 1 and len(str(error).splitlines()) == 1


def read_or_refused(document: str | bytes) -> None:
    fault = None
    try:
        grammar = run(load(document))
    except DocumentError as error:
        fault = error
    if fault is not None:
        assert is_told_well(fault)
        return
    matcher = Matcher([grammar])
    for token in of_input("1 2 1 * # one well yes", grammar.mode):
        match = matcher.feed(token)
        assert (matcher.matched() is not None) == (match in (Match.MATCH, Match.MATCH_END))


@given(changed() | pieces | st.text())
@example("\ud800")
@example("<a xmlns='\ud800'/>")
def test_any_text_is_read_or_refused(document: str) -> None:
    read_or_refused(document)


@given(st.binary() | changed().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'<?xml version="1.0" encoding="nonsense"?><a/>')
@example(b'<?xml version="1.0" encoding="utf-7"?><a/>')
@example(b'<?xml version="1.0" encoding="shift-jis"?><a/>')
@example(b'<?xml version="1.0" encoding="rot13"?><a/>')
@example(b"\xff\xfe<\x00a\x00/\x00>")
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    read_or_refused(document)


@given(st.text().map("builtin:".__add__) | st.text().map("builtin:dtmf/digits?".__add__) | st.text())
@example("builtin:dtmf/digits?length=\u0663")
@example("http://[x#y")
def test_any_uri_is_a_grammar_or_refused(uri: str) -> None:
    fault = ""
    try:
        run(load_from(uri))
    except DocumentError as error:
        fault = str(error)
    assert len(fault.splitlines()) <= 1
