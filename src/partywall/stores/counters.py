"""Counters by tenant, in windows: what limits and quotas are counted with.

Promises: every call takes the scope first and reaches that tenant's counters only; what is counted is a name's keyed
hash, so the engine is told neither names nor users. Two that add at once both count, in however many processes share
the engine. When it can't be asked, nothing is counted and nobody goes on: StoreUnavailable.

Doesn't promise: seals. A total that is to be added to by the engine is a number that it can read, and whoever may write
to the engine can change it (docs/threats.md). Embedded, counters live as long as this process, and are its own.
"""

from __future__ import annotations

import math
from typing import Final

from partywall.errors import BadRequest
from partywall.stores.backends.values import LARGEST_AMOUNT
from partywall.stores.fields import check_word
from partywall.stores.walls import Cryptography, ValuePlacement
from partywall.tenancy import TenantScope

__all__ = ["Counters"]

_LONGEST_WINDOW_SECONDS: Final = 366 * 86_400


class Counters:
    """The counters of every tenant."""

    def __init__(self, placement: ValuePlacement, cryptography: Cryptography) -> None:
        self._placement = placement
        self._cryptography = cryptography

    async def add(self, scope: TenantScope, name: str, amount: int, *, window_seconds: float) -> int:
        """Add to the tenant's counter of that name and window; its total since the window began.

        A window begins when its first is added, and ends by itself. Windows of other lengths are other counters. Less
        than nothing gives back.

        Raises:
            BadRequest: no name, no whole number, no window, or one of more than 366 days.
            KeyUnavailable, StoreUnavailable: it can't be counted. Don't go on.
        """
        check_word(name, "a counter's name")
        if type(amount) is not int or abs(amount) > LARGEST_AMOUNT:
            raise BadRequest("what is added to a counter is a whole number of at most 2^53")
        if not (math.isfinite(window_seconds) and 1 <= window_seconds <= _LONGEST_WINDOW_SECONDS):
            raise BadRequest("a counter's window is a second to 366 days")
        key = await self._cryptography.name(scope, "counter", name, repr(float(window_seconds)))
        return await self._placement.partition(scope).add(key, amount, ttl_seconds=window_seconds)

    async def read(self, scope: TenantScope, name: str, *, window_seconds: float) -> int:
        """As `add`, of nothing."""
        return await self.add(scope, name, 0, window_seconds=window_seconds)

    async def erase(self, scope: TenantScope) -> int:
        """Forget all counters of the scope's tenant; returns how many there were."""
        return await self._placement.partition(scope).delete_all()
