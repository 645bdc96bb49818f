"""`partywall keys`: what becomes of every tenant's keys.

Promises: what is done with a key is recorded before it is done, under the operator's name. One tenant's failure under
`--all` is one line and no other's; the command then ends with 2.

Doesn't promise: to ask twice for anything but destroying a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import orjson

from partywall.cli.console import terminal
from partywall.cli.key_progress import progress_bar
from partywall.cli.key_tables import keys_table
from partywall.cli.keyring import KeyPlace, operator, status_of
from partywall.cli.lazy import LazyCommand, LazyGroup
from partywall.cli.options import config_option, data_dir_option, format_option, tenant_id
from partywall.errors import ConfigError, PartywallError
from partywall.keys import KeyRing, KeyStatus
from partywall.tenancy import TenantId

__all__ = ["keys_group", "list_command", "rewrap_command", "rotate_command"]

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function

Act = Callable[[KeyRing, TenantId], Awaitable[dict[str, object]]]
"""What is done to one tenant's key, and what came of it."""

_HERE: Final = "partywall.cli.keys:"
_COMMANDS: Final = (
    LazyCommand("list", f"{_HERE}list_command", "Show every tenant's key."),
    LazyCommand("rotate", f"{_HERE}rotate_command", "Give a key, or its root key, a new version."),
    LazyCommand("rewrap", f"{_HERE}rewrap_command", "Wrap keys anew under their present root."),
    LazyCommand(
        "reseal",
        "partywall.cli.keys_reseal:reseal_command",
        "Seal old records anew, under the current version of their tenants' keys.",
    ),
    LazyCommand("destroy", "partywall.cli.keys_destroy:destroy_command", "Destroy a tenant's key, for good."),
    LazyCommand("audit", "partywall.cli.keys_audit:audit_command", "Show who used which keys for what."),
)


@click.group("keys", cls=LazyGroup, lazy=_COMMANDS)
def keys_group() -> None:
    """Look after every tenant's keys, and destroy them.

    A gateway may be running; it takes notice within half a second.
    """


@click.command("list")
@config_option()
@data_dir_option()
@click.option("--tenant", type=tenant_id, help="This one's alone.")
@format_option("text", "json")
def list_command(config: Path | None, data_dir: Path, tenant: TenantId | None, form: str) -> None:
    """Show every tenant's key: its versions, since when the last one seals, its root, and its state."""
    place = KeyPlace.find(config, data_dir)

    async def statuses() -> tuple[KeyStatus, ...]:
        async with place.open() as keys:
            return await keys.life.statuses() if tenant is None else (await status_of(keys, tenant),)

    found = asyncio.run(statuses())
    if form == "json":
        click.echo(orjson.dumps([_as_dict(status) for status in found], option=orjson.OPT_INDENT_2))
    else:
        terminal().print(keys_table(found))


def _as_dict(status: KeyStatus) -> dict[str, object]:
    versions = [
        {
            "number": version.number,
            "created": version.created,
            "utc": datetime.fromtimestamp(version.created, UTC).isoformat(timespec="seconds"),
            "root": version.root,
        }
        for version in status.versions
    ]
    return {
        "tenant": status.tenant,
        "state": "destroyed" if status.receipt else "unreadable" if status.unreadable else "in use",
        "versions": versions,
        "current": versions[-1]["number"] if versions else None,
        "min_decryption_version": status.min_decryption_version if versions else None,
        "rewrap_due": status.rewrap_due,
        "receipt": status.receipt.as_dict() if status.receipt else None,
        "unreadable": status.unreadable,
    }


# -- Rotating and rewrapping ---------------------------------------------------------------------------------------


