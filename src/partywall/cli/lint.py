"""`partywall lint`: 0 when nothing is an error, 1 when something is, 2 when the document can't be read.

Promises: with `--format json` or `sarif`, standard output is one valid document of that form whatever happens: what
can't be read is described in it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

import click
import orjson

from partywall.cli.options import format_option
from partywall.config import Document, DocumentInvalid, load_bytes
from partywall.config.loading import read
from partywall.config.problems import Problem, dotted
from partywall.lint import (
    Report,
    explain,
    lint_bytes,
    render_explain_json,
    render_explain_text,
    render_json,
    render_sarif,
    render_text,
)

__all__ = ["lint_command"]

_LEVEL: Final = re.compile(r"^(\S.*?: )(error|warning|note)(: )", re.MULTILINE)
_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}
_NO_DIGEST: Final = ""


@click.command("lint")
@click.argument("path", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--explain", "explains", is_flag=True, help="Show what runs for every group on every route, too.")
@format_option("text", "json", "sarif")
def lint_command(path: Path, explains: bool, form: str) -> None:  # noqa: FBT001  # click passes flags by position
    """Look for isolation faults in the document CONFIG.

    Ends with 0 when nothing is an error, 1 when something is, 2 when the document can't be read. docs/lint.md has every
    rule, with its reason and how to mend what it finds.
    """
    if explains and form == "sarif":
        raise click.UsageError("--explain is for people and for JSON; SARIF has no place for it")
    try:
        data = read(path)
        report = lint_bytes(data, path)
        document = load_bytes(Document, data, path).document if explains else None
    except DocumentInvalid as error:
        if form == "text":
            raise
        click.echo(_unreadable_sarif(error) if form == "sarif" else _unreadable_json(error))
        raise SystemExit(2) from None
    click.echo(_rendered(report, document, form), nl=False)
    raise SystemExit(1 if report.has_errors else 0)


def _rendered(report: Report, explained: Document | None, form: str) -> str:
    if form == "sarif":
        return render_sarif(report)
    if form == "json":
        return render_json(report) if explained is None else _with_pairs(report, explained)
    text = render_text(report)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        text = _LEVEL.sub(lambda found: f"{found[1]}{click.style(found[2], fg=_COLOURS[found[2]])}{found[3]}", text)
    return text if explained is None else f"{render_explain_text(explain(explained))}\n{text}"


def _with_pairs(report: Report, explained: Document) -> str:
    both = orjson.loads(render_json(report)) | orjson.loads(render_explain_json(explain(explained)))
    return orjson.dumps(both, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


# -- A document that can't be read ---------------------------------------------------------------------------------


def _unreadable_json(error: DocumentInvalid) -> bytes:
    problems = [
        {
            "message": problem.message,
            "hint": problem.hint,
            "path": dotted(problem.path),
            "line": None if problem.place is None else problem.place.line,
            "column": None if problem.place is None else problem.place.column,
        }
        for problem in error.problems
    ]
    return orjson.dumps({"source": error.source, "error": str(error), "problems": problems}, option=orjson.OPT_INDENT_2)


def _unreadable_sarif(error: DocumentInvalid) -> bytes:
    """A log whose one invocation failed, with a notification for each problem (SARIF 2.1.0, section 3.20.21)."""
    log = orjson.loads(render_sarif(Report(error.source, _NO_DIGEST, ())))
    run = log["runs"][0]
    uri = run.pop("artifacts")[0]["location"]["uri"]
    notifications = [_notification(problem, uri) for problem in error.problems]
    run["invocations"] = [{"executionSuccessful": False, "toolExecutionNotifications": notifications}]
    return orjson.dumps(log, option=orjson.OPT_INDENT_2)


def _notification(problem: Problem, uri: str) -> dict[str, object]:
    location: dict[str, object] = {"artifactLocation": {"uri": uri}}
    if problem.place is not None:
        location["region"] = {"startLine": problem.place.line, "startColumn": problem.place.column}
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return {"level": "error", "message": {"text": text}, "locations": [{"physicalLocation": location}]}
