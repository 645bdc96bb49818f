"""Glob lists, compiled once.

Promises: `*`, `?` and `[…]` as in `fnmatch`, case-sensitive, over the whole name; an empty list matches nothing.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable

__all__ = ["Matcher", "matcher"]

Matcher = Callable[[str], bool]


def matcher(globs: Iterable[str]) -> Matcher:
    """A function that tells whether a name matches one of `globs`."""
    patterns = [fnmatch.translate(glob) for glob in globs]
    if not patterns:
        return _nothing
    compiled = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return lambda name: compiled.match(name) is not None


def _nothing(_name: str) -> bool:
    return False
