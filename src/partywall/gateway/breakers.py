"""Circuit breakers, one per tenant and target.

Promises: after `failures` failures in a row the target is left alone for `open_seconds`, then one request may try.
A tenant's failures open its own circuit and nobody else's: a shared breaker would let one tenant take a target away
from another, and would tell each when the other's requests fail.

Doesn't promise: to be shared between processes; each learns for itself.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from partywall.tenancy import TenantId

__all__ = ["Breaker", "Breakers"]


@dataclass(slots=True)
class Breaker:
    """The state of one circuit. Closed while `failures` is below the limit."""

    limit: int
    open_seconds: float
    failures: int = 0
    retry_at: float = 0.0

    def admits(self) -> bool:
        """Whether a request may try now. In the half-open state the one that asks becomes the trial."""
        if self.failures < self.limit:
            return True
        now = time.monotonic()
        if now < self.retry_at:
            return False
        self.retry_at = now + self.open_seconds  # others wait for the trial's outcome
        return True

    def succeeded(self) -> None:
        """The target answered."""
        self.failures = 0

    def failed(self) -> None:
        """The target couldn't be reached or failed by itself."""
        self.failures += 1
        if self.failures >= self.limit:
            self.retry_at = time.monotonic() + self.open_seconds


class Breakers:
    """Every circuit that isn't in its initial state, and some that are."""

    __slots__ = ("_circuits", "_limit", "_open_seconds")

    _MAX_CIRCUITS: Final = 50_000

    def __init__(self, *, failures: int, open_seconds: float) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._circuits: OrderedDict[tuple[TenantId, str], Breaker] = OrderedDict()

    def of(self, tenant: TenantId, target: str) -> Breaker:
        """The circuit between `tenant` and `target`."""
        key = (tenant, target)
        breaker = self._circuits.get(key)
        if breaker is None:
            breaker = self._circuits[key] = Breaker(self._limit, self._open_seconds)
            if len(self._circuits) > self._MAX_CIRCUITS:
                self._circuits.popitem(last=False)
        return breaker
