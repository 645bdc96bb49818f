"""What must be true of a server before anything is served from it.

Promises: a role that could look past row-level security, tables without it, a policy that isn't exactly ours, a server
with a known hole, and tables of another version are each found and told with the mend. And it is proved, not only read
from a catalogue: with the setting of one probe tenant, its row is seen and no other; with another's, the other; with an
empty or no setting, none; and no row can be written in another's name. The probe tenants' names are no tenant ids.

Doesn't promise: to look again. A superuser who changes a policy under a running gateway isn't noticed until the next
start; the seal and the record inside are the walls for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import asyncpg

from partywall.stores.backends.postgres.connections import Connection, savepoint
from partywall.stores.backends.postgres.settings import MIGRATE_COMMAND
from partywall.stores.backends.postgres.statements import MAIN_SCHEMA, Statements, quoted

__all__ = [
    "OWN_ROWS",
    "POLICIES",
    "POLICY",
    "PROBES",
    "SCHEMA_VERSION",
    "faults_of_probes",
    "faults_of_role",
    "faults_of_server",
    "faults_of_tables",
    "faults_of_version",
]

SCHEMA_VERSION: Final = "0001"
"""The newest of `migrations/versions`."""
PROBES: Final = ("_probe", "_probe2")
"""Two names that no tenant can have; one is a prefix of the other. `migrate` plants a row for each."""
OWN_ROWS: Final = "tenant = NULLIF(current_setting('partywall.tenant', true), '')"
"""Our policy: unset and empty are nobody."""
POLICY: Final = "(tenant = NULLIF(current_setting('partywall.tenant'::text, true), ''::text))"
"""How PostgreSQL writes it down."""
POLICIES: Final = {"own": True, "nobody_elses": False}
"""Each policy's name, and whether it is permissive. The restrictive one narrows whatever somebody adds later."""
_TABLES: Final = ("partitions", "rows")
_VECTORS: Final = "vectors"
_LISTED: Final = "placements"
"""Its owner may list it, so it isn't forced; it holds no rows of tenants."""
_LEAST: Final = {15: 150014, 16: 160010, 17: 170006}
"""CVE-2025-8713: before these, planner statistics tell of rows that a policy hides."""
_POWERFUL: Final = (
    "pg_execute_server_program",
    "pg_read_all_data",
    "pg_read_server_files",
    "pg_write_all_data",
    "pg_write_server_files",
)

_ROLE: Final = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication
FROM pg_catalog.pg_roles r WHERE pg_has_role(session_user, r.oid, 'MEMBER')
AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.rolname = ANY ($1)) ORDER BY r.rolname
"""
_TABLE: Final = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(session_user, c.relowner, 'MEMBER') AS owned,
       has_table_privilege(session_user, c.oid, 'SELECT, INSERT, UPDATE, DELETE') AS by_itself,
       has_table_privilege(current_user, c.oid, 'TRUNCATE, REFERENCES, TRIGGER') AS too_much
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = ANY ('{r,p,v,m,f}') AND c.relname <> 'alembic_version' ORDER BY c.relname
"""
_POLICY: Final = """
SELECT c.relname, p.polname, p.polpermissive, p.polcmd = '*' AS always, p.polroles = '{0}' AS everyone,
       pg_get_expr(p.polqual, p.polrelid) AS qual, pg_get_expr(p.polwithcheck, p.polrelid) AS with_check
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 ORDER BY c.relname, p.polname
"""


_APPROXIMATE: Final = """
SELECT c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am a ON a.oid = c.relam JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND a.amname IN ('hnsw', 'ivfflat') ORDER BY c.relname
"""


def faults_of_server(version: int) -> list[str]:
    """What is wrong with a server of that `server_version_num`."""
    major = version // 10_000
    if major < min(_LEAST):
        return [f"PostgreSQL {major} is too old; 15 to 18 are supported"]
    least = _LEAST.get(major, 0)
    if version < least:
        known = f"PostgreSQL {major}.{version % 10_000} tells of rows that a policy hides (CVE-2025-8713)"
        return [f"{known}; upgrade to {major}.{least % 10_000}"]
    return []


