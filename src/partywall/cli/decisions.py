"""Decisions as people read them on a terminal: a table that fits its width, or one coloured line each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import click
from rich.table import Table

from partywall.cli.console import plain_table, printable
from partywall.trail import DecisionRecord, PolicyResult, Verdict
from partywall.trail.export import to_text

__all__ = ["decisions_table", "short_id", "styled_line"]

_COLOURS: Final = {Verdict.ALLOW: "green", Verdict.BLOCK: "red", Verdict.REDACT: "yellow", Verdict.ESCALATE: "magenta"}
_WHOLE_ID_COLUMNS: Final = 140
"""From this width on there is room for whole ids; a narrower table shows their last digits, which tell them apart."""
_ID_DIGITS: Final = 8


def decisions_table(
    records: Iterable[DecisionRecord], *, columns: int, title: str | None = None, with_tenant: bool = True
) -> Table:
    """A table of `records` for a terminal of so many columns; a line each, the reason cut where it must be."""
    shown = list(records)
    today = _moment(time.time())[:10]
    from_ = 11 if all(_moment(record.time).startswith(today) for record in shown) else 0
    table = plain_table(title)
    table.add_column("UTC", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if with_tenant:
        table.add_column("tenant", no_wrap=True)
    table.add_column("path", no_wrap=True, overflow="ellipsis", max_width=26)
    table.add_column("status", no_wrap=True)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("decision", no_wrap=True)
    table.expand = True
    for record in shown:
        tenant = [printable(record.tenant or "-")] if with_tenant else []
        table.add_row(
            _moment(record.time)[from_:],
            printable(record.verdict.value, _COLOURS[record.verdict]),
            *tenant,
            printable(record.path),
            "-" if record.status is None else str(record.status),
            printable(_why(record)),
            short_id(record.id, columns),
        )
    return table


def styled_line(record: DecisionRecord) -> str:
    """The line of `trail.export.to_text`, with its verdict coloured unless `NO_COLOR` is set."""
    line = to_text(record)
    if os.environ.get("NO_COLOR"):
        return line
    verdict = record.verdict.upper()
    # The line begins with the time, in which no verdict's name can stand; what clients sent comes behind.
    return line.replace(verdict, click.style(verdict, fg=_COLOURS[record.verdict]), 1)


def short_id(decision_id: str, columns: int) -> str:
    """The id as there is room for it in a table of so many columns."""
    return decision_id if columns >= _WHOLE_ID_COLUMNS else f"…{decision_id[-_ID_DIGITS:]}"


def _moment(seconds: float) -> str:
    """Date and time; the same width beyond the calendar's end, for a record that claims to be from there."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??:??"


def _why(record: DecisionRecord) -> str:
    """The refusal; else what policies changed or took note of; else what was used."""
    if record.code is not None:
        return f"{record.code}: {record.reason}"
    remarks = [policy.reason for policy in record.policies if _is_remark(policy)]
    if remarks:
        return "; ".join(remarks)
    if record.outcome is None:
        return "running"
    tokens = f", {record.tokens_in} tokens in, {record.tokens_out} out" if record.tokens_in is not None else ""
    return f"{record.upstream}{tokens}" if record.upstream is not None else record.outcome


def _is_remark(policy: PolicyResult) -> bool:
    return policy.verdict is not Verdict.ALLOW or policy.kind == "strip"
