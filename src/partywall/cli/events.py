"""`partywall events`: the decisions that a gateway has recorded.

Promises: with `--tenant`, one tenant's file is read and nothing else; records go out one by one, however many there
are. Alarms about rows that don't belong where they are, or don't open, go to standard error. Sealed records are opened
with the keys of the document that the directory was last served with; each use of a key is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from partywall.cli.console import terminal
from partywall.cli.decisions import decisions_table, styled_line
from partywall.cli.options import (
    INTERRUPTED,
    config_option,
    data_dir_option,
    format_option,
    since,
    tenant_id,
)
from partywall.cli.sealed_records import ReadingKeys, keys_of_records
from partywall.errors import ConfigError
from partywall.tenancy import TenantId
from partywall.trail import Alarm, DecisionRecord, Follower, NothingToOpenWith, TrailReader, Verdict, View
from partywall.trail.export import to_csv_header, to_csv_row, to_json, to_text

__all__ = ["events_group"]

_NEWEST: Final = 20
_POLL_SECONDS: Final = 0.5

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function


def _selection(command: F) -> F:
    """The options that say which decisions."""
    options = (
        config_option(),
        data_dir_option(),
        click.option("--tenant", type=tenant_id, help="One tenant's; everybody's when left out."),
        click.option("--platform", is_flag=True, help="Only requests that never had a verified tenant."),
        click.option("--since", type=since, help="From then on: 30m, 1h, 2d, or an ISO time (UTC without an offset)."),
        click.option("--verdict", type=click.Choice([verdict.value for verdict in Verdict]), help="Only these."),
        format_option("text", "json", "csv"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("events")
def events_group() -> None:
    """Read the decisions that a gateway has recorded.

    It may be running. `json` is one object a line.
    """


@events_group.command("tail")
@_selection
@click.option("--limit", default=_NEWEST, show_default=True, type=click.IntRange(0), help="How many.")
@click.option("--follow", "-f", is_flag=True, help="Go on with each decision as it is completed.")
def tail(
    config: Path | None,
    data_dir: Path,
    tenant: TenantId | None,
    platform: bool,  # noqa: FBT001  # click passes flags by position
    since: float | None,
    verdict: str | None,
    form: str,
    limit: int,
    follow: bool,  # noqa: FBT001  # click passes flags by position
) -> None:
    """Show the newest decisions, oldest of them first."""
    wanted = None if verdict is None else Verdict(verdict)
    with _reading(config, data_dir, tenant, platform=platform) as (view, keys):
        # Before the history is read: what is decided in between is then shown by one or the other.
        follower = view.follower(verdict=wanted) if follow else None
        newest = list(view.events(since=since, verdict=wanted, limit=limit))
        if follower is None and form == "text" and sys.stdout.isatty():
            _print_table(newest, with_tenant=tenant is None and not platform)
            return
        _print(newest, form)
        if follower is not None:
            _follow(follower, keys.pause, {record.id for record in newest if record.outcome is not None}, form)


@events_group.command("export")
@_selection
@click.option("--limit", type=click.IntRange(0), help="The newest so many; all when left out.")
def export(
    config: Path | None,
    data_dir: Path,
    tenant: TenantId | None,
    platform: bool,  # noqa: FBT001  # click passes flags by position
    since: float | None,
    verdict: str | None,
    form: str,
    limit: int | None,
) -> None:
    """Write decisions to standard output, oldest first."""
    wanted = None if verdict is None else Verdict(verdict)
    with _reading(config, data_dir, tenant, platform=platform) as (view, _):
        _print(view.events(since=since, verdict=wanted, limit=limit), form)


@contextmanager
def _reading(
    config: Path | None, data_dir: Path, tenant: TenantId | None, *, platform: bool
) -> Iterator[tuple[View, ReadingKeys]]:
    """The decisions that were asked for, and the keys that open them."""
    if tenant is not None and platform:
        raise click.UsageError("--tenant and --platform exclude each other")
    if not data_dir.is_dir():
        raise ConfigError(f"{data_dir}: no such directory; --data-dir names the one that `partywall serve` was given")
    with keys_of_records(config, data_dir) as keys:
        reader = TrailReader(data_dir, on_alarm=_alarm, opener=keys.opener)
        try:
            yield _view(reader, data_dir, tenant, platform=platform), keys
        except NothingToOpenWith:
            raise ConfigError(
                f"the decisions in {data_dir} are sealed, and {keys.why_none}; "
                "--config names the document that they were served with"
            ) from None


def _view(reader: TrailReader, data_dir: Path, tenant: TenantId | None, *, platform: bool) -> View:
    if platform:
        return reader.of_platform()
    if tenant is None:
        return reader.across_all_tenants()
    if tenant not in reader.tenants():
        click.echo(f"no decisions of a tenant `{tenant}` in {data_dir}", err=True)
    return reader.of_tenant(tenant)


def _print_table(records: list[DecisionRecord], *, with_tenant: bool) -> None:
    if records:
        out = terminal()
        out.print(decisions_table(records, columns=out.width, with_tenant=with_tenant))


def _alarm(alarm: Alarm) -> None:
    click.echo(f"alarm: {alarm}", err=True)


def _print(records: Iterable[DecisionRecord], form: str) -> None:
    if form == "csv":
        click.echo(to_csv_header(), nl=False)
    for line in _lines(records, form):
        click.echo(line, nl=False)


def _lines(records: Iterable[DecisionRecord], form: str) -> Iterator[str]:
    for record in records:
        if form == "csv":
            yield to_csv_row(record)
        elif form == "json":
            yield to_json(record) + "\n"
        else:
            yield (styled_line(record) if sys.stdout.isatty() else to_text(record)) + "\n"


def _follow(follower: Follower, pause: Callable[[float], None], shown: set[str], form: str) -> None:
    try:
        while True:
            for line in _lines([record for record in follower.poll() if record.id not in shown], form):
                click.echo(line, nl=False)
            pause(_POLL_SECONDS)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
