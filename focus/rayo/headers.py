"""Headers of Rayo (XEP-0327 section 6.7): as Jingle carries them, and those by which its reasons are chosen."""

from __future__ import annotations

from collections.abc import Iterable

from focus.wire.jingle import Reason
from focus.wire.rayo import Header
from focus.wire.shim import Shim

#: The header of a `<hangup/>` that chooses the Jingle reason which the peer is given.
REASON_HEADER = "jingle-reason"
#: Headers of a `<hangup/>` or `<reject/>` for what goes with that reason: a text for people, and where to call instead.
TEXT_HEADER, REDIRECT_HEADER = "jingle-text", "jingle-redirect"


def to_shim(headers: Iterable[Header]) -> Shim | None:
    """Rayo's headers as Jingle carries them (section 6.7): in order, none left out."""
    return Shim.of((header.name, header.value) for header in headers)


def from_shim(shim: Shim | None) -> tuple[Header, ...]:
    return tuple(Header(name=name, value=value) for name, value in shim.pairs) if shim else ()


def wanted_reason(condition: str, headers: Iterable[Header]) -> Reason:
    """The reason with `condition`, or `success` where Jingle has none such, and with what the headers say besides."""
    said = {header.name: header.value for header in headers}
    text, redirect = said.get(TEXT_HEADER) or None, said.get(REDIRECT_HEADER) or None
    try:
        return Reason.of(condition, text, redirect=redirect)
    except KeyError:
        return Reason.of("success", text, redirect=redirect)


def for_peer(headers: Iterable[Header], *others: str) -> list[Header]:
    """Those that are not for us."""
    ours = (TEXT_HEADER, REDIRECT_HEADER, *others)
    return [header for header in headers if header.name not in ours]
