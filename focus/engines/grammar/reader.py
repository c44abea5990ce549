"""An SRGS XML document (SRGS 1.0, the XML form), checked, as rules.

What the text does not allow is refused with its place. More tolerant than it: a grammar needs no `xml:lang`, and in one
of mode "dtmf" keys may be written together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote, urljoin, urlsplit

from focus.engines import markup
from focus.engines.grammar import tokens
from focus.engines.grammar.expansions import (
    Document,
    Expansion,
    Mode,
    OneOf,
    Repeat,
    Rule,
    RuleRef,
    Series,
    Special,
    Tag,
    Words,
)
from focus.engines.grammar.limits import MAX_TOKENS
from focus.engines.markup import DocumentError, Element, Place, Text

NAMESPACE = "http://www.w3.org/2001/06/grammar"
LITERALS, SCRIPTS = "semantics/1.0-literals", "semantics/1.0"
XML_TYPES = frozenset({"application/srgs+xml", "application/xml", "text/xml"})

#: Attributes that each element may have, beside those of other namespaces.
_ATTRIBUTES = {
    "grammar": {"version", "root", "mode", "tag-format", "xml:lang", "xml:base"},
    "rule": {"id", "scope"},
    "item": {"repeat", "repeat-prob", "weight", "xml:lang"},
    "one-of": {"xml:lang"},
    "ruleref": {"uri", "special", "type", "xml:lang"},
    "token": {"xml:lang"},
    "tag": set[str](),
    "example": set[str](),
    "meta": {"name", "http-equiv", "content"},
    "metadata": None,
    "lexicon": {"uri", "type"},
}
_HEADER = frozenset({"meta", "metadata", "lexicon", "tag"})
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_TIMES = re.compile(r"(\d+)(-(\d*))?", re.ASCII)
_ID = re.compile(r"[^\W\d][\w.\-]*")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")


def read(document: str | bytes, uri: str, source: str | None = None, mode: Mode | None = None) -> Document:
    """The document at `uri` ("" if it has none); `source` is what places call it, by default the URI.

    `mode` counts where the document does not say one, and is what it must be where it does. Raises `DocumentError`.
    """
    source = source or uri or "grammar"
    start = document[:64].lstrip("\ufeff \t\r\n") if isinstance(document, str) else document[:64].lstrip(b" \t\r\n")
    if start[:5] in ("#ABNF", b"#ABNF"):
        raise DocumentError("this is SRGS' ABNF form; only its XML form is read", Place(source, 1, 1))
    return _Reader(markup.read(document, source), uri, mode).document()


class _Reader:
    def __init__(self, root: Element, uri: str, mode: Mode | None) -> None:
        self.grammar = root
        self.uri = uri
        if root.name != "grammar" or root.namespace != NAMESPACE:
            raise root.fault(f"not a <grammar xmlns='{NAMESPACE}'>")
        self.check(root)
        if root.attributes.get("version") != "1.0":
            raise root.fault("version must be '1.0'")
        self.mode = self._mode(mode)
        self.base = self._base()
        self.references: list[RuleRef] = []
        self.remarks: list[str] = []
        self.reads_tags = self._reads_tags()
        self.has_values = False

    def _mode(self, wanted: Mode | None) -> Mode:
        said = self.grammar.attributes.get("mode")
        if said is None:
            return wanted or Mode.VOICE
        if said not in ("dtmf", "voice"):
            raise self.grammar.fault(f"mode must be 'dtmf' or 'voice', not {said[:40]!r}")
        if wanted is not None and said != wanted.value:
            raise self.grammar.fault(f"its mode is {said!r}, but {wanted.value!r} is wanted")
        return Mode(said)

    def _base(self) -> str:
        try:
            return urljoin(self.uri, self.grammar.attributes.get("xml:base", ""))
        except ValueError as error:
            raise self.grammar.fault(f"xml:base: {error}") from None

    def _reads_tags(self) -> bool:
        """Without a tag-format tags are literals. Scripts are not run: the interpretation is then the raw input."""
        said = self.grammar.attributes.get("tag-format", LITERALS)
        if said not in (LITERALS, SCRIPTS):
            raise self.grammar.fault(f"tag-format {said[:60]!r} is not supported ({LITERALS} is)")
        if said == SCRIPTS:
            self.remarks.append(f"tag-format {SCRIPTS}: scripts are not run, the interpretation is the raw input")
        return said == LITERALS

    def document(self) -> Document:
        rules: dict[str, Rule] = {}
        for child in self.content(self.grammar):
            if isinstance(child, Text):
                raise DocumentError("<grammar>: text outside of a rule", child.place_of(_first(child)))
            if child.name in _HEADER:
                if rules:
                    raise child.fault("belongs before the first rule")
                self.check(child)
            elif child.name == "rule":
                rule = self.rule(child)
                if rule.id in rules:
                    raise child.fault(f"there are two rules {rule.id!r}")
                rules[rule.id] = rule
            else:
                raise child.fault("does not belong directly into <grammar>")
        root = self.grammar.attributes.get("root")
        if root is not None and root not in rules:
            raise self.grammar.fault(f"root is {root[:60]!r}, but there is no such rule")
        if not rules:
            raise self.grammar.fault("there is no rule in it")
        self._check_local_references(rules)
        external = tuple(reference for reference in self.references if not reference.uri.startswith("#"))
        return Document(
            self.uri, self.base, self.mode, self.grammar.attributes.get("xml:lang"), root, rules, external,
            self.has_values, self.grammar.place, tuple(self.remarks),
        )  # fmt: skip

    def _check_local_references(self, rules: dict[str, Rule]) -> None:
        for reference in self.references:
            if reference.uri.startswith("#") and reference.uri[1:] not in rules:
                raise DocumentError(f"<ruleref>: there is no rule {reference.uri[1:61]!r}", reference.place)

    # --- elements -----------------------------------------------------------------------------------------------------

    def check(self, element: Element) -> None:
        """Its name and its attributes."""
        allowed = _ATTRIBUTES.get(element.name)
        if element.namespace != NAMESPACE or element.name not in _ATTRIBUTES:
            raise element.fault("no element of SRGS")
        for name, value in element.attributes.items():
            if allowed is not None and name not in allowed and not name.startswith("{"):
                raise element.fault(f"attribute {name!r} does not belong here")
            if name == "xml:lang" and not _LANGUAGE.fullmatch(value):
                raise element.fault(f"xml:lang {value[:40]!r} is no language")

    def content(self, element: Element) -> list[Element | Text]:
        """Its children, without white space."""
        return [child for child in element.children if isinstance(child, Element) or str(child).strip()]

    def plain_text(self, element: Element) -> Text:
        for child in element.elements:
            raise child.fault(f"does not belong into <{element.name}>")
        return element.text()

    def rule(self, element: Element) -> Rule:
        self.check(element)
        id_, scope = element.attributes.get("id"), element.attributes.get("scope", "private")
        if id_ is None:
            raise element.fault("has no id")
        if not _ID.fullmatch(id_) or id_ in Special.__members__:
            raise element.fault(f"{id_[:60]!r} cannot be the id of a rule")
        if scope not in ("private", "public"):
            raise element.fault(f"scope must be 'private' or 'public', not {scope[:40]!r}")
        content = self.content(element)
        while content and isinstance(content[0], Element) and content[0].name == "example":
            self.check(content[0])
            del content[0]
        if not content:
            raise element.fault(f"{id_!r} is empty (<ruleref special='NULL'/> says so, if it should be)")
        return Rule(id_, scope == "public", self.series(content), element.place)

    def series(self, content: list[Element | Text]) -> Expansion:
        parts: list[Expansion] = []
        for child in content:
            if isinstance(child, Text):
                if words := tokens.of_grammar(child, self.mode):
                    parts.append(Words(words))
            elif (expansion := self.expansion(child)) != Series(()):
                parts.append(expansion)
        return parts[0] if len(parts) == 1 else Series(tuple(parts))

    def expansion(self, element: Element) -> Expansion:
        self.check(element)
        readers: dict[str, Callable[[Element], Expansion]] = {
            "item": self.item,
            "one-of": self.one_of,
            "ruleref": self.ruleref,
            "token": lambda token: Words(tokens.of_token(self.plain_text(token), self.mode)),
            "tag": self.tag,
        }
        if element.name not in readers:
            raise element.fault("does not belong into a rule here")
        return readers[element.name](element)

    def tag(self, element: Element) -> Expansion:
        literal = str(self.plain_text(element)).strip()
        if not self.reads_tags:
            return Series(())
        self.has_values = True
        return Tag(literal)

    def item(self, element: Element) -> Expansion:
        _weight(element)  # which means something in a <one-of> alone, and must be one everywhere
        what = self.series(self.content(element))
        repeat, probability = element.attributes.get("repeat"), element.attributes.get("repeat-prob")
        chance = None if probability is None else _number(element, "repeat-prob", probability)
        if chance is not None and chance > 1:
            raise element.fault("repeat-prob must be between 0 and 1")
        if repeat is None:
            return what
        least, most = _times(element, repeat)
        return what if (least, most) == (1, 1) else Repeat(what, least, most, chance)

    def one_of(self, element: Element) -> Expansion:
        alternatives, weights, is_weighted = [], [], False
        for child in self.content(element):
            if isinstance(child, Text):
                raise DocumentError("<one-of>: text outside of an <item>", child.place_of(_first(child)))
            self.check(child)
            if child.name != "item":
                raise child.fault("does not belong directly into <one-of>; an <item> does")
            is_weighted |= "weight" in child.attributes
            weights.append(_weight(child))
            alternatives.append(self.item(child))
        if not alternatives:
            raise element.fault("there is no <item> in it")
        return OneOf(tuple(alternatives), tuple(weights) if is_weighted else None)

    def ruleref(self, element: Element) -> Expansion:
        uri, special = element.attributes.get("uri"), element.attributes.get("special")
        if self.content(element):
            raise element.fault("must be empty")
        if (uri is None) == (special is None):
            raise element.fault("needs either uri or special")
        if special is not None:
            if special not in Special.__members__:
                raise element.fault(f"special must be NULL, VOID or GARBAGE, not {special[:40]!r}")
            return Special(special)
        assert uri is not None
        type_ = element.attributes.get("type")
        if type_ is not None and type_.partition(";")[0].strip().lower() not in XML_TYPES:
            raise element.fault(f"grammars of type {type_[:60]!r} are not read")
        reference = RuleRef(self.resolved(element, uri.strip()), element.place)
        self.references.append(reference)
        return reference

    def resolved(self, element: Element, uri: str) -> str:
        if uri.startswith("#"):
            return unquote(uri)
        if uri.startswith("builtin:"):
            return uri
        try:
            absolute = urljoin(self.base, uri)
            urlsplit(absolute)
        except ValueError as error:
            raise element.fault(f"{uri[:80]!r} is no URI: {error}") from None
        if not re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", absolute):
            raise element.fault(f"{uri[:80]!r} is relative, and nothing says to what")
        return absolute


def _first(text: Text) -> int:
    """Where its first character is that is no white space."""
    written = str(text)
    return len(written) - len(written.lstrip())


def _number(element: Element, name: str, written: str) -> float:
    if not _NUMBER.fullmatch(written.strip()) or len(written) > 40:
        raise element.fault(f"{name} must be a number such as 0.5, not {written[:40]!r}")
    return float(written)


def _weight(item: Element) -> float:
    written = item.attributes.get("weight")
    return 1.0 if written is None else _number(item, "weight", written)


def _times(element: Element, written: str) -> tuple[int, int | None]:
    found = _TIMES.fullmatch(written.strip())
    if found is None or len(written) > 40:
        raise element.fault(f"repeat must be as '3', '0-1' or '2-', not {written[:40]!r}")
    least = int(found[1])
    most = least if found[2] is None else int(found[3]) if found[3] else None
    if most is not None and most < least:
        raise element.fault(f"repeat {written!r} ends before it begins")
    if least > MAX_TOKENS:
        raise element.fault(f"repeat {written!r}: no input is longer than {MAX_TOKENS} tokens")
    return least, most
