"""A section's result, and the ways it is written: Markdown between markers of a document, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["TIMES", "Part", "Report", "markdown", "replace_section", "table", "write_document"]

TIMES = "\N{MULTIPLICATION SIGN}"
_QUIET = 0.05

_OPENING = """\
# Benchmarks

What partywall costs, measured beside other gateways on one machine in one run. `make bench` writes the sections below
again; `python -m bench --all` also installs and measures Portkey and LiteLLM. The harness is in `bench/`.

Read ratios, not microseconds: absolute values move by up to 1.8 times between runs and machines.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several tables of a section, with a heading and notes of its own."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a section found: a table for people or several, notes under it, and the figures for programs."""

    name: str
    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    data: dict[str, object] = field(default_factory=dict)
    parts: Sequence[Part] = ()

    def with_foreign_load(self, share: float) -> Report:
        """The same with a note on how much of the machine others used meanwhile, and what that means."""
        verdict = "; the figures are noisy, run it again on a quiet machine" if share > _QUIET else ""
        note = f"Other processes used {share:.0%} of the machine during the run{verdict}."
        return replace(self, notes=[*self.notes, note], data={**self.data, "foreign_load": round(share, 3)})


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns lined up; `|` and line ends inside cells are made harmless."""
    cells = [[_cell(text) for text in row] for row in [columns, *rows]]
    widths = [max(3, *(len(row[index]) for row in cells)) for index in range(len(columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def markdown(report: Report, place: str, command: str) -> str:
    """The whole section: heading, tables, notes, then where and how all of it was measured."""
    blocks = [f"## {report.title}"]
    if report.columns:
        blocks.append(table(report.columns, report.rows))
    for part in report.parts:
        blocks += [f"### {part.title}", table(part.columns, part.rows)]
        if part.notes:
            blocks.append(_list(part.notes))
    if report.parts:
        blocks.append("### Where and how")
    blocks.append(_list([*report.notes, f"{place} `{command}`"]))
    return "\n\n".join(blocks) + "\n"


def _list(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)


def replace_section(text: str, name: str, section: str) -> str:
    """`text` with what stands between the markers of `name` replaced, or added at the end.

    Raises:
        ValueError: one of the two markers is missing, or they stand the wrong way round.
    """
    start, end = f"<!-- bench:{name}:start -->", f"<!-- bench:{name}:end -->"
    block = f"{start}\n{section.strip()}\n{end}"
    if start not in text and end not in text:
        return f"{text.rstrip()}\n\n{block}\n"
    head, found_start, rest = text.partition(start)
    _, found_end, tail = rest.partition(end)
    if not (found_start and found_end):
        raise ValueError(f"the markers of the section `{name}` don't pair up")
    return head + block + tail


def write_document(path: Path, sections: dict[str, str]) -> None:
    """Put each section in its place in `path`, which is made when it isn't there."""
    text = path.read_text(encoding="utf-8") if path.exists() else _OPENING
    for name, section in sections.items():
        text = replace_section(text, name, section)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
