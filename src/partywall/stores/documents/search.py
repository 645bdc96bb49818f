"""A search, through the walls.

    1  the tenant's open collection, or one that is loaded from its own sealed records: an index, and each document's
       record, opened and verified
    2  the question is embedded on behalf of the scope
    3  the index names the nearest pieces: a hint, and believed in nothing
    4  head and pieces are fetched from the tenant's partition as they were at one moment, opened with the tenant's key
       and verified as every record is. Whatever changes a document replaces the head, so while the head is the one that
       was there in step 1, so are the documents; if it isn't, again from 1
    5  each piece must say that it belongs to this collection, to the current version of its document and to the
       tenant's namespace, and the document must fulfil the filter. What doesn't is dropped, reported, and the next best
       is taken in its place, so that nothing tells of it

Promises: text reaches the caller from step 5 alone. What it costs depends on this tenant's documents and on nobody
else's, except for what is bounded of all: open indexes and threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from partywall.errors import BadRequest, Conflict, KeyUnavailable, StoreUnavailable
from partywall.stores.alarms import Wall
from partywall.stores.collection import Group
from partywall.stores.documents import places
from partywall.stores.documents.books import Books, Head, Kept
from partywall.stores.documents.embedding import checked
from partywall.stores.documents.extras import require
from partywall.stores.documents.filters import Filter, matches
from partywall.stores.documents.ingestion import Ingestion
from partywall.stores.documents.kinds import Hit, Retrieval
from partywall.stores.documents.metadata import Value
from partywall.stores.documents.partition_index import PartitionIndex
from partywall.stores.documents.shelf import OpenCollection, Shelf, Verified
from partywall.stores.fields import ATTEMPTS, members, number, pause, text
from partywall.stores.records import Record
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Embedder, Vectors
    from partywall.stores.documents.index import Candidate, Index

__all__ = ["Search"]

_PAGE: Final = 100
_INLINE_BYTES: Final = 12 * 2**20
"""Up to this size, an index is scanned in some hundred microseconds: no longer than it takes to hand it to a thread."""
_MOST_CANDIDATES: Final = 1000


class Search:
    """Finds pieces of documents."""

    def __init__(self, books: Books, ingestion: Ingestion, shelf: Shelf, settings: Retrieval) -> None:
        self._books = books
        self._records = books.records
        self._ingestion = ingestion
        self._shelf = shelf
        self._settings = settings

    async def find(
        self, scope: TenantScope, question: str, k: int, collection: str, condition: Filter | None
    ) -> Sequence[Hit]:
        """See `Documents.search`."""
        try:
            return await self._find(scope, question, k, collection, condition)
        except KeyUnavailable:
            self._shelf.drop_tenant(scope.tenant)  # what only that key may show isn't kept without it
            raise

    async def _find(
        self, scope: TenantScope, question: str, k: int, collection: str, condition: Filter | None
    ) -> Sequence[Hit]:
        vector: Vectors | None = None
        for _ in range(ATTEMPTS):
            opened = self._shelf.get(scope.tenant, collection) or await self._load(scope, collection)
            if opened is None:
                return ()
            if len(opened.index):
                embedder = self._embedder(scope, opened.index)
                if vector is None:
                    vector = (await checked(embedder, scope, [question]))[0]
            hits = await _Round(self, scope, collection, condition, opened).best(vector, k)
            if hits is not None:
                return hits
            self._shelf.drop(scope.tenant, collection)
        raise Conflict(f"a collection of `{scope.tenant}` changes too fast to be searched")

    def _embedder(self, scope: TenantScope, index: Index | PartitionIndex) -> Embedder:
        embedder = self._ingestion.embedder_of(scope)
        if (embedder.name, embedder.dimensions) != (index.model, index.dimensions):
            raise BadRequest(
                f"a collection of `{scope.tenant}` was embedded with `{index.model}`, not with `{embedder.name}`",
                public_message="The collection was embedded with another model than the one in use.",
            )
        return embedder

    # -- Step 1 ---

    async def _load(self, scope: TenantScope, collection: str) -> OpenCollection | None:
        """The collection, from its records; None for the default collection that nobody filled.

        Raises:
            Missing: there is no such collection.
        """
        require("numpy")
        for _ in range(ATTEMPTS):
            head = await self._books.head(scope, collection)
            if head is None:
                return None
            records = await self._every(scope, places.documents(collection))
            documents = [Kept.of(record, collection) for record in records]
            index = await self._index(scope, head, documents)
            if (await self._books.head(scope, collection)) == head:
                verified = {kept.id: Verified(kept.name, kept.version, kept.metadata) for kept in documents}
                opened = OpenCollection(index, verified)
                self._shelf.put(scope.tenant, collection, opened)
                return opened
            await pause()
        raise Conflict(f"a collection of `{scope.tenant}` changes too fast to be searched")

    async def _index(self, scope: TenantScope, head: Head, kept: Sequence[Kept]) -> Index | PartitionIndex:
        from partywall.stores.documents import index as engine  # noqa: PLC0415 - needs numpy, of the extra

        stamp, dimensions = engine.Stamp(head.made, head.revision), head.dimensions or 0
        documents = [engine.Known(each.id, each.version, each.metadata) for each in kept]
        if head.in_partition:
            names = await self._records.group_names(scope, [places.chunks(each.version) for each in documents])
            return PartitionIndex(
                self._records,
                head.index,
                stamp,
                head.model,
                dimensions,
                dict(zip(names, documents, strict=True)),
                outside=head.chunks if head.engine else None,
            )
        blocks = [engine.read_block(record.body) for record in await self._every(scope, places.vectors(head.id))]
        return await asyncio.to_thread(engine.Index, stamp, head.model, dimensions, documents, blocks)

    async def _every(self, scope: TenantScope, group: Group) -> list[Record]:
        found: list[Record] = []
        after: str | None = None
        while True:
            page = await self._records.page(scope, group, after=after, limit=_PAGE, backwards=False)
            found += page.items
            if not page.has_more:
                return found
            after = page.items[-1].id
            await asyncio.sleep(0)

    # -- Steps 4 and 5 ---

    async def fetch(
        self, scope: TenantScope, collection: str, index: Index | PartitionIndex, candidates: Sequence[Candidate]
    ) -> tuple[Record | None, list[Record | None]]:
        """The head, and the candidates' pieces."""
        wanted = [(places.COLLECTIONS, collection)]
        wanted += [(places.chunks(each.version), str(each.number)) for each in candidates]
        head, *pieces = await self._records.find_many(scope, wanted, names=index.names)
        return head, pieces

    def belongs(self, scope: TenantScope, piece: Mapping[str, object]) -> bool:
        """Whether a piece says that it is of the tenant's namespace."""
        if not self._settings.verify_namespace:
            return True
        return self._records.walls.verification.in_namespace(self._ingestion.namespace(scope), text(piece, "namespace"))

    def count(self, scope: TenantScope, namespaces: Sequence[str]) -> None:
        """Sound an alarm if too much of what came for one search is of other namespaces."""
        threshold = self._settings.alert_threshold
        if threshold is None:
            return
        own = self._ingestion.namespace(scope)
        foreign = sum(1 for each in namespaces if each != own)
        if foreign > threshold:
            self.alarm(scope, f"{foreign} of {len(namespaces)} pieces found by one search are of other namespaces")

    def alarm(self, scope: TenantScope, reason: str) -> None:
        """Tell of what was dropped."""
        self._records.walls.raise_alarm(scope, Wall.VERIFICATION, "chunk", reason)


