"""`partywall keys reseal`: old decision records under the current version of their tenants' keys.

Promises: it may run beside a gateway, be interrupted and be run again; it goes on where it was. 1 is for records that
don't open, which are left as they are and named.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import orjson

from partywall.cli.key_progress import progress_bar
from partywall.cli.keyring import KeyPlace, operator, status_of
from partywall.cli.options import INTERRUPTED, config_option, data_dir_option, format_option, tenant_id
from partywall.errors import PartywallError
from partywall.keys import KeyRing, ResealProgress
from partywall.platform.resealing import reseal_records
from partywall.tenancy import TenantId

__all__ = ["reseal_command"]


@click.command("reseal")
@config_option()
@data_dir_option()
@click.option("--tenant", type=tenant_id, help="This one's; everybody's and the platform's own when left out.")
@format_option("text", "json")
def reseal_command(config: Path | None, data_dir: Path, tenant: TenantId | None, form: str) -> None:
    """Seal old decision records anew, under the current version of their tenants' keys.

    After that, older versions are needed for none of them, and `min_decryption_version` may refuse them. A gateway may
    be running. Ends with 1 when a record doesn't open.
    """
    place = KeyPlace.find(config, data_dir)
    try:
        done, failed = asyncio.run(_reseal(place, tenant))
    except KeyboardInterrupt:
        click.echo("stopped; run it again, and it goes on from here", err=True)
        raise SystemExit(INTERRUPTED) from None
    if form == "json":
        click.echo(orjson.dumps([_as_dict(*each) for each in done.items()], option=orjson.OPT_INDENT_2))
    else:
        for name, result in done.items():
            click.echo(f"{name}: {result.seen} halves of records, {result.resealed} of them sealed anew")
    for name, result in done.items():
        if result.broken:
            ids = ", ".join(result.broken_ids)
            click.echo(f"alarm: {name}: {result.broken} halves don't open and were left alone: {ids}", err=True)
    for error in failed:
        click.echo(str(error), err=True)
    if failed:
        raise SystemExit(2)
    if any(result.broken for result in done.values()):
        raise SystemExit(1)


async def _reseal(
    place: KeyPlace, tenant: TenantId | None
) -> tuple[dict[TenantId, ResealProgress], list[PartywallError]]:
    done: dict[TenantId, ResealProgress] = {}
    failed: list[PartywallError] = []
    async with place.open() as keys:
        if tenant is not None:
            await status_of(keys, tenant)
            return {tenant: await _of_tenant(keys, place, tenant)}, []
        for status in await keys.life.statuses():
            if status.receipt is None:
                try:
                    done[status.tenant] = await _of_tenant(keys, place, status.tenant)
                except PartywallError as error:
                    failed.append(error)
    return done, failed


async def _of_tenant(keys: KeyRing, place: KeyPlace, tenant: TenantId) -> ResealProgress:
    with progress_bar() as tell:

        def progress(done: ResealProgress, total: int) -> None:
            tell(done.seen, total, tenant)

        return await reseal_records(
            keys, tenant, data_dir=place.data_dir, keys_dir=place.keys_dir, who=operator(), progress=progress
        )


def _as_dict(tenant: TenantId, done: ResealProgress) -> dict[str, object]:
    return {
        "tenant": tenant,
        "seen": done.seen,
        "resealed": done.resealed,
        "broken": done.broken,
        "broken_ids": list(done.broken_ids),
    }
