"""`partywall tenants`: organisations, their keys, and whether they are served."""

from __future__ import annotations

from typing import Final

import click
import orjson

from partywall.cli.lazy import LazyCommand, LazyGroup
from partywall.cli.options import format_option, tenant_id
from partywall.identity import new_api_key
from partywall.tenancy import TenantId

__all__ = ["mint_key", "tenants_group"]

_COMMANDS: Final = (
    LazyCommand("create", "partywall.cli.tenants_create:create_command", "Make a tenant ready to be let in."),
    LazyCommand("list", "partywall.cli.tenants_show:list_command", "Show every tenant: standing, key, records."),
    LazyCommand("show", "partywall.cli.tenants_show:show_command", "Show one tenant, and what holds for it."),
    LazyCommand("suspend", "partywall.cli.tenants_standing:suspend_command", "Refuse a tenant, until it is resumed."),
    LazyCommand("resume", "partywall.cli.tenants_standing:resume_command", "Serve a suspended tenant again."),
    LazyCommand("mint-key", "partywall.cli.tenants:mint_key", "Make a fresh API key and show it, once."),
)


@click.group("tenants", cls=LazyGroup, lazy=_COMMANDS)
def tenants_group() -> None:
    """Look after organisations and their keys.

    A gateway may be running; it takes notice within half a second.
    """


@click.command("mint-key")
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