class _Round:
    """One search over one state of the index."""

    def __init__(
        self,
        search: Search,
        scope: TenantScope,
        collection: str,
        condition: Filter | None,
        opened: OpenCollection,
    ) -> None:
        self._search = search
        self._scope = scope
        self._collection = collection
        self._condition = condition
        self._index, self._documents = opened.index, opened.documents
        self._namespaces: list[str] = []

    async def best(self, vector: Vectors | None, k: int) -> Sequence[Hit] | None:
        """The k best pieces; None if the index isn't of the collection's current state."""
        hits: list[Hit] = []
        seen: set[Candidate] = set()
        wanted = k
        while True:
            candidates = [] if vector is None or not len(self._index) else await self._nearest(vector, wanted)
            new = [each for each in candidates if each not in seen]
            seen.update(new)
            fresh = [each for each in new if each.document]
            head, pieces = await self._search.fetch(self._scope, self._collection, self._index, fresh)
            if not self._is_current(head):
                return None
            if not candidates and self._condition is None and self._index.is_lost:
                raise StoreUnavailable(f"the engine has lost the vectors of a collection of `{self._scope.tenant}`")
            if len(fresh) < len(new):
                self._search.alarm(self._scope, "the index named pieces of no document that is there for this tenant")
            for candidate, piece in zip(fresh, pieces, strict=True):
                hit = self._verified(candidate, piece)
                if hit is not None and len(hits) < k:
                    hits.append(hit)
            asked = len(candidates)
            if len(hits) == k or asked < wanted or asked >= _MOST_CANDIDATES:
                self._search.count(self._scope, self._namespaces)
                return tuple(hits)
            wanted = min(asked + 2 * (k - len(hits)) + k, _MOST_CANDIDATES)

    async def _nearest(self, vector: Vectors, count: int) -> list[Candidate]:
        allowed = self._allowed()
        if isinstance(self._index, PartitionIndex):
            return await self._index.nearest(self._scope, vector, count, allowed)
        if self._index.nbytes <= _INLINE_BYTES and allowed is None:
            return self._index.nearest(vector, count)
        return await asyncio.to_thread(self._index.nearest, vector, count, allowed)

    def _allowed(self) -> Callable[[Mapping[str, Value]], bool] | None:
        condition = self._condition
        return None if condition is None else lambda metadata: matches(condition, metadata)

    def _is_current(self, head: Record | None) -> bool:
        if head is None:
            return False
        found = Head.of(head)
        return (found.made, found.revision) == self._index.stamp

    def _verified(self, candidate: Candidate, piece: Record | None) -> Hit | None:
        """The hit, if the walls let the piece through and it says that it belongs here, to a document that is here."""
        document = self._documents.get(candidate.document)
        if piece is None or document is None:
            self._search.alarm(self._scope, "the index named a piece that isn't there for this tenant")
            return None
        try:
            return self._checked(candidate, document, piece)
        except StoreUnavailable:
            self._search.alarm(self._scope, "what was found is no piece")
            return None

    def _checked(self, candidate: Candidate, document: Verified, piece: Record) -> Hit | None:
        said = members(piece.body)
        self._namespaces.append(text(said, "namespace"))
        if not self._search.belongs(self._scope, said):
            self._search.alarm(self._scope, "a piece is of another namespace")
            return None
        here = (self._collection, candidate.version, candidate.version)
        if (text(said, "collection"), text(said, "version"), document.version) != here:
            self._search.alarm(self._scope, "a piece and its document don't belong together")
            return None
        if self._condition is not None and not matches(self._condition, document.metadata):
            self._search.alarm(self._scope, "the index named a piece that the filter excludes")
            return None
        return Hit(
            document_id=candidate.document,
            document_name=document.name,
            chunk=candidate.number,
            text=text(said, "text"),
            score=candidate.score,
            start=int(number(said, "start")),
            end=int(number(said, "end")),
            metadata=dict(document.metadata),
            tenant=piece.tenant,
        )
