"""`partywall tenants create`: a tenant's key, its place, and the API key that lets it in.

Promises: the API key is shown once and written nowhere; the document is not changed. Doing it again makes what is
missing and says so; a tenant that the document lets in gets no second API key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from partywall.cli.keyring import operator, told_document
from partywall.cli.tenant_options import about_tenant, opened
from partywall.config import Document, load
from partywall.identity import new_api_key
from partywall.platform.onboarding import Onboarded, onboard
from partywall.tenancy import Secret, TenantId

__all__ = ["create_command"]


@dataclass(frozen=True)
class _Group:
    """What the document is still to be given."""

    name: str
    key: Secret
    digest: str

    def yaml(self, tenant: TenantId) -> str:
        """An entry of `consumer_groups.groups`."""
        return f"    - name: {self.name}\n      tenant: {tenant}\n      api_keys:\n        - {self.digest}\n"


@click.command("create")
@about_tenant
@click.option("--reason", default="onboarding", show_default=True, help="Why; it stands in the tenant's records.")
def create_command(tenant: TenantId, config: Path | None, data_dir: Path, form: str, reason: str) -> None:
    """Make TENANT's key, and show what the document needs in order to let it in.

    The document is yours to change: the entry for it is printed, with the digest of a fresh API key, which is shown
    this once. A tenant that the document has already gets what is missing, and no API key.
    """
    path = told_document(config, data_dir)
    document = load(Document, path).document

    async def act() -> Onboarded:
        async with opened(path, data_dir) as platform:
            return await onboard(platform, tenant, who=operator(), why=reason)

    made = asyncio.run(act())
    group = _group(document, tenant)
    if form == "json":
        click.echo(orjson.dumps(_as_dict(tenant, made, group), option=orjson.OPT_INDENT_2))
    else:
        _show(path, tenant, made, group)


def _group(document: Document, tenant: TenantId) -> _Group | None:
    """The group that `tenant` needs; None when it has one."""
    groups = document.consumer_groups.groups
    if any(group.tenant_id == tenant for group in groups):
        return None
    taken = {group.name for group in groups}
    name = next(each for each in (f"{tenant}-app", *(f"{tenant}-app-{n}" for n in range(2, 1000))) if each not in taken)
    return _Group(name, *new_api_key())


def _as_dict(tenant: TenantId, made: Onboarded, group: _Group | None) -> dict[str, object]:
    return {
        "tenant": tenant,
        "key_version": made.key_version,
        "made_key": made.made_key,
        "in_document": group is None,
        "api_key": None if group is None else group.key.reveal(),
        "group": None if group is None else {"name": group.name, "tenant": tenant, "api_keys": [group.digest]},
    }


def _show(path: Path, tenant: TenantId, made: Onboarded, group: _Group | None) -> None:
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
    click.echo(f"Put this under `consumer_groups.groups` of {path}, with an `upstream` of its own:\n")
    click.echo(group.yaml(tenant))
    click.echo("A running gateway takes it up when the document is saved.")
