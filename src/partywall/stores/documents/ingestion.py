"""How a file becomes a document: read, cut, embedded, stored; and how one takes another's place.

    1  what is the same already is left alone
    2  the text is read (`parsing`) and cut (`chunking`)
    3  pieces are embedded and staged, some at a time (`staging`); nobody sees them
    4  one change puts document, vectors, counts and the collection's new revision there, and takes an old version away

Promises: the same name and bytes in a collection are the same document, however often they come and at once. A search
sees the old version or the new one. A crash before step 4 leaves nothing that is seen; after it, everything.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from partywall.errors import BadRequest, Conflict, PayloadTooLarge, QuotaExceeded
from partywall.stores.collection import Put, PutVectors, StoreChange
from partywall.stores.documents import places
from partywall.stores.documents.books import (
    Attempt,
    Books,
    Head,
    Kept,
    Stored,
    Usage,
    chunks_per_block,
    vector_block_id,
)
from partywall.stores.documents.chunking import Span, cut
from partywall.stores.documents.embedding import Embedder, EmbedderOf, checked
from partywall.stores.documents.extras import require
from partywall.stores.documents.files import stage_file
from partywall.stores.documents.kinds import Document, Progress, Retrieval
from partywall.stores.documents.metadata import Value
from partywall.stores.documents.parsing import Parser, media_type_of
from partywall.stores.documents.staging import Stage, sweep
from partywall.stores.fields import members, text
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Vectors

__all__ = ["Incoming", "Ingestion"]

_BATCH: Final = 16
"""Pieces that are embedded at once: others wait behind them for the model."""
_MOST_COLLECTIONS: Final = 64
_PURPOSE: Final = "assistants"
_FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is to become a document."""

    name: str
    data: bytes
    media_type: str | None
    metadata: Mapping[str, Value]
    collection: str
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class _Staged:
    """What step 3 made: all of a document but its place."""

    stage: Stage
    model: str
    dimensions: int
    media_type: str
    characters: int
    spans: Sequence[Span]
    blocks: Sequence[Vectors]

    def document(self, file: Stored, come: Incoming, digest: str, now: float, *, is_added: bool) -> Kept:
        return Kept(
            id=file.id,
            collection=come.collection,
            name=come.name,
            version=self.stage.id,
            digest=digest,
            media_type=self.media_type,
            bytes=file.bytes,
            characters=self.characters,
            chunks=len(self.spans),
            dimensions=self.dimensions,
            metadata=come.metadata,
            created=now,
            is_added=is_added,
        )


