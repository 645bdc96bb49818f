"""`partywall tenants`: organisations and their keys."""

from __future__ import annotations

import click
import orjson

from partywall.cli.options import format_option, tenant_id
from partywall.identity import new_api_key
from partywall.tenancy import TenantId

__all__ = ["tenants_group"]


@click.group("tenants")
def tenants_group() -> None:
    """Look after organisations and their keys."""


@tenants_group.command("mint-key")
@click.option("--tenant", type=tenant_id, required=True, help="Whom the key is for.")
@format_option("text", "json")
def mint_key(tenant: TenantId, form: str) -> None:
    """Make a fresh API key and show it, once.

    No file is changed: the document takes the key's digest, and the caller the key.
    """
    key, digest = new_api_key()
    if form == "json":
        made = {"tenant": tenant, "api_key": key.reveal(), "api_key_digest": digest}
        click.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2))
        return
    click.echo(f"A key for `{tenant}`, shown this once:\n\n  {key.reveal()}\n")
    click.echo(f"Put its digest under `api_keys` of a group whose tenant is `{tenant}`:\n\n  - {digest}\n")
    click.echo("A running gateway takes it up when the document is saved. Take the old line out when nobody needs it.")
