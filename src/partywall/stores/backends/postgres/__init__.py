"""PostgreSQL 15 to 18: a tenant's rows under forced row-level security, in its own schema, or in its own database.

Everything here that talks to a server needs the extra `postgres`; `settings` needs nothing and may be imported without.
"""
