"""What is kept about a tenant's files and documents: heads, counts, and how several are changed at once.

Promises: whatever changes a collection replaces its head in the same change, so its revision says whether anything in
it changed; whatever a tenant adds or takes away is counted in the same change. A change is made whole or not at all.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from partywall.errors import Conflict, QuotaExceeded, StoreUnavailable
from partywall.stores.collection import (
    Collection,
    Drop,
    DropGroup,
    DropIndex,
    DropVectors,
    Group,
    Put,
    StoreChange,
)
from partywall.stores.documents import places
from partywall.stores.documents.kinds import DEFAULT, Document, DocumentCollection, File, Limits
from partywall.stores.documents.metadata import Value, metadata_of
from partywall.stores.fields import ATTEMPTS, Clock, check_word, members, number, pause, text
from partywall.stores.records import Record
from partywall.tenancy import TenantScope

__all__ = ["Attempt", "Books", "Head", "Kept", "Stored", "Usage", "chunks_per_block", "vector_block_id"]

_BLOCK_BYTES: Final = 2**20
_FLOAT_BYTES: Final = 4
_USAGE: Final = "usage"

_T = TypeVar("_T")
Attempt = tuple[list[StoreChange], _T]


@dataclass(frozen=True, slots=True)
class Head:
    """A collection's record."""

    id: str
    name: str
    metadata: Mapping[str, Value]
    created: float
    updated: float
    made: str
    """Tells this collection from one of the same id that was there before it."""
    documents: int = 0
    chunks: int = 0
    bytes: int = 0
    model: str | None = None
    dimensions: int | None = None
    in_partition: bool = False
    """Whether its vectors lie in the tenant's partition, to be compared there, and not in sealed blocks."""
    engine: str = ""
    """The engine outside that has them, or had them when it held documents; empty: the partition's own."""
    revision: int = 0

    @classmethod
    def new(cls, collection: str, name: str, metadata: Mapping[str, Value], now: float) -> Head:
        """A collection that isn't stored yet."""
        return cls(collection, name, metadata, now, now, secrets.token_hex(8))

    @classmethod
    def of(cls, record: Record) -> Head:
        """What the record holds."""
        body = members(record.body)
        model = body.get("model")
        return cls(
            record.id,
            text(body, "name"),
            metadata_of(body),
            number(body, "created"),
            number(body, "updated"),
            text(body, "made"),
            int(number(body, "documents")),
            int(number(body, "chunks")),
            int(number(body, "bytes")),
            model if isinstance(model, str) else None,
            int(number(body, "dimensions")) if isinstance(model, str) else None,
            body.get("in_partition") is True,
            str(body.get("engine") or ""),
            record.revision,
        )

    def put(self) -> Put:
        """The change that stores it."""
        body = {
            name: getattr(self, name)
            for name in ("name", "metadata", "created", "updated", "made", "documents", "chunks", "bytes")
        }
        if self.documents:
            body |= {"model": self.model, "dimensions": self.dimensions}
            if self.in_partition:
                body["in_partition"] = True
        if self.engine:
            body["engine"] = self.engine
        return Put(places.COLLECTIONS, self.id, body, self.revision)

    def removal(self) -> list[StoreChange]:
        """The changes that delete it with its documents' records, names and vectors; not their pieces."""
        return [
            Drop(places.COLLECTIONS, self.id, self.revision),
            DropGroup(places.documents(self.id)),
            DropGroup(places.named(self.id)),
            DropIndex(self.index) if self.in_partition or self.engine else DropGroup(self.index),
        ]

    @property
    def index(self) -> Group:
        """Where its vectors are."""
        return places.engine_index(self.id, self.engine, self.made) if self.engine else places.vectors(self.id)

    def without(self, document: Kept) -> Head:
        """It, when that document is gone."""
        return dataclasses.replace(
            self,
            documents=self.documents - 1,
            chunks=self.chunks - document.chunks,
            bytes=self.bytes - document.bytes,
        )

    def seen(self) -> DocumentCollection:
        """What its tenant sees of it."""
        model, dimensions = (self.model, self.dimensions) if self.documents else (None, None)
        return DocumentCollection(
            self.id,
            self.name,
            dict(self.metadata),
            self.created,
            self.updated,
            self.documents,
            self.chunks,
            self.bytes,
            model,
            dimensions,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A file's record."""

    id: str
    name: str
    bytes: int
    purpose: str
    created: float
    blocks: int
    added_to: str | None = None
    """The collection to which it was added as a document, and with which it goes."""
    collections: tuple[str, ...] = ()
    """Those that hold a document made of it."""
    revision: int = 0

    @classmethod
    def of(cls, record: Record) -> Stored:
        """What the record holds."""
        body = members(record.body)
        held, added_to = body.get("collections"), body.get("added_to")
        return cls(
            record.id,
            text(body, "name"),
            int(number(body, "bytes")),
            text(body, "purpose"),
            number(body, "created"),
            int(number(body, "blocks")),
            added_to if isinstance(added_to, str) else None,
            tuple(each for each in held if isinstance(each, str)) if isinstance(held, list) else (),
            record.revision,
        )

    def put(self) -> Put:
        """The change that stores it."""
        body = {name: getattr(self, name) for name in ("name", "bytes", "purpose", "created", "blocks", "added_to")}
        return Put(places.FILES, self.id, body | {"collections": list(self.collections)}, self.revision)

    def removal(self) -> list[StoreChange]:
        """The changes that delete it, its bytes as well."""
        return [Drop(places.FILES, self.id, self.revision), DropGroup(places.blocks(self.id))]

    def seen(self) -> File:
        """What its tenant sees of it."""
        return File(self.id, self.name, self.bytes, self.purpose, self.created)


@dataclass(frozen=True, slots=True)
class Kept:
    """A document's record."""

    id: str
    collection: str
    name: str
    version: str
    digest: str
    media_type: str
    bytes: int
    characters: int
    chunks: int
    dimensions: int
    metadata: Mapping[str, Value]
    created: float
    is_added: bool
    """Whether it was added under its name, and is found by it."""
    revision: int = 0

    @classmethod
    def of(cls, record: Record, collection: str) -> Kept:
        """What the record holds."""
        body = members(record.body)
        return cls(
            record.id,
            collection,
            text(body, "name"),
            text(body, "version"),
            text(body, "digest"),
            text(body, "media_type"),
            int(number(body, "bytes")),
            int(number(body, "characters")),
            int(number(body, "chunks")),
            int(number(body, "dimensions")),
            metadata_of(body),
            number(body, "created"),
            body.get("is_added") is True,
            record.revision,
        )

    def put(self) -> Put:
        """The change that stores it."""
        names = ("name", "version", "digest", "media_type", "bytes", "characters", "chunks", "dimensions")
        body = {name: getattr(self, name) for name in (*names, "metadata", "created", "is_added")}
        return Put(places.documents(self.collection), self.id, body, self.revision)

    def removal(self, head: Head) -> list[StoreChange]:
        """The changes that delete it from its collection: record, name, pieces and vectors."""
        changes: list[StoreChange] = [
            Drop(places.documents(self.collection), self.id, self.revision),
            DropGroup(places.chunks(self.version)),
        ]
        if head.in_partition:
            changes.append(DropVectors(head.index, places.chunks(self.version)))
        else:
            changes += [Drop(head.index, vector_block_id(self.version, first)) for first in self.block_starts()]
        if self.is_added:
            changes.append(Drop(places.named(self.collection), self.name))
        return changes

    def block_starts(self) -> range:
        """The first pieces of its blocks of vectors."""
        return range(0, self.chunks, chunks_per_block(self.dimensions))

    def seen(self) -> Document:
        """What its tenant sees of it."""
        return Document(
            self.id,
            self.name,
            self.collection,
            self.media_type,
            self.bytes,
            self.characters,
            self.chunks,
            dict(self.metadata),
            self.created,
        )


def chunks_per_block(dimensions: int) -> int:
    """How many vectors are sealed together: as many as make a record of a fair size."""
    return max(1, _BLOCK_BYTES // (_FLOAT_BYTES * dimensions))


def vector_block_id(version: str, first: int) -> str:
    """The id of the block of vectors that begins with that piece."""
    return f"{version}:{first}"


class Usage(NamedTuple):
    """How much a tenant stores."""

    files: int = 0
    bytes: int = 0
    collections: int = 0
    chunks: int = 0
    revision: int = 0

    def put(self) -> Put | Drop:
        """The change that stores it. Of nothing, nothing is kept (R6)."""
        if self.revision and not any(self[:-1]):
            return Drop(places.USAGE, _USAGE, self.revision)
        return Put(places.USAGE, _USAGE, {name: getattr(self, name) for name in self._fields[:-1]}, self.revision)

    def plus(self, *, files: int = 0, size: int = 0, collections: int = 0, chunks: int = 0) -> Usage:
        """It, and this much more, or less."""
        return self._replace(
            files=self.files + files,
            bytes=self.bytes + size,
            collections=self.collections + collections,
            chunks=self.chunks + chunks,
        )

    def check(self, scope: TenantScope, limits: Limits) -> Usage:
        """Itself.

        Raises:
            QuotaExceeded: it is more than a tenant may store.
        """
        for what in ("files", "bytes", "collections", "chunks"):
            if getattr(self, what) > getattr(limits, what):
                raise QuotaExceeded(f"`{scope.tenant}` would store more than {getattr(limits, what)} {what}")
        return self


class Books:
    """Reads what is kept, and changes it."""

    def __init__(self, records: Collection, clock: Clock, limits: Limits, engine: str = "") -> None:
        """`engine` is the one outside that has vectors; empty: none."""
        self._engine = engine
        self.records: Final = records
        self.clock: Final = clock
        self.limits: Final = limits

    async def change(self, scope: TenantScope, attempt: Callable[[], Awaitable[Attempt[_T]]]) -> _T:
        """Make the changes that `attempt` thinks of, again and again until nobody gets in front of them.

        Raises:
            Conflict: somebody always did.
        """
        for _ in range(ATTEMPTS):
            changes, result = await attempt()
            if not changes or await self.records.commit(scope, changes):
                return result
            await pause()
        raise Conflict(f"the documents of `{scope.tenant}` change too fast")

    async def head(self, scope: TenantScope, collection: str) -> Head | None:
        """The collection's record; None for the default one that nobody filled.

        Raises:
            Missing: there is none of that id.
        """
        check_word(collection, "a collection's id")
        return self.known(scope, collection, await self.records.find(scope, places.COLLECTIONS, collection))

    def known(self, scope: TenantScope, collection: str, record: Record | None) -> Head | None:
        """The head that was found, or not. Raises as `head` does.

        Raises:
            StoreUnavailable: its vectors lie where nobody looks now.
        """
        if record is not None:
            head = Head.of(record)
            if head.documents and head.in_partition and head.engine != self._engine:
                raise StoreUnavailable(
                    f"vectors of a collection of `{scope.tenant}` lie in `{head.engine or 'pgvector'}`, and "
                    f"`storage.vectors` says `{self._engine or 'something else'}`; put it back, or store them anew"
                )
            return head if head.documents or head.engine == self._engine else dataclasses.replace(head, engine="")
        if collection != DEFAULT:
            raise self.records.missing(scope)
        return None

    async def open(self, scope: TenantScope, collection: str) -> tuple[Head, Usage]:
        """The collection's record, made if it is the default one, and the tenant's usage, as they were at one moment.

        Raises:
            Missing: there is no such collection.
        """
        check_word(collection, "a collection's id")
        found, used = await self.records.find_many(scope, [(places.COLLECTIONS, collection), (places.USAGE, _USAGE)])
        head, usage = self.known(scope, collection, found), _usage(used)
        if head is None:
            head, usage = Head.new(DEFAULT, DEFAULT, {}, self.clock()), usage.plus(collections=1)
        return dataclasses.replace(head, updated=self.clock()), usage

    async def usage(self, scope: TenantScope) -> Usage:
        """How much the tenant stores."""
        return _usage(await self.records.find(scope, places.USAGE, _USAGE))

    async def file(self, scope: TenantScope, file_id: str) -> Stored:
        """A file's record.

        Raises:
            Missing: there is none of that id.
        """
        return Stored.of(await self.records.get(scope, places.FILES, file_id))

    async def document(self, scope: TenantScope, collection: str, document_id: str) -> Kept:
        """A document's record.

        Raises:
            Missing: there is none of that id in that collection.
        """
        check_word(collection, "a collection's id")
        return Kept.of(await self.records.get(scope, places.documents(collection), document_id), collection)


def _usage(record: Record | None) -> Usage:
    if record is None:
        return Usage()
    body = members(record.body)
    files, size, collections, chunks = (int(number(body, name)) for name in Usage._fields[:-1])
    return Usage(files, size, collections, chunks, record.revision)
