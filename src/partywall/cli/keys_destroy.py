"""`partywall keys destroy`: the end of a tenant's key, and of everything that it sealed.

Promises: it asks for the tenant's id, unless told not to. What can be wrong with the place of the receipt shows before
anything is destroyed, and what is wrong later is said beside the fact. Document, keys folder and root are named
before and after. A second time destroys nothing and shows the receipt of the first.

Doesn't promise: that no copy of the wrapped key lies in a backup. The receipt says what the root did about that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click
import orjson

from partywall.cli.key_tables import receipt_lines
from partywall.cli.keyring import KeyPlace, operator, status_of
from partywall.cli.options import config_option, data_dir_option, format_option, tenant_id
from partywall.errors import ConfigError, KeyUnavailable
from partywall.keys import KeyStatus, Receipt
from partywall.tenancy import TenantId

__all__ = ["destroy_command"]


@click.command("destroy")
@config_option()
@data_dir_option()
@click.option("--tenant", type=tenant_id, required=True, help="Whose.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--receipt", "file", type=click.Path(path_type=Path), help="Write the receipt to this new file too.")
@format_option("text", "json")
def destroy_command(
    config: Path | None,
    data_dir: Path,
    tenant: TenantId,
    yes: bool,  # noqa: FBT001  # click passes flags by position
    file: Path | None,
    form: str,
) -> None:
    """Destroy a tenant's key in every version, and with it everything that it sealed. There is no way back.

    Within half a second, running gateways refuse that tenant's requests. Copies of the wrapped key in backups are
    worthless where the root had a key of the tenant's own; the receipt says whether it had.
    """
    place = KeyPlace.find(config, data_dir)
    before = asyncio.run(_status(place, tenant))
    if before.receipt is None and not yes:
        _ask(place, tenant)
    with _receipt_file(file) as written:
        receipt, failure = asyncio.run(_destroy(place, tenant))
    try:
        _show(place, receipt, before.receipt, form)
    finally:
        if file is not None and written is not None:
            _write(written, file, place, receipt)
    if failure is not None:
        click.echo(f"the key of `{tenant}` is destroyed; run this again to finish: {failure}", err=True)
        raise SystemExit(2)


async def _status(place: KeyPlace, tenant: TenantId) -> KeyStatus:
    async with place.open() as keys:
        return await status_of(keys, tenant)


async def _destroy(place: KeyPlace, tenant: TenantId) -> tuple[Receipt, KeyUnavailable | None]:
    """The receipt, and what went wrong once the key was gone."""
    async with place.open() as keys:
        try:
            return await keys.life.destroy(tenant, who=operator()), None
        except KeyUnavailable as error:
            receipt = (await status_of(keys, tenant)).receipt
            if receipt is None:
                raise
            return receipt, error


def _ask(place: KeyPlace, tenant: TenantId) -> None:
    click.echo(f"This destroys the key of `{tenant}` and everything that it sealed, for good.", err=True)
    click.echo("\n".join(_place_lines(place, tenant)), err=True)
    try:
        typed = click.prompt("Type the tenant's id to go on", err=True, default="", show_default=False)
    except click.Abort:
        typed = ""
        click.echo(err=True)
    if typed != tenant:
        raise ConfigError(f"that is not `{tenant}`; nothing was destroyed")


def _place_lines(place: KeyPlace, tenant: TenantId) -> list[str]:
    told = place.told(tenant)
    return [
        f"  document     {told['document']}",
        f"  keys folder  {told['keys_dir']}",
        f"  root key     {told['root_key']}",
    ]


@contextmanager
def _receipt_file(path: Path | None) -> Iterator[IO[bytes] | None]:
    """A new file for its owner alone, made before anything is destroyed; gone again when nothing was."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path}: exists already; choose another name for the receipt") from None
    file = os.fdopen(descriptor, "wb")
    try:
        yield file
    except BaseException:
        file.close()
        path.unlink(missing_ok=True)
        raise


def _write(file: IO[bytes], path: Path, place: KeyPlace, receipt: Receipt) -> None:
    """Write the receipt and close its file. The key is gone by now, whatever happens to the file."""
    try:
        with file:
            file.write(orjson.dumps(receipt.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        click.echo(
            f"the key of `{receipt.tenant}` is destroyed, but {path} could not be written: {error.strerror}; "
            f"its receipt lies in the shred ledger {place.shred_ledger}, and running this again shows it",
            err=True,
        )
        raise SystemExit(2) from error


def _show(place: KeyPlace, receipt: Receipt, earlier: Receipt | None, form: str) -> None:
    if form == "json":
        shown = receipt.as_dict() | {"destroyed_before": earlier is not None} | place.told(receipt.tenant)
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
    else:
        before = "had been destroyed before; this is its receipt" if earlier is not None else "is destroyed"
        said = [f"The key of `{receipt.tenant}` {before}.", *_place_lines(place, receipt.tenant)]
        click.echo("\n".join([*said, "", *receipt_lines(receipt)]))
    if not receipt.root_confirmed:
        click.echo("its root has not confirmed its own part; run this again when the root is back", err=True)
