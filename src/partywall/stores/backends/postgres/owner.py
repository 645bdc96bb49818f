"""What the owner does, and the serving process never: making tables, roles, databases, policies and grants.

Promises: everything is made once and repaired when it is run again; what belongs together is one transaction. No rows
are left behind: where a tenant's lie by another strategy than the one asked for, nothing is done and that is said. The
serving role gets the rights that its statements need, and no others.

Doesn't promise: to move rows from one strategy to another, or to make the serving role itself.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection as SqlConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.postgres.address import parse_address
from partywall.stores.backends.postgres.connections import FAILURES, told
from partywall.stores.backends.postgres.places import place_of
from partywall.stores.backends.postgres.self_check import OWN_ROWS, POLICIES, PROBES, faults_of_server
from partywall.stores.backends.postgres.settings import Strategy
from partywall.stores.backends.postgres.statements import GRAPHS, MAIN_SCHEMA, VECTOR, Statements, graph_name, quoted
from partywall.tenancy import Secret, TenantId, parse_tenant_id

__all__ = ["LARGE", "Owner"]

_OWNER_DSN: Final = "storage.owner_dsn_ref"
_SERVING_DSN: Final = "storage.dsn_ref"
_SCRIPTS: Final = "partywall.stores.backends.postgres:migrations"
_TIMEOUT_SECONDS: Final = 60.0
LARGE: Final = 20_000
"""From so many vectors on, a graph is faster by enough (docs/adr/0010)."""
_GRAPH_SECONDS: Final = 4 * 3600.0
_PATIENCE: Final = "SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 0"
"""For making a graph. Several workers would need more shared memory than containers have."""
_READABLE: Final = 20
_LOCK: Final = 0x7077_5374
"""Two who migrate take turns. Only owners take it, and it ends with their transaction."""
_GIVES_INHERITANCE: Final = 16
"""From this version on, a membership says for itself whether rights are inherited."""


class Owner:
    """The owner of the tables, at work. `serving_dsn` is read for the name of the serving role alone."""

    def __init__(self, owner_dsn: Secret, serving_dsn: Secret, *, vectors: bool = False, large: int = LARGE) -> None:
        """Check both connection strings. With `vectors`, tables of vectors are made as well, which needs pgvector;
        a tenant's index of `large` vectors gets a graph where it has a place of its own.

        Raises:
            ConfigError: one of them isn't whole, or they name different databases or the same role.
        """
        owner, serving = parse_address(owner_dsn, _OWNER_DSN), parse_address(serving_dsn, _SERVING_DSN)
        if owner.user == serving.user:
            raise ConfigError(f"{_OWNER_DSN}: names the role that serves; the owner of the tables must be another one")
        self._dsn = owner_dsn
        self._main = owner.database
        self._serving = serving.user
        self._vectors = vectors
        self._large = large

    async def migrate(self) -> None:
        """Bring the common schema to the newest version, and repair what guards it.

        Raises:
            ConfigError: the server is too old or has no pgvector, or the serving role doesn't exist.
            StoreUnavailable: the server says no, or nothing.
        """
        async with self._at_work(self._main) as connection:
            await self._refuse_to_begin(connection)
            await _upgrade(connection, MAIN_SCHEMA, main=True)
            if self._vectors:
                await _make_vectors(connection, MAIN_SCHEMA)
            await _secure(connection, MAIN_SCHEMA, main=True)
            await self._grant(connection, MAIN_SCHEMA, self._serving)
            await _run(connection, f"GRANT SELECT ON {_PLACEMENTS} TO {_role(self._serving)}")
            await _plant_probes(connection)

    async def placed(self) -> dict[TenantId, Strategy]:
        """Every tenant that was provisioned, and how."""
        async with self._at_work(self._main) as connection:
            rows = await connection.exec_driver_sql(f"SELECT tenant, strategy FROM {_PLACEMENTS} ORDER BY tenant")
            return {TenantId(row["tenant"]): Strategy(row["strategy"]) for row in rows.mappings()}

    async def provision(self, tenant: TenantId, strategy: Strategy) -> None:
        """Make, or repair, the place of one tenant. The common schema must be there.

        Raises:
            ConfigError: its rows lie by another strategy.
            StoreUnavailable: the common schema isn't there; or as `migrate`.
        """
        tenant = parse_tenant_id(tenant)
        name = await self._write_down(tenant, strategy)
        if strategy is Strategy.SEPARATE_COLLECTION:
            async with self._at_work(self._main) as connection:
                await self._furnish(connection, strategy, name)
            await self._make_graphs(self._main, name, tenant)
        elif strategy is Strategy.SEPARATE_DB:
            await self._make_database(name)
            async with self._at_work(name) as connection:
                await self._furnish(connection, strategy, name)
            await self._make_graphs(name, MAIN_SCHEMA, tenant)
        async with self._at_work(self._main) as connection:
            ready = f"UPDATE {_PLACEMENTS} SET ready = true WHERE tenant = $1"
            await connection.exec_driver_sql(ready, (tenant,))

    async def _write_down(self, tenant: TenantId, strategy: Strategy) -> str:
        """Say where the tenant's rows will lie, before anything is made there; returns what the place is called."""
        fresh = "" if strategy is Strategy.NAMESPACE else f"pw_{tenant[:_READABLE]}_{secrets.token_hex(8)}"
        async with self._at_work(self._main) as connection:
            await _refuse_rows_elsewhere(connection, tenant, strategy)
            found = await connection.exec_driver_sql(
                f"INSERT INTO {_PLACEMENTS} AS p VALUES ($1, $2, $3, false) "
                "ON CONFLICT (tenant) DO UPDATE SET ready = p.ready RETURNING strategy, name",
                (tenant, strategy.value, fresh),
            )
            row = found.mappings().one()
            there, name = Strategy(row["strategy"]), str(row["name"])
            if there != strategy:
                raise ConfigError(
                    f"the rows of `{tenant}` lie by `{there}`, and the document says `{strategy}`; change it back, or "
                    "take them out and put them in again"
                )
        place_of(strategy, name)  # refuses a name that isn't ours
        return name

    async def _furnish(self, connection: AsyncConnection, strategy: Strategy, name: str) -> None:
        """Make everything in the tenant's schema or database, and let its role in, and the serving role become it."""
        schema = place_of(strategy, name).statements.schema
        await self._make_role(connection, name)
        await _upgrade(connection, schema, main=False)
        if self._vectors:
            await _make_vectors(connection, schema)
        await _secure(connection, schema, main=False)
        await self._grant(connection, schema, name)

    async def _make_role(self, connection: AsyncConnection, name: str) -> None:
        known = await connection.exec_driver_sql("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", (name,))
        if known.first() is None:
            await _run(connection, f"CREATE ROLE {quoted(name)} NOLOGIN NOINHERIT")
        if await _major(connection) >= _GIVES_INHERITANCE:
            await _run(connection, f"GRANT {quoted(name)} TO {_role(self._serving)} WITH INHERIT FALSE, SET TRUE")
            return
        await _run(
            connection,
            f"GRANT {quoted(name)} TO {_role(self._serving)}",
            f"ALTER ROLE {_role(self._serving)} NOINHERIT",
        )

    async def _grant(self, connection: AsyncConnection, schema: str, role: str) -> None:
        """What a role needs in a schema, and nothing more; and nothing for anybody else."""
        there, tables = quoted(schema), f"ALL TABLES IN SCHEMA {quoted(schema)}"
        others = {"PUBLIC", _role(self._serving), _role(role)}
        for other in sorted(others):
            await _run(connection, f"REVOKE ALL ON SCHEMA {there} FROM {other}", f"REVOKE ALL ON {tables} FROM {other}")
        await _run(
            connection,
            f"GRANT USAGE ON SCHEMA {there} TO {_role(role)}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {there}.rows, {there}.partitions TO {_role(role)}",
            f"GRANT SELECT ON {there}.alembic_version TO {_role(role)}",
        )
        if await _has_vectors(connection, schema):
            await _run(connection, f"GRANT SELECT, INSERT, DELETE ON {there}.vectors TO {_role(role)}")

    async def _make_database(self, name: str) -> None:
        """A database that nobody may enter but the serving role and its owner. No transaction can make one."""
        try:
            connection = await self._connect(self._main)
        except FAILURES as error:
            raise StoreUnavailable(f"the owner's work: {told(error)}") from error
        try:
            if await connection.fetchval("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", name) is None:
                # Where pgvector isn't trusted, an administrator has it in `template1`, and only so it comes along.
                template = "template1" if self._vectors else "template0"
                await connection.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE {template}")
            await connection.execute(f"REVOKE ALL ON DATABASE {quoted(name)} FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT ON DATABASE {quoted(name)} TO {_role(self._serving)}")
        except FAILURES as error:
            raise StoreUnavailable(f"making the database `{name}`: {told(error)}") from error
        finally:
            await connection.close(timeout=5)

    async def _make_graphs(self, database: str, schema: str, tenant: TenantId) -> None:
        """Make those that the tenant's vectors have become enough for, and drop the others. No transaction can."""
        if not self._vectors:
            return
        sql = Statements(schema)
        try:
            connection = await self._connect(database)
        except FAILURES as error:
            raise StoreUnavailable(f"the owner's work: {told(error)}") from error
        try:
            await connection.execute(_PATIENCE)
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK + 1):
                return  # another owner is at it
            await connection.execute("SELECT set_config('partywall.tenant', $1, false)", tenant)
            large = await connection.fetch(sql.large_indexes, tenant, self._large)
            wanted = {graph_name(*each): sql.make_graph(*each) for each in map(tuple, large)}
            there = {each["relname"]: each["indisvalid"] for each in await connection.fetch(GRAPHS, schema)}
            for name in sorted(there):
                if name not in wanted or not there[name]:
                    await connection.execute(f"DROP INDEX {quoted(schema)}.{name}")
                    there.pop(name)
            for name in sorted(wanted.keys() - there.keys()):
                await connection.execute(wanted[name], timeout=_GRAPH_SECONDS)
        except FAILURES as error:
            raise StoreUnavailable(f"making graphs of the vectors of `{tenant}`: {told(error)}") from error
        finally:
            await connection.close(timeout=5)

    async def _refuse_to_begin(self, connection: AsyncConnection) -> None:
        version = int((await connection.exec_driver_sql("SHOW server_version_num")).scalar_one())
        if faults := faults_of_server(version):
            raise ConfigError(f"storage: {faults[0]}")
        known = await connection.exec_driver_sql(
            "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", (self._serving,)
        )
        if known.first() is None:
            raise ConfigError(
                f"{_SERVING_DSN}: there is no role `{self._serving}` yet; as an administrator, CREATE ROLE "
                f"{self._serving} LOGIN PASSWORD '…'"
            )

    async def _connect(self, database: str) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            self._dsn.reveal(), database=database, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS
        )

    @asynccontextmanager
    async def _at_work(self, database: str) -> AsyncIterator[AsyncConnection]:
        """One transaction of the owner's in that database, and no other owner's at the same time."""
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: self._connect(database), poolclass=NullPool
        )
        try:
            async with engine.begin() as connection:
                await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_LOCK,))
                yield connection
        except (SQLAlchemyError, *FAILURES) as error:
            raise StoreUnavailable(f"the owner's work in `{database}`: {told(error)}") from error
        finally:
            await engine.dispose()


