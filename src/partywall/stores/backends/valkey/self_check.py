"""Whether a server may be served from: asked of the server itself, by two identities.

Promises: the wall is proven by trying, not by reading rules: one probe writes, and the other is refused each command on
that key, each command that enumerates, scripts, flushes or administers, and the other databases. Nobody gets in at our
address without a password. What can't be proven is not served from. Nothing that is tried would harm if it worked.

Doesn't promise: to know of rights that are given later (`partywall storage check` looks again).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from partywall.errors import StoreUnavailable
from partywall.stores.backends.valkey.connections import FAILURES, Command, Connections, Wire, told
from partywall.stores.backends.valkey.places import COMMON, Identity, prefix_of
from partywall.stores.backends.valkey.settings import MIGRATE_COMMAND, PROBES

__all__ = ["faults_of_info", "faults_of_server", "faults_of_tenant", "info_of", "version_of"]

_OLDEST: Final = (7, 0)
_SERVING: Final = Identity("")
_MEND: Final = f"run `{MIGRATE_COMMAND} CONFIG`"
_OTHER_DATABASES: Final = 16
"""So many numbers are tried: more than a server has by default."""
_NEVER: Final[tuple[Command, ...]] = (
    ("SCAN", 0),
    ("KEYS", "?"),
    ("RANDOMKEY",),
    ("DBSIZE",),
    ("EVAL", "return 1", 0),
    ("SCRIPT", "EXISTS", "0"),
    ("FUNCTION", "LIST"),
    ("FLUSHDB", "NOTHING"),
    ("FLUSHALL", "NOTHING"),
    ("SWAPDB", 0, 0),
    ("CONFIG", "GET", "maxmemory"),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "ID", 0),
    ("INFO",),
    ("PUBLISH", "partywall", "probe"),
    ("PUBSUB", "CHANNELS"),
    ("MEMORY", "DOCTOR"),
    ("SLOWLOG", "LEN"),
    ("COMMAND", "COUNT"),
)
"""What no user of a tenant may do, whatever the key. Where one of them worked, it would change nothing."""
_OPEN: Final = (
    "lets anybody in without a password (its user `default`), who would see every tenant; as an administrator, "
    "ACL SETUSER default off, or set `requirepass`"
)
_log = logging.getLogger(__name__)


def _touching(key: str) -> list[Command]:
    """Every way to a key that a tenant's user has, and some that it hasn't."""
    return [
        ("GET", key),
        ("MGET", key),
        ("SET", key, "x", "XX", "KEEPTTL"),
        ("INCRBY", key, 0),
        ("PEXPIRE", key, 1, "LT"),
        ("ZADD", key, "XX", 1, "x"),
        ("ZCARD", key),
        ("ZRANGE", key, 0, 0),
        ("ZREM", key, "x"),
        ("ZREMRANGEBYRANK", key, 0, 0),
        ("ZREMRANGEBYSCORE", key, 0, 0),
        ("EXISTS", key),
        ("TYPE", key),
        ("TTL", key),
        ("OBJECT", "ENCODING", key),
        ("DUMP", key),
    ]


async def faults_of_server(connections: Connections) -> list[str]:
    """What is wrong with the server, as sentences with their mends.

    Raises:
        StoreUnavailable: it can't be asked.
    """
    try:
        async with asyncio.timeout(30):
            if await _lets_anybody_in(connections):
                return [_OPEN]
            async with connections.lease(_SERVING) as serving:
                info = await info_of(serving)
                faults = faults_of_info(info)
                faults += await _not_refused(serving, [*_touching(_probe_key(0)), *_but_info()], "who serves")
            return faults or await _faults_of_the_wall(connections)
    except AuthenticationError:
        return [f"doesn't know the user of `storage.cache_url_ref`, or a probe, or has another password; {_MEND}"]
    except FAILURES as error:
        raise StoreUnavailable(f"the cache server: {told(error)}") from error


async def faults_of_tenant(connections: Connections, who: Identity) -> list[str]:
    """What a tenant's user could do that it must not. Raises FAILURES."""
    async with connections.lease(who) as wire:
        return await _not_refused(wire, [*_touching(_probe_key(0)), *_NEVER, *_elsewhere(who)], f"`{who.name}`")


