"""One tenant's records in one store, as `keys.reseal_all` goes through them.

Promises: a record changes its seal and nothing else: not its place, its revision, or a byte of what is inside. One that
was changed meanwhile is left to whoever changed it.

Doesn't promise: to look inside. What opens under this tenant's key for this place is sealed for it again.
"""

from __future__ import annotations

from typing import Final

from partywall.keys import Page, SealedRecord
from partywall.stores.backends.base import Partition, Reseal
from partywall.stores.walls import RECORD, place, place_of

__all__ = ["StoredRecords"]

_PAGE: Final = 200


class StoredRecords:
    """A `keys.Resealable`."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    async def page(self, after: str | None) -> Page:
        """See `Resealable.page`."""
        found = await self._partition.scan(after=None if after is None else bytes.fromhex(after), limit=_PAGE)
        records = [SealedRecord(place(row.group, row.key), RECORD, row.sealed) for row in found.rows]
        return Page(records, None if found.after is None else found.after.hex())

    async def replace(self, record: SealedRecord, sealed: bytes) -> bool:
        """See `Resealable.replace`."""
        group, key = place_of(record.record_id)
        return await self._partition.commit([Reseal(group, key, record.sealed, sealed)])

    async def count(self) -> int:
        """How many records there are."""
        return await self._partition.count()