async def faults_of_role(connection: Connection) -> list[str]:
    """What the serving role may that it must not."""
    faults = []
    for role in await connection.fetch(_ROLE, _POWERFUL):
        name = role["rolname"]
        if role["rolsuper"]:
            faults.append(f"the serving role is, or may become, the superuser `{name}`; serve as a plain role")
        elif role["rolbypassrls"]:
            faults.append(f"`{name}` passes by row-level security; ALTER ROLE {name} NOBYPASSRLS")
        if role["rolcreaterole"] and not role["rolsuper"]:
            faults.append(f"`{name}` may give itself other roles; ALTER ROLE {name} NOCREATEROLE")
        if role["rolreplication"] and not role["rolsuper"]:
            faults.append(f"`{name}` may copy the whole server; ALTER ROLE {name} NOREPLICATION")
        if name in _POWERFUL and not any("superuser" in fault for fault in faults):
            faults.append(f"the serving role is a member of `{name}`; REVOKE {name} from it")
    return faults


async def faults_of_tables(connection: Connection, schema: str, *, own_role: str, vectors: bool = False) -> list[str]:
    """What is wrong with the tables of one place, asked as whoever uses it. `own_role` is `none` in the common one.

    A table of vectors must be there if `vectors` says so; one that is there is held to the same in any case.
    """
    faults = list(await faults_of_version(connection, schema))
    if faults:
        return faults
    tables = {table["relname"]: table for table in await connection.fetch(_TABLE, schema)}
    wanted = (*_TABLES, *sorted({_LISTED, _VECTORS} & tables.keys()), *([_VECTORS] if vectors else []))
    for name in sorted({*wanted, *tables}):
        faults += _faults_of_table(f"{schema}.{name}", tables.get(name), own_role)
    policies: dict[str, list[asyncpg.Record]] = {name: [] for name in wanted}
    for policy in await connection.fetch(_POLICY, schema):
        policies.setdefault(policy["relname"], []).append(policy)
    for name, found in policies.items():
        faults += _faults_of_policies(f"{schema}.{name}", found)
    if own_role == "none":
        for index in await connection.fetch(_APPROXIMATE, schema):
            name = f"{schema}.{index['relname']}"
            faults.append(f"`{name}` mixes all tenants' vectors, so that neighbours hide each other; DROP INDEX {name}")
    return faults


def _faults_of_table(name: str, table: asyncpg.Record | None, own_role: str) -> Iterable[str]:
    if table is None:
        yield f"the table `{name}` is missing; run `{MIGRATE_COMMAND} CONFIG`"
        return
    if table["owned"]:
        yield f"the serving role owns `{name}`, or may become its owner `{table['owner']}`; give it to another role"
    if not table["relrowsecurity"]:
        yield f"row-level security is off; ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    if not table["relforcerowsecurity"] and table["relname"] != _LISTED:
        yield f"row-level security isn't forced; ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    if table["too_much"]:
        yield f"TRUNCATE, REFERENCES and TRIGGER pass by policies; REVOKE TRUNCATE, REFERENCES, TRIGGER ON {name}"
    if own_role != "none" and table["by_itself"]:
        yield f"the serving role has rights on `{name}` without becoming `{own_role}`; run `{MIGRATE_COMMAND} CONFIG`"


def _faults_of_policies(name: str, policies: list[asyncpg.Record]) -> Iterable[str]:
    mend = f"run `{MIGRATE_COMMAND} CONFIG`"
    found = {policy["polname"]: policy for policy in policies}
    for missing in POLICIES.keys() - found.keys():
        yield f"the policy `{missing}` of `{name}` is missing; {mend}"
    for policy_name, policy in found.items():
        if policy_name not in POLICIES:
            yield f"`{name}` has a policy `{policy_name}` that isn't ours; DROP POLICY {policy_name} ON {name}"
            continue
        as_made = policy["polpermissive"] == POLICIES[policy_name] and policy["always"] and policy["everyone"]
        if not as_made or policy["qual"] != POLICY or policy["with_check"] != POLICY:
            yield f"the policy `{policy_name}` of `{name}` is not the one that partywall made; {mend}"


