"""Documents that strangers write, as targets: grammars with what is keyed or said, `builtin:` URIs, SSML, results.

A target takes any bytes, raises AssertionError (or whatever escapes) where something is wrong, and returns how many
lines of Python it may have taken: as many as the document is long, times something, and what its automaton costs. Who
counts the lines (`fuzz.evolution`, tests/fuzz) holds it to that, on any machine.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from xml.etree import ElementTree as ET

from focus.client.interpretation import Interpretation
from focus.engines import nlsml, plain, ssml
from focus.engines.grammar import DocumentError, Grammar, Match, Matcher, Mode, load, load_from, of_input
from focus.engines.grammar.automaton import Automaton
from focus.engines.grammar.builtin import document as builtin_document
from focus.engines.grammar.expansions import Document, Expansion, OneOf, Repeat, RuleRef, Series, Special, Tag, Words
from focus.engines.grammar.limits import MAX_NETWORK_WORK, MAX_NODES, MAX_REMEMBERED
from focus.engines.grammar.network import NoNetwork, network
from focus.engines.grammar.reader import read
from focus.engines.markup import Place

Target = Callable[[bytes], int]

#: Between a grammar and its inputs, as in tests/engines/grammar/suite.
INPUTS = b"\n---\n"
#: Inputs of a grammar that are tried, and tokens of each.
TRIED, LONGEST = 8, 40
#: What is small enough for the plain definition of what a grammar matches: nodes, and tokens.
SMALL, SHORT = 300, 5

#: Lines of Python: for a byte of a document, for a step of an automaton, and whatever it is.
A_BYTE, A_STEP, ANYTHING = 40, 60, 3_000


def _run(coroutine: Coroutine[Any, Any, Grammar]) -> Grammar:
    """What a coroutine returns that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits")


def _is_told_well(error: DocumentError) -> None:
    assert error.place.line >= 1
    assert error.place.column >= 1
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 1000


def grammar(data: bytes) -> int:
    """A grammar and, one in a line, its inputs: a grammar of keys, of words, or of what it says itself."""
    written, _, rest = data.partition(INPUTS)
    inputs = [line.partition("|")[0] for line in rest.decode(errors="replace").splitlines()[:TRIED]]
    allowed = ANYTHING
    for mode in (None, Mode.DTMF, Mode.VOICE):
        allowed += A_BYTE * len(data)
        try:
            loaded = _run(load(written, mode=mode))
        except DocumentError as error:
            _is_told_well(error)
            allowed += A_STEP * MAX_NODES if "too large" in error.what else 0
            continue
        allowed += _matches(loaded, read(written, "", mode=mode), inputs)
    return allowed


def _matches(loaded: Grammar, document: Document | None, inputs: Iterable[str]) -> int:
    """Hold what matches to what must be true of it; returns what that may cost."""
    automaton = loaded.automaton
    edges = sum(map(len, automaton.edges))
    size = edges + len(automaton.edges) + sum(len(read) for read in automaton.reads if read) + 1
    steps = size
    for text in inputs:
        tokens = of_input(text, loaded.mode)[:LONGEST]
        assert not any(character.isspace() for token in tokens for character in token)
        matcher = Matcher([loaded])
        matches = [matcher.feed(token) for token in tokens]
        steps += 2 * (len(tokens) + 1) * size
        for before, after in itertools.pairwise(matches):
            assert before in (Match.PARTIAL, Match.MATCH) or after is Match.NOMATCH
        _has_a_result(matcher)
        assert loaded.runner is not None
        assert loaded.runner.remembered <= MAX_REMEMBERED + len(automaton.edges) + 1
        loaded.runner = None  # what it remembers
        whole = Matcher([loaded])
        assert whole.feed_all(tokens) is matcher.match
        assert whole.matched() == matcher.matched()
        if document is not None and size <= SMALL and 0 < len(tokens) <= SHORT:
            _is_what_the_definition_says(matcher, document, automaton)
    if loaded.mode is Mode.VOICE:
        steps += MAX_NETWORK_WORK
        with contextlib.suppress(NoNetwork):
            assert network([loaded]).words <= automaton.tokens
    return A_STEP * steps


def _has_a_result(matcher: Matcher) -> None:
    matched = matcher.matched()
    assert (matched is not None) == (matcher.match in (Match.MATCH, Match.MATCH_END))
    if matched is None:
        return
    interpretation = Interpretation.parse(nlsml.result(matched, 0.5))
    assert interpretation.confidence == 0.5
    assert interpretation.mode == ("dtmf" if matcher.mode is Mode.DTMF else "speech")
    assert (interpretation.instance is not None) == matched.is_tagged
    if "\ufffd" not in interpretation.input:
        assert interpretation.input == " ".join(matcher.tokens)


def _is_what_the_definition_says(matcher: Matcher, document: Document, automaton: Automaton) -> None:
    tokens = matcher.tokens
    is_match = Definition(document, tokens).is_match()
    assert is_match == (matcher.match in (Match.MATCH, Match.MATCH_END)), (tokens, matcher.match)
    some = sorted(automaton.tokens)[:4] or ["x"]
    if matcher.match in (Match.NOMATCH, Match.MATCH_END):
        for more in itertools.chain(itertools.product(some, repeat=1), itertools.product(some, repeat=2)):
            assert not Definition(document, (*tokens, *more)).is_match(), (tokens, more)


