"""`partywall prompts`: what a tenant has every model told first.

Promises: each command acts for one tenant, and that tenant's own records say first who did what, and why. What is set
counts from a running gateway's next request on. What is shown can't move a terminal's cursor.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from partywall.cli.console import printable
from partywall.cli.key_tables import utc
from partywall.cli.keyring import operator
from partywall.cli.options import data_dir_option, format_option, tenant_id
from partywall.cli.tenant_options import opened
from partywall.errors import ConfigError
from partywall.platform import Platform
from partywall.stores import SystemPrompt
from partywall.tenancy import TenantId, TenantScope

__all__ = ["clear_command", "prompts_group", "set_command", "show_command"]

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function


@click.group("prompts")
def prompts_group() -> None:
    """Look after what a tenant has models told first.

    The platform's own base stands in the document (`prompts.base_system_prompt`) and comes before it.
    """


def _whose(command: F) -> F:
    """The options of every command here."""
    options = (
        click.argument("config", metavar="[CONFIG]", required=False, type=click.Path(path_type=Path)),
        click.option("--tenant", type=tenant_id, required=True, help="Whose prompt."),
        click.option("--reason", default="an operator's command", show_default=True, help="Why; it is recorded."),
        data_dir_option(),
    )
    for option in reversed(options):
        command = option(command)
    return command


@asynccontextmanager
async def _acting(
    config: Path | None, data_dir: Path, tenant: TenantId, what: str, reason: str
) -> AsyncIterator[tuple[Platform, TenantScope]]:
    async with opened(config, data_dir) as platform:
        _ = platform.system_prompts  # before anything is recorded: is there a store?
        async with platform.acting_for(tenant, who=operator(), action=f"prompts {what}", why=reason) as scope:
            yield platform, scope


@prompts_group.command("set")
@click.option("--file", "source", type=click.File("rb"), default="-", help="Where the text is; standard input if not.")
@_whose
def set_command(config: Path | None, tenant: TenantId, reason: str, data_dir: Path, source: io.BufferedIOBase) -> None:
    """Make a text the tenant's system prompt. Earlier ones are kept as versions."""
    try:
        text = source.read().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError("the prompt is no UTF-8 text") from None

    async def put() -> tuple[SystemPrompt, bool]:
        async with _acting(config, data_dir, tenant, "set", reason) as (platform, scope):
            made = await platform.system_prompts.put(scope, text)
            instructions = platform.snapshot.instructions
            return made, instructions is not None and instructions.per_tenant

    made, counts = asyncio.run(put())
    click.echo(f"version {made.version} of `{tenant}`'s system prompt is set, {len(made.text)} characters")
    if not counts:
        click.echo(
            "no request gets it yet: the document lacks "
            "`multi_tenant.conversation_isolation.system_prompt.per_tenant_config: true`",
            err=True,
        )


@prompts_group.command("show")
@_whose
@click.option("--versions", is_flag=True, help="Every version that is kept, the newest first.")
@format_option("text", "json")
def show_command(
    config: Path | None, tenant: TenantId, reason: str, data_dir: Path, form: str, *, versions: bool
) -> None:
    """Show the tenant's system prompt."""

    async def find() -> list[SystemPrompt]:
        async with _acting(config, data_dir, tenant, "show", reason) as (platform, scope):
            if versions:
                return list((await platform.system_prompts.list_versions(scope, limit=100, backwards=True)).items)
            current = await platform.system_prompts.find(scope)
            return [] if current is None else [current]

    found = asyncio.run(find())
    if form == "json":
        click.echo(orjson.dumps([asdict(each) for each in found], option=orjson.OPT_INDENT_2))
        return
    for each in found:
        click.echo(f"version {each.version}, {utc(each.created)} UTC, by {printable(each.created_by)}:\n")
        click.echo("\n".join(printable(line).plain for line in each.text.splitlines()) + "\n")
    if not found:
        click.echo(f"`{tenant}` has no system prompt")


@prompts_group.command("clear")
@_whose
def clear_command(config: Path | None, tenant: TenantId, reason: str, data_dir: Path) -> None:
    """Forget the tenant's system prompt, with all of its versions."""

    async def clear() -> None:
        async with _acting(config, data_dir, tenant, "clear", reason) as (platform, scope):
            await platform.system_prompts.clear(scope)

    asyncio.run(clear())
    click.echo(f"`{tenant}` has no system prompt any more")
