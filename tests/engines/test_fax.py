"""What is checked before there is a fax."""

from __future__ import annotations

import numpy as np
import pytest

from focus.engines.fax import BadHeader, BadIdentity, BadPages, Concealment, folded, header_of, identity_of, page_ranges


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("1", ((1, 1),)),
        ("2-5", ((2, 5),)),
        ("1-2,5", ((1, 2), (5, 5))),
        (" 1 - 2 , 5 ", ((1, 2), (5, 5))),
        ("5,1-2,2-3", ((5, 5), (1, 2), (2, 3))),
    ],
)
def test_a_list_of_pages_is_read(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert page_ranges(text) == ranges


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no page"),
        ("1,", "'' is no page"),
        ("a", "'a' is no page"),
        ("1-", "'1-' is no page"),
        ("-2", "'-2' is no page"),
        ("1-2-3", "'1-2-3' is no page"),
        ("1;2", "'1;2' is no page"),
        ("0", "counted from 1"),
        ("0-3", "counted from 1"),
        ("5-2", "'5-2' is an empty range"),
        ("1" * 7, "is no page"),
        ("\u0661", "is no page"),
        (",".join("1" * 1001), "more than 1000 ranges"),
    ],
)
def test_what_is_no_list_of_pages_is_told_so(text: str, reason: str) -> None:
    with pytest.raises(BadPages, match=reason):
        page_ranges(text)


def test_text_is_folded_to_what_a_fax_can_say() -> None:
    assert folded("Größe: Ångström \u2013 \u201cŁódź\u201d") == 'Grosse: Angstrom - "Lodz"'
    assert folded("日本\ttelefon\n") == "?? telefon"
    assert identity_of(" +49 30 123456 ") == "+49 30 123456"
    assert header_of("x" * 50) == "x" * 50


def test_what_does_not_fit_is_refused_by_its_length_as_sent() -> None:
    assert len(identity_of("1" * 20)) == 20
    with pytest.raises(BadIdentity, match="21 characters, where 20"):
        identity_of("ß" + "1" * 19)
    with pytest.raises(BadHeader, match="51 characters, where 50"):
        header_of("x" * 51)


def test_a_lost_frame_is_the_last_one_again() -> None:
    concealment = Concealment()
    assert not concealment.lost(160).any()
    frame = np.arange(1, 161, dtype=np.int16)
    assert concealment.arrived(frame) is frame
    assert (concealment.lost(160) == frame).all()
    assert (concealment.lost(80) == frame[:80]).all()
    assert (concealment.lost(320) == np.concatenate([frame, frame])).all()
    assert concealment.lost(160).dtype == np.int16
