"""How long a request waits for the engine of a cache.

Promises: a call has `DEADLINE_SECONDS`; one that used them up is given up, and for `PAUSE_SECONDS` nobody in this
process asks again. An engine that is frozen or out of reach thus costs a request a quarter of a second now and then.
Whose call it was doesn't matter; an error that comes at once changes nothing for anybody else.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from partywall.errors import StoreUnavailable

__all__ = ["DEADLINE_SECONDS", "PAUSE_SECONDS", "Patience"]

T = TypeVar("T")
DEADLINE_SECONDS: Final = 0.25
"""A log-in at a server in the same region, and the check of a tenant's place there, fit in."""
PAUSE_SECONDS: Final = 5.0


class Patience:
    """One engine's. `monotonic` tells seconds."""

    __slots__ = ("_again", "_monotonic")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._again = -math.inf

    @property
    def is_over(self) -> bool:
        """Whether the engine is passed by at present."""
        return self._monotonic() < self._again

    async def of(self, call: Awaitable[T]) -> T:
        """What the call gives.

        Raises:
            StoreUnavailable: nothing, in time.
        """
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await call
        except TimeoutError as error:
            self._again = self._monotonic() + PAUSE_SECONDS
            raise StoreUnavailable(f"the cache's engine gave no answer in {DEADLINE_SECONDS} s") from error
