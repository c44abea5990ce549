"""A participant who reads documents by the letter of RFC 4575 sections 4.4 to 4.6, as trees, knowing nothing of ours.

What has a `state` is replaced, merged or removed by it, and by nothing else; what has none is replaced. Siblings of one
name are told apart by the key of the schema. Whatever is within a full element is full.
"""

from __future__ import annotations

import copy
from xml.etree import ElementTree as ET

STATEFUL = {"users", "user", "endpoint", "conf-uris", "service-uris", "uris", "associated-aors"}


def name(tree: ET.Element) -> str:
    return tree.tag.rpartition("}")[2]


def key(tree: ET.Element, parent: ET.Element) -> tuple[str, str | None]:
    own = name(tree)
    if own in ("user", "endpoint"):
        return own, tree.attrib["entity"]
    if own == "media":
        return own, tree.attrib["id"]
    if own == "entry" and name(parent) == "available-media":
        return own, tree.attrib["label"]
    if own == "entry" and name(parent) in STATEFUL:
        return own, next(each.text for each in tree if name(each) == "uri")
    return own, tree.text if own == "entry" else None


def taken(tree: ET.Element) -> ET.Element:
    """A full element, as it is kept."""
    kept = ET.Element(tree.tag, {key: value for key, value in tree.attrib.items() if key != "state"})
    kept.text = tree.text
    kept.extend(taken(each) for each in tree if each.get("state") != "deleted")
    return kept


def merge(known: ET.Element, news: ET.Element) -> None:
    for each in news:
        position = next((at for at, old in enumerate(known) if key(old, known) == key(each, news)), None)
        state = each.get("state", "full") if name(each) in STATEFUL else "full"
        if state == "partial" and position is not None:
            merge(known[position], each)
        elif position is not None and state == "deleted":
            del known[position]
        elif position is not None:
            known[position] = taken(each)
        elif state != "deleted":
            known.append(taken(each))


def canonical(tree: ET.Element, parent: ET.Element | None = None) -> object:
    """What a document says: the order of siblings says nothing."""
    ignored = {"state"} if parent is not None else {"state", "version", "sid"}
    attributes = {key: value for key, value in tree.attrib.items() if key not in ignored}
    children = sorted((canonical(each, tree) for each in tree), key=repr)
    return name(tree), sorted(attributes.items()), tree.text or "", children


class Receiver:
    """`document` is a full one. `read` says whether it was taken, was too old, or cannot be understood yet."""

    def __init__(self) -> None:
        self.document: ET.Element | None = None
        self.version: int | None = None

    def read(self, news: ET.Element) -> str:
        news = copy.deepcopy(news)
        version = int(news.attrib["version"])
        if self.version is not None and version <= self.version:
            return "stale"
        if news.attrib["state"] == "full":
            self.document = taken(news)
        elif self.document is None or self.version is None or version > self.version + 1:
            return "gap"
        else:
            merge(self.document, news)
        self.version = version
        return "applied"

    def says(self) -> object:
        return None if self.document is None else canonical(self.document)
