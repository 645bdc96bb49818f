"""What a rule is: a question to the whole document, with the reason for asking and the mend.

Promises: every rule carries a bad document, which it finds fault with, and a good one, which it doesn't; the tests and
`docs/lint.md` use both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from partywall.config.places import Place
from partywall.lint.findings import Level, Path
from partywall.lint.subject import Subject

__all__ = ["Check", "Hit", "Rule"]


class Hit(NamedTuple):
    """One place that a rule objects to."""

    path: Path
    message: str
    place: Place | None = None
    """Given only for what isn't part of the data, such as a comment."""


Check = Callable[[Subject], Iterable[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `why` and `mend` are plain sentences; `bad` and `good` are whole documents."""

    id: str
    level: Level
    title: str
    why: str
    mend: str
    bad: str
    good: str
    check: Check
    also: frozenset[str] = frozenset()
    """Other rules that the bad document breaks too, because one mistake has two sides."""
