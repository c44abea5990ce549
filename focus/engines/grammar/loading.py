"""A grammar with all that it refers to: read, linked and ready to be matched.

Other documents come from a `Fetch` that the caller gives, who decides what may be fetched from where, and for how long.
`builtin:dtmf/...` needs none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar
from urllib.parse import unquote

from focus.engines.fetching import FetchError
from focus.engines.grammar import builtin, reader
from focus.engines.grammar.automaton import Automaton, build
from focus.engines.grammar.expansions import Document, Expansion, Mode, OneOf, Rule, RuleRef
from focus.engines.grammar.limits import MAX_DOCUMENTS
from focus.engines.markup import DocumentError, Place

if TYPE_CHECKING:
    from focus.engines.grammar.matching import Runner


P = ParamSpec("P")
T = TypeVar("T")


class Fetch(Protocol):
    """Fetches documents."""

    def __call__(self, uri: str) -> Awaitable[str | bytes]:
        """The document at an absolute URI without a fragment. Raises `FetchError`."""


class Run(Protocol):
    """Does what may take long, where nobody else waits for it."""

    def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """What `work` returns."""


async def _here(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return work(*args, **kwargs)


@dataclass(slots=True)
class Grammar:
    """A grammar that can be matched. `uri` is where it is from, "" if it came as text."""

    uri: str
    mode: Mode
    language: str | None
    automaton: Automaton
    has_values: bool
    remarks: tuple[str, ...]
    runner: Runner | None = field(default=None, repr=False, compare=False)


async def load(
    document: str | bytes,
    *,
    uri: str = "",
    source: str | None = None,
    mode: Mode | None = None,
    fetch: Fetch | None = None,
    run: Run = _here,
) -> Grammar:
    """The grammar in a document, which was at `uri`, and is called `source` in faults.

    `mode` counts where the grammar does not say one, and is what it must be where it does. What it refers to is
    fetched. Raises `DocumentError`, of which the text is one line with the place.

    The largest document that is read at all takes up to a second; who cannot wait for that gives a `run`.
    """
    main = await run(reader.read, document, uri, source, mode)
    return await _link(main, RuleRef("", Place("", 1, 1)), fetch, run)


async def load_from(uri: str, *, mode: Mode | None = None, fetch: Fetch | None = None, run: Run = _here) -> Grammar:
    """The grammar at a URI, which may have a rule's name as its fragment, or begin with `builtin:`.

    Raises `DocumentError`.
    """
    reference = RuleRef(uri, Place(uri, 1, 1))
    return await _link(await _other(reference, mode, fetch, run), reference, fetch, run)


async def _link(main: Document, reference: RuleRef, fetch: Fetch | None, run: Run) -> Grammar:
    documents = {main.uri: main}
    waiting = [main]
    while waiting:
        for needed in waiting.pop().references:
            if _document_of(needed.uri) in documents:
                continue
            if len(documents) >= MAX_DOCUMENTS:
                raise DocumentError(f"<ruleref>: more than {MAX_DOCUMENTS} documents", needed.place)
            other = await _other(needed, main.mode, fetch, run)
            documents[other.uri] = other
            waiting.append(other)
    has_values = any(document.has_values for document in documents.values())
    fragment = _rule_of(reference.uri)
    expansion: Expansion = _active(main)
    if fragment:
        expansion = RuleRef(f"#{fragment}", reference.place)
        _public(main, fragment, reference.place)

    def find(document: Document, needed: RuleRef) -> tuple[Document, Rule]:
        if needed.uri.startswith("#"):
            return document, document.rules[needed.uri[1:]]
        other = documents[_document_of(needed.uri)]
        name = _rule_of(needed.uri)
        if not name and other.root is None:
            raise DocumentError(f"<ruleref>: {needed.uri[:80]} has no root", needed.place)
        if not name or other is document:
            return other, _rule(other, name or other.root or "", needed.place)
        return other, _public(other, name, needed.place)

    automaton = await run(build, expansion, main, find, has_values)
    remarks = tuple(dict.fromkeys(remark for document in documents.values() for remark in document.remarks))
    return Grammar(main.uri, main.mode, main.language, automaton, has_values, remarks)


async def _other(reference: RuleRef, mode: Mode | None, fetch: Fetch | None, run: Run) -> Document:
    uri = _document_of(reference.uri)
    if uri.startswith("builtin:"):
        document = builtin.document(uri, reference.place)
        if mode not in (None, document.mode):
            raise DocumentError(f"{uri[:80]} is of mode 'dtmf', the grammar is not", reference.place)
        return document
    if fetch is None:
        raise DocumentError(f"{uri[:200]}: other documents are not fetched here", reference.place)
    try:
        body = await fetch(uri)
    except FetchError as error:
        raise DocumentError(f"{uri[:200]} cannot be fetched: {error}", reference.place) from None
    return await run(reader.read, body, uri, mode=mode)


def _document_of(uri: str) -> str:
    return uri.partition("#")[0]


def _rule_of(uri: str) -> str:
    return unquote(uri.partition("#")[2])


def _active(document: Document) -> Expansion:
    """The root, or all public rules where no root is named, as in XEP-0327's listing 71."""
    if document.root is not None:
        return RuleRef(f"#{document.root}", document.place)
    public = [RuleRef(f"#{rule.id}", rule.place) for rule in document.rules.values() if rule.is_public]
    if not public:
        raise DocumentError("<grammar>: has neither a root nor a public rule", document.place)
    return public[0] if len(public) == 1 else OneOf(tuple(public))


def _rule(document: Document, name: str, place: Place) -> Rule:
    if name not in document.rules:
        raise DocumentError(f"there is no rule {name[:60]!r} in {document.uri[:80]}", place)
    return document.rules[name]


def _public(document: Document, name: str, place: Place) -> Rule:
    rule = _rule(document, name, place)
    if not rule.is_public and name != document.root:
        raise DocumentError(f"rule {name[:60]!r} of {document.uri[:80]} is private", place)
    return rule
