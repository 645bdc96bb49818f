"""`partywall keys reseal`: what is old, under the current version of its tenant's key.

Promises: it goes through the decision records and every store, may run beside a gateway, be interrupted and be run
again; it goes on where it was. 1 is for records that don't open, which are left as they are and named.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click
import orjson

from partywall.cli.key_progress import progress_bar
from partywall.cli.keyring import SERVICE, KeyPlace, operator, status_of
from partywall.cli.options import INTERRUPTED, config_option, data_dir_option, format_option, tenant_id
from partywall.errors import ConfigError, PartywallError
from partywall.keys import KeyRing, ResealProgress, Store
from partywall.platform import Platform
from partywall.platform.resealing import reseal_tenant
from partywall.tenancy import TenantId

__all__ = ["reseal_command"]

_Done = dict[tuple[TenantId, Store], ResealProgress]

_WHAT: Final = {Store.TRAIL: "halves of records"}
"""What is counted in a store, where it isn't records."""


@click.command("reseal")
@config_option()
@data_dir_option()
@click.option("--tenant", type=tenant_id, help="This one's; everybody's and the platform's own when left out.")
@click.option(
    "--store",
    "stores",
    multiple=True,
    type=click.Choice(sorted(store.value for store in Store)),
    help="In this one alone (may be repeated); in all of them when left out. `trail` has the decision records.",
)
@format_option("text", "json")
def reseal_command(
    config: Path | None, data_dir: Path, tenant: TenantId | None, stores: tuple[str, ...], form: str
) -> None:
    """Seal old records anew, under the current version of their tenants' keys.

    After that, older versions are needed for none of them, and `min_decryption_version` may refuse them. A gateway may
    be running. Ends with 1 when a record doesn't open.
    """
    place = KeyPlace.find(config, data_dir)
    if not data_dir.is_dir():
        raise ConfigError(f"{data_dir}: no such directory; --data-dir names the one that `partywall serve` was given")
    only = frozenset(map(Store, stores or Store))
    try:
        done, failed = asyncio.run(_reseal(place, tenant, only))
    except KeyboardInterrupt:
        click.echo("stopped; run it again, and it goes on from here", err=True)
        raise SystemExit(INTERRUPTED) from None
    if form == "json":
        shown = [_as_dict(*whose, result) for whose, result in done.items()]
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
    else:
        for whose, result in done.items():
            click.echo(f"{_name(*whose)}: {result.seen} {_what(whose[1])}, {result.resealed} of them sealed anew")
    _report(done, failed)


def _report(done: _Done, failed: list[PartywallError]) -> None:
    """Say what went wrong, and end with it."""
    for (name, store), result in done.items():
        if result.broken:
            whose, what, ids = _name(name, store), _what(store).split(" ")[0], ", ".join(result.broken_ids)
            click.echo(f"alarm: {whose}: {result.broken} {what} don't open and were left alone: {ids}", err=True)
    for error in failed:
        click.echo(str(error), err=True)
    if failed:
        raise SystemExit(2)
    if any(result.broken for result in done.values()):
        raise SystemExit(1)


async def _reseal(
    place: KeyPlace, tenant: TenantId | None, only: frozenset[Store]
) -> tuple[_Done, list[PartywallError]]:
    done: _Done = {}
    failed: list[PartywallError] = []
    # Nothing is served, so a document that only starts with a flag is as good as any.
    async with Platform.open(
        place.document, data_dir=place.data_dir, unsafe_without_isolation=True, command=SERVICE
    ) as platform:
        for name in await _whose(platform.keys, tenant):
            try:
                done |= await _of_tenant(platform, place, name, only)
            except PartywallError as error:
                if tenant is not None:
                    raise
                failed.append(error)
    return done, failed


async def _whose(keys: KeyRing | None, tenant: TenantId | None) -> list[TenantId]:
    """The one that was named, or everybody who has a key."""
    if keys is None:
        return []
    if tenant is not None:
        return [(await status_of(keys, tenant)).tenant]
    return [status.tenant for status in await keys.life.statuses() if status.receipt is None]


async def _of_tenant(platform: Platform, place: KeyPlace, tenant: TenantId, only: frozenset[Store]) -> _Done:
    with progress_bar() as tell:

        def progress(store: Store, done: ResealProgress, total: int) -> None:
            tell(done.seen, total, _name(tenant, store))

        found = await reseal_tenant(
            platform, tenant, only=only, data_dir=place.data_dir, who=operator(), progress=progress
        )
    return {(tenant, store): result for store, result in found.items()}


def _name(tenant: TenantId, store: Store) -> str:
    return tenant if store is Store.TRAIL else f"{tenant}, {store}"


def _what(store: Store) -> str:
    return _WHAT.get(store, "records")


def _as_dict(tenant: TenantId, store: Store, done: ResealProgress) -> dict[str, object]:
    return {
        "tenant": tenant,
        "store": store,
        "seen": done.seen,
        "resealed": done.resealed,
        "broken": done.broken,
        "broken_ids": list(done.broken_ids),
    }
