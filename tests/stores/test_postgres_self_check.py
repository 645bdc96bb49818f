"""Each reason not to serve from a server, made true on a real one, and the refusal seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest
from tests.stores.places import migrated_database, owner_of, settings_for
from tests.support.engines.postgres import OWNER, SERVING, postgres_server

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.base import Insert
from partywall.stores.backends.postgres.backend import PostgresBackend
from partywall.stores.backends.postgres.self_check import POLICY, SCHEMA_VERSION, faults_of_probes, faults_of_server
from partywall.stores.backends.postgres.settings import PostgresSettings, Strategy
from partywall.stores.provisioning import check_postgres, open_postgres
from partywall.tenancy import TenantId

GOOD = "tenant = NULLIF(current_setting('partywall.tenant', true), '')"


@pytest.fixture
def database() -> Iterator[str]:
    name = migrated_database()
    yield name
    postgres_server().execute(f"DROP DATABASE {name} WITH (FORCE)")


def checked(database: str, user: str = SERVING) -> None:
    async def main() -> None:
        backend = await open_postgres(settings_for(postgres_server().dsn(database, user), Strategy.NAMESPACE))
        await backend.aclose()

    asyncio.run(main())


def policy(expression: str, *, name: str = "own", kind: str = "PERMISSIVE", rest: str = "") -> list[str]:
    made = f"CREATE POLICY {name} ON partywall.rows AS {kind} {rest} USING ({expression}) WITH CHECK ({expression})"
    return [f"DROP POLICY IF EXISTS {name} ON partywall.rows", made]


def both(expression: str) -> list[str]:
    return [*policy(expression), *policy(expression, name="nobody_elses", kind="RESTRICTIVE")]


ALTERED: dict[str, tuple[list[str], str]] = {
    "row-level security off": (["ALTER TABLE partywall.rows DISABLE ROW LEVEL SECURITY"], "row-level security is off"),
    "not forced": (["ALTER TABLE partywall.rows NO FORCE ROW LEVEL SECURITY"], "isn't forced"),
    "off for positions": (["ALTER TABLE partywall.partitions DISABLE ROW LEVEL SECURITY"], "partitions"),
    "off for placements": (["ALTER TABLE partywall.placements DISABLE ROW LEVEL SECURITY"], "placements"),
    "no policy": (["DROP POLICY own ON partywall.rows"], "`own` of `partywall.rows` is missing"),
    "no restrictive policy": (["DROP POLICY nobody_elses ON partywall.rows"], "`nobody_elses`.*is missing"),
    "another policy beside it": (policy("true", name="helpful"), "`helpful` that isn't ours"),
    "another setting": (both("tenant = NULLIF(current_setting('app.tenant', true), '')"), "not the one.*doesn't read"),
    "unset means everybody": (
        both("current_setting('partywall.tenant', true) IS NULL OR " + GOOD),
        "without a tenant, rows are seen",
    ),
    "empty means everybody": (
        both("current_setting('partywall.tenant', true) = '' OR " + GOOD),
        "as '', rows are seen",
    ),
    "a prefix is enough": (
        both("tenant LIKE NULLIF(current_setting('partywall.tenant', true), '') || '%'"),
        "sees other tenants' rows",
    ),
    "written in anybody's name": (
        [
            "DROP POLICY own ON partywall.rows",
            "DROP POLICY nobody_elses ON partywall.rows",
            f"CREATE POLICY own ON partywall.rows USING ({GOOD}) WITH CHECK (true)",
            f"CREATE POLICY nobody_elses ON partywall.rows AS RESTRICTIVE USING ({GOOD}) WITH CHECK (true)",
        ],
        "can insert another's row",
    ),
    "for reading only": (
        ["DROP POLICY own ON partywall.rows", f"CREATE POLICY own ON partywall.rows FOR SELECT USING ({GOOD})"],
        "not the one that partywall made",
    ),
    "for others": (policy(GOOD, rest=f"TO {OWNER}"), "not the one that partywall made"),
    "off for vectors": (["ALTER TABLE partywall.vectors DISABLE ROW LEVEL SECURITY"], "vectors ENABLE"),
    "not forced for vectors": (["ALTER TABLE partywall.vectors NO FORCE ROW LEVEL SECURITY"], "vectors FORCE"),
    "no policy for vectors": (["DROP POLICY own ON partywall.vectors"], "`own` of `partywall.vectors` is missing"),
    "any tenant's vectors": (
        ["DROP POLICY own ON partywall.vectors", "DROP POLICY nobody_elses ON partywall.vectors",
         "CREATE POLICY own ON partywall.vectors USING (true)",
         "CREATE POLICY nobody_elses ON partywall.vectors AS RESTRICTIVE USING (true)"],
        "`own` of `partywall.vectors` is not the one",
    ),
    "no vectors": (["DROP TABLE partywall.vectors"], "`partywall.vectors` is missing"),
    "one graph of all tenants' vectors": (
        ["CREATE INDEX shared ON partywall.vectors USING hnsw ((embedding::vector(1)) vector_ip_ops)"],
        "DROP INDEX partywall.shared",
    ),
    "truncate": ([f"GRANT TRUNCATE ON partywall.rows TO {SERVING}"], "TRUNCATE"),
    "given to who serves": ([f"ALTER TABLE partywall.rows OWNER TO {SERVING}"], "serving role owns `partywall.rows`"),
    "no probe rows": (["ALTER TABLE partywall.rows NO FORCE ROW LEVEL SECURITY", "DELETE FROM partywall.rows",
                       "ALTER TABLE partywall.rows FORCE ROW LEVEL SECURITY"], "doesn't see its own row"),
    "older tables": (["UPDATE partywall.alembic_version SET version_num = '0000'"], f"not {SCHEMA_VERSION}; run"),
    "newer tables": (["UPDATE partywall.alembic_version SET version_num = '9999'"], "newer partywall"),
    "no tables": (["DROP SCHEMA partywall CASCADE"], "no tables|may not use"),
    "no rights": ([f"REVOKE ALL ON SCHEMA partywall FROM {SERVING}"], "may not use `partywall`"),
}  # fmt: skip


def test_a_server_as_migrate_leaves_it_is_served_from(database: str) -> None:
    checked(database)


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_in_the_database_is_refused(database: str, what: str) -> None:
    statements, said = ALTERED[what]
    postgres_server().execute(*statements, database=database)
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        checked(database)


def test_the_probes_alone_see_a_policy_of_vectors_that_lets_pass(database: str) -> None:
    """As if the catalogue had been misread: what is written there isn't asked."""
    free = "OR current_setting('partywall.tenant', true) = '_prob'"
    made = f"USING ({GOOD} {free}) WITH CHECK (true)"
    postgres_server().execute(
        "DROP POLICY own ON partywall.vectors",
        "DROP POLICY nobody_elses ON partywall.vectors",
        f"CREATE POLICY own ON partywall.vectors {made}",
        database=database,
    )

    async def main() -> list[str]:
        connection = await asyncpg.connect(postgres_server().dsn(database))
        try:
            async with connection.transaction():
                return await faults_of_probes(connection, vectors=True)
        finally:
            await connection.close()

    faults = asyncio.run(main())
    assert any("as '_prob', vectors are seen" in fault for fault in faults)
    assert any("insert another's row in `vectors`" in fault for fault in faults)
    assert not any("`rows`" in fault for fault in faults)


