"""The parts of a JID as servers write them: nodeprep (RFC 6122 appendix A), which Prosody and ejabberd follow still,
and nameprep (RFC 3491).

What comes in a stanza's `to` and `from` is prepared already. Names that clients give inside of elements are not.
"""

from __future__ import annotations

import re
import stringprep
from encodings import idna
from ipaddress import IPv6Address
from typing import Final
from unicodedata import ucd_3_2_0

MAX_BYTES: Final = 1023

#: Spaces and controls in ASCII, and what would end a local part (appendix A.5).
_FORBIDDEN = re.compile(r"""[\x00-\x20\x7f"&'/:<>@]""")

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepared(local: str) -> str:
    """`local` in the one form in which it is compared. What has no meaning in Unicode 3.2 stays as it is.

    Raises ValueError where it is no local part.
    """
    if local.isascii():
        mapped = local.lower()
    else:
        folded = "".join(_folded(char) for char in local if not stringprep.in_table_b1(char))
        mapped = ucd_3_2_0.normalize("NFKC", folded)
        if any(is_in(char) for char in mapped for is_in in _PROHIBITED):
            raise ValueError(f"characters that no local part may have: {local[:80]!r}")
        _check_direction(mapped)
    if _FORBIDDEN.search(mapped) or not 0 < len(mapped.encode()) <= MAX_BYTES:
        raise ValueError(f"not the local part of an address: {local[:80]!r}")
    return mapped


def prepared_domain(domain: str) -> str:
    """`domain` in the one form in which it is compared. Raises ValueError where it is no domain."""
    labels = [idna.nameprep(label) for label in domain.removesuffix(".").split(".")]
    mapped = ".".join(labels)
    if mapped.startswith("[") and mapped.endswith("]"):
        return f"[{IPv6Address(mapped[1:-1])}]"
    if _FORBIDDEN.search(mapped) or not all(label and "-" not in (label[0], label[-1]) for label in labels):
        raise ValueError(f"not the domain of an address: {domain[:80]!r}")
    return mapped


def _folded(char: str) -> str:
    """Table B.2, which the standard library goes beyond: with capitals that Unicode 3.2 does not know as such."""
    folded: str = stringprep.map_table_b2(char)
    return char if any(map(stringprep.in_table_a1, (char, *folded))) else folded


def _check_direction(text: str) -> None:
    """RFC 3454 section 6."""
    if any(map(stringprep.in_table_d1, text)) and (
        any(map(stringprep.in_table_d2, text))
        or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))
    ):
        raise ValueError(f"text in both directions: {text[:80]!r}")
