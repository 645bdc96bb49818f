"""Sealing and opening for one store, by tenant and requestor: what `StoreKeys` and `PlatformKeys` have in common.

Promises: with a held key, nothing is awaited. Each use is counted. What doesn't open raises an alarm, and like every
refusal it is recorded.

The steps of each recipe are: look whether a held key may be used right now, and use it; else have it made ready, and
look again. The first of them is the path of every record and is written to be short, not to be pretty.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from partywall.errors import KeyUnavailable, SealBroken
from partywall.keys.clocks import Clocks
from partywall.keys.envelope import KEY_NAME, open_sealed, read_header
from partywall.keys.hazmat import keyed_hash
from partywall.keys.held import IndexKey, OpeningEpoch, SealingEpoch
from partywall.keys.holding import Holding
from partywall.keys.names import Store
from partywall.keys.purpose_keys import split
from partywall.keys.use_log import UseLog
from partywall.keys.uses import Operation
from partywall.tenancy import TenantId

__all__ = ["Sealer"]


class Sealer:
    """The recipes of one store."""

    __slots__ = ("_holding", "_indexed", "_monotonic", "_opened", "_sealed", "_tenants", "_uses", "store")

    def __init__(self, store: Store, holding: Holding, uses: UseLog, clocks: Clocks) -> None:
        self.store = store.value
        self._holding = holding
        self._tenants = holding.tenants
        self._uses = uses
        self._monotonic = clocks.monotonic
        self._sealed = uses.tallies(Operation.SEAL, self.store)
        self._opened = uses.tallies(Operation.OPEN, self.store)
        self._indexed = uses.tallies(Operation.INDEX, self.store)

    async def seal(self, tenant: TenantId, requestor: str, purpose: str, record_id: str, plaintext: bytes) -> bytes:
        """Seal.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: see `Holding`.
            ValueError, PayloadTooLarge: see `envelope`.
        """
        while True:
            now = self._monotonic()
            held = self._tenants.get(tenant)
            if held is not None and now < held.good_until:
                epoch = held.stores[self.store].sealing
                if epoch is not None and (unwrapped := epoch.held).uses_left > 0:
                    key = epoch.purposes.get(purpose) or epoch.bind(purpose)
                    unwrapped.uses_left -= 1
                    held.used_at = now
                    tally = epoch.tallies.get(requestor)
                    if tally is None or tally.over:
                        tally = epoch.begin(requestor, self._sealed.tally(tenant, requestor, unwrapped.number))
                    if not tally.count:
                        tally.first = now
                    tally.count += 1
                    tally.last = now
                    return key.seal(record_id, plaintext)
            await self.ready_to_seal(tenant, requestor)

    async def open(self, tenant: TenantId, requestor: str, purpose: str, record_id: str, sealed: bytes) -> bytes:
        """Open.

        Raises:
            KeyUnavailable, KeyDestroyed, KeyVersionRefused, SealBroken: see `Holding` and `envelope`.
            ValueError: see `envelope`.
        """
        now = self._monotonic()
        held = self._tenants.get(tenant)
        try:
            name, counter, commitment = split(sealed)
        except struct.error:
            held = None  # it is too short for any key, which is found out below
        if held is not None and now < held.good_until:
            epoch = held.stores[self.store].opening.get(name)
            if epoch is not None and (unwrapped := epoch.held).uses_left > 0:
                key = epoch.purposes.get(purpose) or epoch.bind(purpose)
                unwrapped.uses_left -= 1
                held.used_at = epoch.used_at = now
                tally = epoch.tallies.get(requestor)
                if tally is None or tally.over:
                    tally = epoch.begin(requestor, self._opened.tally(tenant, requestor, unwrapped.number))
                if not tally.count:
                    tally.first = now
                tally.count += 1
                tally.last = now
                try:
                    return key.open(record_id, sealed, counter, commitment)
                except SealBroken as error:
                    self._refuse(Operation.OPEN, tenant, requestor, error, key_version=unwrapped.number)
                    raise
        return await self._open_in_another_epoch(tenant, requestor, purpose, record_id, sealed)

    async def index(self, tenant: TenantId, requestor: str, purpose: str, value: bytes) -> bytes:
        """Hash for equality. Raises as `index_many` does."""
        return (await self.index_many(tenant, requestor, purpose, [value]))[0]

    async def index_many(self, tenant: TenantId, requestor: str, purpose: str, values: Sequence[bytes]) -> list[bytes]:
        """Hash for equality, each of these; each is a use.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: see `Holding`.
        """
        hashes: list[bytes] = []
        while len(hashes) < len(values):
            now = self._monotonic()
            held = self._tenants.get(tenant)
            if held is not None and now < held.good_until:
                key = held.stores[self.store].index.get(purpose)
                if key is not None and (left := key.held.uses_left) > 0:
                    some = values[len(hashes) : len(hashes) + left]
                    key.held.uses_left -= len(some)
                    held.used_at = key.used_at = now
                    self._indexed.tally(tenant, requestor, key.held.number).add(now, len(some))
                    hashes += [keyed_hash(key.key, value) for value in some]
                    continue
            await self._ready_to_index(tenant, requestor, purpose)
        return hashes

    async def key_version(self, tenant: TenantId, requestor: str) -> int:
        """The version that seals now.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: see `Holding`.
        """
        _, key = await self._holding.ready_to_seal(tenant, requestor)
        return key.number

    def needs_reseal(self, tenant: TenantId, sealed: bytes) -> bool:
        """Whether it was sealed under an older version than seals now, as far as is known without asking anybody."""
        keys = self._holding.known(tenant)
        return keys is not None and read_header(sealed).key_version < keys.current

    # -- Having a key made ready -------------------------------------------------------------------------------------

    async def ready_to_seal(self, tenant: TenantId, requestor: str) -> None:
        """See to it that there is a sealing key, for whoever looks before the next `await`. It isn't used, nor counted.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: see `Holding`.
        """
        try:
            held, unwrapped = await self._holding.ready_to_seal(tenant, requestor)
        except (KeyUnavailable, SealBroken) as error:
            self._refuse(Operation.SEAL, tenant, requestor, error)
            raise
        of_store = held.stores[self.store]
        if of_store.sealing is None or of_store.sealing.held is not unwrapped:
            of_store.sealing = SealingEpoch(unwrapped, tenant=tenant, store=self.store)

    async def _open_in_another_epoch(
        self, tenant: TenantId, requestor: str, purpose: str, record_id: str, sealed: bytes
    ) -> bytes:
        """Open with a key that isn't held yet. One that opens nothing isn't kept: a forged header displaces no key."""
        number = 0
        try:
            header = read_header(sealed)
            number = header.key_version
            held, unwrapped = await self._holding.ready_to_open(tenant, number, requestor)
            epoch = OpeningEpoch(unwrapped, tenant=tenant, store=self.store, epoch=header.epoch)
            unwrapped.uses_left -= 1
            epoch.used_at = self._monotonic()
            self._opened.tally(tenant, requestor, number).add(epoch.used_at)
            plaintext = open_sealed(
                epoch.data_key, sealed, tenant=tenant, store=self.store, purpose=purpose, record_id=record_id
            )
        except (KeyUnavailable, SealBroken) as error:
            self._refuse(Operation.OPEN, tenant, requestor, error, key_version=number)
            raise
        held.stores[self.store].keep_opening(sealed[KEY_NAME], epoch)
        return plaintext

    async def _ready_to_index(self, tenant: TenantId, requestor: str, purpose: str) -> None:
        """See to it that there is an index key, likewise."""
        try:
            held, unwrapped = await self._holding.ready_to_index(tenant, requestor)
        except (KeyUnavailable, SealBroken) as error:
            self._refuse(Operation.INDEX, tenant, requestor, error)
            raise
        of_store = held.stores[self.store]
        if purpose not in of_store.index:
            of_store.keep_index(purpose, IndexKey(unwrapped, tenant=tenant, store=self.store, purpose=purpose))

    def _refuse(
        self,
        operation: Operation,
        tenant: TenantId,
        requestor: str,
        error: KeyUnavailable | SealBroken,
        *,
        key_version: int = 0,
    ) -> None:
        why = error.reason.value if isinstance(error, SealBroken) else error.code
        self._uses.refuse(
            self._uses.use(
                Operation.REFUSED,
                tenant,
                requestor,
                key_version=key_version,
                store=self.store,
                detail=f"{operation}: {why}",
            )
        )
        if isinstance(error, SealBroken):
            self._uses.seal_broken(tenant, str(error))
