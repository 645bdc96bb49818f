"""Keyed hashes of every run of 16 and of 32 characters, computed for a whole text at once.

Promises: equal runs have equal hashes; different ones differ but for a chance of about 2^-60, whoever chose the texts
without knowing the key.

Doesn't promise: to betray nothing. These hashes stay inside the process; what is stored is blinded (`fingerprints`).

A run is a polynomial over 64-bit numbers: each character becomes a secret number, and runs of 2n are put together from
two runs of n (five steps to 32), which numpy does at about 100 MB/s.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from partywall.detection.normal import Codes

__all__ = ["KEY_BYTES", "LONG", "SHORT", "Grams", "Hashes", "Runs"]

Hashes = NDArray[np.uint64]
SHORT: Final = 16
LONG: Final = 32
KEY_BYTES: Final = 32
_ASCII: Final = 128


class Runs(NamedTuple):
    """Hashes by the place at which a run begins."""

    short: Hashes
    long: Hashes


class Grams:
    """The hash under one deployment's key."""

    __slots__ = ("_ascii", "_first", "_second", "_steps")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key is {KEY_BYTES} bytes, not {len(key)}")
        secret = hashlib.blake2b(b"partywall/grams/v1", key=key, digest_size=24).digest()
        self._first, self._second, base = np.frombuffer(secret, np.uint64) | np.uint64(1)
        steps = [base]
        with np.errstate(over="ignore"):
            for _ in range(4):
                steps.append(steps[-1] * steps[-1])
        self._steps = tuple(steps)
        self._ascii = self._numbers(np.arange(_ASCII, dtype=np.uint32))

    def of(self, codes: Codes) -> Runs:
        """The hashes of all runs. A text shorter than a run has none."""
        if len(codes) < SHORT:
            return Runs(np.empty(0, np.uint64), np.empty(0, np.uint64))
        hashes = self._ascii.take(codes) if codes.dtype == np.uint8 else self._numbers(codes)
        short = hashes
        for level, step in enumerate(self._steps):
            half = 1 << level
            if len(hashes) <= half:
                return Runs(short, np.empty(0, np.uint64))
            longer = hashes[:-half] * step
            longer += hashes[half:]
            hashes = longer
            short = hashes if 2 * half == SHORT else short
        return Runs(short, hashes)

    def _numbers(self, codes: Codes) -> Hashes:
        """A secret number for each character."""
        numbers: Hashes = (codes.astype(np.uint64) + np.uint64(1)) * self._first
        numbers ^= numbers >> np.uint64(32)
        numbers *= self._second
        numbers ^= numbers >> np.uint64(29)
        return numbers
