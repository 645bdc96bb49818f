"""`partywall tenants create`: a tenant's key, its place, and the API key that lets it in.

Promises: the API key is shown once and written nowhere; the document is changed when told to, by adding lines to it.
Doing it again makes what is missing and says so; a tenant that the document lets in gets no second API key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from partywall.cli.keyring import operator, told_document
from partywall.cli.tenant_options import about_tenant, opened
from partywall.config import Document, load_bytes
from partywall.config.inserting import replace_document, with_group, with_tenant
from partywall.config.loading import read
from partywall.identity import new_api_key
from partywall.platform.onboarding import Onboarded, onboard
from partywall.tenancy import Secret, TenantId

__all__ = ["create_command"]


@dataclass(frozen=True)
class _Group:
    """What the document is still to be given: a group, and where it declares its tenants, the tenant."""

    is_declared: bool
    name: str
    key: Secret
    digest: str

    def entry(self, tenant: TenantId) -> dict[str, str | list[str]]:
        """An entry of `consumer_groups.groups`."""
        return {"name": self.name, "tenant": tenant, "api_keys": [self.digest]}


@click.command("create")
@about_tenant
@click.option("--write", is_flag=True, help="Add the entry to the document, too; nothing else of it is touched.")
@click.option("--reason", default="onboarding", show_default=True, help="Why; it stands in the tenant's records.")
def create_command(
    tenant: TenantId,
    config: Path | None,
    data_dir: Path,
    form: str,
    write: bool,  # noqa: FBT001  # click passes flags by position
    reason: str,
) -> None:
    """Make TENANT's key, and show what the document needs in order to let it in.

    The entry for the document is printed, with the digest of a fresh API key, which is shown this once; with --write,
    the document gets it. A tenant that the document lets in already gets what is missing, and no API key.
    """
    path = told_document(config, data_dir)
    before = read(path)
    group = _group(load_bytes(Document, before, path).document, tenant)
    after = _written(before, path, tenant, group) if write and group is not None else None

    async def act() -> Onboarded:
        async with opened(path, data_dir) as platform:
            if after is not None:
                platform.source.read(after)  # what can't be served isn't written
            return await onboard(platform, tenant, who=operator(), why=reason)

    made = asyncio.run(act())
    if after is not None:
        replace_document(path, before, after)
    if form == "json":
        told = _as_dict(tenant, made, group) | {"written": after is not None}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    else:
        _show(path, tenant, made, group, written=after is not None)


def _group(document: Document, tenant: TenantId) -> _Group | None:
    """The group that `tenant` needs; None when it has one."""
    groups = document.consumer_groups.groups
    if any(group.tenant_id == tenant for group in groups):
        return None
    taken = {group.name for group in groups}
    name = next(each for each in (f"{tenant}-app", *(f"{tenant}-app-{n}" for n in range(2, 1000))) if each not in taken)
    return _Group(not document.tenants or tenant in document.tenants, name, *new_api_key())


def _written(before: bytes, path: Path, tenant: TenantId, group: _Group) -> bytes:
    """The document with both."""
    after = with_group(before, path, group.entry(tenant))
    return after if group.is_declared else with_tenant(after, path, tenant)


def _as_dict(tenant: TenantId, made: Onboarded, group: _Group | None) -> dict[str, object]:
    return {
        "tenant": tenant,
        "key_version": made.key_version,
        "made_key": made.made_key,
        "in_document": group is None,
        "api_key": None if group is None else group.key.reveal(),
        "group": None if group is None else group.entry(tenant),
    }


def _show(path: Path, tenant: TenantId, made: Onboarded, group: _Group | None, *, written: bool) -> None:
    if made.key_version is None:
        click.echo(f"{path} has no `encryption`, so `{tenant}` needs no key of its own.")
    elif made.made_key:
        click.echo(f"Made the key of `{tenant}`; version {made.key_version} seals from now on.")
    else:
        click.echo(f"`{tenant}` has its key already; version {made.key_version} seals.")
    if group is None:
        click.echo(f"{path} lets `{tenant}` in already; `partywall tenants mint-key` makes another API key.")
        return
    click.echo(f"\nAn API key for `{tenant}`, shown this once:\n\n  {group.key.reveal()}\n")
    if written:
        click.echo(f"{path} has a group `{group.name}` now; give it an `upstream` of its own.")
    else:
        click.echo(f"Put this under `consumer_groups.groups` of {path}, with an `upstream` of its own:\n")
        click.echo(f"    - name: {group.name}\n      tenant: {tenant}\n      api_keys:\n        - {group.digest}\n")
        if not group.is_declared:
            click.echo(f"and this under `tenants`:\n\n  {tenant}: {{}}\n")
    click.echo("A running gateway takes it up when the document is saved.")
