"""A text cut into pieces that can be found and cited.

Promises: a piece is exactly what stands in the text from `start` to `end`, no longer than the size, and every character
that isn't white space is in at least one. Pieces end at headings, else paragraphs, sentences or words, where there are
any; beside a heading they overlap nothing, elsewhere a little, so that a thought on the border is in one of them whole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

__all__ = ["OVERLAP", "SIZE", "Span", "cut"]

SIZE: Final = 1000
OVERLAP: Final = 150

_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n")
_SENTENCE: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f]\s|\n")
_WORD: Final = re.compile(r"\s")


class Span(NamedTuple):
    """A piece of a text: its first character, and the one behind its last."""

    start: int
    end: int


def cut(text: str, headings: Sequence[int] = (), *, size: int = SIZE, overlap: int = OVERLAP) -> Iterator[Span]:
    """The pieces of `text`, in order. `headings` are the places where headings begin, ascending."""
    if not 0 <= overlap < size // 2:
        raise ValueError("the overlap is less than half of the size")
    start = 0
    while (start := _skip_space(text, start)) < len(text):
        end, at_heading = _end(text, start, headings, size)
        yield Span(start, start + len(text[start:end].rstrip()))
        if end >= len(text):
            return
        start = end if at_heading else _overlapping(text, start, end, overlap)


def _end(text: str, start: int, headings: Sequence[int], size: int) -> tuple[int, bool]:
    """Where the piece that begins at `start` ends, and whether a heading begins there."""
    limit = min(start + size, len(text))
    following = bisect_right(headings, start + size // 4)
    if following < len(headings) and headings[following] <= limit:
        return headings[following], True
    if limit == len(text):
        return limit, False
    for border in (_PARAGRAPH, _SENTENCE, _WORD):
        ends = [found.end() for found in border.finditer(text, start + size // 2, limit)]
        if ends:
            return ends[-1], False
    return limit, False


def _overlapping(text: str, start: int, end: int, overlap: int) -> int:
    """Where the next piece begins: at a word, at most `overlap` before the end of the last."""
    found = _WORD.search(text, max(start + 1, end - overlap), end)
    return end if found is None else found.end()


def _skip_space(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start
