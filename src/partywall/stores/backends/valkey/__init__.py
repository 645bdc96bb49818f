"""Values on Valkey 7.2 and newer or Redis 7.0 and newer: an ACL user for each tenant, and on Valkey 9.1 a database.

Everything here that talks to a server needs the extra `valkey`; `settings` needs nothing and may be imported without.
"""
