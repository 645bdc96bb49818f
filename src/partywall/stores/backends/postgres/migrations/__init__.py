"""The schema's versions, for Alembic. They are run by `migrating` alone, as the owner."""
