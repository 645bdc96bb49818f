"""Who holds a fingerprint: small sets of tenants with counts, each kept once and known by a number.

Promises: a tenant holds a fingerprint until it was taken away as often as it was given (a passage may stand in two
documents). Most fingerprints share few sets, so 32 bits a fingerprint say who holds it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["BOILERPLATE", "NOBODY", "Holders"]

NOBODY: Final = 0
BOILERPLATE: Final = "*boilerplate*"
"""Holds what is common property. No tenant's id has an asterisk."""

_Set = tuple[tuple[str, int], ...]


class Holders:
    """Sets by number, numbers by set. `NOBODY` is the empty set."""

    __slots__ = ("_numbers", "_sets")

    def __init__(self) -> None:
        self._sets: list[_Set] = [()]
        self._numbers: dict[_Set, int] = {(): NOBODY}

    def changed(self, states: NDArray[np.uint32], tenant: str, by: int) -> NDArray[np.uint32]:
        """The states after `tenant` was given (1) or taken (-1) each of them once."""
        before, places = np.unique(states, return_inverse=True)
        after = np.array([self._change(int(state), tenant, by) for state in before], np.uint32)
        return after[places]

    def holds(self, state: int, tenant: str) -> bool:
        return any(each == tenant for each, _ in self._sets[state])

    def sole_other(self, state: int, tenant: str) -> str | None:
        """The one tenant that holds it, if that isn't `tenant`; None when several do, or it is common property."""
        holders = self._sets[state]
        if len(holders) != 1 or holders[0][0] in (tenant, BOILERPLATE):
            return None
        return holders[0][0]

    def without(self, tenant: str, states: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The states after everything of `tenant` was taken."""
        before, places = np.unique(states, return_inverse=True)
        after = [self._number(tuple(each for each in self._sets[state] if each[0] != tenant)) for state in before]
        return np.array(after, np.uint32)[places]

    def compacted(self, states: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Forget all sets but those of `states`; the same states under their new numbers."""
        before, places = np.unique(states, return_inverse=True)
        kept = [self._sets[state] for state in before]
        self._sets, self._numbers = [()], {(): NOBODY}
        return np.array([self._number(each) for each in kept], np.uint32)[places]

    def _change(self, state: int, tenant: str, by: int) -> int:
        counts = dict(self._sets[state])
        counts[tenant] = max(0, counts.get(tenant, 0) + by)
        return self._number(tuple(sorted((each, count) for each, count in counts.items() if count)))

    def _number(self, holders: _Set) -> int:
        number = self._numbers.get(holders)
        if number is None:
            self._numbers[holders] = number = len(self._sets)
            self._sets.append(holders)
        return number
