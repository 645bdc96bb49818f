"""What lint says about a document.

Promises: a finding names its rule, its place and what is wrong there, and holds no secret of the document: messages
name ids and settings, snippets are masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from partywall.config.places import Place

__all__ = ["Finding", "Level", "Path", "Report"]

Path = tuple[str | int, ...]
"""Keys and indices that lead from the document's root to a value."""


class Level(StrEnum):
    """How bad it is, worst first."""

    ERROR = "error"
    """A tenant can reach what isn't its own, a wall that the document names isn't there, or `serve` would refuse it."""
    WARNING = "warning"
    """A way to weaken a wall, or an accident that waits to happen."""
    NOTE = "note"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found. `place` is None when it concerns the file as a whole."""

    rule: str
    level: Level
    path: Path
    message: str
    place: Place | None = None
    snippet: str = ""
    """The line at `place` with carets, secrets masked."""


@dataclass(frozen=True, slots=True)
class Report:
    """Every finding of one document, in the document's order."""

    source: str
    digest: str
    """SHA-256 of the file's bytes, hex: which version was judged."""
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """How many findings are of `level`."""
        return sum(finding.level is level for finding in self.findings)

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.level is Level.ERROR for finding in self.findings)