class Ingestion:
    """Makes documents."""

    def __init__(self, books: Books, parser: Parser, embedder_of: EmbedderOf, settings: Retrieval) -> None:
        self._books = books
        self._parser = parser
        self.embedder_of = embedder_of
        self._namespace_format = settings.namespace_format
        self._in_partition = settings.vectors_in_partition
        self._engine = settings.vectors_engine

    def namespace(self, scope: TenantScope) -> str:
        """What the tenant's part of the documents is called."""
        return self._namespace_format.replace("{tenant_id}", scope.tenant)

    async def add(self, scope: TenantScope, come: Incoming) -> Document:
        """A document under its name, with a file of its own. See `Documents.add`."""
        digest = await _digest(come.data)
        old = await self._old(scope, come)
        if old is not None and old.digest == digest:
            return await self.describe(scope, come.collection, old.id, come.metadata)
        staged = await self._stage(scope, come, freed=0 if old is None else old.chunks)
        try:
            file = await stage_file(
                self._books, staged.stage, name=come.name, data=come.data, purpose=_PURPOSE, added_to=come.collection
            )
            file = dataclasses.replace(file, collections=(come.collection,))

            async def attempt() -> Attempt[Document]:
                return await self._put_added(scope, come, digest, staged, file)

            made = await self._books.change(scope, attempt)
        except BaseException:  # a caller that leaves, too
            await staged.stage.give_up()
            raise
        if made.id != file.id:  # somebody added the same bytes under the same name meanwhile
            await staged.stage.give_up()
        return made

    async def attach(self, scope: TenantScope, come: Incoming, file_id: str) -> Document:
        """A document made of a file that is there. See `Documents.attach`."""
        stored = await self._books.file(scope, file_id)
        if come.collection in stored.collections:
            return await self.describe(scope, come.collection, file_id, come.metadata)
        digest = await _digest(come.data)
        staged = await self._stage(scope, come)
        try:

            async def attempt() -> Attempt[Document]:
                return await self._put_attached(scope, come, digest, staged, file_id)

            made = await self._books.change(scope, attempt)
        except BaseException:  # a caller that leaves, too
            await staged.stage.give_up()
            raise
        return made

    async def describe(
        self, scope: TenantScope, collection: str, document_id: str, metadata: Mapping[str, Value]
    ) -> Document:
        """Other metadata for a document; the same is fine."""

        async def attempt() -> Attempt[Document]:
            kept = await self._books.document(scope, collection, document_id)
            if kept.metadata == metadata:
                return [], kept.seen()
            head, _ = await self._books.open(scope, collection)
            kept = dataclasses.replace(kept, metadata=metadata)
            return [kept.put(), head.put()], kept.seen()

        return await self._books.change(scope, attempt)

    # -- Step 1 ---

    async def _old(self, scope: TenantScope, come: Incoming) -> Kept | None:
        """The document that has this name already.

        Raises:
            Missing: there is no such collection.
        """
        await self._books.head(scope, come.collection)
        named = await self._named(scope, come)
        return None if named is None else named[1]

    async def _named(self, scope: TenantScope, come: Incoming) -> tuple[Put, Kept] | None:
        """The record of the name, as it is to be put again, and the document that it leads to."""
        record = await self._books.records.find(scope, places.named(come.collection), come.name)
        if record is None:
            return None
        document_id = text(members(record.body), "document")
        found = await self._books.records.find(scope, places.documents(come.collection), document_id)
        if found is None:
            return None  # between two looks, it was deleted; the change will tell
        return Put(places.named(come.collection), come.name, record.body, record.revision), Kept.of(
            found, come.collection
        )

    # -- Steps 2 and 3 ---

    async def _stage(self, scope: TenantScope, come: Incoming, *, freed: int = 0) -> _Staged:
        """All of a document but its place. `freed` is how many pieces go when it comes."""
        head, usage = await self._books.open(scope, come.collection)
        embedder = self._embedder(scope, head)
        media_type = media_type_of(come.name, come.data, come.media_type)
        read = await self._parser.read(scope, come.data, media_type)
        spans = await asyncio.to_thread(lambda: tuple(cut(read.text, read.headings)))
        if len(spans) > self._books.limits.chunks_of_document:
            raise PayloadTooLarge(f"a document has {len(spans)} pieces")
        usage.plus(chunks=len(spans) - freed).check(scope, self._books.limits)
        await sweep(self._books, scope)
        stage = Stage(self._books, scope)
        try:
            blocks = await self._embed(scope, come, stage, embedder, read.text, spans)
        except BaseException:  # a caller that leaves, too
            await stage.give_up()
            raise
        return _Staged(stage, embedder.name, embedder.dimensions, media_type, len(read.text), spans, blocks)

    def _embedder(self, scope: TenantScope, head: Head) -> Embedder:
        embedder = self.embedder_of(scope)
        if head.documents and (head.model, head.dimensions) != (embedder.name, embedder.dimensions):
            raise _other_model(scope, head, embedder.name)
        return embedder

    async def _embed(
        self, scope: TenantScope, come: Incoming, stage: Stage, embedder: Embedder, whole: str, spans: Sequence[Span]
    ) -> list[Vectors]:
        """Embed and stage the pieces; returns their vectors in blocks."""
        require("numpy")
        import numpy as np  # noqa: PLC0415 - of the extra `documents`

        made: list[Vectors] = []
        for first in range(0, len(spans), _BATCH):
            batch = spans[first : first + _BATCH]
            texts = [whole[span.start : span.end] for span in batch]
            made.append(await checked(embedder, scope, texts))
            await stage.write(
                [
                    Put(places.chunks(stage.id), str(first + place), self._piece(scope, come, stage, span, said))
                    for place, (span, said) in enumerate(zip(batch, texts, strict=True))
                ]
            )
            if come.progress is not None:
                come.progress(first + len(batch), len(spans))
        vectors: Vectors = np.concatenate(made)
        step = chunks_per_block(embedder.dimensions)
        return [vectors[start : start + step] for start in range(0, len(vectors), step)]

    def _piece(self, scope: TenantScope, come: Incoming, stage: Stage, span: Span, said: str) -> dict[str, object]:
        return {
            "collection": come.collection,
            "version": stage.id,
            "namespace": self.namespace(scope),
            "start": span.start,
            "end": span.end,
            "text": said,
        }

    # -- Step 4 ---

    async def _put_added(
        self, scope: TenantScope, come: Incoming, digest: str, staged: _Staged, file: Stored
    ) -> Attempt[Document]:
        head, usage = await self._books.open(scope, come.collection)
        named = await self._named(scope, come)
        if named is not None and named[1].digest == digest:
            return [], named[1].seen()
        await _check_stage(scope, staged.stage)
        changes: list[StoreChange] = []
        if named is not None:
            removal, head, usage = await self._replaced(scope, named[1], head, usage)
            changes += removal
        document = staged.document(file, come, digest, self._books.clock(), is_added=True)
        changes += self._placed(scope, staged, document, head, usage.plus(files=1, size=file.bytes))
        revision = 0  # the old name goes with the old document
        changes += [file.put(), Put(places.named(come.collection), come.name, {"document": file.id}, revision)]
        return changes, document.seen()

    async def _replaced(
        self, scope: TenantScope, old: Kept, head: Head, usage: Usage
    ) -> tuple[list[StoreChange], Head, Usage]:
        """What takes the old version away, its file as well unless another collection holds it."""
        file = await self._books.file(scope, old.id)
        changes = old.removal(head)
        usage = usage.plus(chunks=-old.chunks)
        left = tuple(each for each in file.collections if each != old.collection)
        if left:
            changes.append(dataclasses.replace(file, collections=left, added_to=None).put())
        else:
            changes += file.removal()
            usage = usage.plus(files=-1, size=-file.bytes)
        return changes, head.without(old), usage

    async def _put_attached(
        self, scope: TenantScope, come: Incoming, digest: str, staged: _Staged, file_id: str
    ) -> Attempt[Document]:
        file = await self._books.file(scope, file_id)
        if come.collection in file.collections:
            kept = await self._books.document(scope, come.collection, file_id)
            await staged.stage.give_up()
            return [], kept.seen()
        if len(file.collections) >= _MOST_COLLECTIONS:
            raise QuotaExceeded(f"a file of `{scope.tenant}` is in {_MOST_COLLECTIONS} collections")
        await _check_stage(scope, staged.stage)
        head, usage = await self._books.open(scope, come.collection)
        document = staged.document(file, come, digest, self._books.clock(), is_added=False)
        changes = self._placed(scope, staged, document, head, usage)
        changes.append(dataclasses.replace(file, collections=(*file.collections, come.collection)).put())
        return changes, document.seen()

    def _placed(
        self, scope: TenantScope, staged: _Staged, document: Kept, head: Head, usage: Usage
    ) -> list[StoreChange]:
        """What puts a document into its collection, and counts it."""
        if head.documents and (head.model, head.dimensions) != (staged.model, staged.dimensions):
            raise _other_model(scope, head, staged.model)
        if head.documents >= self._books.limits.documents_of_collection:
            raise QuotaExceeded(f"a collection of `{scope.tenant}` holds {head.documents} documents")
        head = dataclasses.replace(
            head,
            documents=head.documents + 1,
            chunks=head.chunks + document.chunks,
            bytes=head.bytes + document.bytes,
            model=staged.model,
            dimensions=staged.dimensions,
            in_partition=head.in_partition if head.documents else self._in_partition,
            engine=head.engine if head.documents else self._engine,
        )
        opened = 0 if head.in_partition else 2 * _FLOAT_BYTES * head.chunks * staged.dimensions
        if opened > self._books.limits.index_bytes:
            raise QuotaExceeded(
                f"a collection of `{scope.tenant}` would have {head.chunks} vectors, too many to be open"
            )
        usage = usage.plus(chunks=document.chunks).check(scope, self._books.limits)
        return [head.put(), usage.put(), document.put(), *_vectors(head, staged, document), *staged.stage.end()]


def _vectors(head: Head, staged: _Staged, document: Kept) -> list[StoreChange]:
    """What puts a document's vectors where those of its collection are."""
    from partywall.stores.documents.index import block_body  # noqa: PLC0415 - needs numpy, of the extra

    group, version = head.index, staged.stage.id
    blocks = zip(document.block_starts(), staged.blocks, strict=True)
    if head.in_partition:
        return [PutVectors(group, places.chunks(version), first, vectors.tolist()) for first, vectors in blocks]
    return [
        Put(group, vector_block_id(version, first), block_body(version, first, vectors)) for first, vectors in blocks
    ]


async def _check_stage(scope: TenantScope, stage: Stage) -> None:
    if not await stage.is_there():
        raise Conflict(f"a document of `{scope.tenant}` took so long that it was given up")


async def _digest(data: bytes) -> str:
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())


def _other_model(scope: TenantScope, head: Head, model: str) -> BadRequest:
    return BadRequest(
        f"a collection of `{scope.tenant}` was embedded with `{head.model}` ({head.dimensions}), not with `{model}`",
        public_message="The collection was embedded with another model than the one in use; make a new collection.",
    )
