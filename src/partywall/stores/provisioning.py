"""PostgreSQL for those above: opening it for serving, and making on it what serving expects to find.

Promises: the driver and the migrations are imported when a document asks for them, and what is missing is said with the
command that installs it. What an owner does needs the owner's connection string, which no serving process reads.

Doesn't promise: to make tenants on SQLite. There, the first record does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from partywall.errors import ConfigError, PartywallError
from partywall.stores.backends.postgres.settings import PostgresSettings, Strategy
from partywall.tenancy import Secret, TenantId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partywall.stores.backends.postgres.backend import PostgresBackend

__all__ = ["PostgresSettings", "Strategy", "check_postgres", "migrate", "open_postgres", "provision"]


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


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"`storage.backend: postgres` needs `{error.name}`; run: pip install 'partywall[postgres]'"
        ) from None
