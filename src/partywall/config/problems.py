"""What is wrong with a document, as one error that lists every problem with its place.

Promises: each problem says what, where (file, line, column, with the line and a caret), why and what to do; the
exception holds no part of the document but lines with their secrets masked, so it may be logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from partywall.config.masking import masked_path
from partywall.config.places import Place, PlaceIndex
from partywall.errors import ConfigError

__all__ = ["DocumentInvalid", "Problem", "dotted", "problem_at"]

_SHOWN: Final = 50
"""One mistake in a generated document is ten thousand problems; people read the first few."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `path` leads to the value and has its secrets masked; `place` is None for what concerns the file itself; `snippet`
    is the line with carets; `hint` says what to do, and may be empty.
    """

    place: Place | None
    path: tuple[str | int, ...]
    message: str
    hint: str = ""
    snippet: str = ""

    def render(self, source: str) -> str:
        """The problem for people, in one to four lines."""
        where = f"{source}:{self.place.line}:{self.place.column}" if self.place is not None else source
        within = f" (at `{dotted(self.path)}`)" if self.path else ""
        lines = [f"{where}: {self.message}{within}"]
        if self.snippet:
            lines.append(self.snippet)
        if self.hint:
            lines.append(f"      = {self.hint}" if self.snippet else f"  {self.hint}")
        return "\n".join(lines)


class DocumentInvalid(ConfigError):
    """The document can't be used. `problems` has every reason, in the order of the document."""

    problems: tuple[Problem, ...]
    source: str

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=_in_document_order))
        super().__init__(_render(source, self.problems))


def problem_at(
    index: PlaceIndex, path: Sequence[str | int], message: str, hint: str = "", *, key: bool = False
) -> Problem:
    """The problem with what is at `path` of a document, or with its key; `message` must hold no secret."""
    place = index.place(path, key=key)
    return Problem(place, masked_path(path), message, hint, index.snippet(place))


def dotted(path: Sequence[str | int]) -> str:
    """`path` as people write it: `routes[0].upstream`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _in_document_order(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place is not None else (0, 0)


def _render(source: str, problems: Sequence[Problem]) -> str:
    parts = [problem.render(source) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        parts.append(f"and {len(problems) - _SHOWN} more")
    if len(problems) > 1:
        parts.append(f"{source}: {len(problems)} problems; nothing of the document is in use")
    return "\n".join(parts)
