"""Which pages of a TIFF are whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from focus.engines import tiff
from focus.engines.fax import DocumentError
from focus.engines.tiff import Page
from tests.engines.faxes import FINE, STANDARD, page, pages_of, same, write


def test_pages_are_told_with_size_and_resolution(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tiff", [page(1), page(2, height=300)])
    assert tiff.read(path) == (Page((1728, 700), FINE), Page((1728, 300), FINE))
    assert tiff.read(write(path, [page(1)], STANDARD)) == (Page((1728, 700), STANDARD),)


def test_resolutions_are_for_an_inch(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    page(1).save(path, resolution_unit=3, x_resolution=80.3, y_resolution=77.2)
    assert tiff.read(path)[0].resolution == FINE
    page(1).save(path)
    assert tiff.read(path)[0].resolution in {(0, 0), (1, 1)}


def test_files_of_both_byte_orders_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    Image.new("L", (30, 20)).save(path)
    data = path.read_bytes()
    assert data[:2] == b"II"
    Image.new("I;16B", (30, 20)).save(path)
    assert path.read_bytes()[:2] == b"MM"
    assert [page.size for page in tiff.read(path)] == [(30, 20)]


@pytest.mark.parametrize("data", [b"", b"II*", b"%PDF-1.4", b"II+\0" + bytes(12)])
def test_what_is_no_tiff_is_told_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.tiff"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match="no TIFF"):
        tiff.read(path)
    with pytest.raises(DocumentError, match="no TIFF"):
        tiff.recover(path)


def test_a_file_without_a_page_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    path.write_bytes(b"II*\0\0\0\0\0rest")
    assert tiff.recover(path) == ()
    assert path.stat().st_size == 12


def test_a_whole_file_keeps_its_pages(tmp_path: Path) -> None:
    pages = [page(1), page(2)]
    path = write(tmp_path / "a.tiff", pages)
    assert tiff.recover(path) == tiff.read(path)
    data = path.read_bytes()
    assert len(tiff.recover(path)) == 2
    assert path.read_bytes() == data
    assert [same(*pair) for pair in zip(pages_of(path), pages, strict=True)] == [True, True]


def test_wherever_a_file_is_cut_its_whole_pages_are_kept(tmp_path: Path) -> None:
    pages = [page(number, height=100) for number in (1, 2, 3)]
    data = write(tmp_path / "a.tiff", pages).read_bytes()
    cut = tmp_path / "cut.tiff"
    found = []
    for length in range(8, len(data) + 1, 97):
        cut.write_bytes(data[:length])
        kept = tiff.recover(cut)
        found.append(len(kept))
        assert len(tiff.read(cut)) == len(kept)
        if kept:
            assert [same(*pair) for pair in zip(pages_of(cut), pages, strict=False)] == [True] * len(kept)
    assert found == sorted(found)
    assert set(found) >= {0, 1, 2}


def test_a_file_that_goes_in_circles_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tiff", [page(1, height=100)])
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    link = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[link : link + 4] = data[4:8]
    path.write_bytes(data)
    assert len(tiff.read(path)) == 1


@given(st.binary(max_size=400), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_whatever_a_file_holds_it_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes, start: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tiff"
    path.write_bytes(start + data)
    assert len(tiff.read(path)) == len(tiff.recover(path))
