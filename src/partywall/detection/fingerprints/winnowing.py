"""Which runs of a text stand for it: winnowing (Schleimer, Wilkerson, Aiken, SIGMOD 2003).

Promises: of every `WINDOW` runs in a row at least one is chosen, by its hash alone. So two texts that share
`CAUGHT` = WINDOW + LONG - 1 = 40 normalised characters share a chosen run, whatever surrounds them, and none is shared
by texts that have less than 32 in common. About two runs in ten are chosen.

Doesn't promise: anything for texts of less than 40 normalised characters: nothing is chosen in them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from partywall.detection.grams import LONG, Hashes

__all__ = ["CAUGHT", "WINDOW", "chosen"]

WINDOW: Final = 9
CAUGHT: Final = WINDOW + LONG - 1
_Order = NDArray[np.uint32]
_HALF: Final = np.uint64(32)
_NOTHING: Final = np.empty(0, np.int64)


def chosen(hashes: Hashes) -> NDArray[np.int64]:
    """The places of the runs that are the least of some window. Of equals in a window all are chosen."""
    if len(hashes) < WINDOW:
        return _NOTHING
    # The upper half orders as well, and processors compare more of those at once. Equals are all chosen.
    order = (hashes >> _HALF).astype(np.uint32)
    least = np.zeros(len(order) + WINDOW - 1, np.uint32)
    least[WINDOW - 1 : len(order)] = _sliding(np.minimum, order)
    # A run is the least of some window if the greatest of the leasts around it is its own.
    places: NDArray[np.int64] = (_sliding(np.maximum, least) == order).nonzero()[0]
    return places


def _sliding(extreme: np.ufunc, values: _Order) -> _Order:
    """The extreme of each 9 values in a row: of 2, of 4, of 8, and of 8 with one more."""
    two = extreme(values[:-1], values[1:])
    four = extreme(two[:-2], two[2:])
    eight = extreme(four[:-4], four[4:])
    result: _Order = extreme(eight[:-1], values[8:])
    return result
