"""Sealing old records anew under a tenant's current key, page by page, so that an old version may be refused at last.

Promises: a record is replaced only if it is still the one that was opened; what an application wrote meanwhile stays.
After each page the place is kept in a checkpoint file, and a run that was interrupted goes on from there. When the key
is rotated meanwhile, or a record was changed under our hands, another pass follows. What doesn't open is left as it is,
counted and named; it doesn't stop the rest.

Doesn't promise: to find records by itself. Each store is `Resealable` in its own way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from partywall.errors import KeyUnavailable, SealBroken
from partywall.keys import private_files as files
from partywall.keys.strict import Fields, parse
from partywall.keys.tenant_keys import TenantStoreKeys

__all__ = ["Page", "ResealProgress", "Resealable", "SealedRecord", "reseal_all"]

_FORMAT: Final = 1
_MOST_PASSES: Final = 5
_MOST_NAMED: Final = 100


class SealedRecord(NamedTuple):
    """A record as a store keeps it."""

    record_id: str
    purpose: str
    sealed: bytes


class Page(NamedTuple):
    """Some records, and where the next ones begin."""

    records: Sequence[SealedRecord]
    after: str | None
    """To be given back for the next page; None when this was the last."""


class Resealable(Protocol):
    """One tenant's records in one store, which can be sealed anew."""

    async def page(self, after: str | None) -> Page:
        """The records that follow; the first ones for None. A record that stays is on some page."""

    async def replace(self, record: SealedRecord, sealed: bytes) -> bool:
        """Put `sealed` in the record's place, if it is still `record`; False, and nothing done, if not."""


@dataclass(frozen=True, slots=True)
class ResealProgress:
    """How far a run has come."""

    seen: int = 0
    resealed: int = 0
    current: int = 0
    """Had been sealed under the current version already."""
    changed: int = 0
    """Were changed by somebody else meanwhile; looked at again in the next pass."""
    broken: int = 0
    broken_ids: tuple[str, ...] = ()
    """The first hundred of them."""


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    tenant: str
    store: str
    key_version: int
    after: str | None
    done: ResealProgress


async def reseal_all(
    keys: TenantStoreKeys,
    records: Resealable,
    *,
    checkpoint: Path,
    progress: Callable[[ResealProgress], None],
) -> ResealProgress:
    """Bring all records of one tenant in one store to its current key. `progress` is called after each page.

    `checkpoint` lies in a folder that its owner alone can read; it is deleted in the end.

    Raises:
        KeyUnavailable: the key can't be had, or the records change too fast. Run it again; it goes on where it was.
        OSError: the checkpoint can't be written.
    """
    state = await _start(keys, checkpoint)
    for _ in range(_MOST_PASSES):
        state = await _pass(keys, records, state, checkpoint, progress)
        version = await keys.key_version()
        if version == state.key_version and not state.done.changed:
            await asyncio.to_thread(checkpoint.unlink, missing_ok=True)
            return state.done
        again = replace(state.done, changed=0, broken=0, broken_ids=())  # the next pass meets those again
        state = replace(state, key_version=version, after=None, done=again)
    raise KeyUnavailable(f"the records of `{keys.tenant}` in `{keys.store}` changed in each of {_MOST_PASSES} passes")


async def _pass(
    keys: TenantStoreKeys,
    records: Resealable,
    state: _Checkpoint,
    checkpoint: Path,
    progress: Callable[[ResealProgress], None],
) -> _Checkpoint:
    """From where `state` stands to the last page."""
    while True:
        page = await records.page(state.after)
        done = state.done
        for record in page.records:
            done = await _one(keys, records, record, done)
        state = replace(state, after=page.after, done=done)
        progress(done)
        if page.after is None:
            return state
        await asyncio.to_thread(partial(files.replace, checkpoint, _encode(state)))


async def _one(
    keys: TenantStoreKeys, records: Resealable, record: SealedRecord, done: ResealProgress
) -> ResealProgress:
    done = replace(done, seen=done.seen + 1)
    try:
        if not keys.needs_reseal(record.sealed):
            return replace(done, current=done.current + 1)
        plaintext = await keys.open(record.purpose, record.record_id, record.sealed)
    except SealBroken:
        named = (*done.broken_ids, record.record_id)[:_MOST_NAMED]
        return replace(done, broken=done.broken + 1, broken_ids=named)
    sealed = await keys.seal(record.purpose, record.record_id, plaintext)
    if await records.replace(record, sealed):
        return replace(done, resealed=done.resealed + 1)
    return replace(done, changed=done.changed + 1)


async def _start(keys: TenantStoreKeys, path: Path) -> _Checkpoint:
    """Where an earlier run stopped, if it ran for the same tenant, store and key version; else the beginning."""
    version = await keys.key_version()
    fresh = _Checkpoint(keys.tenant, keys.store, version, None, ResealProgress())
    data = await asyncio.to_thread(files.read, path)
    if data is None:
        return fresh
    try:
        found = _decode(data)
    except ValueError:
        return fresh  # a file that we can't read tells us nothing; beginning anew loses time only
    same = (found.tenant, found.store, found.key_version) == (fresh.tenant, fresh.store, fresh.key_version)
    return found if same else fresh


def _encode(state: _Checkpoint) -> bytes:
    done = state.done
    value = {
        "format": _FORMAT,
        "tenant": state.tenant,
        "store": state.store,
        "key_version": state.key_version,
        "after": state.after,
        "seen": done.seen,
        "resealed": done.resealed,
        "current": done.current,
        "changed": done.changed,
        "broken": done.broken,
        "broken_ids": list(done.broken_ids),
    }
    return json.dumps(value).encode() + b"\n"


def _decode(data: bytes) -> _Checkpoint:
    fields = Fields(parse(data))
    if fields.number("format") != _FORMAT:
        raise ValueError("another format")
    state = _Checkpoint(
        tenant=fields.text("tenant"),
        store=fields.text("store"),
        key_version=fields.number("key_version"),
        after=fields.text("after"),
        done=ResealProgress(
            seen=fields.number("seen"),
            resealed=fields.number("resealed"),
            current=fields.number("current"),
            changed=fields.number("changed"),
            broken=fields.number("broken"),
            broken_ids=tuple(fields.texts("broken_ids")),
        ),
    )
    fields.end()
    return state
