"""The three walls between a store and what lies on disk, each an object of its own.

Promises: each wall alone keeps another tenant's record from a caller. `Placement` hands out the partition of the
scope's own tenant. `Cryptography` opens what was sealed for this tenant, store, purpose and place. `Verification` lets
pass what says inside that it belongs exactly there. Tests take each one away, and each pair, from outside: there is no
switch here.

Doesn't promise: to notice that a whole old row, revision and all, was put back in its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple

from partywall.errors import BrokenSeal, KeyUnavailable, SealBroken
from partywall.keys import StoreKeys, TenantStoreKeys
from partywall.stores.alarms import OnAlarm, Wall, WallAlarm
from partywall.stores.backends.base import Backend, Partition, Reseal, Row
from partywall.stores.backends.values import ValueBackend, ValuePartition
from partywall.stores.records import Home, Record, decode
from partywall.tenancy import TenantId, TenantScope

__all__ = [
    "RECORD",
    "Cryptography",
    "Placement",
    "ValuePlacement",
    "Verification",
    "Walls",
    "authorise",
    "place",
    "place_of",
]

_LABEL: Final = b"partywall/stores/v1"
_PLACE: Final = "place"
"""What the key of the hashes is for."""
RECORD: Final = "record"
"""The purpose that enters every seal. What a record is for is in the hash of its group, and so in its place."""


def authorise(scope: TenantScope) -> TenantScope:
    """Let nothing but a scope name a tenant: None, a string and a look-alike are refused alike (R3, R4).

    Raises:
        TypeError: it is no TenantScope.
    """
    # By type: nothing that merely looks like a scope may choose a tenant. `TenantScope` has no subclasses.
    if type(scope) is not TenantScope:
        raise TypeError(f"stores are used on behalf of a TenantScope, not of {type(scope).__name__}")
    return scope


class Placement:
    """The first wall: the engine reaches one tenant's rows."""

    def __init__(self, backend: Backend, store: str) -> None:
        self._backend = backend
        self._store = store

    def partition(self, scope: TenantScope) -> Partition:
        """The rows of the scope's tenant."""
        return self._backend.partition(authorise(scope).tenant, self._store)

    async def size_for_operators(self, tenant: TenantId) -> int:
        """How many rows a tenant has. Asked for without a scope, since it is a number and on nobody's behalf."""
        return await self._backend.partition(tenant, self._store).count()


class ValuePlacement:
    """The first wall: the engine reaches one tenant's values."""

    def __init__(self, backend: ValueBackend, store: str) -> None:
        self._backend = backend
        self._store = store

    def partition(self, scope: TenantScope) -> ValuePartition:
        """The values of the scope's tenant."""
        return self._backend.partition(authorise(scope).tenant, self._store)


class Cryptography:
    """The second wall: what belongs elsewhere doesn't open."""

    def __init__(self, keys: StoreKeys) -> None:
        self._keys = keys

    @property
    def store(self) -> str:
        """The name of the store whose keys these are."""
        return self._keys.name

    async def name(self, scope: TenantScope, *parts: str) -> bytes:
        """The keyed hash under which something is found. The tenant is in the key, and in what is hashed."""
        return (await self.names(scope, [parts]))[0]

    async def names(self, scope: TenantScope, things: Sequence[Sequence[str]]) -> list[bytes]:
        """As `name`, for each of these."""
        start = _joined((_LABEL, authorise(scope).tenant.encode()))
        joined = [start + _joined([part.encode() for part in parts]) for parts in things]
        return await self._keys.index_many(scope, _PLACE, joined)

    async def seal(self, scope: TenantScope, home: Home, plaintext: bytes) -> bytes:
        """Seal a record for its home."""
        return await self._keys.seal(scope, RECORD, place(home.group, home.key), plaintext)

    def open(self, scope: TenantScope, home: Home, sealed: bytes) -> Awaitable[bytes]:
        """Open a record that lies at `home`.

        Raises:
            SealBroken: it was sealed for another place or tenant, or was changed.
            KeyUnavailable: the tenant's key can't be had.
        """
        return self._keys.open(scope, RECORD, place(home.group, home.key), sealed)

    def is_old(self, scope: TenantScope, sealed: bytes) -> bool:
        """Whether what was just opened was sealed under a version of the key that seals no more."""
        return self._keys.needs_reseal(scope, sealed)

    async def renewed(self, scope: TenantScope, row: Row) -> Reseal:
        """The change that puts a row under the key that seals now. Raises as `open` and `seal` do."""
        keys, here = self._keys.of(scope), place(row.group, row.key)
        plaintext = await keys.open(RECORD, here, row.sealed)
        return Reseal(row.group, row.key, row.sealed, await keys.seal(RECORD, here, plaintext))

    def of(self, scope: TenantScope) -> TenantStoreKeys:
        """This tenant's keys, for going through its records."""
        return self._keys.of(scope)


