"""A sorted run of fingerprints with the state of each, made for many look-ups at once.

Promises: 12 bytes a fingerprint, and one or two more for a filter; a look-up reads one bit for at least seven of eight
fingerprints that aren't there, and searches for the rest.

Fingerprints are evenly spread (they are images of a pseudorandom function), so that their first bits are a filter's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from partywall.detection.grams import Hashes

__all__ = ["Run"]

_BITS: Final = 64
_NONE: Final = np.empty(0, np.intp)
_BIT_OF: Final = (1 << np.arange(8)).astype(np.uint8)


class Run:
    """Immutable but for `states`, which are replaced in place."""

    __slots__ = ("_filter", "_shift", "states", "values")

    def __init__(self, values: Hashes, states: NDArray[np.uint32]) -> None:
        self.values, self.states = values, states
        size = max(1, len(values))
        self._shift = np.uint64(_BITS - max(3, size.bit_length() + 3))
        self._filter = np.zeros(max(1, 1 << size.bit_length()), np.uint8)
        slots = (values >> self._shift).view(np.int64)
        np.bitwise_or.at(self._filter, slots >> 3, _BIT_OF.take(slots & 7))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        return sum(each.nbytes for each in (self.values, self.states, self._filter))

    def find(self, values: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of `values` are here, and where."""
        if not len(self.values):
            return _NONE, _NONE
        slots = (values >> self._shift).view(np.int64)
        maybe = (self._filter.take(slots >> 3) & _BIT_OF.take(slots & 7)).nonzero()[0]
        if not len(maybe):
            return _NONE, _NONE
        asked = values[maybe]
        places = np.searchsorted(self.values, asked)
        places[places == len(self.values)] = 0
        is_it = self.values[places] == asked
        return maybe[is_it], places[is_it]

    def with_more(self, values: Hashes, states: NDArray[np.uint32]) -> Run:
        """This and others in one. `values` are sorted and none of them is here."""
        at = np.searchsorted(self.values, values)
        return Run(np.insert(self.values, at, values), np.insert(self.states, at, states))
