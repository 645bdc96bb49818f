"""What is written before it counts: pieces and bytes that nothing points to yet.

Promises: something staged is seen by nobody until one last change makes it part of a document, at once. What a crash or
a lost caller left behind is swept away when the tenant's next file comes and nobody has touched it for an hour.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from partywall.errors import Conflict
from partywall.stores.collection import Drop, DropGroup, Put, StoreChange
from partywall.stores.documents import places
from partywall.stores.documents.books import Books
from partywall.stores.fields import members, number
from partywall.tenancy import TenantScope

__all__ = ["STALE_SECONDS", "Stage", "sweep"]

STALE_SECONDS: Final = 3600.0
_PAGE: Final = 100


class Stage:
    """One ingestion's."""

    def __init__(self, books: Books, scope: TenantScope) -> None:
        self.id: Final = secrets.token_hex(16)
        """Names the pieces and the bytes that belong to it."""
        self._books = books
        self._scope = scope
        self._revision = 0

    async def write(self, changes: Sequence[StoreChange]) -> None:
        """Store something of it, and show that somebody is still at it.

        Raises:
            Conflict: it was swept away.
        """
        touched = Put(places.STAGING, self.id, {"touched": self._books.clock()}, self._revision)
        if not await self._books.records.commit(self._scope, [touched, *changes]):
            raise Conflict(f"a document of `{self._scope.tenant}` took so long that it was given up")
        self._revision += 1

    def end(self) -> list[StoreChange]:
        """The change with which it counts. If it fails for this reason, it was swept away."""
        return [Drop(places.STAGING, self.id, self._revision)] if self._revision else []

    async def is_there(self) -> bool:
        """Whether it still is: not swept away, and not counted yet."""
        return await self._books.records.find(self._scope, places.STAGING, self.id) is not None

    async def give_up(self) -> None:
        """Leave nothing of it behind."""
        if self._revision:
            await self._books.records.commit(self._scope, [*self.end(), *_leavings(self.id)])


async def sweep(books: Books, scope: TenantScope) -> None:
    """Delete what was staged and given up."""
    page = await books.records.page(scope, places.STAGING, after=None, limit=_PAGE, backwards=False)
    for record in page.items:
        if number(members(record.body), "touched") < books.clock() - STALE_SECONDS:
            # Its revision is checked: whoever touched it meanwhile is alive.
            changes = [Drop(places.STAGING, record.id, record.revision), *_leavings(record.id)]
            await books.records.commit(scope, changes)


def _leavings(stage: str) -> list[StoreChange]:
    return [DropGroup(places.chunks(stage)), DropGroup(places.blocks(f"file_{stage}"))]
