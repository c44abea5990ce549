"""The contents of a session while they are talked about: offered, changed, removed, and what is always rejected
(XEP-0166 sections 7.2.2 to 7.2.5 and 7.2.15)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from focus.jingle.negotiation import Settled
from focus.wire.jingle import Action, Content, Jingle, Reason, foreign_parts

#: Actions of a peer that want an answer, which mostly is no.
QUESTIONS = frozenset({Action.CONTENT_ADD, Action.TRANSPORT_REPLACE})


class Contents:
    """What was offered, by either side, and the name of every content that was ever spoken of.

    `offer` is the peer's session-initiate as it stands by now, `foreign` what it has that is neither RTP nor ICE-UDP;
    `offered` is ours.
    """

    def __init__(self) -> None:
        self.offer: Jingle | None = None
        self.foreign: frozenset[str] = frozenset()
        self.offered: tuple[Content, ...] = ()
        self.names: set[str] = set()

    def mention(self, contents: Iterable[Content]) -> None:
        """The peer may speak of `contents` from now on."""
        self.names.update(content.name for content in contents)

    def offer_received(self, initiate: Jingle, tree: ET.Element) -> None:
        """The peer offers; `initiate` was read from `tree`."""
        self.offer, self.foreign = initiate, foreign_parts(tree)

    def offer_made(self, offered: tuple[Content, ...]) -> None:
        self.offered = offered
        self.mention(offered)

    def modify(self, contents: Iterable[Content]) -> None:
        """A content-modify that came before the answer changes the offer."""
        if self.offer is None:
            return
        senders = {content.name: content.senders for content in contents}
        changed = tuple(
            each.model_copy(update={"senders": senders.get(each.name, each.senders)}) for each in self.offer.contents
        )
        self.offer = self.offer.model_copy(update={"contents": changed})

    def remove(self, contents: Iterable[Content], settled: Settled | None) -> bool:
        """A content-remove. Returns whether the session is void now: what was `settled`, or offered, is gone."""
        removed = {content.name for content in contents}
        if settled is not None:
            return settled.name in removed
        if self.offer is None:
            return removed >= {content.name for content in self.offered}
        left = tuple(each for each in self.offer.contents if each.name not in removed)
        self.offer = self.offer.model_copy(update={"contents": left})
        return not left


def rejection(question: Jingle, foreign: frozenset[str] = frozenset()) -> Jingle:
    """The answer to one of `QUESTIONS`: one audio content over ICE-UDP is all there is (XEP-0176 section 6).

    `foreign` is what its contents have that is neither RTP nor ICE-UDP (`focus.wire.jingle.foreign_parts`).
    COMPAT (Dino): it refuses the rejection of a content, which does no harm.
    """
    if question.action is Action.TRANSPORT_REPLACE:
        contents = tuple(
            each.model_copy(
                update={
                    "description": None,
                    "transport": each.transport
                    and each.transport.model_copy(update={"candidates": (), "fingerprints": ()}),
                }
            )
            for each in question.contents
        )
        reason = Reason.of("unsupported-transports" if "transport" in foreign else "failed-transport")
        return Jingle(action=Action.TRANSPORT_REJECT, sid=question.sid, contents=contents, reason=reason)
    contents = tuple(each.model_copy(update={"description": None, "transport": None}) for each in question.contents)
    if any(each.description is None or each.description.media != "audio" for each in question.contents):
        reason = Reason.of("unsupported-applications")
    else:
        reason = Reason.of("unsupported-transports" if "transport" in foreign else "decline")
    return Jingle(action=Action.CONTENT_REJECT, sid=question.sid, contents=contents, reason=reason)
