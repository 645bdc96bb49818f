"""The report for programs, as JSON.

Promises: keys are only ever added; `level`, `rule` and the place's numbers mean what they mean in the text.
"""

from __future__ import annotations

import orjson

from partywall.config.problems import dotted
from partywall.lint.findings import Finding, Level, Report
from partywall.lint.registry import rule_of

__all__ = ["render_json"]


def render_json(report: Report, *, source: str | None = None) -> str:
    """The report as one JSON object, with a final line break."""
    answer = {
        "source": report.source if source is None else source,
        "sha256": report.digest,
        "summary": {level.value: report.count(level) for level in Level},
        "findings": [_finding(finding) for finding in report.findings],
    }
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _finding(finding: Finding) -> dict[str, object]:
    rule, place = rule_of(finding.rule), finding.place
    return {
        "rule": finding.rule,
        "level": finding.level.value,
        "message": finding.message,
        "path": dotted(finding.path),
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
        "end_line": None if place is None else place.end_line,
        "end_column": None if place is None else place.end_column,
        "title": rule.title,
        "why": rule.why,
        "mend": rule.mend,
    }
