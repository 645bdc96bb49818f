"""The statements, by the schema in which the tables lie. Every value is a parameter (R7).

The tenant is a parameter too, beside the policy that asks for it anyway: either of the two would do alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

__all__ = [
    "COMMIT",
    "EFFORT",
    "ENTER",
    "GRAPH",
    "GRAPHS",
    "LAST_POSITION",
    "MAIN_SCHEMA",
    "PRODUCT",
    "ROLLBACK",
    "VECTOR",
    "Statements",
    "begin",
    "graph_name",
    "quoted",
]

MAIN_SCHEMA: Final = "partywall"
LAST_POSITION: Final = 2**63 - 1
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"
ENTER: Final = "SELECT set_config('partywall.tenant', $1, true), set_config('role', $2, true)"
"""Who is asked for, and who asks, until this transaction ends. The role is `none` where the serving role is meant."""
GRAPH: Final = "near_"
"""How the names of all graphs begin."""
GRAPHS: Final = """
SELECT c.relname, i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND starts_with(c.relname, 'near_')
"""
"""Those of a schema, and whether each was finished."""
EFFORT: Final = "SELECT set_config('hnsw.ef_search', $1, true)"
_STORE: Final = re.compile(r"[a-z]{1,32}", re.ASCII).fullmatch
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII).fullmatch
_OWN: Final = "tenant = $1 AND store = $2"
_ROW: Final = "grp, key, revision, sealed"
VECTOR: Final = "public.vector"
"""pgvector's type. Its schema is said, so that nobody's search path chooses another one."""
PRODUCT: Final = "OPERATOR(public.<#>)"
"""The negative inner product."""


def quoted(identifier: str) -> str:
    """A name of ours as it stands in a statement.

    Raises:
        ValueError: it is none of ours.
    """
    if _IDENTIFIER(identifier) is None:
        raise ValueError("no name of a schema, role or database of ours")
    return f'"{identifier}"'


def graph_name(store: str, index: bytes, dimensions: int) -> str:
    """What the graph of one index is called."""
    return GRAPH + hashlib.sha256(b"%s/%d/%s" % (store.encode(), dimensions, index)).hexdigest()[:32]


def begin(*, reading: bool, timeout_seconds: float) -> str:
    """The begin of a transaction. Everything in it is gone at its end, so that a pooler may lie between."""
    # A page is two statements; they must see one state. What writes must see what the one before it committed.
    mode = "REPEATABLE READ READ ONLY" if reading else "READ COMMITTED READ WRITE"
    limit = max(1, int(timeout_seconds * 1000))
    return (
        f"BEGIN ISOLATION LEVEL {mode}; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {limit}"
    )


@dataclass(frozen=True)
class Statements:
    """Those of one schema."""

    schema: str

    @cached_property
    def _rows(self) -> str:
        return f"{quoted(self.schema)}.rows"

    @cached_property
    def _partitions(self) -> str:
        return f"{quoted(self.schema)}.partitions"

    @cached_property
    def lock(self) -> str:
        """Take the partition, for as long as the transaction lasts, and $3 places in its order: the last of them."""
        return (
            f"INSERT INTO {self._partitions} AS p (tenant, store, position) VALUES ($1, $2, $3) "
            "ON CONFLICT (tenant, store) DO UPDATE SET position = p.position + $3 RETURNING position"
        )

    @cached_property
    def get(self) -> str:
        return f"SELECT {_ROW} FROM {self._rows} WHERE {_OWN} AND grp = $3 AND key = $4"

    @cached_property
    def get_many(self) -> str:
        """One row for each of the groups $3 and keys $4, in their order; of nulls where there is none."""
        return (
            "SELECT r.grp, r.key, r.revision, r.sealed FROM unnest($3::bytea[], $4::bytea[]) "
            f"WITH ORDINALITY AS asked (grp, key, number) LEFT JOIN {self._rows} AS r "
            "ON r.tenant = $1 AND r.store = $2 AND r.grp = asked.grp AND r.key = asked.key ORDER BY asked.number"
        )

    @cached_property
    def insert(self) -> str:
        return (
            f"INSERT INTO {self._rows} (tenant, store, grp, key, position, revision, sealed) "
            "VALUES ($1, $2, $3, $4, $5, 1, $6) ON CONFLICT (tenant, store, grp, key) DO NOTHING"
        )

    @cached_property
    def replace(self) -> str:
        return (
            f"UPDATE {self._rows} SET sealed = $6, revision = revision + 1 "
            f"WHERE {_OWN} AND grp = $3 AND key = $4 AND revision = $5"
        )

    @cached_property
    def reseal(self) -> str:
        return f"UPDATE {self._rows} SET sealed = $6 WHERE {_OWN} AND grp = $3 AND key = $4 AND sealed = $5"

    @cached_property
    def delete(self) -> str:
        return (
            f"DELETE FROM {self._rows} WHERE {_OWN} AND grp = $3 AND key = $4 AND ($5::bigint IS NULL OR revision = $5)"
        )

    @cached_property
    def delete_group(self) -> str:
        return f"DELETE FROM {self._rows} WHERE {_OWN} AND grp = $3"

    @cached_property
    def _vectors(self) -> str:
        return f"{quoted(self.schema)}.vectors"

    @cached_property
    def put_vector(self) -> str:
        return (
            f"INSERT INTO {self._vectors} (tenant, store, idx, grp, position, dimensions, number, embedding) "
            f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8::real[]::{VECTOR})"
        )

    @cached_property
    def drop_vectors(self) -> str:
        return f"DELETE FROM {self._vectors} WHERE {_OWN} AND idx = $3 AND grp = $4"

    @cached_property
    def drop_index(self) -> str:
        return f"DELETE FROM {self._vectors} WHERE {_OWN} AND idx = $3"

    @cached_property
    def nearest(self) -> str:
        """Every vector is compared: no neighbour, within the tenant or beyond, moves a result."""
        return (
            f"SELECT grp, number, -(embedding {PRODUCT} $4::real[]::{VECTOR}) AS score FROM {self._vectors} "
            f"WHERE {_OWN} AND idx = $3 AND dimensions = $5 AND ($6::bytea[] IS NULL OR grp = ANY ($6)) "
            "ORDER BY score DESC, position, number LIMIT $7"
        )

    def nearly(self, dimensions: int) -> str:
        """As `nearest` without groups, by way of the graph that there is of this index (`graph_name`)."""
        of = f"{VECTOR}({int(dimensions)})"
        return (
            "SELECT grp, number, -distance FROM (SELECT grp, number, position, "
            f"(embedding::{of}) {PRODUCT} $4::real[]::{of} AS distance FROM {self._vectors} "
            f"WHERE {_OWN} AND idx = $3 AND dimensions = {int(dimensions)} ORDER BY distance LIMIT $5) AS near "
            "ORDER BY distance, position, number"
        )

    @cached_property
    def large_indexes(self) -> str:
        """Store, index and dimensions of the tenant's indexes of at least $2 vectors."""
        return (
            f"SELECT store, idx, dimensions FROM {self._vectors} WHERE tenant = $1 "
            "GROUP BY store, idx, dimensions HAVING count(*) >= $2"
        )

    def make_graph(self, store: str, index: bytes, dimensions: int) -> str:
        """Make the graph of one index, while others go on writing. Only in a tenant's own place."""
        if _STORE(store) is None:
            raise ValueError("no store's name")
        return (
            f"CREATE INDEX CONCURRENTLY {graph_name(store, index, dimensions)} ON {self._vectors} USING hnsw "
            f"((embedding::{VECTOR}({int(dimensions)})) public.vector_ip_ops) WITH (m = 16, ef_construction = 64) "
            f"WHERE store = '{store}' AND idx = '\\x{index.hex()}' AND dimensions = {int(dimensions)}"
        )

    @cached_property
    def count_vectors(self) -> str:
        return f"SELECT count(*) FROM {self._vectors} WHERE {_OWN}"

    @cached_property
    def delete_vectors(self) -> str:
        return f"DELETE FROM {self._vectors} WHERE {_OWN}"

    @property
    def has_vectors(self) -> str:
        """Whether there is a table of them; $1 is its schema. The catalogue is open to everybody."""
        return (
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'vectors')"
        )

    @cached_property
    def position(self) -> str:
        return f"SELECT position FROM {self._rows} WHERE {_OWN} AND grp = $3 AND key = $4"

    @cached_property
    def forwards(self) -> str:
        return f"SELECT {_ROW} FROM {self._rows} WHERE {_OWN} AND grp = $3 AND position > $4 ORDER BY position LIMIT $5"

    @cached_property
    def backwards(self) -> str:
        return (
            f"SELECT {_ROW} FROM {self._rows} WHERE {_OWN} AND grp = $3 AND position < $4 "
            "ORDER BY position DESC LIMIT $5"
        )

    @cached_property
    def scan(self) -> str:
        return f"SELECT position, {_ROW} FROM {self._rows} WHERE {_OWN} AND position > $3 ORDER BY position LIMIT $4"

    @cached_property
    def count(self) -> str:
        return f"SELECT count(*) FROM {self._rows} WHERE {_OWN}"

    @cached_property
    def delete_all(self) -> str:
        return f"DELETE FROM {self._rows} WHERE {_OWN}"

    @cached_property
    def forget(self) -> str:
        """The partition itself."""
        return f"DELETE FROM {self._partitions} WHERE {_OWN}"

    @cached_property
    def version(self) -> str:
        """Which schema version the tables have."""
        return f"SELECT version_num FROM {quoted(self.schema)}.alembic_version"

    @cached_property
    def placement(self) -> str:
        """Where a tenant's rows lie; in the main schema only."""
        return f"SELECT strategy, name, ready FROM {quoted(self.schema)}.placements WHERE tenant = $1"
