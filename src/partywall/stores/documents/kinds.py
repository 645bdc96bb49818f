"""What a caller sees of files, collections, documents and hits; and how much of each there may be.

Promises: no kind holds a vector. What a model makes of a text can be turned back into most of it, so it never leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from partywall.stores.documents.metadata import Value
from partywall.tenancy import TenantId

__all__ = ["DEFAULT", "Document", "DocumentCollection", "File", "Hit", "Limits", "Progress", "Retrieval"]

DEFAULT = "default"
"""The collection that every tenant has without making it."""

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many pieces of a document are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a tenant's, as it was handed over."""

    id: str
    """`file_…`."""
    name: str
    bytes: int
    purpose: str
    created: float


@dataclass(frozen=True, slots=True)
class DocumentCollection:
    """What OpenAI calls a vector store: documents that are searched together."""

    id: str
    """`vs_…`, or `default`."""
    name: str
    metadata: Mapping[str, Value]
    created: float
    updated: float
    documents: int
    chunks: int
    bytes: int
    """Of the documents' files."""
    model: str | None
    """What its documents were embedded with; None while there are none."""
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class Document:
    """A file in a collection, read, cut into pieces and embedded. What is seen of one is complete."""

    id: str
    """The id of its file."""
    name: str
    collection: str
    media_type: str
    bytes: int
    characters: int
    chunks: int
    metadata: Mapping[str, Value]
    created: float
    status: str = "completed"

    @property
    def file_id(self) -> str:
        """The file that it was made of."""
        return self.id


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece of a document that a search found, and where it stands in the document's text."""

    document_id: str
    document_name: str
    chunk: int
    """Which piece of the document, from 0."""
    text: str
    score: float
    """Cosine of the angle between question and piece: 1 is the same direction."""
    start: int
    """The first character of `text` in the document's text; `end` is behind the last."""
    end: int
    metadata: Mapping[str, Value]
    """The document's."""
    tenant: TenantId
    """Whose it is, by the word of the record that it was read from."""

    @property
    def file_id(self) -> str:
        """The file that the document was made of."""
        return self.document_id


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a tenant may store, and how much one file may cost."""

    file_bytes: int = 32 * 2**20
    parse_seconds: float = 30.0
    parse_memory_bytes: int = 768 * 2**20
    text_characters: int = 8_000_000
    chunks_of_document: int = 20_000
    chunks: int = 200_000
    documents_of_collection: int = 20_000
    files: int = 50_000
    bytes: int = 4 * 2**30
    collections: int = 1_000
    index_bytes: int = 512 * 2**20
    """Of all tenants' open indexes together."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What the document says about retrieval, as the stores are told it."""

    namespace_key: str = "tenant_id"
    """A name that metadata may not have, beside those that are always reserved."""
    namespace_format: str = "t_{tenant_id}"
    verify_namespace: bool = True
    alert_threshold: int | None = None
    """Foreign pieces in one result above which an alarm sounds; None: they aren't counted."""
    vectors_in_partition: bool = False
    """Whether new collections keep their vectors in the tenant's partition, in the clear, and are searched there."""
    vectors_engine: str = ""
    """Which engine outside has them; empty: the partition's own."""
    limits: Limits = Limits()