class Verification:
    """The third wall: what comes back is what was asked for, and says itself where it belongs."""

    def was_asked_for(self, group: bytes, key: bytes | None, row: Row) -> bool:
        """Whether the row lies in the group, and has the key if one was asked for."""
        return row.group == group and (key is None or row.key == key)

    def accepts(self, home: Home, said: Home) -> bool:
        """Whether a record found at `home` says that it belongs there."""
        return said == home

    def in_namespace(self, own: str, said: str) -> bool:
        """Whether a piece of a document says that it belongs to the namespace whose tenant is asking."""
        return said == own


class Walls(NamedTuple):
    """All three, around one store, and who is told when something met them that should never have come so far."""

    placement: Placement
    cryptography: Cryptography
    verification: Verification
    on_alarm: OnAlarm

    async def admit(self, scope: TenantScope, purpose: str, group: bytes, key: bytes | None, row: Row) -> Record | None:
        """What a row of that group (and key) holds; None, and an alarm, when it isn't this tenant's or not from there.

        Raises:
            KeyUnavailable: the tenant's key can't be had. Nothing passes on a guess.
        """
        if not self.verification.was_asked_for(group, key, row):
            self.raise_alarm(scope, Wall.PLACEMENT, purpose, "the backend returned a row that wasn't asked for")
            return None
        home = Home(authorise(scope).tenant, self.cryptography.store, purpose, group, row.key, row.revision)
        try:
            plaintext = await self.cryptography.open(scope, home, row.sealed)
        except SealBroken as error:
            if error.reason is BrokenSeal.WRAPPED_KEY:
                raise KeyUnavailable(f"the key of `{scope.tenant}` itself is not what was wrapped") from error
            self.raise_alarm(scope, Wall.CRYPTOGRAPHY, purpose, error.reason.value)
            return None
        try:
            said, record = decode(plaintext)
        except ValueError:
            self.raise_alarm(scope, Wall.VERIFICATION, purpose, "what is sealed is no record")
            return None
        if not self.verification.accepts(home, said):
            self.raise_alarm(scope, Wall.VERIFICATION, purpose, "the record belongs elsewhere")
            return None
        return record

    def raise_alarm(self, scope: TenantScope, wall: Wall, purpose: str, reason: str) -> None:
        """Tell of a record that was dropped."""
        self.on_alarm(WallAlarm(wall, scope.tenant, self.cryptography.store, purpose, reason))


def _joined(values: Sequence[bytes]) -> bytes:
    return b"".join([len(value).to_bytes(4, "big") + value for value in values])


def place(group: bytes, key: bytes) -> str:
    """The record id that enters the seal."""
    return f"{group.hex()}/{key.hex()}"


def place_of(record_id: str) -> tuple[bytes, bytes]:
    """The group and key of a `place`."""
    group, key = record_id.split("/")
    return bytes.fromhex(group), bytes.fromhex(key)
