"""Decision ids: `dec_`, 48 bits of milliseconds, 80 random bits, in lower-case hex.

Promises: ids sort as text in the order of their milliseconds, and carry nothing of the tenant or of how many other
requests there were. Two processes, forks included, never draw from the same randomness.

Doesn't promise: to be an authority. Knowing an id opens nothing; every lookup is (tenant, id).
"""

from __future__ import annotations

import os
import time
from typing import Final, NewType

__all__ = ["DecisionId", "new_decision_id"]

DecisionId = NewType("DecisionId", str)

_RANDOM_BYTES: Final = 10
_DRAW: Final = 256
"""Ids' worth of randomness per system call; one call per id was a tenth of a whole request."""

_pool: list[str] = []
# A fork copies the pool; both sides would hand out the same "random" ids.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)


def new_decision_id() -> DecisionId:
    """A fresh id. Safe to call from any thread: `list.pop` hands each piece of randomness out once."""
    try:
        tail = _pool.pop()
    except IndexError:
        tail = _refill()
    return DecisionId(f"dec_{time.time_ns() // 1_000_000:012x}{tail}")


def _refill() -> str:
    """Draw a batch; keep one piece for the caller, so that another thread emptying the pool can't starve it."""
    width = 2 * _RANDOM_BYTES
    drawn = os.urandom(_RANDOM_BYTES * _DRAW).hex()
    _pool.extend([drawn[start : start + width] for start in range(width, len(drawn), width)])
    return drawn[:width]
