"""Sealing and opening for one store, by tenant and requestor: what `StoreKeys` and `PlatformKeys` have in common.

Promises: with a held key, nothing is awaited: `try_seal`, `try_open` and `try_index` do the work, or return None when a
key has to be had first, which `seal`, `open` and `index` do. Each use is counted. What doesn't open raises an alarm,
and like every refusal it is recorded.
"""

from __future__ import annotations

from partywall.errors import KeyUnavailable, SealBroken
from partywall.keys.clocks import Clocks
from partywall.keys.envelope import KEY_NAME, open_sealed, read_header, seal
from partywall.keys.hazmat import keyed_hash
from partywall.keys.held import IndexKey, OpeningKey, SealingKey
from partywall.keys.holding import Holding
from partywall.keys.names import Store
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

    # -- With a held key ---------------------------------------------------------------------------------------------

    def try_seal(
        self, tenant: TenantId, requestor: str, purpose: str, record_id: str, plaintext: bytes
    ) -> bytes | None:
        """Seal, if the key is held."""
        now = self._monotonic()
        held = self._tenants.get(tenant)
        if held is None or now >= held.good_until or (store := held.stores.get(self.store)) is None:
            return None
        key = store.sealing
        if key is None or key.held.uses_left <= 0:
            return None
        key.held.uses_left -= 1
        held.used_at = now
        self._sealed.count(tenant, requestor, key.held.number, now)
        return seal(
            key.data_key,
            key.next_counter(),
            tenant=tenant,
            store=self.store,
            purpose=purpose,
            record_id=record_id,
            plaintext=plaintext,
        )

    def try_open(self, tenant: TenantId, requestor: str, purpose: str, record_id: str, sealed: bytes) -> bytes | None:
        """Open, if the key is held.

        Raises:
            SealBroken: it is, and doesn't open this.
        """
        now = self._monotonic()
        held = self._tenants.get(tenant)
        if held is None or now >= held.good_until or (store := held.stores.get(self.store)) is None:
            return None
        name = sealed[KEY_NAME]
        key = store.opening.get(name)
        if key is None or key.held.uses_left <= 0:
            return None
        key.held.uses_left -= 1
        held.used_at = now
        store.opening.move_to_end(name)
        self._opened.count(tenant, requestor, key.held.number, now)
        try:
            return open_sealed(
                key.data_key, sealed, tenant=tenant, store=self.store, purpose=purpose, record_id=record_id
            )
        except SealBroken as error:
            self._refuse(Operation.OPEN, tenant, requestor, error, key_version=key.held.number)
            raise

    def try_index(self, tenant: TenantId, requestor: str, purpose: str, value: bytes) -> bytes | None:
        """Hash, if the key is held."""
        now = self._monotonic()
        held = self._tenants.get(tenant)
        if held is None or now >= held.good_until or (store := held.stores.get(self.store)) is None:
            return None
        key = store.index.get(purpose)
        if key is None or key.held.uses_left <= 0:
            return None
        key.held.uses_left -= 1
        held.used_at = now
        store.index.move_to_end(purpose)
        self._indexed.count(tenant, requestor, key.held.number, now)
        return keyed_hash(key.key, value)

    # -- With a key that has to be had first -------------------------------------------------------------------------

    async def seal(self, tenant: TenantId, requestor: str, purpose: str, record_id: str, plaintext: bytes) -> bytes:
        """Seal, whatever it takes.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: see `Holding`.
        """
        try:
            while True:
                held, key = await self._holding.ready_to_seal(tenant, requestor)
                store = held.store(self.store)
                if store.sealing is None or store.sealing.held is not key:
                    store.sealing = SealingKey(key, tenant=tenant, store=self.store)
                sealed = self.try_seal(tenant, requestor, purpose, record_id, plaintext)
                if sealed is not None:
                    return sealed
        except (KeyUnavailable, SealBroken) as error:
            self._refuse(Operation.SEAL, tenant, requestor, error)
            raise

    async def open(self, tenant: TenantId, requestor: str, purpose: str, record_id: str, sealed: bytes) -> bytes:
        """Open, whatever it takes. A key that opens nothing isn't kept: a forged header displaces no real one.

        Raises:
            KeyUnavailable, KeyDestroyed, KeyVersionRefused, SealBroken: see `Holding` and `envelope`.
        """
        number = 0
        try:
            header = read_header(sealed)
            number = header.key_version
            held, unwrapped = await self._holding.ready_to_open(tenant, number, requestor)
            key = OpeningKey(unwrapped, tenant=tenant, store=self.store, epoch=header.epoch)
            unwrapped.uses_left -= 1
            self._opened.count(tenant, requestor, number, self._monotonic())
            plaintext = open_sealed(
                key.data_key, sealed, tenant=tenant, store=self.store, purpose=purpose, record_id=record_id
            )
        except (KeyUnavailable, SealBroken) as error:
            self._refuse(Operation.OPEN, tenant, requestor, error, key_version=number)
            raise
        held.store(self.store).keep_opening(sealed[KEY_NAME], key)
        return plaintext

    async def index(self, tenant: TenantId, requestor: str, purpose: str, value: bytes) -> bytes:
        """Hash, whatever it takes.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: see `Holding`.
        """
        try:
            while True:
                held, unwrapped = await self._holding.ready_to_index(tenant, requestor)
                store = held.store(self.store)
                if purpose not in store.index:
                    key = IndexKey(unwrapped, tenant=tenant, store=self.store, purpose=purpose)
                    store.keep_index(purpose, key)
                hashed = self.try_index(tenant, requestor, purpose, value)
                if hashed is not None:
                    return hashed
        except (KeyUnavailable, SealBroken) as error:
            self._refuse(Operation.INDEX, tenant, requestor, error)
            raise

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
