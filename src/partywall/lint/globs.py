"""Questions about globs as `policy.globs` matches them: `*`, `?` and `[…]`, case-sensitive, over the whole name."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

__all__ = ["is_literal", "matches_everything", "overlap"]

_ANY = "*"
_PART = re.compile(r"\*+|\[!?\]?[^\]]*\]|.", re.DOTALL)


def is_literal(glob: str) -> bool:
    """Whether `glob` matches one name only."""
    return not any(character in glob for character in "*?[")


def matches_everything(glob: str) -> bool:
    """Whether `glob` matches every name."""
    return _ANY in glob and set(glob) <= {"*", "?"} and glob.count("?") <= 1


def overlap(one: str, other: str) -> bool:
    """Whether some name matches both. Two `[…]` count as overlapping, whatever stands in them."""
    return _meet(tuple(_PART.findall(one)), tuple(_PART.findall(other)))


@lru_cache(maxsize=4096)
def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the parts of two globs can match the same text: column by column, without backtracking."""
    reachable = {0}
    for part in (*one, ""):
        if part.startswith(_ANY):
            reachable = set(range(min(reachable, default=len(other) + 1), len(other) + 1))
            continue
        reachable = _past_stars(reachable, other)
        if not part:
            return len(other) in reachable
        reachable = {after for at in reachable for after in _step(part, other, at)}
    return False


def _past_stars(reachable: set[int], parts: tuple[str, ...]) -> set[int]:
    """`reachable` and the positions behind stars, which may match nothing."""
    out = set(reachable)
    for at in sorted(reachable):
        while at < len(parts) and parts[at].startswith(_ANY):
            at += 1
            out.add(at)
    return out


def _step(part: str, parts: tuple[str, ...], at: int) -> tuple[int, ...]:
    """Where the other glob is after one character that `part` matches."""
    if at == len(parts):
        return ()
    if parts[at].startswith(_ANY):
        return (at,)
    return (at + 1,) if _share_a_character(part, parts[at]) else ()


def _share_a_character(one: str, other: str) -> bool:
    if len(one) > 1 and len(other) > 1:
        return True
    if "?" in (one, other):
        return True
    return fnmatch.fnmatchcase(one, other) if len(one) == 1 else fnmatch.fnmatchcase(other, one)
