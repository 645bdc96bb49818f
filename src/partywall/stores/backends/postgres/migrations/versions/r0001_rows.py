"""Rows, partitions and, in the main schema, placements. Policies and grants are `owner`'s, which repairs them too.

No unique constraint, sequence or foreign key spans two tenants (R11); checks of foreign keys pass by policies.
"""

from __future__ import annotations

from alembic import context, op

revision = "0001"
down_revision = None

_ROWS = """
CREATE TABLE {schema}.rows (
    tenant text COLLATE "C" NOT NULL,
    store text COLLATE "C" NOT NULL,
    grp bytea NOT NULL,
    key bytea NOT NULL,
    position bigint NOT NULL,
    revision bigint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, store, grp, key)
)
"""
_PARTITIONS = """
CREATE TABLE {schema}.partitions (
    tenant text COLLATE "C" NOT NULL,
    store text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tenant, store)
)
"""
_PLACEMENTS = """
CREATE TABLE {schema}.placements (
    tenant text COLLATE "C" PRIMARY KEY,
    strategy text NOT NULL,
    name text COLLATE "C" NOT NULL,
    ready boolean NOT NULL
)
"""


def upgrade() -> None:
    """Make the tables."""
    asked = context.config.attributes
    schema = f'"{asked["schema"]}"'
    op.execute(_ROWS.format(schema=schema))
    op.execute(f"CREATE INDEX rows_in_order ON {schema}.rows (tenant, store, grp, position)")
    op.execute(f"CREATE UNIQUE INDEX rows_by_position ON {schema}.rows (tenant, store, position)")
    # Ciphertext doesn't get smaller.
    op.execute(f"ALTER TABLE {schema}.rows ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute(_PARTITIONS.format(schema=schema))
    if asked["main"]:
        op.execute(_PLACEMENTS.format(schema=schema))


def downgrade() -> None:
    """Nothing goes back: see docs/operations.md."""
    raise NotImplementedError
