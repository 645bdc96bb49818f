"""What came of one row of the demo's table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one row. `decisions` are the ids of its requests' decisions; none for what is no request."""

    theme: str
    who: str
    what: str
    expected: str
    got: str
    decisions: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether it went as the scenario says."""
        return self.got == self.expected
