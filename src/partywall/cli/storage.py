"""`partywall storage`: the servers of rows and of the cache, made ready and looked at.

Promises: `migrate` is the one command that reads the owners' addresses, apart from `tenants create`. What is
wrong with one tenant is one line and stops no other's; the command then ends with 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from partywall.cli.lazy import LazyCommand, LazyGroup
from partywall.cli.options import data_dir_option
from partywall.platform.storage import check_storage, migrate_storage

__all__ = ["check_command", "migrate_command", "storage_group"]

_HERE: Final = "partywall.cli.storage:"
_COMMANDS: Final = (
    LazyCommand("migrate", f"{_HERE}migrate_command", "Make or repair everything that serving needs."),
    LazyCommand("check", f"{_HERE}check_command", "Look whether the server may be served from."),
)


@click.group("storage", cls=LazyGroup, lazy=_COMMANDS)
def storage_group() -> None:
    """Look after the servers that keep tenants' rows (PostgreSQL), and sessions and counters (Valkey)."""


@click.command("migrate")
@click.argument("document", metavar="CONFIG", type=click.Path(path_type=Path))
@data_dir_option()
@click.option(
    "--common-cache", is_flag=True, help="Give no tenant a database of its own on Valkey; prefixes part them."
)
def migrate_command(document: Path, data_dir: Path, common_cache: bool) -> None:  # noqa: FBT001  # click's way
    """Bring the servers of the document CONFIG to this version of partywall, and provision its tenants.

    Safe to run again: what is there is repaired. It uses `storage.owner_dsn_ref` and `storage.cache_owner_url_ref`.
    The data directory must be that of the gateway, or a copy of its `salt.key`: passwords in Valkey come of it.
    """
    _tell(migrate_storage(document, data_dir, common_cache=common_cache), "ready")


@click.command("check")
@click.argument("document", metavar="CONFIG", type=click.Path(path_type=Path))
@data_dir_option()
def check_command(document: Path, data_dir: Path) -> None:
    """Check the servers of the document CONFIG as `serve` does before it answers, and every tenant's place."""
    _tell(check_storage(document, data_dir), "fit to serve")


def _tell(steps: AsyncIterator[tuple[str, str]], good: str) -> None:
    """Print each step as it is done."""

    async def told() -> bool:
        whole = True
        async for what, wrong in steps:
            whole = whole and not wrong
            click.echo(f"{what}: {wrong or good}", err=bool(wrong))
        return whole

    if not asyncio.run(told()):
        raise SystemExit(2)
