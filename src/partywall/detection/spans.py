"""Places in a text, and what becomes of places that overlap.

Promises: `settle` is deterministic and works from left to right, so that a stream and a whole text come to the same.
Every character of every span given is in a span returned: the one that starts first keeps its place, of those that
start together the longest; what is left of a later one behind it stays as a span of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Finding", "settle"]


class Finding(NamedTuple):
    """What was found, and where. Never the value itself. Offsets count characters of the text (or of the stream)."""

    entity: str
    start: int
    end: int


def settle(found: Iterable[tuple[int, int, int]], *, behind: int = 0) -> Iterator[tuple[int, int, int]]:
    """`(start, end, rank)` in order and apart, none of it before `behind`. The lower rank wins among equals."""
    for start, end, rank in sorted(found, key=lambda each: (each[0], -each[1], each[2])):
        if end > behind:
            yield max(start, behind), end, rank
            behind = end
