"""Sealing and opening one record, from bare AES-256-GCM up to what stores call.

Promises: every contender runs on the same plaintext in the same process; batches alternate, each far shorter than a
time slice, and the best of many counts. So a machine that others use spoils batches, not figures. (Time on the clock:
a thread's CPU time stood still for whole batches on a virtual machine, and a minimum finds such errors.)

Doesn't promise: what a first use costs (see `unwrapping`), nor the writing of the counted uses, once a second.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.keys.rings import ALPHA, Setting, scope_of
from partywall.keys import KeyRing, Store, StoreKeys
from partywall.keys.envelope import open_sealed, seal
from partywall.keys.hazmat import DataKey
from partywall.keys.purpose_keys import Epoch, OpeningKey, SealingKey, split

__all__ = [
    "BARE",
    "ENVELOPE",
    "PURPOSE_KEYS",
    "ROUNDS",
    "SIZES",
    "STORABLE",
    "STORE_KEYS",
    "Loop",
    "best_of_many",
    "measure_sealing",
]

SIZES: Final = {"1 KB": 1024, "64 KB": 64 * 1024}
BARE: Final = "bare"
STORABLE: Final = "storable"
ENVELOPE: Final = "envelope"
PURPOSE_KEYS: Final = "purpose_keys"
STORE_KEYS: Final = "store_keys"

_BATCH_BYTES: Final = 100 * 1024  # some hundred microseconds, well below the time slice of a kernel
_LEAST_BATCH: Final = 10
ROUNDS: Final = 1_500
_NONCE_BYTES: Final = 12
_PURPOSE: Final = "message"
_RECORD: Final = "conv-4711/7"

Loop = Callable[[int], Awaitable[None]]
"""Seals and opens the record so many times."""


def measure_sealing(folder: Path) -> dict[str, dict[str, float]]:
    """By size and contender, the microseconds that it takes to seal and open one record."""
    return asyncio.run(_measure(Setting.in_files(folder)))


async def _measure(setting: Setting) -> dict[str, dict[str, float]]:
    async with KeyRing.open(setting.key_ring(hold_seconds=600), "bench", _unheard) as ring:
        memory = ring.store(Store.MEMORY)
        found = {}
        for name, size in SIZES.items():
            plaintext = os.urandom(size)
            loops = {
                BARE: _bare(plaintext),
                STORABLE: _storable(plaintext),
                ENVELOPE: _envelope(plaintext),
                PURPOSE_KEYS: _purpose_keys(plaintext),
                STORE_KEYS: _store_keys(plaintext, memory),
            }
            times = max(_LEAST_BATCH, _BATCH_BYTES // size)
            found[name] = await best_of_many(loops, times=times, rounds=ROUNDS)
        return found


async def best_of_many(
    loops: Mapping[str, Loop], *, times: int, rounds: int, clock: Callable[[], int] = time.perf_counter_ns
) -> dict[str, float]:
    """For each loop the microseconds of one pass in its best batch. Batches alternate; their order rotates."""
    names = list(loops)
    best = dict.fromkeys(names, float("inf"))
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            began = clock()
            await loops[name](times)
            best[name] = min(best[name], (clock() - began) / times / 1000)
        await asyncio.sleep(0)  # the keyring's clockwork has its turn outside the batches
    return best


def _unheard(_: object) -> None:
    """An alarm would be a fault of the harness, and the record would not open."""


# -- The contenders ---------------------------------------------------------------------------------------------------


def _bare(plaintext: bytes) -> Loop:
    """The yardstick: nothing but the cipher. Its fixed nonce forbids it for any use."""
    aead, nonce = AESGCM(os.urandom(32)), bytes(_NONCE_BYTES)
    encrypt, decrypt = aead.encrypt, aead.decrypt

    async def loop(times: int) -> None:
        for _ in range(times):
            decrypt(nonce, encrypt(nonce, plaintext, None), None)

    return loop


def _storable(plaintext: bytes) -> Loop:
    """The least that can be stored: a random nonce, put before the ciphertext and cut off again. Bound to nothing."""
    aead = AESGCM(os.urandom(32))
    encrypt, decrypt, draw = aead.encrypt, aead.decrypt, os.urandom

    async def loop(times: int) -> None:
        for _ in range(times):
            nonce = draw(_NONCE_BYTES)
            stored = nonce + encrypt(nonce, plaintext, None)
            decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], None)

    return loop


def _envelope(plaintext: bytes) -> Loop:
    """The format alone: header, commitment, and all that the record is bound to."""
    store = Store.MEMORY.value
    key = DataKey.derive(os.urandom(32), tenant=ALPHA, store=store, key_version=1, epoch=os.urandom(16))
    count = itertools.count().__next__

    async def loop(times: int) -> None:
        for _ in range(times):
            sealed = seal(
                key, count(), tenant=ALPHA, store=store, purpose=_PURPOSE, record_id=_RECORD, plaintext=plaintext
            )
            open_sealed(key, sealed, tenant=ALPHA, store=store, purpose=_PURPOSE, record_id=_RECORD)

    return loop


def _purpose_keys(plaintext: bytes) -> Loop:
    """The same bytes on the path of every record: what a key and purpose have in common is made beforehand."""
    epoch = Epoch(bytearray(os.urandom(32)), tenant=ALPHA, store=Store.MEMORY.value, key_version=1)
    sealing, opening = SealingKey(epoch, _PURPOSE), OpeningKey(epoch.data_key, _PURPOSE)

    async def loop(times: int) -> None:
        for _ in range(times):
            sealed = sealing.seal(_RECORD, plaintext)
            _, counter, commitment = split(sealed)
            opening.open(_RECORD, sealed, counter, commitment)

    return loop


def _store_keys(plaintext: bytes, keys: StoreKeys) -> Loop:
    """What stores call: the tenant's held key, its bounds checked, each use counted for the record."""
    scope = scope_of(ALPHA)

    async def loop(times: int) -> None:
        for _ in range(times):
            sealed = await keys.seal(scope, _PURPOSE, _RECORD, plaintext)
            await keys.open(scope, _PURPOSE, _RECORD, sealed)

    return loop