_VECTORS: Final = """
CREATE TABLE IF NOT EXISTS {schema}.vectors (
    tenant text COLLATE "C" NOT NULL,
    store text COLLATE "C" NOT NULL,
    idx bytea NOT NULL,
    grp bytea NOT NULL,
    position bigint NOT NULL,
    dimensions integer NOT NULL,
    number integer NOT NULL,
    embedding {type} NOT NULL,
    PRIMARY KEY (tenant, store, idx, grp, number)
)
"""
_PLACEMENTS: Final = f"{quoted(MAIN_SCHEMA)}.placements"


def _role(name: str) -> str:
    """A role's name as it stands in a statement, whatever an administrator called it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


async def _run(connection: AsyncConnection, *statements: str) -> None:
    for statement in statements:
        await connection.exec_driver_sql(statement)


async def _major(connection: AsyncConnection) -> int:
    return int((await connection.exec_driver_sql("SHOW server_version_num")).scalar_one()) // 10_000


async def _upgrade(connection: AsyncConnection, schema: str, *, main: bool) -> None:
    """Run the versions that the schema hasn't seen."""
    await connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")

    def upgrade(synchronous: SqlConnection) -> None:
        config = Config()
        config.set_main_option("script_location", _SCRIPTS)
        config.attributes.update(connection=synchronous, schema=schema, main=main)
        command.upgrade(config, "head")

    await connection.run_sync(upgrade)