def _whose(command: F) -> F:
    """The options of what is done to one tenant's key, or to everybody's."""
    options = (
        config_option(),
        data_dir_option(),
        click.option("--tenant", type=tenant_id, help="This one's."),
        click.option("--all", "everybody", is_flag=True, help="Everybody's, and the platform's own."),
        format_option("text", "json"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("rotate")
@_whose
@click.option("--root", is_flag=True, help="The root key's instead; then wrap the tenant's key anew.")
def rotate_command(
    config: Path | None,
    data_dir: Path,
    tenant: TenantId | None,
    everybody: bool,  # noqa: FBT001  # click passes flags by position
    form: str,
    root: bool,  # noqa: FBT001  # click passes flags by position
) -> None:
    """Give a tenant's key a new version, which seals from now on.

    What older versions sealed opens as before; `partywall keys reseal` brings it to the new one. With --root, it is the
    root key that gets a new version. A root in a file is everybody's.
    """
    who = operator()
    rotated: set[object] = set()

    async def rotate(keys: KeyRing, name: TenantId) -> dict[str, object]:
        return {"tenant": name, "version": await keys.life.rotate(name, who=who)}

    async def rotate_root(keys: KeyRing, name: TenantId) -> dict[str, object]:
        shared = place.shared_root(name)
        if shared is None or shared not in rotated:
            await keys.life.rotate_root(name, who=who)
            rotated.add(shared)
        return {"tenant": name, "rewrapped": await keys.life.rewrap(name, who=who)}

    place = KeyPlace.find(config, data_dir)
    _do(place, tenant, rotate_root if root else rotate, everybody=everybody, form=form)
    if root and tenant is not None and place.shared_root(tenant) is not None:
        click.echo("that root key is everybody's; `partywall keys rewrap --all` takes the others along", err=True)


@click.command("rewrap")
@_whose
def rewrap_command(
    config: Path | None,
    data_dir: Path,
    tenant: TenantId | None,
    everybody: bool,  # noqa: FBT001  # click passes flags by position
    form: str,
) -> None:
    """Wrap every version of a key anew, under the newest version of the root that the document names for it.

    Nothing that was sealed changes. Do it after the root key was rotated, and after the document names another root.
    """
    who = operator()

    async def rewrap(keys: KeyRing, name: TenantId) -> dict[str, object]:
        return {"tenant": name, "rewrapped": await keys.life.rewrap(name, who=who)}

    _do(KeyPlace.find(config, data_dir), tenant, rewrap, everybody=everybody, form=form)


def _do(place: KeyPlace, tenant: TenantId | None, act: Act, *, everybody: bool, form: str) -> None:
    if (tenant is None) is not everybody:
        raise click.UsageError("say whose: --tenant or --all")
    done, failed = asyncio.run(_each(place, tenant, act))
    if form == "json":
        click.echo(orjson.dumps(done, option=orjson.OPT_INDENT_2))
    else:
        for result in done:
            click.echo(_told(result))
    for error in failed:
        click.echo(str(error), err=True)
    if failed:
        raise SystemExit(2)


async def _each(
    place: KeyPlace, tenant: TenantId | None, act: Act
) -> tuple[list[dict[str, object]], list[PartywallError]]:
    done: list[dict[str, object]] = []
    failed: list[PartywallError] = []
    async with place.open() as keys:
        if tenant is not None:
            await status_of(keys, tenant)
            return [await act(keys, tenant)], []
        living = [status.tenant for status in await keys.life.statuses() if status.receipt is None]
        if not living:
            raise ConfigError(f"{place.keys_dir}: nobody has a key")
        with progress_bar() as tell:
            for number, name in enumerate(living, 1):
                try:
                    done.append(await act(keys, name))
                except PartywallError as error:
                    failed.append(error)
                tell(number, len(living), name)
    return done, failed


def _told(result: dict[str, object]) -> str:
    if "version" in result:
        return f"{result['tenant']}: version {result['version']} seals from now on"
    versions = "1 version" if result["rewrapped"] == 1 else f"{result['rewrapped']} versions"
    return f"{result['tenant']}: {versions} wrapped anew"
