"""One line of a document with a caret under a place in it, as people read compilers' errors.

Promises: what is written to a terminal is printable (no escape sequence of the document reaches it), the caret stands
under the place whatever tabs and wide characters come before, and what is masked shows neither value nor length.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from partywall.config.masking import credential_spans, mask

__all__ = ["Span", "draw", "excerpt"]

_TAB: Final = "    "
_REACH: Final = 2_000
"""Characters looked at on each side of the place: a whole document may be one line of 64 MiB."""
_SHOWN_BEFORE: Final = 60
_SHOWN_IN_ALL: Final = 120

Span = tuple[int, int]


def draw(line: str, number: int, span: Span, masks: Iterable[Span] = ()) -> str:
    """Line `number` of a document, and carets under `span` of it (0-based, end exclusive), as two lines."""
    offset = max(0, span[0] - _REACH)
    line = line[offset : span[0] + _REACH]
    hidden = [*_moved(masks, offset, len(line)), *credential_spans(line)]
    start, end = _widened(_clamped(span, offset, len(line)), hidden)
    cells = _cells(line, hidden)
    first = _first_shown(cells, start)
    shown = cells[first : first + _SHOWN_IN_ALL]
    lead, tail = "…" if offset or first else "", "…" if first + _SHOWN_IN_ALL < len(cells) else ""
    indent = _width(lead) + sum(map(_width, shown[: start - first]))
    carets = max(1, sum(map(_width, shown[start - first : end - first])))
    margin = f"{number:>5} | "
    bar = " " * 5 + " | "
    return f"{margin}{lead}{''.join(shown)}{tail}".rstrip() + f"\n{bar}{' ' * indent}^{'~' * (carets - 1)}"


def excerpt(text: str, longest: int = 60) -> str:
    """The beginning of `text`, with nothing in it that a terminal could obey."""
    cut = text if len(text) <= longest else text[:longest] + "…"
    return "".join(_cell(character) for character in cut)


def _moved(masks: Iterable[Span], offset: int, length: int) -> list[Span]:
    moved = (_clamped(span, offset, length) for span in masks)
    return [span for span in moved if span[0] < span[1]]


def _clamped(span: Span, offset: int, length: int) -> Span:
    start = min(max(span[0] - offset, 0), length)
    return start, min(max(span[1] - offset, start), length)


def _widened(span: Span, hidden: Sequence[Span]) -> Span:
    start, end = span
    for from_, to in hidden:
        if max(start, from_) < min(end, to) or from_ <= start < to:
            start, end = min(start, from_), max(end, to)
    return start, end


def _cells(line: str, hidden: Sequence[Span]) -> list[str]:
    cells = [_cell(character) for character in line]
    for start, end in hidden:
        cells[start:end] = [mask(line[start:end]), *[""] * (end - start - 1)]
    return cells


def _cell(character: str) -> str:
    if character == "\t":
        return _TAB
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _first_shown(cells: Sequence[str], start: int) -> int:
    return 0 if len(cells) <= _SHOWN_IN_ALL else max(0, start - _SHOWN_BEFORE)


def _width(text: str) -> int:
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
