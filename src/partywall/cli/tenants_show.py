"""`partywall tenants list` and `show`: standing, key, records, and what holds for a tenant.

Promises: see `tenant_facts`. The chains and targets are those that policy decides by (`lint --explain`). Of API keys,
the beginnings of their digests are shown, which name them in records.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import orjson
from rich.table import Table

from partywall.cli.console import plain_table, printable, terminal
from partywall.cli.key_tables import utc
from partywall.cli.tenant_facts import Facts, Subject, facts_of, require_named
from partywall.cli.tenant_options import about_document, about_tenant
from partywall.lint import Explained, explain
from partywall.platform.encryption import Encrypted
from partywall.platform.standing import Suspension
from partywall.tenancy import TenantId

__all__ = ["list_command", "show_command"]

_DIGEST_SHOWN: Final = len("sha256:") + 12


@click.command("list")
@about_document
def list_command(config: Path | None, data_dir: Path, form: str) -> None:
    """Show every tenant of the document: its standing, its key, its records and its last decision.

    Records are counted as they lie there; those by which others are found count, too.
    """
    subject = Subject.find(config, data_dir)
    facts = facts_of(subject, subject.tenants())
    if form == "json":
        click.echo(orjson.dumps([_facts(each) for each in facts], option=orjson.OPT_INDENT_2))
    else:
        terminal().print(_table(facts))


@click.command("show")
@about_tenant
def show_command(tenant: TenantId, config: Path | None, data_dir: Path, form: str) -> None:
    """Show one tenant: what `list` shows, and the settings that hold for it."""
    subject = Subject.find(config, data_dir)
    require_named(subject, tenant)
    (facts,) = facts_of(subject, [tenant])
    settings = _settings(subject, tenant)
    if form == "json":
        click.echo(orjson.dumps(_facts(facts) | settings, option=orjson.OPT_INDENT_2))
        return
    out = terminal()
    for name, value in _lines(_facts(facts) | settings):
        out.print(printable(f"{name:<16}{value}"), soft_wrap=True)


def _table(facts: list[Facts]) -> Table:
    table = plain_table()
    for heading in ("tenant", "standing", "key", "records", "last decision, UTC"):
        table.add_column(heading, no_wrap=heading != "records", overflow="fold")
    for each in facts:
        suspended = each.suspension is not None
        table.add_row(
            printable(each.tenant),
            printable(_told(each.suspension), "red" if suspended else "green"),
            printable(str(_key(each))),
            printable(_records(each)),
            "-" if each.last_decision is None else utc(each.last_decision),
        )
    return table


def _told(suspension: Suspension | None) -> str:
    if suspension is None:
        return "active"
    return f"suspended {utc(suspension.since)} by {suspension.by}: {suspension.why}"


def _key(facts: Facts) -> str:
    key = facts.key
    if key is None:
        return "-"
    if key.versions:
        return str(key.versions[-1].number)
    return "destroyed" if key.receipt is not None else "unreadable"


def _records(facts: Facts) -> str:
    if facts.records is None:
        return "-"
    return ", ".join(f"{store} {count}" for store, count in facts.records.items() if count) or "none"


def _facts(facts: Facts) -> dict[str, object]:
    """As `--format json` shows them."""
    suspension, key = facts.suspension, facts.key
    return {
        "tenant": facts.tenant,
        "standing": "active" if suspension is None else "suspended",
        "suspended": None
        if suspension is None
        else {"since": suspension.since, "utc": utc(suspension.since), "by": suspension.by, "why": suspension.why},
        "key": None
        if key is None
        else {
            "state": _key(facts) if not key.versions else "in use",
            "current": key.versions[-1].number if key.versions else None,
            "min_decryption_version": key.min_decryption_version if key.versions else None,
        },
        "records": None if facts.records is None else dict(facts.records),
        "last_decision": None if facts.last_decision is None else utc(facts.last_decision),
    }


def _settings(subject: Subject, tenant: TenantId) -> dict[str, object]:
    """What the document says of the tenant, effective as it is."""
    document, encrypted = subject.document, Encrypted.of(subject.document)
    own = document.tenants.get(tenant)
    regions = document.residency.allowed_regions if own is None or own.regions is None else own.regions
    groups = [group for group in document.consumer_groups.groups if group.tenant_id == tenant]
    return {
        "name": None if own is None else own.name,
        "root_key": None
        if encrypted is None
        else encrypted.root_told(tenant, base=subject.path.parent, data_dir=subject.data_dir),
        "sealed": [] if encrypted is None else list(encrypted.section.encrypted_per_tenant),
        "isolation_model": str(document.multi_tenant.isolation_model),
        "regions": None if regions is None else list(regions),
        "allowed_models": None if own is None or own.allowed_models is None else list(own.allowed_models),
        "require_zero_data_retention": own is not None and own.require_zero_data_retention,
        "groups": [
            {
                "name": group.name,
                "api_keys": [f"{digest[:_DIGEST_SHOWN]}…" for digest in group.key_hashes()],
                "allowed_models": None if group.allowed_models is None else list(group.allowed_models),
            }
            for group in groups
        ],
        "routes": [_route(each) for each in explain(document) if each.tenant == tenant],
    }


def _route(explained: Explained) -> dict[str, object]:
    return {
        "group": explained.group,
        "route": explained.route,
        "chain": [running.kind for running in explained.chain],
        "targets": list(explained.upstreams),
    }


def _lines(told: dict[str, object]) -> Iterator[tuple[str, str]]:
    """A line for each fact, and one for each of several."""
    for name, value in told.items():
        words = name.replace("_", " ")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for each in value:
                yield words, _plain(each)
        else:
            yield words, _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(each)}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return " ".join(map(_plain, value)) or "-"
    return str(value)
