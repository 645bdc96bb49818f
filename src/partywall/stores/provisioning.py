"""PostgreSQL and Valkey for those above: opening them for serving, and making on them what serving expects to find.

Promises: the driver and the migrations are imported when a document asks for them, and what is missing is said with the
command that installs it. What an owner does needs the owner's connection string, which no serving process reads.

Doesn't promise: to make tenants on SQLite. There, the first record does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partywall.errors import ConfigError, PartywallError
from partywall.stores.backends.postgres.settings import PostgresSettings, Strategy
from partywall.stores.backends.valkey.settings import ValkeySettings
from partywall.tenancy import Secret, TenantId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partywall.stores.backends.postgres.backend import PostgresBackend
    from partywall.stores.backends.valkey.backend import ValkeyBackend
    from partywall.stores.backends.valkey.owner import CacheOwner

__all__ = [
    "CacheOwned",
    "PostgresSettings",
    "Strategy",
    "ValkeySettings",
    "check_postgres",
    "check_valkey",
    "migrate",
    "migrate_valkey",
    "open_postgres",
    "open_valkey",
    "provision",
    "provision_in_valkey",
]


async def open_postgres(settings: PostgresSettings) -> PostgresBackend:
    """The backend, once its server has been found fit to be served from.

    Raises:
        ConfigError: it isn't, with each reason and its mend; or the extra `postgres` isn't installed.
        StoreUnavailable: it can't be asked.
    """
    with _extra():
        from partywall.stores.backends.postgres.backend import PostgresBackend  # noqa: PLC0415 - an extra
    backend = PostgresBackend(settings)
    try:
        await backend.check()
    except BaseException:
        await backend.aclose()
        raise
    return backend


async def check_postgres(settings: PostgresSettings, tenants: Iterable[TenantId]) -> AsyncIterator[tuple[str, str]]:
    """Check the server, then the place of each tenant: what it was, and what is wrong with it ("" for nothing).

    Raises:
        ConfigError, StoreUnavailable: as `open_postgres`.
    """
    backend = await open_postgres(settings)
    try:
        yield "the server", ""
        for tenant in tenants:
            try:
                await backend.check_tenant(tenant)
            except PartywallError as error:
                yield tenant, str(error)
            else:
                yield tenant, ""
    finally:
        await backend.aclose()


async def migrate(
    owner_dsn: Secret, serving_dsn: Secret, wanted: Mapping[TenantId, Strategy], *, vectors: bool = False
) -> AsyncIterator[tuple[str, str]]:
    """Bring the server to this partywall's version: the common schema, the places of the `wanted` tenants, and those of
    every other tenant that was provisioned. Yields what was done, and what was wrong with it ("" for nothing).

    Raises:
        ConfigError: the connection strings or the server can't be used; or the extra `postgres` isn't installed.
        StoreUnavailable: the server says no, or nothing.
    """
    with _extra():
        from partywall.stores.backends.postgres.owner import Owner  # noqa: PLC0415 - an extra
    owner = Owner(owner_dsn, serving_dsn, vectors=vectors)
    await owner.migrate()
    yield "the common schema", ""
    for tenant, strategy in sorted({**await owner.placed(), **wanted}.items()):
        try:
            await owner.provision(tenant, strategy)
        except PartywallError as error:
            yield tenant, str(error)
        else:
            yield tenant, ""


async def provision(
    owner_dsn: Secret, serving_dsn: Secret, tenant: TenantId, strategy: Strategy, *, vectors: bool = False
) -> None:
    """Make the place of one tenant, or repair it.

    Raises:
        ConfigError: its rows lie by another strategy; or as `migrate`.
        StoreUnavailable: the server says no, or nothing.
    """
    with _extra():
        from partywall.stores.backends.postgres.owner import Owner  # noqa: PLC0415 - an extra
    await Owner(owner_dsn, serving_dsn, vectors=vectors).provision(tenant, strategy)


@dataclass(frozen=True)
class CacheOwned:
    """What an owner of a Valkey has to know."""

    owner_url: Secret
    serving_url: Secret
    password_of: Callable[[str], Secret]
    mark: str
    """The deployment's, by which it knows its server."""
    common_only: bool = False
    """Give no tenant a database of its own, as on a server that can't."""

    def owner(self) -> CacheOwner:
        """The owner, at work. Raises ConfigError."""
        with _extra("storage.cache: valkey", "valkey"):
            from partywall.stores.backends.valkey.owner import CacheOwner  # noqa: PLC0415 - an extra
        urls = self.owner_url, self.serving_url
        return CacheOwner(*urls, self.password_of, self.mark, common_only=self.common_only)


async def open_valkey(settings: ValkeySettings) -> ValkeyBackend:
    """The backend, once its server has been found fit to be served from.

    Raises:
        ConfigError: it isn't, with each reason and its mend; or the extra `valkey` isn't installed.
        StoreUnavailable: it can't be asked.
    """
    with _extra("storage.cache: valkey", "valkey"):
        from partywall.stores.backends.valkey.backend import ValkeyBackend  # noqa: PLC0415 - an extra
    backend = ValkeyBackend(settings)
    try:
        await backend.check()
    except BaseException:
        await backend.aclose()
        raise
    return backend


async def check_valkey(settings: ValkeySettings, tenants: Iterable[TenantId]) -> AsyncIterator[tuple[str, str]]:
    """As `check_postgres`, of the cache server. Raises as `open_valkey`."""
    backend = await open_valkey(settings)
    try:
        yield "the cache server", ""
        for tenant in tenants:
            try:
                await backend.check_tenant(tenant)
            except PartywallError as error:
                yield f"{tenant} in the cache", str(error)
            else:
                yield f"{tenant} in the cache", ""
    finally:
        await backend.aclose()


async def migrate_valkey(owned: CacheOwned, wanted: Iterable[TenantId]) -> AsyncIterator[tuple[str, str]]:
    """As `migrate`, on the cache server: its users, and the places of the `wanted` tenants and of all before.

    Raises:
        ConfigError: the server isn't fit, or another deployment's; or the extra `valkey` isn't installed.
        StoreUnavailable: it says no, or nothing.
    """
    owner = owned.owner()
    note = await owner.migrate()
    yield f"the cache server ({note})" if note else "the cache server", ""
    for tenant in sorted({*await owner.placed(), *wanted}):
        try:
            number = await owner.provision(tenant)
        except PartywallError as error:
            yield f"{tenant} in the cache", str(error)
        else:
            place = f"database {number}" if number else "the common database"
            yield f"{tenant} in the cache ({place})", ""


async def provision_in_valkey(owned: CacheOwned, tenant: TenantId) -> None:
    """Make the place of one tenant on the cache server, or repair it. Raises as `migrate_valkey`."""
    await owned.owner().provision(tenant)


@contextmanager
def _extra(asked: str = "storage.backend: postgres", extra: str = "postgres") -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"`{asked}` needs `{error.name}`; run: pip install 'partywall[{extra}]'") from None
