"""The report for people: file, line and column, the line with a caret, and what to do.

Promises: nothing that a terminal could obey comes out of the document, and no secret. `why` and `mend` are said once
for each rule, with its first finding: ten thousand findings are usually one mistake.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from partywall.config.problems import dotted
from partywall.config.snippets import excerpt
from partywall.lint.findings import Finding, Level, Report
from partywall.lint.registry import rule_of

__all__ = ["render_text"]

_WIDTH = 110
_LONGEST = 500
_INDENT = " " * 6


def render_text(report: Report, *, source: str | None = None) -> str:
    """The report as text, with a final line break. `source` is what to call the file, if not by its path."""
    name = report.source if source is None else source
    explained: set[str] = set()
    parts: list[str] = []
    for finding in report.findings:
        parts.append("\n".join(_finding(finding, name, first=finding.rule not in explained)) + "\n")
        explained.add(finding.rule)
    parts.append(f"{name}: {_summary(report)}\n")
    return "\n".join(parts)


def _finding(finding: Finding, name: str, *, first: bool) -> Iterator[str]:
    place = f":{finding.place.line}:{finding.place.column}" if finding.place is not None else ""
    within = f" (at `{excerpt(dotted(finding.path), _LONGEST)}`)" if finding.path else ""
    yield f"{name}{place}: {finding.level}: {excerpt(finding.message, _LONGEST)}{within} [{finding.rule}]"
    if finding.snippet:
        yield finding.snippet
    if first:
        rule = rule_of(finding.rule)
        yield _wrapped("why:  ", rule.why)
        yield _wrapped("mend: ", rule.mend)


def _wrapped(label: str, text: str) -> str:
    lead = _INDENT + "= " + label
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(report: Report) -> str:
    if not report.findings:
        return "no findings"
    counts = ((report.count(level), level) for level in Level)
    return ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for count, level in counts if count)
