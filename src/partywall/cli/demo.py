"""`partywall demo`: runs the scenario and prints what came of it. Ends with 0 only if everything was as expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console
from rich.table import Table

from partywall.cli.console import plain_table, printable, terminal
from partywall.cli.decisions import decisions_table, short_id
from partywall.cli.options import format_option
from partywall.errors import ConfigError
from partywall.trail.export import to_json

if TYPE_CHECKING:
    from partywall.demo.driver import Outcome, Report

__all__ = ["demo_command"]


@click.command("demo")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the data in this new directory.")
@format_option("text", "json")
def demo_command(data_dir: Path | None, form: str) -> None:
    """Watch two organisations try to get at each other.

    Starts a gateway on the document of examples/two-organisations.yaml and drives it over HTTP with the official
    clients of OpenAI and Anthropic. Ends with 1 when anything is not as expected.
    """
    if find_spec("openai") is None or find_spec("anthropic") is None:
        raise ConfigError("the demo drives the gateway with the official clients: pip install 'partywall[demo]'")
    if data_dir is not None and data_dir.exists():
        raise ConfigError(f"{data_dir}: exists already; the demo counts decisions and needs a directory of its own")
    from partywall.demo.driver import run_demo  # noqa: PLC0415  # needs the extra that was looked for just now

    with _progress() as tell:
        report = run_demo(data_dir, tell)
    if form == "json":
        click.echo(_json(report))
    else:
        _show(report)
    if report.as_expected < len(report.outcomes):
        raise SystemExit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A spinner with what is being done, on a terminal only."""
    err = terminal(stderr=True)
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status("…") as status:
        yield lambda doing: status.update(printable(doing))


def _json(report: Report) -> bytes:
    rows = [asdict(outcome) | {"as_expected": outcome.as_expected} for outcome in report.outcomes]
    decisions = {
        owner or "": [orjson.Fragment(to_json(record)) for record in records]
        for owner, records in report.decisions.items()
    }
    counts = {"rows": len(rows), "as_expected": report.as_expected}
    return orjson.dumps(counts | {"outcomes": rows, "decisions": decisions}, option=orjson.OPT_INDENT_2)


def _show(report: Report) -> None:
    out = terminal()
    out.print(_outcomes_table(report.outcomes, out.width))
    for owner, records in report.decisions.items():
        title = "Decisions without a verified tenant" if owner is None else f"Decisions of {owner}"
        out.print()
        out.print(decisions_table(records, columns=out.width, title=title, with_tenant=False))
    _conclude(report, out)


def _outcomes_table(outcomes: tuple[Outcome, ...], columns: int) -> Table:
    table = plain_table("Who tried what")
    table.add_column("attempt", no_wrap=True)
    table.add_column("expected", no_wrap=True)
    table.add_column("got", overflow="fold")
    table.add_column("decision", no_wrap=True)
    theme = ""
    for outcome in outcomes:
        if outcome.theme != theme:
            theme = outcome.theme
            table.add_section()
            table.add_row(printable(theme, "bold"))
        mark, style = ("✓", "green") if outcome.as_expected else ("✗", "bold red")
        table.add_row(
            f"  {outcome.who:<7} {outcome.what}",
            outcome.expected,
            printable(f"{mark} {outcome.got}", style),
            short_id(outcome.decisions[-1], columns) if outcome.decisions else "",
        )
    return table


def _conclude(report: Report, out: Console) -> None:
    total = len(report.outcomes)
    style = "bold green" if report.as_expected == total else "bold red"
    out.print()
    out.print(printable(f"{report.as_expected} of {total} as expected", style))
