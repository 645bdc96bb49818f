"""Decision records as text: JSON, CSV, and a line for people.

Promises: JSON is one object without line breaks, so that records joined by newlines are JSON lines. A CSV cell that a
spreadsheet would run as a formula is defused with a leading apostrophe (OWASP, "CSV Injection"). A line for people
holds printable characters only: nothing that came from a client can move a terminal's cursor or forge a second line.

Doesn't promise: to hide anything. Who may see a record is decided before it gets here.
"""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final

import orjson

from partywall.trail.record import DecisionRecord

__all__ = ["CSV_COLUMNS", "to_csv_header", "to_csv_row", "to_json", "to_text"]

_NAMES: Final = tuple(field.name for field in fields(DecisionRecord) if field.init)
_FIRST: Final = ("time", "id", "tenant", "verdict", "code", "status", "outcome")
CSV_COLUMNS: Final = _FIRST + tuple(name for name in _NAMES if name not in _FIRST)
"""In the order in which people look for them."""

# The last four are the full-width forms that some spreadsheets fold to the first four.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def to_json(record: DecisionRecord) -> str:
    """One JSON object, in one line. `time` is RFC 3339 in UTC; what isn't known is null."""
    shown: dict[str, object] = {name: getattr(record, name) for name in _NAMES}
    shown["time"] = _time(record)
    return orjson.dumps(shown).decode()


def to_csv_header() -> str:
    """The first line of a CSV file, with its line end."""
    return _csv_line(list(CSV_COLUMNS))


def to_csv_row(record: DecisionRecord) -> str:
    """One line of a CSV file (RFC 4180), with its line end."""
    shown: dict[str, object] = {name: getattr(record, name) for name in CSV_COLUMNS}
    shown["time"] = _time(record)
    shown["policies"] = _policies(record)
    return _csv_line([_cell(value) for value in shown.values()])


def to_text(record: DecisionRecord) -> str:
    """One line for people, without its line end: when, verdict, whose, what was asked, how it ended, why, id."""
    parts = [
        _time(record),
        f"{record.verdict.upper():8}",
        record.tenant or "(no tenant)",
        record.method,
        record.path,
        *_named(model=record.model, upstream=record.upstream, user=record.user, role=record.role),
        *_ending(record),
        *_named(code=record.code, reason=record.reason or None),
        record.id,
    ]
    return " ".join(_printable(part) for part in parts)


def _ending(record: DecisionRecord) -> list[str]:
    if record.outcome is None:
        return ["running"]
    took = None if record.latency_ms is None else f"{record.latency_ms:.1f}ms"
    tokens = None
    if record.tokens_in is not None or record.tokens_out is not None:
        tokens = f"{_known(record.tokens_in)}/{_known(record.tokens_out)}"
    return [*_named(status=record.status), record.outcome, *_named(tokens=tokens, took=took)]


def _named(**values: object) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value is not None]


def _known(value: object) -> str:
    return "?" if value is None else str(value)


def _policies(record: DecisionRecord) -> str:
    said = (f"{policy.kind}@{policy.stage}: {policy.verdict} ({policy.reason})" for policy in record.policies)
    return "; ".join(said)


def _time(record: DecisionRecord) -> str:
    """RFC 3339; the bare number where the calendar ends."""
    try:
        when = datetime.fromtimestamp(record.time, UTC)
    except (OverflowError, ValueError, OSError):
        return str(record.time)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    # Numbers are ours and stay numbers; only text can carry somebody's formula.
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _printable(text: str) -> str:
    """`text` with everything invisible spelled out: escapes, line ends, bidirectional overrides."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
