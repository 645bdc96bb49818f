"""The fingerprints of all tenants' passages, in memory, and whose they are.

Promises: at most 16 bytes a fingerprint; a verdict looks up a text's fingerprints all at once. A passage counts as
foreign to a tenant when exactly one other tenant holds it and the tenant itself doesn't, and it is no boilerplate.
Adding and removing are exact: what was added twice is there until it was removed twice.

Doesn't promise: persistence, or locks. One thread changes a table; readers in others see each document's change as it
is made. A tenant that holds a passage makes it common to both: it could read it already.

New fingerprints lie in a small run, which is merged into the large one when it has grown to a thirty-second of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from partywall.detection.fingerprints.holders import BOILERPLATE, NOBODY, Holders
from partywall.detection.fingerprints.runs import Run
from partywall.detection.grams import Hashes
from partywall.tenancy import TenantId

__all__ = ["FingerprintTable"]

_YOUNG: Final = 4_096
_SHARE: Final = 32
_NO_STATES: Final = np.empty(0, np.uint32)


class FingerprintTable:
    """Give and take documents by their fingerprints (`Printer.of_text`), which their owner's record keeps."""

    __slots__ = ("_holders", "_main", "_young")

    def __init__(self) -> None:
        self._holders = Holders()
        self._main = self._young = Run(np.empty(0, np.uint64), _NO_STATES)

    def __len__(self) -> int:
        return len(self._main) + len(self._young)

    @property
    def nbytes(self) -> int:
        """Of the arrays, which is nearly all."""
        return self._main.nbytes + self._young.nbytes

    def add(self, tenant: TenantId, document: Hashes) -> None:
        """One document of `tenant`, or another with passages that it holds already."""
        self._add(tenant, document)

    def add_boilerplate(self, text: Hashes) -> None:
        """A text whose passages are nobody's own."""
        self._add(BOILERPLATE, text)

    def remove(self, tenant: TenantId, document: Hashes) -> None:
        """One document of `tenant`. What it doesn't hold is left alone."""
        values = np.unique(document)
        for run in (self._main, self._young):
            _, places = run.find(values)
            run.states[places] = self._holders.changed(run.states[places], tenant, -1)

    def remove_tenant(self, tenant: TenantId) -> None:
        """Everything that `tenant` holds."""
        for run in (self._main, self._young):
            run.states[:] = self._holders.without(tenant, run.states)

    def foreign(self, tenant: TenantId, values: Hashes) -> list[tuple[int, TenantId]]:
        """Which of `values` belong to one other tenant alone: their index, and whose they are."""
        found: list[tuple[int, TenantId]] = []
        for run in (self._main, self._young):
            indices, places = run.find(values)
            for index, state in zip(indices.tolist(), run.states[places].tolist(), strict=True):
                owner = self._holders.sole_other(state, tenant)
                if owner is not None:
                    found.append((index, TenantId(owner)))
        return sorted(found)

    def compact(self) -> None:
        """Merge the runs, and forget what nobody holds any more."""
        main, young = self._main, self._young
        kept, new = main.states != NOBODY, young.states != NOBODY
        whole = Run(main.values[kept], main.states[kept]).with_more(young.values[new], young.states[new])
        whole.states[:] = self._holders.compacted(whole.states)
        self._main, self._young = whole, Run(np.empty(0, np.uint64), _NO_STATES)

    def _add(self, holder: str, document: Hashes) -> None:
        values = np.unique(document)
        is_new = np.ones(len(values), bool)
        for run in (self._main, self._young):
            indices, places = run.find(values)
            run.states[places] = self._holders.changed(run.states[places], holder, 1)
            is_new[indices] = False
        values = values[is_new]
        if len(values):
            states: NDArray[np.uint32] = np.full(len(values), NOBODY, np.uint32)
            self._young = self._young.with_more(values, self._holders.changed(states, holder, 1))
        if len(self._young) > max(_YOUNG, len(self._main) // _SHARE):
            self.compact()
