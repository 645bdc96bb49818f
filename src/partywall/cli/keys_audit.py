"""`partywall keys audit`: who used which keys for what, how often and when. Needs no root.

Promises: reads the records of the tenant that was named and no other's. Refusals and what changed a key stand out.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

from partywall.cli.console import printable, terminal
from partywall.cli.key_tables import uses_table
from partywall.cli.keyring import KeyPlace
from partywall.cli.options import config_option, data_dir_option, format_option, since, tenant_id
from partywall.errors import ConfigError, InvalidTenantId
from partywall.keys import PLATFORM, KeyUse, Operation, read_uses
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["audit_command"]


@click.command("audit")
@config_option()
@data_dir_option()
@click.option("--tenant", type=tenant_id, help="This one's; everybody's and the platform's own when left out.")
@click.option("--since", type=since, help="From then on: 30m, 1h, 2d, or an ISO time (UTC without an offset).")
@format_option("text", "json")
def audit_command(config: Path | None, data_dir: Path, tenant: TenantId | None, since: float | None, form: str) -> None:
    """Show who used which keys for what, how often and when.

    Uses of one second, or of one hour when they are old, are one line with their number. `!` marks a refusal, `*` what
    changed a key. `json` is one object a line, with times in Unix seconds.
    """
    place = KeyPlace.find(config, data_dir)
    found: list[KeyUse] = []
    for each in _everybody(place.keys_dir) if tenant is None else [tenant]:
        audited = read_uses(place.keys_dir, each, since=since or 0.0)
        found += audited.uses
        if audited.unreadable:
            click.echo(f"alarm: {audited.unreadable} records of uses of `{each}` can't be read", err=True)
    if tenant is not None and not (place.keys_dir / tenant).is_dir():
        raise ConfigError(f"nobody ever asked for a key of `{tenant}`")
    found.sort(key=lambda use: use.first)
    if form == "json":
        for use in found:
            click.echo(use.to_line(), nl=False)
    else:
        _show(found, with_tenant=tenant is None)


def _everybody(keys_dir: Path) -> Iterable[TenantId]:
    """Who has a folder: those who were only ever refused have one too."""
    for folder in sorted(keys_dir.iterdir()):
        if not folder.is_dir():
            continue
        if folder.name == PLATFORM:
            yield PLATFORM
            continue
        with suppress(InvalidTenantId):  # `lost+found` and its like
            yield parse_tenant_id(folder.name)


def _show(uses: list[KeyUse], *, with_tenant: bool) -> None:
    out = terminal()
    if uses:
        out.print(uses_table(uses, with_tenant=with_tenant))
        out.print()
    refused = sum(use.count for use in uses if use.operation is Operation.REFUSED)
    total = sum(use.count for use in uses)
    out.print(printable(f"{total} uses, {refused} of them refused", "bold red" if refused else "bold"))
