"""What there is to tell of a tenant, gathered without acting on it.

Promises: nothing is made, changed or unwrapped for it, and no root is asked. What can't be told is None, and the reason
goes to standard error, so that one broken tenant hides nobody else.

Doesn't promise: figures of one moment, beside a gateway that works.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from partywall.cli.key_progress import progress_bar
from partywall.cli.keyring import KeyPlace, told_document
from partywall.config import Document, load
from partywall.errors import ConfigError, PartywallError
from partywall.keys import KeyStatus
from partywall.platform.encryption import Encrypted
from partywall.platform.standing import Standing, Suspension
from partywall.platform.storage import Stored
from partywall.stores import Stores, WallAlarm, open_stores
from partywall.tenancy import TenantId
from partywall.trail import TrailReader

__all__ = ["Facts", "Subject", "facts_of", "require_named"]


@dataclass(frozen=True)
class Subject:
    """A document and the data directory that it is served with."""

    path: Path
    document: Document
    data_dir: Path

    @classmethod
    def find(cls, config: Path | None, data_dir: Path) -> Subject:
        """Read the document.

        Raises:
            ConfigError: nobody says which it is, or it can't be read.
        """
        path = told_document(config, data_dir)
        return cls(path, load(Document, path).document, data_dir)

    def tenants(self) -> list[TenantId]:
        """Everybody whom the document names."""
        return [TenantId(name) for name in self.document.tenant_ids()]


@dataclass(frozen=True)
class Facts:
    """One tenant."""

    tenant: TenantId
    suspension: Suspension | None
    key: KeyStatus | None
    records: Mapping[str, int] | None
    """By store; None when it can't be told, or nothing is stored without `encryption`."""
    last_decision: float | None
    """Unix seconds."""


def facts_of(subject: Subject, tenants: Iterable[TenantId]) -> list[Facts]:
    """What there is to tell of each.

    Raises:
        StoreUnavailable: nobody can tell who is suspended.
        KeyUnavailable: the folder of the keys can't be read.
    """
    return asyncio.run(_gather(subject, list(tenants)))


async def _gather(subject: Subject, tenants: list[TenantId]) -> list[Facts]:
    standing = Standing(subject.data_dir)
    suspended = standing.suspended() if standing.exists() else {}
    reader = TrailReader(subject.data_dir)
    found: list[Facts] = []
    async with _stored(subject) as (stores, keys):
        with progress_bar() as tell:
            for number, tenant in enumerate(tenants, 1):
                records = await _records(stores, tenant)
                last = await asyncio.to_thread(_last, reader, tenant)
                found.append(Facts(tenant, suspended.get(tenant), keys.get(tenant), records, last))
                tell(number, len(tenants), tenant)
    return found


@asynccontextmanager
async def _stored(subject: Subject) -> AsyncIterator[tuple[Stores | None, Mapping[TenantId, KeyStatus]]]:
    """The stores, and everybody's key; nothing and nobody's before there are any."""
    encrypted = Encrypted.of(subject.document)
    place = None if encrypted is None else KeyPlace(subject.path, encrypted, subject.data_dir)
    if place is None or not place.keys_dir.is_dir():
        yield None, {}
        return
    server = Stored.of(subject.document).serving()
    async with (
        place.open() as keys,
        open_stores(subject.data_dir, keys, on_alarm=_alarm, postgres=server) as stores,
    ):
        yield stores, {status.tenant: status for status in await keys.life.statuses()}


async def _records(stores: Stores | None, tenant: TenantId) -> Mapping[str, int] | None:
    try:
        return None if stores is None else await stores.sizes_for_operators(tenant)
    except PartywallError as error:
        click.echo(str(error), err=True)
        return None


def _last(reader: TrailReader, tenant: TenantId) -> float | None:
    try:
        return reader.of_tenant(tenant).last_time()
    except PartywallError as error:
        click.echo(str(error), err=True)
        return None


def _alarm(alarm: WallAlarm) -> None:
    click.echo(f"alarm: {alarm}", err=True)


def require_named(subject: Subject, tenant: TenantId) -> None:
    """Refuse a tenant that the document doesn't name.

    Raises:
        ConfigError: that is so.
    """
    if tenant not in subject.tenants():
        raise ConfigError(f"{subject.path}: names no tenant `{tenant}`")