async def _make_vectors(connection: AsyncConnection, schema: str) -> None:
    """The table of vectors, which isn't every server's: no version of the schema waits for it.

    Raises:
        ConfigError: the server has no pgvector, or has it where our statements don't look.
    """
    database = (await connection.exec_driver_sql("SELECT current_database()")).scalar_one()
    known = "SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = 'vector'"
    if (await connection.exec_driver_sql(known)).first() is None:
        raise ConfigError(
            "storage.vectors: this server has no pgvector; install it there (the extension is called `vector`), or say "
            "`memory`"
        )
    try:
        async with connection.begin_nested():
            await connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
    except DBAPIError as error:
        raise ConfigError(
            f"storage.vectors: making pgvector in the database `{database}`: {told(error)}; as an "
            "administrator, CREATE EXTENSION vector SCHEMA public, there, and in template1 for databases to come"
        ) from error
    where = await connection.exec_driver_sql(
        "SELECT extnamespace::regnamespace::text FROM pg_catalog.pg_extension WHERE extname = 'vector'"
    )
    if (found := where.scalar_one()) != "public":
        raise ConfigError(
            f"storage.vectors: pgvector is in the schema `{found}`, where our statements don't look; as its owner, "
            "ALTER EXTENSION vector SET SCHEMA public"
        )
    await connection.exec_driver_sql(_VECTORS.format(schema=quoted(schema), type=VECTOR))


