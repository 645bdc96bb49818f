"""Glob lists, compiled once.

Promises: `*`, `?` and `[…]` as in `fnmatch`, case-sensitive, over the whole name; an empty list matches nothing.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["Matcher", "matcher"]

Matcher = Callable[[str], bool]

_MAGIC: Final = frozenset("*?[")


def matcher(globs: Iterable[str]) -> Matcher:
    """A function that tells whether a name matches one of `globs`.

    Nearly all globs of documents are whole names or end in their only `*`; those need no regular expression.
    """
    names: set[str] = set()
    beginnings: tuple[str, ...] = ()
    patterns: list[str] = []
    for glob in globs:
        stem = glob.removesuffix("*")
        if not _MAGIC.isdisjoint(stem):
            patterns.append(fnmatch.translate(glob))
        elif stem == glob:
            names.add(glob)
        else:
            beginnings += (stem,)
    if patterns:
        match = re.compile("|".join(f"(?:{pattern})" for pattern in patterns)).match
        return lambda name: name in names or name.startswith(beginnings) or match(name) is not None
    if names or beginnings:
        return lambda name: name in names or name.startswith(beginnings)
    return _nothing


def _nothing(_name: str) -> bool:
    return False
