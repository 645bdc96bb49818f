"""The open collections of all tenants, in bounded memory: an index, and the documents that it was made of.

Promises: what is open is found by tenant and collection, both. What wasn't used for longest goes first when there is no
room, and each goes when nobody asked for it for a while. A tenant's go at once when its key can't be had.

Doesn't promise: that what is open is current. Each search compares its stamp with the collection's head, which every
change to a document replaces: a document that was verified under that head is what its record says now.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from partywall.stores.documents.metadata import Value
from partywall.tenancy import TenantId

if TYPE_CHECKING:
    from partywall.stores.documents.index import Index
    from partywall.stores.documents.partition_index import PartitionIndex

__all__ = ["OpenCollection", "Shelf", "Verified"]

_IDLE_SECONDS: Final = 900.0
_DOCUMENT_BYTES: Final = 512
"""What it costs to remember one, about."""


class Verified(NamedTuple):
    """What a document's record says, of one that came through the walls."""

    name: str
    version: str
    metadata: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class OpenCollection:
    """A collection in the state that the index's stamp names."""

    index: Index | PartitionIndex
    documents: Mapping[str, Verified]
    """By id."""

    @property
    def nbytes(self) -> int:
        """What it costs to keep, about."""
        return self.index.nbytes + _DOCUMENT_BYTES * len(self.documents)


class Shelf:
    """(tenant, collection) to what is open of it."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most_bytes
        self._clock = clock
        self._held: OrderedDict[tuple[TenantId, str], tuple[OpenCollection, float]] = OrderedDict()
        """Least recently used first."""
        self._of: dict[TenantId, set[str]] = {}
        self.nbytes = 0
        """What is held."""

    def __len__(self) -> int:
        """How many are open."""
        return len(self._held)

    def get(self, tenant: TenantId, collection: str) -> OpenCollection | None:
        """The collection, if it is open."""
        self._drop_idle()
        found = self._held.get((tenant, collection))
        if found is None:
            return None
        self._held[tenant, collection] = (found[0], self._clock())
        self._held.move_to_end((tenant, collection))
        return found[0]

    def put(self, tenant: TenantId, collection: str, opened: OpenCollection) -> None:
        """Keep it, as far as there is room: one that is larger than all the room is not kept."""
        self.drop(tenant, collection)
        if opened.nbytes > self._most:
            return
        self._held[tenant, collection] = (opened, self._clock())
        self._of.setdefault(tenant, set()).add(collection)
        self.nbytes += opened.nbytes
        while self.nbytes > self._most:
            self._let_go(next(iter(self._held)))

    def drop(self, tenant: TenantId, collection: str) -> None:
        """Forget one."""
        if (tenant, collection) in self._held:
            self._let_go((tenant, collection))

    def drop_tenant(self, tenant: TenantId) -> None:
        """Forget all of a tenant's."""
        for collection in tuple(self._of.get(tenant, ())):
            self._let_go((tenant, collection))

    def _drop_idle(self) -> None:
        oldest = self._clock() - _IDLE_SECONDS
        while self._held:
            place = next(iter(self._held))
            if self._held[place][1] >= oldest:
                return
            self._let_go(place)

    def _let_go(self, place: tuple[TenantId, str]) -> None:
        opened, _ = self._held.pop(place)
        self.nbytes -= opened.nbytes
        own = self._of[place[0]]
        own.discard(place[1])
        if not own:
            del self._of[place[0]]
