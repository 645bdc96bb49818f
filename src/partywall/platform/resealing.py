"""Sealing decision records anew under their tenants' current keys: the trail's halves, and the keys that open them.

Promises: what `keys.reseal_all` promises, for both halves of every record of one tenant, or of the platform's own,
beside a running gateway or without one. When it returns, the old version of the key is needed for none of them but
those that it counts as broken.

Doesn't promise: to wait for a gateway that hasn't noticed the rotation yet. That takes it half a second at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

from partywall.errors import KeyDestroyed, KeyUnavailable
from partywall.keys import (
    PLATFORM,
    KeyRing,
    Page,
    ResealProgress,
    SealedRecord,
    Store,
    StoreKeys,
    reseal_all,
)
from partywall.keys.envelope import read_header
from partywall.tenancy import TenantId, TenantScope
from partywall.trail.resealing import SealedHalf, SealedHalves, sealed_halves

__all__ = ["reseal_records"]

_CHECKPOINT: Final = f"reseal.{Store.TRAIL}.json"

OnProgress = Callable[[ResealProgress, int], None]
"""What is done, and how many halves there are in all."""


async def reseal_records(
    keys: KeyRing, tenant: TenantId, *, data_dir: Path, keys_dir: Path, who: str, progress: OnProgress
) -> ResealProgress:
    """Bring the decision records of one tenant, or of the platform for `PLATFORM`, to its current key.

    Raises:
        KeyDestroyed: nothing of them opens any more.
        KeyUnavailable: there is no key, it can't be had, or the records change too fast. Run it again; it goes on.
        TrailUnavailable: the file can't be read or written. Likewise.
    """
    work = _OfRecords(keys, tenant, who)
    await work.key_version(work.whose)
    with sealed_halves(data_dir, None if tenant == PLATFORM else tenant) as halves:
        total = await asyncio.to_thread(halves.count)
        done = await reseal_all(
            # By shape: a scope comes from a verified credential, and an operator at a shell has none.
            cast("StoreKeys", work),
            cast("TenantScope", work.whose),
            _Records(halves),
            checkpoint=keys_dir / tenant / _CHECKPOINT,
            progress=lambda done: progress(done, total),
        )
        await asyncio.to_thread(halves.settle)
        return done


@dataclass(frozen=True)
class _Whose:
    """In the place of a scope: whose records, and nothing that any other door would take."""

    tenant: TenantId


class _OfRecords:
    """As much of `StoreKeys` as resealing uses, for the trail's own door to the keys, which goes by tenant id."""

    def __init__(self, keys: KeyRing, tenant: TenantId, who: str) -> None:
        self.whose = _Whose(tenant)
        self.name = Store.TRAIL.value
        self._keys = keys
        self._records = keys.records(who)
        self._current = 0

    async def key_version(self, whose: _Whose) -> int:
        """The version that seals now. A key that isn't there is not made."""
        status = next((each for each in await self._keys.life.statuses() if each.tenant == whose.tenant), None)
        if status is None or status.unreadable is not None:
            raise KeyUnavailable(f"`{whose.tenant}` has no key" if status is None else f"{status.unreadable}")
        if status.receipt is not None:
            raise KeyDestroyed(f"the key of `{whose.tenant}` was destroyed, and its records with it")
        self._current = status.versions[-1].number
        return self._current

    def needs_reseal(self, _whose: _Whose, sealed: bytes) -> bool:
        return read_header(sealed).key_version < self._current

    async def open(self, whose: _Whose, half: str, record_id: str, sealed: bytes) -> bytes:
        return await self._records.open(self._tenant(whose), half, record_id, sealed)

    async def seal(self, whose: _Whose, half: str, record_id: str, plaintext: bytes) -> bytes:
        tenant = self._tenant(whose)
        while (sealed := self._records.try_seal(tenant, half, record_id, plaintext)) is None:
            await self._records.get_ready(tenant)
        return sealed

    @staticmethod
    def _tenant(whose: _Whose) -> TenantId | None:
        return None if whose.tenant == PLATFORM else whose.tenant


class _Records:
    """The halves of one file, as `keys.Resealable` wants them. The scope is the file's own."""

    def __init__(self, halves: SealedHalves) -> None:
        self._halves = halves

    async def page(self, _scope: TenantScope, after: str | None) -> Page:
        found = await asyncio.to_thread(self._halves.page, 0 if after is None else int(after))
        records = [SealedRecord(each.record_id, each.half, each.sealed) for each in found.halves]
        return Page(records, None if found.after is None else str(found.after))

    async def replace(self, _scope: TenantScope, record: SealedRecord, sealed: bytes) -> bool:
        old = SealedHalf(record.record_id, record.purpose, record.sealed)
        return await asyncio.to_thread(partial(self._halves.replace, old, sealed))
