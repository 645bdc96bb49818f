"""Who is who on the server, what each may do, and what a tenant's keys begin with.

Promises: a tenant's user begins with nothing and gets exactly the commands that `partition` sends, on keys that begin
with the tenant's own prefix: `<length>:<tenant>:`. No prefix begins another, since the length stands in front, and no
tenant's id holds `*`, `?`, `[` or `\\`, so a pattern matches what it says. None of these users may enumerate
(SCAN, KEYS, RANDOMKEY, DBSIZE: key patterns don't bind those), run scripts, flush, or see who else is there. On Valkey
9.1 and newer each is bound to one database besides.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from partywall.stores.backends.valkey.settings import PROBES
from partywall.tenancy import Secret, TenantId, parse_tenant_id

__all__ = [
    "COMMON",
    "MARK",
    "NUMBER_FIELD",
    "PREFIX",
    "REGISTRY",
    "TENANT_FIELD",
    "Identity",
    "prefix_of",
    "serving_rules",
    "tenant_rules",
    "user_of",
]

PREFIX: Final = "partywall:"
"""Of users that this module names."""
REGISTRY: Final = "partywall:registry"
"""A hash in the common database, written by the owner: which tenant has which database."""
MARK: Final = "deployment"
"""The registry's field that says whose server it is."""
TENANT_FIELD: Final = "tenant:{}"
NUMBER_FIELD: Final = "number:{}"
COMMON: Final = 0
"""The database of tenants that have none of their own."""
_COMMANDS: Final = (
    *("get", "mget", "set", "del", "incrby", "pexpire", "multi", "exec"),
    *("zadd", "zcard", "zrange", "zrem", "zremrangebyrank", "zremrangebyscore"),
)
"""All that `partition` sends, and nothing else."""


class Identity(NamedTuple):
    """Who a connection belongs to, for as long as it lives."""

    name: str
    """A tenant's id, a probe's, or "" for the serving user itself."""
    database: int = COMMON


def prefix_of(name: str) -> str:
    """What all keys of that tenant (or probe) begin with."""
    if name not in PROBES:
        parse_tenant_id(name)
    return f"{len(name)}:{name}:"


def user_of(name: str) -> str:
    """The ACL user of that tenant or probe."""
    prefix_of(name)
    return f"{PREFIX}{name}"


def tenant_rules(name: str | TenantId, password: Secret, number: int, *, bound: bool) -> list[str]:
    """What ACL SETUSER is told. `bound` says that the server can bind a user to a database."""
    rules = ["reset", "on", _digest(password), "-@all", *(f"+{command}" for command in _COMMANDS)]
    if number != COMMON:
        rules.append("+select")  # only where it is bound to one number; elsewhere a connection stays where it began
    rules += ["resetkeys", f"~{prefix_of(name)}*", "resetchannels"]
    if bound:
        rules += ["resetdbs", f"db={number}"]
    return rules


def serving_rules(password: Secret, *, bound: bool) -> list[str]:
    """Of the user that looks up where a tenant's values are, and whether the server is fit. It reaches no value."""
    rules = [
        "reset",
        "on",
        _digest(password),
        "-@all",
        "+hget",
        "+info",
        "resetkeys",
        f"%R~{REGISTRY}",
        "resetchannels",
    ]
    if bound:
        rules += ["resetdbs", f"db={COMMON}"]
    return rules


def _digest(password: Secret) -> str:
    return "#" + hashlib.sha256(password.reveal().encode()).hexdigest()
