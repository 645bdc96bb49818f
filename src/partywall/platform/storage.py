"""From the document's `storage` to a server that can be served from.

Promises: the serving process reads `dsn_ref` and never `owner_dsn_ref`. How far apart a tenant's rows lie on PostgreSQL
is said in one place: `tenants.<t>.isolation_strategy`, or else `rag.isolation_strategy`, by default `separate_db`.

Doesn't promise: a change of it without a restart (`Platform.reload` refuses it). With SQLite, each tenant has files of
its own, which is as far apart as any strategy asks for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from partywall.config import Document, load
from partywall.config.integrity import faults
from partywall.config.isolation import Rag
from partywall.config.platform import Storage
from partywall.config.providers import SecretKeyRef
from partywall.config.secret_refs import SecretRef, SecretResolver
from partywall.errors import ConfigError
from partywall.stores import VectorSettings
from partywall.stores.provisioning import PostgresSettings, Strategy, check_postgres, migrate, provision
from partywall.tenancy import Secret, TenantId

__all__ = ["Stored", "check_storage", "migrate_storage", "provision_tenant"]


@dataclass(frozen=True)
class Stored:
    """What a document says about where rows lie."""

    section: Storage
    strategy: Strategy
    own_strategies: Mapping[TenantId, Strategy]

    @classmethod
    def of(cls, document: Document) -> Stored:
        """Of a whole document."""
        tenants = document.tenants.items()
        own = {TenantId(name): each.isolation_strategy for name, each in tenants if each.isolation_strategy is not None}
        return cls(
            section=document.storage,
            strategy=Strategy((document.rag or Rag()).isolation_strategy),
            own_strategies={tenant: Strategy(strategy) for tenant, strategy in own.items()},
        )

    def serving(self) -> PostgresSettings | None:
        """How the serving process reaches its server; None for SQLite.

        Raises:
            CredentialUnavailable: the connection string can't be read.
        """
        ref = self.section.dsn_ref
        if self.section.backend != "postgres" or ref is None:
            return None
        secrets, where = SecretResolver(), SecretRef.of(ref)
        secrets.resolve(where)
        return PostgresSettings(
            dsn=lambda: secrets.resolve(where),
            strategy=self.strategy,
            own_strategies=self.own_strategies,
            max_connections=self.section.max_connections,
            vectors=self.keeps_vectors,
        )

    def engine(self) -> VectorSettings | None:
        """How the serving process reaches an engine for vectors; None where there is none outside.

        Raises:
            CredentialUnavailable: its address can't be read.
        """
        kind, ref = self.section.vectors, self.section.vectors_url_ref
        if kind == "memory" or kind == "pgvector" or ref is None:
            return None
        secrets, where = SecretResolver(), SecretRef.of(ref)
        secrets.resolve(where)
        return VectorSettings(
            kind=kind,
            url=lambda: secrets.resolve(where),
            shares=lambda tenant: self.strategy_of(tenant) is Strategy.NAMESPACE,
        )

    @property
    def keeps_vectors(self) -> bool:
        """Whether the server is to compare documents' vectors."""
        return self.section.vectors == "pgvector"

    def strategy_of(self, tenant: TenantId) -> Strategy:
        """Where the document wants the tenant's rows."""
        return self.own_strategies.get(tenant, self.strategy)


@dataclass(frozen=True)
class _Owned:
    """A document of a server's, read by its owner."""

    stored: Stored
    tenants: tuple[TenantId, ...]
    path: Path

    @classmethod
    def load(cls, path: Path) -> _Owned | None:
        """None for a document that keeps rows in SQLite."""
        document = load(Document, path).document
        for fault in faults(document):
            raise ConfigError(f"{path}: {'.'.join(map(str, fault.path))}: {fault.message} [{fault.rule}]")
        if document.storage.backend != "postgres":
            return None
        return cls(Stored.of(document), tuple(map(TenantId, document.tenant_ids())), path)

    def dsns(self) -> tuple[Secret, Secret]:
        """The owner's connection string and the serving role's."""
        section = self.stored.section
        return self._read("owner_dsn_ref", section.owner_dsn_ref), self._read("dsn_ref", section.dsn_ref)

    def _read(self, key: str, ref: SecretKeyRef | None) -> Secret:
        if ref is None:
            raise ConfigError(
                f"{self.path}: storage: `{key}` is missing; it says where the owner's connection string is"
            )
        return SecretResolver().resolve(SecretRef.of(ref))


async def migrate_storage(document: Path) -> AsyncIterator[tuple[str, str]]:
    """Bring the document's server to this version, and provision all of its tenants. See `stores.provisioning.migrate`.

    Raises:
        ConfigError: the document can't be used, or keeps rows in SQLite; or as `migrate`.
        CredentialUnavailable: a connection string can't be read.
        StoreUnavailable: the server says no, or nothing.
    """
    owned = _required(document)
    owner, serving = owned.dsns()
    wanted = {tenant: owned.stored.strategy_of(tenant) for tenant in owned.tenants}
    async for done in migrate(owner, serving, wanted, vectors=owned.stored.keeps_vectors):
        yield done


async def check_storage(document: Path) -> AsyncIterator[tuple[str, str]]:
    """Check the document's server and the place of each of its tenants, as serving would.

    Raises:
        ConfigError, CredentialUnavailable, StoreUnavailable: as `migrate_storage`.
    """
    owned = _required(document)
    settings = owned.stored.serving()
    if settings is None:  # `_required` has seen that there is one
        return
    async for checked in check_postgres(settings, owned.tenants):
        yield checked


async def provision_tenant(document: Path, tenant: TenantId) -> None:
    """Make, or repair, the place of one tenant on the document's server.

    With SQLite there is nothing to do, nor by `namespace` where the document names no owner.

    Raises:
        ConfigError, CredentialUnavailable, StoreUnavailable: as `migrate_storage`.
    """
    owned = _Owned.load(document)
    if owned is None:
        return
    strategy = owned.stored.strategy_of(tenant)
    if strategy is Strategy.NAMESPACE and owned.stored.section.owner_dsn_ref is None:
        return
    owner, serving = owned.dsns()
    await provision(owner, serving, tenant, strategy, vectors=owned.stored.keeps_vectors)


def _required(document: Path) -> _Owned:
    owned = _Owned.load(document)
    if owned is None:
        raise ConfigError(f"{document}: keeps rows in SQLite, which needs no migration; `storage.backend` says so")
    return owned
