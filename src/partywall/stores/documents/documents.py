"""`Documents`: collections of a tenant's documents, and the search over them.

Promises: documents belong to a tenant, and every one of its users finds them; nobody else does. A collection that isn't
there and one that isn't the caller's raise the same `Missing`. No operation returns a vector.

Doesn't promise: rights of single users within a tenant. Filters on metadata narrow a search; they guard nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from partywall.errors import BadRequest
from partywall.stores.collection import DropGroup
from partywall.stores.documents import places
from partywall.stores.documents.books import Attempt, Books, Head, Kept, Stored
from partywall.stores.documents.embedding import Embedder, EmbedderOf
from partywall.stores.documents.files import Files, check_data
from partywall.stores.documents.filters import Comparison, Compound, Filter, keys_of, parse_filter
from partywall.stores.documents.ingestion import Incoming, Ingestion
from partywall.stores.documents.kinds import DEFAULT, Document, DocumentCollection, Hit, Progress, Retrieval
from partywall.stores.documents.metadata import Value, check_metadata, refuse_reserved
from partywall.stores.documents.parsing import Parser
from partywall.stores.documents.search import Search
from partywall.stores.documents.shelf import Shelf
from partywall.stores.documents.wordllama import WordLlamaEmbedder
from partywall.stores.fields import Page, check_text, check_word, new_id
from partywall.stores.walls import authorise
from partywall.tenancy import TenantScope

__all__ = ["Documents"]

_KIND: Final = "vs"
_LONGEST_QUESTION_BYTES: Final = 32 * 2**10
_MOST_HITS: Final = 50
_PAGE: Final = 100


class Documents:
    """The documents of every tenant."""

    def __init__(self, books: Books, files: Files, settings: Retrieval) -> None:
        self._books = books
        self._records = books.records
        self._files = files
        self._namespace_key = settings.namespace_key
        self._offline: Embedder | None = None
        self._ingestion = Ingestion(books, Parser(settings.limits), self._offline_for, settings)
        self._shelf = Shelf(settings.limits.index_bytes)
        self._search = Search(books, self._ingestion, self._shelf, settings)

    def embed_with(self, embedder_of: EmbedderOf) -> None:
        """From now on, ask `embedder_of` whose model a tenant uses. Without it, everybody's is the offline one."""
        self._ingestion.embedder_of = embedder_of

    def offline_embedder(self) -> Embedder:
        """The model that needs no network, for whoever chooses by tenant.

        Raises:
            ConfigError: it isn't installed.
        """
        if self._offline is None:
            self._offline = WordLlamaEmbedder()
        return self._offline

    def _offline_for(self, scope: TenantScope) -> Embedder:  # noqa: ARG002 - everybody has the same
        return self.offline_embedder()

    # -- Collections ---

    async def create_collection(
        self, scope: TenantScope, *, name: str, metadata: Mapping[str, object] | None = None
    ) -> DocumentCollection:
        """Make a collection.

        Raises:
            BadRequest: an empty or overlong name, or metadata that is refused.
            QuotaExceeded: the tenant has too many.
            Conflict: too many others write at the same time.
        """
        authorise(scope)
        check_word(name, "a collection's name")
        head = Head.new(new_id(_KIND), name, self._checked(metadata), self._books.clock())

        async def attempt() -> Attempt[DocumentCollection]:
            usage = (await self._books.usage(scope)).plus(collections=1)
            return [head.put(), usage.check(scope, self._books.limits).put()], head.seen()

        return await self._books.change(scope, attempt)

    async def get_collection(self, scope: TenantScope, collection: str) -> DocumentCollection:
        """The collection.

        Raises:
            Missing: there is none of that id.
        """
        head = await self._books.head(scope, collection)
        if head is None:
            raise self._records.missing(scope)
        return head.seen()

    async def list_collections(
        self, scope: TenantScope, *, after: str | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[DocumentCollection]:
        """The tenant's collections as they were made, or the other way round, behind the one with the id `after`.

        Raises:
            Missing: there is no collection `after`.
        """
        page = await self._records.page(scope, places.COLLECTIONS, after=after, limit=limit, backwards=backwards)
        return Page(tuple(Head.of(record).seen() for record in page.items), page.has_more)

    async def update_collection(
        self,
        scope: TenantScope,
        collection: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> DocumentCollection:
        """Change a collection's name or metadata; None leaves it.

        Raises:
            Missing: there is none of that id.
            BadRequest: see `create_collection`.
        """
        if name is not None:
            check_word(name, "a collection's name")
        said = None if metadata is None else self._checked(metadata)

        async def attempt() -> Attempt[DocumentCollection]:
            head = await self._books.head(scope, collection)
            if head is None:
                raise self._records.missing(scope)
            head = dataclasses.replace(
                head,
                name=head.name if name is None else name,
                metadata=head.metadata if said is None else said,
                updated=self._books.clock(),
            )
            return [head.put()], head.seen()

        return await self._books.change(scope, attempt)

    async def delete_collection(self, scope: TenantScope, collection: str) -> None:
        """Delete a collection with its documents, at once. Files stay, except those that came as its documents.

        Raises:
            Missing: there is none of that id.
            Conflict: too many others write at the same time.
        """

        async def attempt() -> Attempt[None]:
            head = await self._books.head(scope, collection)
            if head is None:
                raise self._records.missing(scope)
            usage = (await self._books.usage(scope)).plus(collections=-1, chunks=-head.chunks)
            changes = head.removal()
            async for kept, file in self._with_files(scope, collection):
                changes.append(DropGroup(places.chunks(kept.version)))
                left = tuple(each for each in file.collections if each != collection)
                if left or file.added_to != collection:
                    changes.append(dataclasses.replace(file, collections=left).put())
                else:
                    changes += file.removal()
                    usage = usage.plus(files=-1, size=-file.bytes)
            return [*changes, usage.put()], None

        await self._books.change(scope, attempt)
        self._shelf.drop(scope.tenant, collection)

    # -- Documents ---

    async def add(
        self,
        scope: TenantScope,
        *,
        name: str,
        data: bytes,
        media_type: str | None = None,
        metadata: Mapping[str, object] | None = None,
        collection: str = DEFAULT,
        progress: Progress | None = None,
    ) -> Document:
        """Store a document under its name, with a file of its own.

        The same name and bytes again are the same document; other bytes take the place of the old ones, at once.

        Raises:
            Missing: there is no such collection.
            BadRequest: a name or metadata that is refused, a file that can't be read, or another model's collection.
            PayloadTooLarge, QuotaExceeded: it is too large, or too much with what is there.
            Conflict: too many others write at the same time.
            ConfigError: what reads or embeds it isn't installed.
        """
        authorise(scope)
        check_word(name, "a document's name")
        check_data(data, self._books.limits)
        come = Incoming(name, data, media_type, self._checked(metadata), collection, progress)
        return await self._ingestion.add(scope, come)

    async def attach(
        self,
        scope: TenantScope,
        collection: str,
        file_id: str,
        *,
        metadata: Mapping[str, object] | None = None,
        progress: Progress | None = None,
    ) -> Document:
        """Make a document of a file that is there. When it returns, the document can be found.

        Raises:
            Missing: there is no such collection, or no such file.
            BadRequest, PayloadTooLarge, QuotaExceeded, Conflict, ConfigError: see `add`.
        """
        said = self._checked(metadata)
        await self._books.head(scope, collection)
        file = await self._files.get(scope, file_id)
        data = await self._files.content(scope, file_id)
        return await self._ingestion.attach(scope, Incoming(file.name, data, None, said, collection, progress), file.id)

    async def get(self, scope: TenantScope, document_id: str, *, collection: str = DEFAULT) -> Document:
        """The document.

        Raises:
            Missing: there is none of that id in that collection.
        """
        return (await self._books.document(scope, collection, document_id)).seen()

    async def list_documents(
        self,
        scope: TenantScope,
        collection: str = DEFAULT,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Document]:
        """The collection's documents as they came, or the other way round, behind the one with the id `after`.

        Raises:
            Missing: there is no such collection, or no document `after` in it.
        """
        await self._books.head(scope, collection)
        group = places.documents(collection)
        page = await self._records.page(scope, group, after=after, limit=limit, backwards=backwards)
        return Page(tuple(Kept.of(record, collection).seen() for record in page.items), page.has_more)

    async def update(
        self, scope: TenantScope, document_id: str, *, metadata: Mapping[str, object], collection: str = DEFAULT
    ) -> Document:
        """Give a document other metadata.

        Raises:
            Missing: there is none of that id in that collection.
            BadRequest: metadata that is refused.
        """
        return await self._ingestion.describe(scope, collection, document_id, self._checked(metadata))

    async def delete(self, scope: TenantScope, document_id: str, *, collection: str = DEFAULT) -> None:
        """Delete a document, and its file if it came with it and no other collection holds it.

        Raises:
            Missing: there is none of that id in that collection.
            Conflict: too many others write at the same time.
        """
        await self._take_out(scope, collection, document_id, keep_file=False)

    async def detach(self, scope: TenantScope, collection: str, file_id: str) -> None:
        """Take a document out of a collection and leave its file.

        Raises:
            Missing: there is none of that id in that collection.
            Conflict: too many others write at the same time.
        """
        await self._take_out(scope, collection, file_id, keep_file=True)

    async def search(
        self,
        scope: TenantScope,
        query: str,
        *,
        k: int = 5,
        collection: str = DEFAULT,
        filters: Filter | Mapping[str, object] | None = None,
    ) -> Sequence[Hit]:
        """The `k` pieces nearest in meaning to the query, best first.

        A default collection that nobody filled answers with nothing, and nobody is asked.

        Raises:
            Missing: there is no such collection.
            BadRequest: an empty or overlong query, a `k` that isn't 1 to 50, a filter that is refused, or a collection
                that was embedded with another model.
            KeyUnavailable, StoreUnavailable, UpstreamUnavailable: it can't be told now.
            ConfigError: the extra `documents` isn't installed.
        """
        authorise(scope)
        check_text(query, "a query", largest_bytes=_LONGEST_QUESTION_BYTES, too_large=BadRequest)
        check_word(collection, "a collection's id")
        if type(k) is not int or not 1 <= k <= _MOST_HITS:
            raise BadRequest(f"a search finds 1 to {_MOST_HITS} pieces")
        condition = filters if filters is None or isinstance(filters, Comparison | Compound) else parse_filter(filters)
        if condition is not None:
            for key in keys_of(condition):
                refuse_reserved(key, self._namespace_key)
        return await self._search.find(scope, query, k, collection, condition)

    # -- Steps ---

    def _checked(self, metadata: Mapping[str, object] | None) -> dict[str, Value]:
        return check_metadata({} if metadata is None else metadata, self._namespace_key)

    async def _take_out(self, scope: TenantScope, collection: str, document_id: str, *, keep_file: bool) -> None:
        async def attempt() -> Attempt[None]:
            kept = await self._books.document(scope, collection, document_id)
            head, usage = await self._books.open(scope, collection)
            file = await self._books.file(scope, document_id)
            usage = usage.plus(chunks=-kept.chunks)
            changes = [*kept.removal(head), head.without(kept).put()]
            left = tuple(each for each in file.collections if each != collection)
            if keep_file or left or file.added_to != collection:
                changes.append(dataclasses.replace(file, collections=left).put())
            else:
                changes += file.removal()
                usage = usage.plus(files=-1, size=-file.bytes)
            return [*changes, usage.put()], None

        await self._books.change(scope, attempt)

    async def _with_files(self, scope: TenantScope, collection: str) -> AsyncIterator[tuple[Kept, Stored]]:
        """Every document of a collection, and the file that it was made of."""
        after: str | None = None
        while True:
            page = await self._records.page(
                scope, places.documents(collection), after=after, limit=_PAGE, backwards=False
            )
            if not page.items:
                return
            found = await self._records.find_many(scope, [(places.FILES, record.id) for record in page.items])
            for record, file in zip(page.items, found, strict=True):
                if file is not None:
                    yield Kept.of(record, collection), Stored.of(file)
            if not page.has_more:
                return
            after = page.items[-1].id
