"""What the commands about one tenant share: whose, by which document, where, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from partywall.cli.keyring import SERVICE, told_document
from partywall.cli.options import data_dir_option, format_option, tenant_id
from partywall.platform import Platform

__all__ = ["about_document", "about_tenant", "because", "opened"]

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function


def about_document(command: F) -> F:
    """CONFIG, --data-dir and --format."""
    options = (
        click.argument("config", metavar="[CONFIG]", required=False, type=click.Path(path_type=Path)),
        data_dir_option(),
        format_option("text", "json"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def about_tenant(command: F) -> F:
    """TENANT, and what `about_document` gives."""
    return click.argument("tenant", metavar="TENANT", type=tenant_id)(about_document(command))


def because(command: F) -> F:
    """--reason, which stands in the tenant's records and must be given."""
    return click.option("--reason", required=True, help="Why; it stands in the tenant's records.")(command)


@asynccontextmanager
async def opened(config: Path | None, data_dir: Path) -> AsyncIterator[Platform]:
    """The platform, for a command that acts.

    Raises:
        ConfigError: nobody says which document it is, or it can't be used.
    """
    # Nothing is served, so a document that only starts with a flag is as good as any.
    document = told_document(config, data_dir)
    async with Platform.open(document, data_dir=data_dir, unsafe_without_isolation=True, command=SERVICE) as platform:
        yield platform