async def info_of(wire: Wire) -> dict[str, str]:
    """What the server says of itself. Raises FAILURES."""
    (reply,) = await wire.at_once([("INFO",)])
    text = reply.decode() if isinstance(reply, bytes) else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def version_of(info: Mapping[str, str]) -> tuple[bool, tuple[int, ...]]:
    """Whether it is a Valkey, and its version."""
    version = info.get("valkey_version") or info.get("redis_version", "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return "valkey_version" in info, numbers


def faults_of_info(info: Mapping[str, str]) -> list[str]:
    """What a server that says this of itself is not fit for."""
    faults = []
    if version_of(info)[1] < _OLDEST:
        faults.append("is older than 7.0, whose rules for users this partywall doesn't know; bring it up to date")
    mode = info.get("redis_mode") or info.get("server_mode")
    if mode != "standalone":
        faults.append(f"runs as `{mode}`, and only `standalone` was ever proven; name a server that isn't a cluster")
    if info.get("role") != "master":
        faults.append("is a replica, and would lose or refuse what is put; name its primary")
    evicts, bounded = info.get("maxmemory_policy") != "noeviction", info.get("maxmemory", "0") != "0"
    if evicts and bounded:
        faults.append(
            f"forgets keys when it is full (`maxmemory-policy {info.get('maxmemory_policy')}`), so sessions would end "
            "and counters begin anew by what a neighbour stores; set `maxmemory-policy noeviction`"
        )
    elif evicts:
        _log.warning("the cache server would forget keys if `maxmemory` were set; set `maxmemory-policy noeviction`")
    elif not bounded:
        _log.warning("the cache server has no `maxmemory`: it takes memory until the machine has none")
    return faults


async def _faults_of_the_wall(connections: Connections) -> list[str]:
    """One probe writes, the other tries; and each of them can do what it should."""
    one, two = (Identity(name) for name in PROBES)
    key, own = _probe_key(0), _probe_key(1)
    async with connections.lease(one) as first, connections.lease(two) as second:
        await first.at_once([("SET", key, "of one", "PX", 60_000)])
        await second.at_once([("SET", own, "of two", "PX", 60_000)])
        faults = await _not_refused(second, [("DEL", key), *_touching(key), *_NEVER, *_elsewhere(two)], "one tenant")
        (there,) = await first.at_once([("GET", key)])
        (control,) = await second.at_once([("GET", own)])
        if there != b"of one":
            faults.append(f"one tenant changed another's value; {_MEND}")
        if control != b"of two":
            faults.append(f"a tenant can't read its own value; {_MEND}")
        await first.at_once([("DEL", key)])
        await second.at_once([("DEL", own)])
    return faults


async def _not_refused(wire: Wire, commands: Sequence[Command], who: str) -> list[str]:
    """One fault that names every command that was not refused for want of a permission; or none."""
    replies = await wire.each(commands)
    open_to = [
        " ".join(map(str, command[:2] if command[0] in {"CLIENT", "SELECT"} else command[:1]))
        for command, reply in zip(commands, replies, strict=True)
        if not _is_refusal(reply)
    ]
    if not open_to:
        return []
    wire.abort()  # nobody knows what it did
    return [f"{who} may use {', '.join(dict.fromkeys(open_to))} where it must not; {_MEND}"]


def _is_refusal(reply: object) -> bool:
    """Whether the ACL said no, or the command doesn't exist (some services take commands away)."""
    return isinstance(reply, NoPermissionError) or (
        isinstance(reply, ResponseError) and str(reply).startswith("unknown command")
    )


def _elsewhere(who: Identity) -> list[Command]:
    """The other databases."""
    return [("SELECT", number) for number in range(_OTHER_DATABASES) if number != who.database]


def _but_info() -> list[Command]:
    """Of what nobody may do: what isn't the serving user's work."""
    return [command for command in _NEVER if command[0] != "INFO"]


def _probe_key(which: int) -> str:
    return f"{prefix_of(PROBES[which])}probe"


async def _lets_anybody_in(connections: Connections) -> bool:
    """Whether the server answers somebody who says nothing of who they are. Raises FAILURES."""
    anybody = connections.wire_of(Identity("", COMMON))
    anybody.username = anybody.password = None
    try:
        await anybody.open()
        (reply,) = await anybody.each([("PING",)])
    except AuthenticationError:
        return False
    finally:
        anybody.abort()
    return not isinstance(reply, AuthenticationError)