async def faults_of_version(connection: Connection, schema: str) -> list[str]:
    """Whether the tables are of this partywall's version."""
    try:
        async with savepoint(connection):
            found = await connection.fetchval(Statements(schema).version)
    except asyncpg.UndefinedTableError:
        return [f"there are no tables in `{schema}`; run `{MIGRATE_COMMAND} CONFIG`"]
    except asyncpg.InsufficientPrivilegeError:
        return [f"the serving role may not use `{schema}`; run `{MIGRATE_COMMAND} CONFIG`"]
    if found == SCHEMA_VERSION:
        return []
    if isinstance(found, str) and found > SCHEMA_VERSION:
        return [f"the tables in `{schema}` were made by a newer partywall ({found}); serve with that one"]
    return [
        f"the tables in `{schema}` are of the version {found}, not {SCHEMA_VERSION}; run `{MIGRATE_COMMAND} CONFIG`"
    ]


# -- The proof with two identities ---


async def faults_of_probes(connection: Connection, *, seen_by_nobody: bool = True, vectors: bool = False) -> list[str]:
    """Whether the policy reads our setting, tried with two identities. Call it inside a transaction, and undo that.

    With `vectors`, the table of vectors is tried as well.

    The connection should be new: only there is the setting unset, and not merely empty.
    """
    faults = []
    tables = ("rows", _VECTORS) if vectors else ("rows",)
    if seen_by_nobody:
        for table in tables:
            if await _seen(connection, table):
                faults.append(  # noqa: PERF401 - one at a time
                    f"without a tenant, {table} are seen; the policy must take unset for nobody"
                )
    for table in tables:
        faults += await _faults_of_probed(connection, table)
    return faults


async def _faults_of_probed(connection: Connection, table: str) -> list[str]:
    faults = []
    for nobody in ("", "_prob", "_probe%"):
        if await _as(connection, nobody, table):
            faults.append(  # noqa: PERF401 - one at a time, and in this order
                f"as {nobody!r}, {table} are seen; the policy must compare whole names and take '' for nobody"
            )
    for probe in PROBES:
        seen = await _as(connection, probe, table)
        if not seen:
            faults.append(
                f"the probe tenant `{probe}` doesn't see its own row, so the policy doesn't read `partywall.tenant`, "
                f"or the row is gone; run `{MIGRATE_COMMAND} CONFIG`"
            )
        elif seen != [probe]:
            faults.append(f"the probe tenant `{probe}` sees other tenants' {table}; run `{MIGRATE_COMMAND} CONFIG`")
    return faults + await _writes_that_pass(connection, table)


async def _as(connection: Connection, tenant: str, table: str) -> list[str]:
    await connection.execute("SELECT set_config('partywall.tenant', $1, true)", tenant)
    return await _seen(connection, table)


async def _seen(connection: Connection, table: str) -> list[str]:
    rows = await connection.fetch(f"SELECT DISTINCT tenant FROM {quoted(MAIN_SCHEMA)}.{table} LIMIT 3")
    return sorted(row["tenant"] for row in rows)


async def _writes_that_pass(connection: Connection, table: str) -> list[str]:
    """Write in the other's name, in each way; every one must be refused or touch nothing."""
    one, other = PROBES
    rows = f"{quoted(MAIN_SCHEMA)}.{table}"
    last, changed = ("1, ''", "revision") if table == "rows" else ("1, 1, '[1]'", "dimensions")
    # Only rows of the probe tenants are touched, whatever the policies let pass.
    ones, others = (f"store = 'probe' AND tenant = '{probe}'" for probe in PROBES)
    tries = {
        "insert": f"INSERT INTO {rows} VALUES ('{other}', 'probe', '\\x01', '\\x01', 2, {last})",
        "give away": f"UPDATE {rows} SET tenant = '{other}', grp = '\\x02', position = 3 WHERE {ones}",
        "change": f"UPDATE {rows} SET {changed} = 9 WHERE {others}",
        "delete": f"DELETE FROM {rows} WHERE {others}",
    }
    faults = []
    for what, statement in tries.items():
        await _as(connection, one, table)
        try:
            async with savepoint(connection):
                done = await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        if not done.endswith(" 0"):
            faults.append(f"one tenant can {what} another's row in `{table}`; run `{MIGRATE_COMMAND} CONFIG`")
    return faults
