"""Sealing decision records anew under their tenants' current keys: the trail's halves, and the keys that open them.

Promises: what `keys.reseal_all` promises, for both halves of every record of one tenant, or of the platform's own,
beside a running gateway or without one. When it returns, the old version of the key is needed for none of them but
those that it counts as broken.

Doesn't promise: to wait for a gateway that hasn't noticed the rotation yet. That takes it half a second at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from partywall.errors import KeyDestroyed, KeyUnavailable
from partywall.keys import (
    PLATFORM,
    KeyRing,
    Page,
    ResealProgress,
    SealedRecord,
    Store,
    reseal_all,
)
from partywall.tenancy import TenantId
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
    whose = None if tenant == PLATFORM else tenant
    await _require_key(keys, tenant)
    with sealed_halves(data_dir, whose) as halves:
        total = await asyncio.to_thread(halves.count)
        done = await reseal_all(
            keys.records(who).of(whose),
            _Records(halves),
            checkpoint=keys_dir / tenant / _CHECKPOINT,
            progress=lambda done: progress(done, total),
        )
        await asyncio.to_thread(halves.settle)
        return done


async def _require_key(keys: KeyRing, tenant: TenantId) -> None:
    """Refuse what has no key. Asked for, one would be made."""
    status = next((each for each in await keys.life.statuses() if each.tenant == tenant), None)
    if status is None or status.unreadable is not None:
        raise KeyUnavailable(f"`{tenant}` has no key" if status is None else f"{status.unreadable}")
    if status.receipt is not None:
        raise KeyDestroyed(f"the key of `{tenant}` was destroyed, and its records with it")


class _Records:
    """The halves of one file, as `keys.Resealable` wants them."""

    def __init__(self, halves: SealedHalves) -> None:
        self._halves = halves

    async def page(self, after: str | None) -> Page:
        found = await asyncio.to_thread(self._halves.page, 0 if after is None else int(after))
        records = [SealedRecord(each.record_id, each.half, each.sealed) for each in found.halves]
        return Page(records, None if found.after is None else str(found.after))

    async def replace(self, record: SealedRecord, sealed: bytes) -> bool:
        old = SealedHalf(record.record_id, record.purpose, record.sealed)
        return await asyncio.to_thread(partial(self._halves.replace, old, sealed))
