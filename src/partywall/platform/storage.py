"""From the document's `storage` to a server that can be served from.

Promises: the serving process reads `dsn_ref` and `cache_url_ref`, and never what names their owners. How far apart a
tenant's rows lie on PostgreSQL is said in one place: `tenants.<t>.isolation_strategy`, or else
`rag.isolation_strategy`, by default `separate_db`.

Doesn't promise: a change of it without a restart (`Platform.reload` refuses it). With SQLite, each tenant has files of
its own, which is as far apart as any strategy asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from partywall.config import Document, load
from partywall.config.integrity import faults
from partywall.config.isolation import Rag
from partywall.config.platform import Storage
from partywall.config.providers import SecretKeyRef
from partywall.config.secret_refs import SecretRef, SecretResolver
from partywall.errors import ConfigError
from partywall.platform.salts import Salter
from partywall.stores import VectorSettings
from partywall.stores.provisioning import (
    CacheOwned,
    PostgresSettings,
    Strategy,
    ValkeySettings,
    check_postgres,
    check_valkey,
    migrate,
    migrate_valkey,
    provision,
    provision_in_valkey,
)
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

    def serving_cache(self, salter: Salter) -> ValkeySettings | None:
        """How the serving process reaches its cache server; None for the embedded cache.

        Raises:
            CredentialUnavailable: the address can't be read.
        """
        ref = self.section.cache_url_ref
        if self.section.cache != "valkey" or ref is None:
            return None
        secrets, where = SecretResolver(), SecretRef.of(ref)
        secrets.resolve(where)
        return ValkeySettings(
            url=lambda: secrets.resolve(where),
            password_of=_passwords(salter),
            max_connections=self.section.cache_max_connections,
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
        """None for a document that needs no server."""
        document = load(Document, path).document
        for fault in faults(document):
            raise ConfigError(f"{path}: {'.'.join(map(str, fault.path))}: {fault.message} [{fault.rule}]")
        if document.storage.backend != "postgres" and document.storage.cache != "valkey":
            return None
        return cls(Stored.of(document), tuple(map(TenantId, document.tenant_ids())), path)

    def dsns(self) -> tuple[Secret, Secret]:
        """The owner's connection string and the serving role's."""
        section = self.stored.section
        return self._read("owner_dsn_ref", section.owner_dsn_ref), self._read("dsn_ref", section.dsn_ref)

    @property
    def has_rows(self) -> bool:
        """Whether rows lie on a server."""
        return self.stored.section.backend == "postgres"

    @property
    def has_cache(self) -> bool:
        """Whether sessions and counters do."""
        return self.stored.section.cache == "valkey"

    def cache(self, salter: Salter, *, common_only: bool = False) -> CacheOwned:
        """What the owner of the cache server has to know. Raises as `dsns`."""
        section = self.stored.section
        return CacheOwned(
            owner_url=self._read("cache_owner_url_ref", section.cache_owner_url_ref),
            serving_url=self._read("cache_url_ref", section.cache_url_ref),
            password_of=_passwords(salter),
            mark=salter.salt("valkey deployment", TenantId("")),
            common_only=common_only,
        )

    def _read(self, key: str, ref: SecretKeyRef | None) -> Secret:
        if ref is None:
            raise ConfigError(
                f"{self.path}: storage: `{key}` is missing; it says where the secret of the server is that it names"
            )
        return SecretResolver().resolve(SecretRef.of(ref))


async def migrate_storage(
    document: Path, data_dir: Path, *, common_cache: bool = False
) -> AsyncIterator[tuple[str, str]]:
    """Bring the document's servers to this version, and provision all of its tenants. See `stores.provisioning`.

    The passwords of tenants' users in the cache come of the key in `data_dir`, which is the serving process' own. With
    `common_cache`, no tenant is given a database of its own there.

    Raises:
        ConfigError: the document can't be used, or keeps rows in SQLite; or as `migrate`.
        CredentialUnavailable: a connection string can't be read.
        StoreUnavailable: the server says no, or nothing.
    """
    owned = _required(document)
    if owned.has_rows:
        owner, serving = owned.dsns()
        wanted = {tenant: owned.stored.strategy_of(tenant) for tenant in owned.tenants}
        async for done in migrate(owner, serving, wanted, vectors=owned.stored.keeps_vectors):
            yield done
    if owned.has_cache:
        salter = await asyncio.to_thread(_salter, data_dir)
        async for done in migrate_valkey(owned.cache(salter, common_only=common_cache), owned.tenants):
            yield done


async def check_storage(document: Path, data_dir: Path) -> AsyncIterator[tuple[str, str]]:
    """Check the document's servers and the place of each of its tenants, as serving would.

    Raises:
        ConfigError, CredentialUnavailable, StoreUnavailable: as `migrate_storage`.
    """
    owned = _required(document)
    settings = owned.stored.serving()
    if settings is not None:
        async for checked in check_postgres(settings, owned.tenants):
            yield checked
    if owned.has_cache:
        cache = owned.stored.serving_cache(await asyncio.to_thread(_salter, data_dir))
        if cache is not None:
            async for checked in check_valkey(cache, owned.tenants):
                yield checked


async def provision_tenant(document: Path, tenant: TenantId, data_dir: Path) -> None:
    """Make, or repair, the place of one tenant on the document's servers.

    With SQLite there is nothing to do, nor by `namespace` where the document names no owner.

    Raises:
        ConfigError, CredentialUnavailable, StoreUnavailable: as `migrate_storage`.
    """
    owned = _Owned.load(document)
    if owned is None:
        return
    if owned.has_cache:
        await provision_in_valkey(owned.cache(await asyncio.to_thread(_salter, data_dir)), tenant)
    strategy = owned.stored.strategy_of(tenant)
    if not owned.has_rows:
        return
    if strategy is Strategy.NAMESPACE and owned.stored.section.owner_dsn_ref is None:
        return
    owner, serving = owned.dsns()
    await provision(owner, serving, tenant, strategy, vectors=owned.stored.keeps_vectors)


def _passwords(salter: Salter) -> Callable[[str], Secret]:
    """Of tenants' users in the cache. A probe's name is no tenant's id, so their passwords are never the same."""
    return lambda name: Secret(salter.salt("valkey", TenantId(name)))


def _salter(data_dir: Path) -> Salter:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Salter.open(data_dir)


def _required(document: Path) -> _Owned:
    owned = _Owned.load(document)
    if owned is None:
        raise ConfigError(
            f"{document}: keeps rows in SQLite and its cache embedded, which need no migration; `storage` says so"
        )
    return owned
