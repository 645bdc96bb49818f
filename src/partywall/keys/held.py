"""What is held of one tenant while its keys are in use: unwrapped versions, and what was derived from them.

Promises: overwriting a key also drops everything derived from it, so that nothing outlives the key it came from. Of the
keys for opening, each store keeps those used last; nobody's use displaces another tenant's.

Doesn't promise: that the bytes are nowhere else. The bytearray that holds a key is overwritten; the copies that the
root's library and Python made of it on the way, and the schedules inside OpenSSL, go when their memory is used again.
Swap is the operator's to encrypt or to turn off, and so are core dumps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Final, TypeVar

from partywall.errors import PartywallError
from partywall.keys.hazmat import DataKey, derive_index_key
from partywall.keys.purpose_keys import Epoch, OpeningKey, SealingKey
from partywall.keys.uses import Tally
from partywall.keys.wrapped import TenantKeys
from partywall.tenancy import TenantId

__all__ = ["HeldKey", "HeldStore", "HeldTenant"]

_MOST_OPENING: Final = 64
_MOST_INDEX: Final = 64
_MOST_PURPOSES: Final = 64
_MOST_REQUESTORS: Final = 1024
_NEVER: Final = float("-inf")


class HeldKey:
    """One version of a tenant's key, unwrapped."""

    __slots__ = ("expires_at", "material", "number", "uses_left", "wrapped")

    def __init__(self, number: int, wrapped: bytes, material: bytearray, *, expires_at: float, uses: int) -> None:
        self.number = number
        self.wrapped = wrapped
        """What it was unwrapped from."""
        self.material = material
        self.expires_at = expires_at
        self.uses_left = uses

    def overwrite(self) -> None:
        """Put zeros over the key. It can't be used any more."""
        self.uses_left = 0
        self.material[:] = bytes(len(self.material))

    def __repr__(self) -> str:
        return f"HeldKey(version {self.number})"


class Derived:
    """What came from a held key, and who uses it. On the path of every record, so its parts are open to the sealer."""

    __slots__ = ("held", "tallies", "used_at")

    def __init__(self, held: HeldKey) -> None:
        self.held = held
        self.used_at = _NEVER
        self.tallies: dict[str, Tally] = {}
        """By requestor. One that is `over` counts no more."""

    def begin(self, requestor: str, tally: Tally) -> Tally:
        """Keep a count for the uses that follow."""
        if len(self.tallies) >= _MOST_REQUESTORS:
            self.tallies.clear()
        self.tallies[requestor] = tally
        return tally


class SealingEpoch(Derived):
    """An epoch of our own."""

    __slots__ = ("_epoch", "purposes")

    def __init__(self, held: HeldKey, *, tenant: TenantId, store: str) -> None:
        super().__init__(held)
        self._epoch = Epoch(held.material, tenant=tenant, store=store, key_version=held.number)
        self.purposes: dict[str, SealingKey] = {}

    def bind(self, purpose: str) -> SealingKey:
        """The epoch's key for one purpose more."""
        key = SealingKey(self._epoch, purpose)
        if len(self.purposes) >= _MOST_PURPOSES:
            self.purposes.clear()
        self.purposes[purpose] = key
        return key


class OpeningEpoch(Derived):
    """An epoch in which something was sealed."""

    __slots__ = ("data_key", "purposes")

    def __init__(self, held: HeldKey, *, tenant: TenantId, store: str, epoch: bytes) -> None:
        super().__init__(held)
        self.data_key = DataKey.derive(held.material, tenant=tenant, store=store, key_version=held.number, epoch=epoch)
        self.purposes: dict[str, OpeningKey] = {}

    def bind(self, purpose: str) -> OpeningKey:
        """The epoch's key for one purpose more."""
        key = OpeningKey(self.data_key, purpose)
        if len(self.purposes) >= _MOST_PURPOSES:
            self.purposes.clear()
        self.purposes[purpose] = key
        return key


