"""What Alembic runs: the versions, on the connection and in the schema that `owner` names."""

from __future__ import annotations

from alembic import context

_asked = context.config.attributes
context.configure(
    connection=_asked["connection"],
    version_table_schema=_asked["schema"],
    transaction_per_migration=False,
)
# The transaction is `owner`'s own: all versions, grants and probe rows are made at once or not at all.
context.run_migrations()
