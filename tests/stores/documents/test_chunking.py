"""Pieces are exactly what stands in the text, none too long, nothing left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.stores.documents.chunking import OVERLAP, SIZE, cut

words = st.text(alphabet="ab .\n\t#\u00e9\u2003\U0001f600", max_size=400)
sizes = st.tuples(st.integers(4, 60), st.integers(0, 25)).filter(lambda pair: pair[1] < pair[0] // 2)


@given(words, st.lists(st.integers(0, 400), max_size=8), sizes)
def test_pieces_cover_the_text_and_say_where_they_stand(
    text: str, headings: list[int], size_and_overlap: tuple[int, int]
) -> None:
    size, overlap = size_and_overlap
    begins = sorted({place for place in headings if place < len(text)})
    spans = list(cut(text, begins, size=size, overlap=overlap))
    covered: set[int] = set()
    for span in spans:
        piece = text[span.start : span.end]
        assert 0 < len(piece) <= size
        assert piece == piece.strip()
        covered.update(range(span.start, span.end))
    assert {place for place, each in enumerate(text) if not each.isspace()} <= covered
    assert [span.start for span in spans] == sorted({span.start for span in spans})
    for one, other in pairwise(spans):
        assert one.end - other.start <= overlap


def test_a_long_text_is_cut_at_its_sentences_and_overlaps() -> None:
    text = " ".join(f"Sentence number {number} says something of its own." for number in range(200))
    spans = list(cut(text))
    assert len(spans) > len(text) // SIZE
    assert all(text[span.start : span.end].endswith(".") for span in spans)
    overlaps = [one.end - other.start for one, other in pairwise(spans)]
    assert all(0 < overlap <= OVERLAP for overlap in overlaps)


def test_a_heading_begins_a_piece() -> None:
    text = "intro " * 100 + "\n# Refunds\n" + "paid " * 20
    heading = text.index("# Refunds")
    assert heading in [span.start for span in cut(text, [heading])]


def test_paragraphs_stay_whole() -> None:
    text = "\n\n".join("paragraph " * 30 for _ in range(8))
    assert all(text[span.start : span.end].startswith("paragraph") for span in cut(text, overlap=0))


def test_nothing_has_no_pieces() -> None:
    assert list(cut("")) == list(cut(" \n\t ")) == []


@pytest.mark.parametrize("overlap", [-1, 500])
def test_an_overlap_that_would_not_end_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        list(cut("text", size=1000, overlap=overlap))
