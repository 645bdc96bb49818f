"""`partywall tenants suspend` and `resume`.

Promises: when `suspend` has ended, no gateway that shares the data directory answers the tenant, and its sessions are
gone. Both are recorded before they are done, under the operator's name, in the tenant's own records.

Doesn't promise: to reach gateways with data directories of their own. Do it in each.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import orjson

from partywall.cli.keyring import operator
from partywall.cli.tenant_options import about_tenant, because, opened
from partywall.errors import PartywallError
from partywall.tenancy import TenantId

__all__ = ["resume_command", "suspend_command"]


@click.command("suspend")
@about_tenant
@because
def suspend_command(tenant: TenantId, config: Path | None, data_dir: Path, form: str, reason: str) -> None:
    """Refuse TENANT from now on, in every gateway that shares the data directory.

    Its requests get 403 `tenant_suspended`, a stream under way ends at its next event, and all of its sessions end.
    What it has stored stays as it is.
    """

    async def act() -> tuple[bool, PartywallError | None]:
        async with opened(config, data_dir) as platform:
            try:
                return await platform.tenants.suspend(tenant, who=operator(), why=reason), None
            except PartywallError as error:
                if platform.tenants.suspension(tenant) is None:
                    raise
                return True, error

    changed, failure = asyncio.run(act())
    _say(tenant, "suspended", form, "" if changed else "; it was suspended already", changed=changed)
    if failure is not None:
        click.echo(f"`{tenant}` is suspended; run this again to end its sessions: {failure}", err=True)
        raise SystemExit(2)


@click.command("resume")
@about_tenant
@because
def resume_command(tenant: TenantId, config: Path | None, data_dir: Path, form: str, reason: str) -> None:
    """Serve TENANT again. Its users begin new sessions."""

    async def act() -> bool:
        async with opened(config, data_dir) as platform:
            return await platform.tenants.resume(tenant, who=operator(), why=reason)

    changed = asyncio.run(act())
    _say(tenant, "active", form, "" if changed else "; it wasn't suspended", changed=changed)


def _say(tenant: TenantId, standing: str, form: str, more: str, *, changed: bool) -> None:
    if form == "json":
        said = {"tenant": tenant, "standing": standing, "changed": changed}
        click.echo(orjson.dumps(said, option=orjson.OPT_INDENT_2))
    else:
        click.echo(f"{tenant}: {standing}{more}")