async def _has_vectors(connection: AsyncConnection, schema: str) -> bool:
    return bool((await connection.exec_driver_sql(Statements(schema).has_vectors, (schema,))).scalar_one())


async def _secure(connection: AsyncConnection, schema: str, *, main: bool) -> None:
    """Row-level security, forced, with our two policies and no other.

    The owner may list who is placed where, so `placements` isn't forced; the serving role is held to it all the same.
    """
    vectors = ["vectors"] if await _has_vectors(connection, schema) else []
    for table in ("rows", "partitions", *vectors, *(["placements"] if main else [])):
        name = f"{quoted(schema)}.{table}"
        forced = "NO FORCE" if table == "placements" else "FORCE"
        await connection.exec_driver_sql(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        await connection.exec_driver_sql(f"ALTER TABLE {name} {forced} ROW LEVEL SECURITY")
        there = await connection.exec_driver_sql(
            "SELECT polname FROM pg_catalog.pg_policy WHERE polrelid = $1::text::regclass", (name,)
        )
        for policy in there.scalars().all():
            await connection.exec_driver_sql(f"DROP POLICY {_role(policy)} ON {name}")
        for policy, permissive in POLICIES.items():
            kind = "PERMISSIVE" if permissive else "RESTRICTIVE"
            await connection.exec_driver_sql(
                f"CREATE POLICY {policy} ON {name} AS {kind} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})"
            )


async def _plant_probes(connection: AsyncConnection) -> None:
    """A row for each probe tenant, which the start-up check looks for."""
    for probe in PROBES:
        await _enter(connection, probe)
        await connection.exec_driver_sql(
            f"INSERT INTO {quoted(MAIN_SCHEMA)}.rows VALUES ($1, 'probe', '\\x00', '\\x00', 1, 1, '') "
            "ON CONFLICT DO NOTHING",
            (probe,),
        )
        if await _has_vectors(connection, MAIN_SCHEMA):
            await connection.exec_driver_sql(
                f"INSERT INTO {quoted(MAIN_SCHEMA)}.vectors VALUES ($1, 'probe', '\\x00', '\\x00', 1, 1, 1, '[1]') "
                "ON CONFLICT DO NOTHING",
                (probe,),
            )


async def _refuse_rows_elsewhere(connection: AsyncConnection, tenant: TenantId, strategy: Strategy) -> None:
    """A tenant that nobody provisioned may have rows in the common schema."""
    if strategy is Strategy.NAMESPACE:
        return
    await _enter(connection, tenant)
    rows = f"{quoted(MAIN_SCHEMA)}.rows"
    if (await connection.exec_driver_sql(f"SELECT 1 FROM {rows} WHERE tenant = $1 LIMIT 1", (tenant,))).first():
        raise ConfigError(
            f"the rows of `{tenant}` lie by `{Strategy.NAMESPACE}`, and the document says `{strategy}`; change it "
            "back, or take them out and put them in again"
        )


async def _enter(connection: AsyncConnection, tenant: str) -> None:
    await connection.exec_driver_sql("SELECT set_config('partywall.tenant', $1, true)", (tenant,))
