"""Sealing what is old anew under its tenant's current key: decision records, and what lies in the stores.

Promises: what `keys.reseal_all` promises, for both halves of every decision record of one tenant, or of the platform's
own, and for every record in the tenant's stores, beside a running gateway or without one. When it returns, the old
version of the key is needed for none of them but those that it counts as broken. Where there is anything in the stores,
the tenant's own records say first that an operator went through them.

Doesn't promise: to wait for a gateway that hasn't noticed the rotation yet. That takes it half a second at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypeAlias

from partywall.errors import ConfigError, KeyDestroyed, KeyUnavailable
from partywall.identity import acting_for
from partywall.keys import (
    PLATFORM,
    KeyRing,
    Page,
    ResealProgress,
    SealedRecord,
    Store,
    reseal_all,
)
from partywall.platform.platform import Platform
from partywall.tenancy import TenantId
from partywall.trail.resealing import SealedHalf, SealedHalves, sealed_halves

__all__ = ["OnProgress", "reseal_tenant"]

_ACTION = "keys reseal"
_WHY = "old records under the current version of the key"

OnProgress: TypeAlias = Callable[[Store, ResealProgress, int], None]
"""In which store, what is done, and how many records (of the trail, halves of records) there are in all."""


async def reseal_tenant(
    platform: Platform, tenant: TenantId, *, only: Collection[Store], data_dir: Path, who: str, progress: OnProgress
) -> dict[Store, ResealProgress]:
    """Bring what one tenant has in the stores `only`, or the platform for `PLATFORM`, to its current key.

    The result has no entry for a store without a record. Run again, it goes on where it was interrupted.

    Raises:
        ConfigError: the document has no `encryption`.
        KeyDestroyed: nothing of it opens any more.
        KeyUnavailable: there is no key, it can't be had, or the records change too fast. Run it again; it goes on.
        TrailUnavailable, StoreUnavailable: something can't be read or written. Likewise.
    """
    keys, encrypted = platform.keys, platform.snapshot.encrypted
    if keys is None or encrypted is None:
        raise ConfigError(f"{platform.source.path}: has no `encryption`, so nothing is sealed")
    await _require_key(keys, tenant)
    folder = encrypted.keys_dir(base=platform.source.path.parent, data_dir=data_dir) / tenant
    done: dict[Store, ResealProgress] = {}
    if Store.TRAIL in only:
        tell = partial(progress, Store.TRAIL)
        done[Store.TRAIL] = await _reseal_records(keys, tenant, data_dir, _checkpoint(folder, Store.TRAIL), who, tell)
    if tenant != PLATFORM:
        done |= await _reseal_stores(platform, tenant, only, folder, who, progress)
    return done


def _checkpoint(folder: Path, store: Store) -> Path:
    return folder / f"reseal.{store}.json"


async def _reseal_records(
    keys: KeyRing,
    tenant: TenantId,
    data_dir: Path,
    checkpoint: Path,
    who: str,
    progress: Callable[[ResealProgress, int], None],
) -> ResealProgress:
    whose = None if tenant == PLATFORM else tenant
    with sealed_halves(data_dir, whose) as halves:
        total = await asyncio.to_thread(halves.count)
        done = await reseal_all(
            keys.records(who).of(whose),
            _Records(halves),
            checkpoint=checkpoint,
            progress=lambda done: progress(done, total),
        )
        await asyncio.to_thread(halves.settle)
        return done


async def _reseal_stores(
    platform: Platform, tenant: TenantId, only: Collection[Store], folder: Path, who: str, progress: OnProgress
) -> dict[Store, ResealProgress]:
    sizes = await platform.stores.sizes_for_operators(tenant)
    wanted = {name: Store(name) for name, size in sizes.items() if size and Store(name) in only}
    done: dict[Store, ResealProgress] = {}
    if not wanted:
        return done
    # Not `Platform.acting_for`: whoever has a key has records, also when the document names it no more.
    async with acting_for(platform.trail, tenant, who=who, action=_ACTION, why=_WHY) as scope:
        for name, (keys, records) in platform.stores.resealable(scope).items():
            if (store := wanted.get(name)) is not None:
                total = await records.count()
                done[store] = await reseal_all(
                    keys,
                    records,
                    checkpoint=_checkpoint(folder, store),
                    progress=partial(_tell, progress, store, total),
                )
    return done


def _tell(progress: OnProgress, store: Store, total: int, done: ResealProgress) -> None:
    progress(store, done, total)


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
