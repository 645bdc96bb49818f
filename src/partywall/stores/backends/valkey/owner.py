"""What the owner does, and the serving process never: making users, giving out databases, writing both down.

Promises: everything is made once and repaired when it is run again; each user is made by one command, so it never is
half a user. A tenant's database is the lowest number that nobody has and in which nothing lies, and stays its own; it
is claimed before it is written down, so two owners at once give no number twice. A server that another deployment
(with another key) serves from is refused.

Doesn't promise: to move a tenant's values from one database to another, or to give a number back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import NoPermissionError, ResponseError

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.valkey.address import OWNER_URL, SERVING_URL, parse_address
from partywall.stores.backends.valkey.connections import FAILURES, Wire, told
from partywall.stores.backends.valkey.places import (
    COMMON,
    MARK,
    NUMBER_FIELD,
    PREFIX,
    REGISTRY,
    TENANT_FIELD,
    serving_rules,
    tenant_rules,
    user_of,
)
from partywall.stores.backends.valkey.self_check import faults_of_info, info_of, version_of
from partywall.stores.backends.valkey.settings import PROBES
from partywall.tenancy import Secret, TenantId, parse_tenant_id

__all__ = ["CacheOwner"]

_TIMEOUT_SECONDS: Final = 30.0
_BINDS_DATABASES: Final = (9, 1)
"""From this Valkey on, a user can be bound to databases."""
_MOST_DATABASES: Final = 10_000
_TENANT: Final = TENANT_FIELD.format("")


class CacheOwner:
    """The owner of the server, at work. `serving_url` is read for the serving user's name and password."""

    def __init__(
        self,
        owner_url: Secret,
        serving_url: Secret,
        password_of: Callable[[str], Secret],
        mark: str,
        *,
        common_only: bool = False,
    ) -> None:
        """`mark` is the deployment's. With `common_only`, no tenant gets a database that hasn't got one.

        Raises:
            ConfigError: one of the addresses isn't whole, or they name the same user.
        """
        self._address, self._serving = parse_address(owner_url, OWNER_URL), parse_address(serving_url, SERVING_URL)
        if self._serving.user in ("default", self._address.user) or self._serving.user.startswith(PREFIX):
            raise ConfigError(f"{SERVING_URL}: must name a user of its own, neither `default` nor the owner's")
        self._password_of = password_of
        self._mark = mark
        self._common_only = common_only

    async def migrate(self) -> str:
        """Make what is common to all tenants; returns what is to be known of it.

        Raises:
            ConfigError: the server isn't fit, or is another deployment's.
            StoreUnavailable: it says no, or nothing.
        """
        async with self._at_work() as wire:
            bound = await self._bounds(wire)
            await wire.at_once([("HSETNX", REGISTRY, MARK, self._mark)])
            await self._refuse_others_server(wire)
            await self._set_user(wire, self._serving.user, serving_rules(self._serving.password, bound=bound))
            for probe in PROBES:
                rules = tenant_rules(probe, self._password_of(probe), COMMON, bound=bound)
                await self._set_user(wire, user_of(probe), rules)
            return await self._save(wire)

    async def placed(self) -> list[TenantId]:
        """Every tenant that was provisioned."""
        async with self._at_work() as wire:
            (fields,) = await wire.at_once([("HKEYS", REGISTRY)])
            names = [field.decode() for field in fields if isinstance(field, bytes)] if isinstance(fields, list) else []
            return sorted(TenantId(name.removeprefix(_TENANT)) for name in names if name.startswith(_TENANT))

    async def provision(self, tenant: TenantId) -> int:
        """Make, or repair, the user and place of one tenant; returns its database's number.

        Raises:
            ConfigError: the server isn't fit, or is another deployment's, or wasn't migrated.
            StoreUnavailable: it says no, or nothing.
        """
        tenant = parse_tenant_id(tenant)
        async with self._at_work() as wire:
            bound = await self._bounds(wire)
            await self._refuse_others_server(wire)
            number = await self._number_of(wire, tenant, bound=bound)
            rules = tenant_rules(tenant, self._password_of(tenant), number, bound=bound)
            await self._set_user(wire, user_of(tenant), rules)
            await wire.at_once([("HSET", REGISTRY, TENANT_FIELD.format(tenant), number)])
            await self._save(wire)
            return number

    async def _number_of(self, wire: Wire, tenant: TenantId, *, bound: bool) -> int:
        """The database that the tenant has, or gets now."""
        (found,) = await wire.at_once([("HGET", REGISTRY, TENANT_FIELD.format(tenant))])
        if isinstance(found, bytes) and found.isdigit() and (bound or int(found) == COMMON):
            return int(found)
        if not bound or self._common_only:
            return COMMON
        for number in range(COMMON + 1, _MOST_DATABASES):
            claimed, holder = await wire.at_once(
                [
                    ("HSETNX", REGISTRY, NUMBER_FIELD.format(number), tenant),
                    ("HGET", REGISTRY, NUMBER_FIELD.format(number)),
                ]
            )
            if holder != tenant.encode():
                continue
            size = await self._size_of(wire, number)
            if size == 0 or (size is not None and not claimed):
                return number  # empty, or claimed by this tenant before
            if size is None:  # there is no such database: the server has no more
                await wire.at_once([("HDEL", REGISTRY, NUMBER_FIELD.format(number))])
                return COMMON
            await wire.at_once([("HSET", REGISTRY, NUMBER_FIELD.format(number), "-")])  # somebody else's keys
        return COMMON

    async def _size_of(self, wire: Wire, number: int) -> int | None:
        """How many keys lie in a database; None when there is none of that number."""
        selected, size, _ = await wire.each([("SELECT", number), ("DBSIZE",), ("SELECT", COMMON)])
        if isinstance(selected, NoPermissionError):
            raise selected
        if isinstance(selected, ResponseError):
            return None
        if isinstance(size, ResponseError) or not isinstance(size, int):
            raise StoreUnavailable(f"the owner of the cache server can't look into database {number}")
        return size

    async def _bounds(self, wire: Wire) -> bool:
        """Whether this server binds users to databases.

        Raises:
            ConfigError: it isn't fit to be served from.
        """
        info = await info_of(wire)
        if faults := faults_of_info(info):
            raise ConfigError(f"the cache server: {'; '.join(faults)}")
        is_valkey, version = version_of(info)
        return is_valkey and version >= _BINDS_DATABASES

    async def _refuse_others_server(self, wire: Wire) -> None:
        (mark,) = await wire.at_once([("HGET", REGISTRY, MARK)])
        if mark is None:
            raise ConfigError("the cache server wasn't made ready; run `partywall storage migrate CONFIG` first")
        if mark != self._mark.encode():
            raise ConfigError(
                "the cache server is another deployment's: it was made ready with another `salt.key` than that of this "
                f"data directory; name the right one by --data-dir, or, to take it over, HDEL {REGISTRY} {MARK}"
            )

    async def _set_user(self, wire: Wire, user: str, rules: list[str]) -> None:
        await wire.at_once([("ACL", "SETUSER", user, *rules)])

    async def _save(self, wire: Wire) -> str:
        """Write the users into the server's own file of users, where it has one."""
        (reply,) = await wire.each([("ACL", "SAVE")])
        if not isinstance(reply, ResponseError):
            return ""
        if "not configured" not in str(reply) and "aclfile" not in str(reply):
            raise reply
        return "without an `aclfile`, so its users go when it restarts; run this again then"

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[Wire]:
        wire = Wire(self._address, self._address.user, self._address.password, COMMON, _TIMEOUT_SECONDS)
        try:
            await wire.open()
            yield wire
        except NoPermissionError as error:
            raise ConfigError(
                f"{OWNER_URL}: `{self._address.user}` may not do an owner's work ({told(error)}); docs/operations.md "
                "says what it needs"
            ) from error
        except FAILURES as error:
            raise StoreUnavailable(f"the owner's work on the cache server: {told(error)}") from error
        finally:
            wire.abort()
