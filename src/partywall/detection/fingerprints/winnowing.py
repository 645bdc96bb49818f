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
_NOTHING: Final = np.empty(0, np.int64)


def chosen(hashes: Hashes) -> NDArray[np.int64]:
    """The places of the runs that are the least of some window. Of equals in a window all are chosen."""
    if len(hashes) < WINDOW:
        return _NOTHING
    least = np.zeros(len(hashes) + WINDOW - 1, np.uint64)
    least[WINDOW - 1 : len(hashes)] = _sliding(np.minimum, hashes)
    # A run is the least of some window if the greatest of the leasts around it is its own.
    return np.flatnonzero(_sliding(np.maximum, least) == hashes)


def _sliding(extreme: np.ufunc, values: Hashes) -> Hashes:
    """The extreme of each 9 values in a row: of 2, of 4, of 8, and of 8 with one more."""
    two = extreme(values[:-1], values[1:])
    four = extreme(two[:-2], two[2:])
    eight = extreme(four[:-4], four[4:])
    result: Hashes = extreme(eight[:-1], values[8:])
    return result