class IndexKey(Derived):
    """The key under which values of one purpose are hashed."""

    __slots__ = ("key",)

    def __init__(self, held: HeldKey, *, tenant: TenantId, store: str, purpose: str) -> None:
        super().__init__(held)
        self.key = derive_index_key(held.material, tenant=tenant, store=store, purpose=purpose, key_version=held.number)


_Name = TypeVar("_Name", bound=Hashable)
_Key = TypeVar("_Key", bound=Derived)


class HeldStore:
    """What was derived for one store."""

    __slots__ = ("index", "opening", "sealing")

    def __init__(self) -> None:
        self.sealing: SealingEpoch | None = None
        self.opening: dict[bytes, OpeningEpoch] = {}
        """By `envelope.key_name`."""
        self.index: dict[str, IndexKey] = {}
        """By purpose."""

    def keep_opening(self, name: bytes, key: OpeningEpoch) -> None:
        """Hold one key more, and let go of the one unused for longest when they are too many."""
        _make_room(self.opening, _MOST_OPENING)
        self.opening[name] = key

    def keep_index(self, purpose: str, key: IndexKey) -> None:
        """Hold one key more, likewise."""
        _make_room(self.index, _MOST_INDEX)
        self.index[purpose] = key

    def drop(self, held: HeldKey) -> None:
        """Let go of what came from this key."""
        if self.sealing is not None and self.sealing.held is held:
            self.sealing = None
        for name in [name for name, key in self.opening.items() if key.held is held]:
            del self.opening[name]
        for purpose in [purpose for purpose, key in self.index.items() if key.held is held]:
            del self.index[purpose]


def _make_room(keys: dict[_Name, _Key], most: int) -> None:
    """Let go of the key unused for longest. A search now and then costs less than keeping an order at each use."""
    if len(keys) >= most:
        del keys[min(keys, key=lambda name: keys[name].used_at)]


class HeldTenant:
    """One tenant: its wrapped keys as last read, those of them that are unwrapped, and until when to trust all this."""

    __slots__ = (
        "busy",
        "failures",
        "good_until",
        "keys",
        "look_at",
        "name",
        "stamp",
        "stores",
        "unwrapped",
        "used_at",
    )

    def __init__(self, name: TenantId, now: float) -> None:
        self.name = name
        self.good_until = _NEVER
        """Until then, what is held may be used without a look at anything else."""
        self.look_at = _NEVER
        """When the key store is to be looked at again."""
        self.used_at = now
        self.busy = 0
        """Who waits for a key right now; nobody makes room while somebody does."""
        self.stamp: Hashable = None
        self.keys: TenantKeys | None = None
        self.unwrapped: dict[int, HeldKey] = {}
        self.stores: defaultdict[str, HeldStore] = defaultdict(HeldStore)
        self.failures: dict[int, tuple[float, PartywallError]] = {}
        """By key version, 0 for all: until when not to try again, and why it failed."""

    def take_over(self, stamp: Hashable, keys: TenantKeys | None) -> None:
        """Work with other wrapped keys than before. An unwrapped key stays if it is wrapped as it was."""
        self.stamp, self.keys = stamp, keys
        self.stores.clear()  # another version may seal, and another may be the lowest that opens
        self.failures.clear()
        for key in list(self.unwrapped.values()):
            version = None if keys is None else keys.version(key.number)
            if version is None or version.wrapped != key.wrapped:
                self.let_go(key)

    def hold(self, key: HeldKey) -> None:
        """Hold a key, in the place of an older one of its version."""
        older = self.unwrapped.get(key.number)
        if older is not None:
            self.let_go(older)
        self.unwrapped[key.number] = key

    def let_go(self, key: HeldKey) -> None:
        """Overwrite a key and drop what came from it."""
        del self.unwrapped[key.number]
        for store in self.stores.values():
            store.drop(key)
        key.overwrite()

    def let_go_of_all(self) -> None:
        """Overwrite every key, and trust nothing that was read."""
        self.good_until = self.look_at = _NEVER
        self.stamp = self.keys = None
        self.stores.clear()
        for key in list(self.unwrapped.values()):
            self.let_go(key)