@pytest.mark.parametrize(("prepare", "said"), [
    (["DROP EXTENSION vector"], "as an administrator, CREATE EXTENSION vector SCHEMA public"),
    (["CREATE SCHEMA other", "ALTER EXTENSION vector SET SCHEMA other"], "ALTER EXTENSION vector SET SCHEMA public"),
])  # fmt: skip
def test_a_server_without_pgvector_in_its_place_is_refused_by_migrate(prepare: list[str], said: str) -> None:
    server = postgres_server()
    name = server.new_database()
    try:
        server.execute(*prepare, database=name)
        with pytest.raises(ConfigError, match=said):
            asyncio.run(owner_of(server, name).migrate())
        asyncio.run(owner_of(server, name, vectors=False).migrate())
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


MENDED = (
    "not forced",
    "off for vectors",
    "no policy for vectors",
    "no vectors",
    "another policy beside it",
    "another setting",
    "for others",
    "no probe rows",
    "no rights",
)


@pytest.mark.parametrize("what", MENDED)
def test_what_the_refusal_advises_helps(database: str, what: str) -> None:
    postgres_server().execute(*ALTERED[what][0], database=database)
    asyncio.run(owner_of(postgres_server(), database).migrate())
    checked(database)


ROLES: dict[str, tuple[str, str, str]] = {
    "superuser": (f"ALTER ROLE {SERVING} SUPERUSER", f"ALTER ROLE {SERVING} NOSUPERUSER", "superuser"),
    "bypass": (f"ALTER ROLE {SERVING} BYPASSRLS", f"ALTER ROLE {SERVING} NOBYPASSRLS", "NOBYPASSRLS"),
    "makes roles": (f"ALTER ROLE {SERVING} CREATEROLE", f"ALTER ROLE {SERVING} NOCREATEROLE", "NOCREATEROLE"),
    "copies": (f"ALTER ROLE {SERVING} REPLICATION", f"ALTER ROLE {SERVING} NOREPLICATION", "NOREPLICATION"),
    "may become the owner": (f"GRANT {OWNER} TO {SERVING}", f"REVOKE {OWNER} FROM {SERVING}", f"owner `{OWNER}`"),
    "may become a superuser": (f"GRANT postgres TO {SERVING}", f"REVOKE postgres FROM {SERVING}", "may become"),
    "reads everything": (
        f"GRANT pg_read_all_data TO {SERVING}",
        f"REVOKE pg_read_all_data FROM {SERVING}",
        "member of `pg_read_all_data`",
    ),
}


