"""What is held of one tenant while its keys are in use: unwrapped versions, and what was derived from them.

Promises: overwriting a key also drops everything derived from it, so that nothing outlives the key it came from. Of the
keys for opening, each store keeps those used last; nobody's use displaces another tenant's.

Doesn't promise: that the bytes are nowhere else. The bytearray that holds a key is overwritten; the copies that the
root's library and Python made of it on the way, and the schedules inside OpenSSL, go when their memory is used again.
Swap is the operator's to encrypt or to turn off, and so are core dumps.
"""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from partywall.errors import PartywallError
from partywall.keys.hazmat import EPOCH_BYTES, DataKey, derive_index_key
from partywall.keys.wrapped import TenantKeys
from partywall.tenancy import TenantId

__all__ = ["HeldKey", "HeldStore", "HeldTenant"]

_MOST_OPENING: Final = 64
_MOST_INDEX: Final = 64
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


class SealingKey:
    """A sealing epoch: its data key, and the numbers of its records."""

    __slots__ = ("data_key", "held", "next_counter")

    def __init__(self, held: HeldKey, *, tenant: TenantId, store: str) -> None:
        self.held = held
        epoch = os.urandom(EPOCH_BYTES)
        self.data_key = DataKey.derive(held.material, tenant=tenant, store=store, key_version=held.number, epoch=epoch)
        # INVARIANT: no number comes twice in an epoch, not even to two threads: one step of C, not a read and a write.
        self.next_counter: Callable[[], int] = itertools.count().__next__


class OpeningKey:
    """The data key of an epoch, for opening what was sealed in it."""

    __slots__ = ("data_key", "held")

    def __init__(self, held: HeldKey, *, tenant: TenantId, store: str, epoch: bytes) -> None:
        self.held = held
        self.data_key = DataKey.derive(held.material, tenant=tenant, store=store, key_version=held.number, epoch=epoch)


class IndexKey:
    """The key under which values of one purpose are hashed."""

    __slots__ = ("held", "key")

    def __init__(self, held: HeldKey, *, tenant: TenantId, store: str, purpose: str) -> None:
        self.held = held
        self.key = derive_index_key(held.material, tenant=tenant, store=store, purpose=purpose, key_version=held.number)


class HeldStore:
    """What was derived for one store."""

    __slots__ = ("index", "opening", "sealing")

    def __init__(self) -> None:
        self.sealing: SealingKey | None = None
        self.opening: OrderedDict[bytes, OpeningKey] = OrderedDict()
        """By `envelope.key_name`, the one used last at the end."""
        self.index: OrderedDict[str, IndexKey] = OrderedDict()
        """By purpose."""

    def keep_opening(self, name: bytes, key: OpeningKey) -> None:
        """Hold one key more, and let go of the one unused for longest when they are too many."""
        self.opening[name] = key
        if len(self.opening) > _MOST_OPENING:
            self.opening.popitem(last=False)

    def keep_index(self, purpose: str, key: IndexKey) -> None:
        """Hold one key more, likewise."""
        self.index[purpose] = key
        if len(self.index) > _MOST_INDEX:
            self.index.popitem(last=False)

    def drop(self, held: HeldKey) -> None:
        """Let go of what came from this key."""
        if self.sealing is not None and self.sealing.held is held:
            self.sealing = None
        for name in [name for name, key in self.opening.items() if key.held is held]:
            del self.opening[name]
        for purpose in [purpose for purpose, key in self.index.items() if key.held is held]:
            del self.index[purpose]


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
        self.stores: dict[str, HeldStore] = {}
        self.failures: dict[int, tuple[float, PartywallError]] = {}
        """By key version, 0 for all: until when not to try again, and why it failed."""

    def store(self, name: str) -> HeldStore:
        """What is held for that store."""
        store = self.stores.get(name)
        if store is None:
            store = self.stores[name] = HeldStore()
        return store

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
