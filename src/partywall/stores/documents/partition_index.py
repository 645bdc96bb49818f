"""The open index of one collection whose vectors lie in the tenant's partition and are compared there.

Promises: which documents there are, and what their metadata says, comes from the tenant's own sealed records, and a
filter is decided by them before the engine is asked: it gets the groups that it may look in. What it names is a hint,
and is believed in nothing; what belongs to no document of this collection is passed on as such, to be dropped and told.
What an engine outside names may be left over from a document that is gone, or never came: vectors lie there before
their document does. That much is explained, if it is known to be this index's own: it is dropped in silence, and swept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from partywall.stores.backends.base import LONGEST_PAGE, Near
from partywall.stores.collection import Collection, Group, Names
from partywall.stores.documents.metadata import Value
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Vectors
    from partywall.stores.documents.index import Candidate, Known, Stamp

__all__ = ["PartitionIndex"]

_DOCUMENT_BYTES: Final = 1024
"""What it costs to remember one, about."""


class PartitionIndex:
    """One collection's."""

    __slots__ = ("_documents", "_group", "_outside", "_records", "dimensions", "model", "names", "stamp")

    def __init__(
        self,
        records: Collection,
        group: Group,
        stamp: Stamp,
        model: str | None,
        dimensions: int,
        documents: Mapping[bytes, Known],
        *,
        outside: int | None = None,
    ) -> None:
        """`documents` by the hashed name of the group in which their pieces are.

        `outside` is how many pieces an engine outside must have; None: rows and vectors change together.
        """
        self._outside = outside
        self.stamp: Final = stamp
        self.model: Final = model
        self.dimensions: Final = dimensions
        self.names: Final = Names()
        """See `Index.names`."""
        self._records = records
        self._group = group
        self._documents: Final = documents

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self._documents)

    @property
    def nbytes(self) -> int:
        """What it costs to keep, about."""
        return _DOCUMENT_BYTES * len(self._documents)

    @property
    def is_lost(self) -> bool:
        """Whether an engine that names nothing at all, though nothing was filtered, has lost what it had."""
        return bool(self._outside)

    async def nearest(
        self,
        scope: TenantScope,
        vector: Vectors,
        count: int,
        allowed: Callable[[Mapping[str, Value]], bool] | None = None,
    ) -> list[Candidate]:
        """The `count` pieces nearest to the vector, among the documents whose metadata is allowed; best first.

        Raises:
            KeyUnavailable, StoreUnavailable: it can't be told now.
        """
        from partywall.stores.documents.index import Candidate  # noqa: PLC0415 - needs numpy, of the extra

        groups = None
        if allowed is not None:
            groups = [name for name, known in self._documents.items() if allowed(known.metadata)]
        found = await self._found(scope, vector.tolist(), count, groups)
        candidates = []
        for near in found:
            known = self._documents.get(near.group)
            whose = ("", "") if known is None else (known.id, known.version)
            candidates.append(Candidate(*whose, near.number, round(near.score, 6)))
        return candidates

    async def _found(
        self, scope: TenantScope, vector: Sequence[float], count: int, groups: Sequence[bytes] | None
    ) -> Sequence[Near]:
        """What the engine names, and in place of what is left over in it, the next best."""
        wanted = count
        while True:
            found = await self._records.nearest(scope, self._group, vector, limit=wanted, groups=groups)
            if self._outside is None:
                return found
            left_over = {near.group for near in found if near.group and near.group not in self._documents}
            kept = [near for near in found if near.group not in left_over]
            if left_over:
                await self._records.sweep(scope, self._group, sorted(left_over))
            if len(kept) >= count or len(found) < wanted or wanted == LONGEST_PAGE:
                return kept[:count]
            wanted = min(wanted + count + len(found) - len(kept), LONGEST_PAGE)