@pytest.mark.parametrize("what", ROLES)
def test_a_role_that_may_too_much_is_refused(database: str, what: str) -> None:
    alter, back, said = ROLES[what]
    postgres_server().execute(alter)
    try:
        with pytest.raises(ConfigError, match=said):
            checked(database)
    finally:
        postgres_server().execute(back)


@pytest.mark.parametrize(("user", "said"), [("postgres", "superuser"), (OWNER, "owns `partywall.rows`")])
def test_an_administrator_does_not_serve(database: str, user: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        checked(database, user)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (140_020, "too old"),
        (150_013, "upgrade to 15.14"),
        (150_014, None),
        (160_009, "upgrade to 16.10"),
        (160_010, None),
        (170_005, "upgrade to 17.6"),
        (170_006, None),
        (180_000, None),
    ],
)
def test_old_servers_are_refused(version: int, said: str | None) -> None:
    faults = faults_of_server(version)
    assert bool(faults) == (said is not None)
    assert said is None or said in faults[0]


def test_the_proof_alone_finds_a_policy_whose_text_is_right(database: str) -> None:
    """The catalogue says what it should, and the rows say otherwise: another `current_setting` is found first."""
    server = postgres_server()
    server.execute(
        "CREATE FUNCTION partywall.current_setting(text, boolean) RETURNS text LANGUAGE sql STABLE AS "
        "$$ SELECT '_probe'::text $$",
        "DROP POLICY own ON partywall.rows",
        "DROP POLICY nobody_elses ON partywall.rows",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA partywall TO {SERVING}",
        "CREATE POLICY own ON partywall.rows USING "
        "(tenant = NULLIF(partywall.current_setting('partywall.tenant', true), ''))",
        database=database,
    )

    async def main() -> list[str]:
        backend = await _unchecked(database)
        try:
            async with backend._connections.probing() as under_way:
                return await faults_of_probes(under_way.connection)
        finally:
            await backend.aclose()

    faults = asyncio.run(main())
    assert any("without a tenant" in fault for fault in faults)
    assert any("as '', rows are seen" in fault for fault in faults)
    assert any("`_probe2` doesn't see its own row" in fault or "`_probe2` sees other" in fault for fault in faults)


async def _unchecked(database: str) -> PostgresBackend:
    return PostgresBackend(settings_for(postgres_server().dsn(database), Strategy.NAMESPACE))


def test_the_policy_is_written_down_as_we_expect(database: str) -> None:
    found = postgres_server().query(
        "SELECT DISTINCT qual, with_check FROM pg_policies WHERE schemaname = 'partywall'", database=database
    )
    assert found == [(POLICY, POLICY)]


