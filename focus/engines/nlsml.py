"""Results of recognition as XEP-0327 wants them: NLSML, in the shape of its listing 72 (RFC 6787, section 6.3)."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from focus.engines.grammar import Matched, Mode

CONTENT_TYPE = "application/nlsml+xml"
NAMESPACE = "http://www.ietf.org/xml/ns/mrcpv2"

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def result(matched: Matched, confidence: float = 1) -> str:
    """The document for a match; `confidence` from 0 to 1 is written from 0 to 100, as in the listing.

    What the tags of a grammar mean is in `<instance/>`, which a grammar without tags does not have.
    """
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    mode = "dtmf" if matched.grammar.mode is Mode.DTMF else "speech"
    grammar = f" grammar={quoteattr(matched.grammar.uri)}" if matched.grammar.uri else ""
    instance = f"<instance>{_text(matched.meaning)}</instance>" if matched.is_tagged else ""
    return (
        f'<result xmlns="{NAMESPACE}"{grammar}><interpretation>'
        f'<input mode="{mode}" confidence="{round(100 * confidence)}">{_text(" ".join(matched.tokens))}</input>'
        f"{instance}</interpretation></result>"
    )


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))