class Definition:
    """What a document matches, by the definition: from where an expansion begins to all places where it can end.

    Rules that call each other are looked at again until nothing new is found.
    """

    def __init__(self, document: Document, tokens: tuple[str, ...]) -> None:
        self._document = document
        self._tokens = tokens
        self._found: dict[tuple[str, str, int], frozenset[int]] = {}
        self._documents = {document.uri: document}

    def is_match(self) -> bool:
        document = self._document
        roots = [document.root] if document.root else [rule.id for rule in document.rules.values() if rule.is_public]
        for root in roots:
            self._found[document.uri, root, 0] = frozenset()
        before = None
        while self._found != before:
            before = dict(self._found)
            for uri, name, at in before:
                within = self._documents[uri]
                self._found[uri, name, at] = self._ends(within.rules[name].expansion, within, at)
        return any(len(self._tokens) in self._found[document.uri, root, 0] for root in roots)

    def _ends(self, expansion: Expansion, document: Document, at: int) -> frozenset[int]:
        match expansion:
            case Words(words):
                return frozenset({at + len(words)} if self._tokens[at : at + len(words)] == words else ())
            case Series(parts):
                reached = frozenset({at})
                for part in parts:
                    reached = self._from_each(part, document, reached)
                return reached
            case OneOf(alternatives):
                return frozenset().union(*(self._ends(each, document, at) for each in alternatives))
            case Repeat():
                return self._repeated(expansion, document, at)
            case RuleRef(uri):
                if uri.startswith("#"):
                    key = (document.uri, uri[1:], at)
                else:
                    other = self._documents[uri] = builtin_document(uri, Place("", 1, 1))
                    key = (uri, other.root or "", at)
                return self._found.setdefault(key, frozenset())
            case Tag() | Special.NULL:
                return frozenset({at})
            case Special.VOID:
                return frozenset()
            case Special.GARBAGE:
                return frozenset(range(at, len(self._tokens) + 1))

    def _from_each(self, expansion: Expansion, document: Document, places: frozenset[int]) -> frozenset[int]:
        return frozenset().union(*(self._ends(expansion, document, place) for place in places))

    def _repeated(self, repeat: Repeat, document: Document, at: int) -> frozenset[int]:
        reached, found = frozenset({at}), frozenset({at} if repeat.least == 0 else ())
        enough = repeat.least + len(self._tokens) + 1  # more often than that leads nowhere new
        for time in range(1, min(enough, enough if repeat.most is None else repeat.most) + 1):
            reached = self._from_each(repeat.what, document, reached)
            if time >= repeat.least:
                found |= reached
        return found


def builtin(data: bytes) -> int:
    """What follows `builtin:`, and inputs."""
    name, _, rest = data.decode(errors="replace").partition("\n")
    try:
        loaded = _run(load_from(f"builtin:{name}"))
    except DocumentError as error:
        _is_told_well(error)
        return ANYTHING + A_BYTE * len(data)
    return ANYTHING + A_BYTE * len(data) + _matches(loaded, None, rest.splitlines()[:TRIED])


def speech(data: bytes) -> int:
    """SSML: its pieces are documents, which say and play what it does."""
    try:
        spoken = ssml.parse(data.decode(errors="surrogateescape"), language="en")
    except DocumentError as error:
        _is_told_well(error)
        return ANYTHING + A_BYTE * len(data)
    waiting, pieces, written = list(spoken.pieces), 0, 0
    while waiting:
        piece = waiting.pop()
        pieces += 1
        if isinstance(piece, ssml.Played):
            assert piece.src.strip()
            waiting += piece.instead
            continue
        if isinstance(piece, ssml.Paused):
            assert piece.seconds > 0
            continue
        written += len(piece.markup)
        root = ET.fromstring(piece.markup)
        assert root.tag == "speak"
        assert not list(root.iter("audio"))
        _can_be_said(piece.markup)
    assert pieces <= ssml.MAX_PIECES
    assert written <= ssml.MAX_WRITTEN
    return ANYTHING + A_BYTE * (len(data) + written)


def _can_be_said(markup: str) -> None:
    """By a synthesizer that knows no SSML."""
    for phrase in plain.phrases(markup):
        assert plain.RATES[0] <= phrase.rate <= plain.RATES[1]
        assert 0 <= phrase.volume <= plain.LOUDEST
        assert 0 <= phrase.pause <= plain.MAX_BREAK
        assert phrase.text == " ".join(phrase.text.split())
        assert all(0 < len(part) <= plain.LONGEST for part in plain.sentences(phrase.text))


def result(data: bytes) -> int:
    """What a service says that an input has matched."""
    try:
        interpretation = Interpretation.parse(data.decode(errors="surrogateescape"))
    except ValueError:
        return ANYTHING
    assert 0 <= interpretation.confidence <= 1
    assert interpretation.meaning is not None
    return ANYTHING + A_BYTE * len(data)


TARGETS: dict[str, Target] = {target.__name__: target for target in (grammar, builtin, speech, result)}
