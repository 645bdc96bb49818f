"""The schema's versions, for Alembic. They are run by `owner` alone, as the owner."""