# -- Places of tenants ---


@pytest.mark.parametrize("strategy", [Strategy.SEPARATE_COLLECTION, Strategy.SEPARATE_DB])
def test_a_tenants_place_is_checked_and_what_is_missing_is_said(database: str, strategy: Strategy) -> None:
    server, alpha, beta = postgres_server(), TenantId("alpha"), TenantId("beta")
    settings = settings_for(server.dsn(database), strategy)

    async def wrongs() -> dict[str, str]:
        return {what: wrong async for what, wrong in check_postgres(settings, [alpha, beta])}

    asyncio.run(owner_of(server, database).provision(alpha, strategy))
    found = asyncio.run(wrongs())
    assert found["alpha"] == ""
    assert "nothing is provisioned for `beta`" in found["beta"]
    assert "partywall storage migrate" in found["beta"]

    name = str(server.query("SELECT name FROM partywall.placements", database=database)[0][0])
    where = database if strategy is Strategy.SEPARATE_COLLECTION else name
    schema = f'"{name}"' if strategy is Strategy.SEPARATE_COLLECTION else "partywall"
    for alter, said in [
        (f"ALTER TABLE {schema}.rows DISABLE ROW LEVEL SECURITY", "row-level security is off"),
        (f"ALTER TABLE {schema}.partitions NO FORCE ROW LEVEL SECURITY", "isn't forced"),
        (f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.rows TO {SERVING}", "without becoming"),
        (f'REVOKE "{name}" FROM {SERVING} GRANTED BY {OWNER}', "closed to us"),
    ]:
        server.execute(alter, database=where)
        assert said in asyncio.run(wrongs())["alpha"], alter
        asyncio.run(owner_of(server, database).provision(alpha, strategy))
        assert asyncio.run(wrongs())["alpha"] == "", alter
    if strategy is Strategy.SEPARATE_DB:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        assert "gone or closed" in asyncio.run(wrongs())["alpha"]


def test_the_serving_role_has_no_rights_of_its_own_in_a_tenants_schema(database: str) -> None:
    server = postgres_server()
    asyncio.run(owner_of(server, database).provision(TenantId("alpha"), Strategy.SEPARATE_COLLECTION))
    name = server.query("SELECT name FROM partywall.placements", database=database)[0][0]
    for who in ("none", str(name)):
        seen = f"SELECT set_config('role', '{who}', false)", f'SELECT count(*) FROM "{name}".rows'
        if who == "none":
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                server.query(*seen, database=database, user=SERVING)
        else:
            assert server.query(*seen, database=database, user=SERVING) == [(0,)]


@pytest.mark.parametrize("first", list(Strategy))
def test_rows_are_never_left_behind_by_a_change_of_strategy(database: str, first: Strategy) -> None:
    """Both the owner and the gateway refuse, and alpha never finds an empty place."""
    server, alpha = postgres_server(), TenantId("alpha")
    asyncio.run(owner_of(server, database).provision(alpha, first))
    for other in Strategy:
        if other is first:
            continue
        with pytest.raises(ConfigError, match="change it back"):
            asyncio.run(owner_of(server, database).provision(alpha, other))

        async def read(settings: PostgresSettings) -> None:
            backend = PostgresBackend(settings)
            try:
                await backend.partition(alpha, "memory").get(b"g", b"k")
            finally:
                await backend.aclose()

        with pytest.raises(StoreUnavailable, match="change it back"):
            asyncio.run(read(settings_for(server.dsn(database), other)))


def test_rows_that_nobody_provisioned_are_not_left_behind_either(database: str) -> None:
    server, alpha = postgres_server(), TenantId("alpha")

    async def write() -> None:
        backend = await _unchecked(database)
        assert await backend.partition(alpha, "memory").commit([Insert(b"g", b"k", b"x")])
        await backend.aclose()

    asyncio.run(write())
    for other in (Strategy.SEPARATE_COLLECTION, Strategy.SEPARATE_DB):
        with pytest.raises(ConfigError, match="change it back"):
            asyncio.run(owner_of(server, database).provision(alpha, other))
