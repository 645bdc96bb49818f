"""Where the records of files and documents lie: one function for each kind of record.

file            files             id of the file       what it is, and which collections hold it
file-block      (file)            number               its bytes, in pieces
collection      collections       id                   what it is; each change below it is counted in its revision
document        (collection)      id of the file       what it is, and which version of it is the current one
document-name   (collection)      name                 the document that was added under that name
chunk           (version)         number               a piece of text
vectors         (collection)      version:number       what the pieces of one version were embedded to, in blocks
                (and engine, made)                     or, of an engine outside, the name of the index; never used again
staging         staging           version              chunks that no document points to yet, or never will
usage           usage             usage                how much the tenant stores
"""

from __future__ import annotations

from typing import Final

from partywall.stores.collection import Group

__all__ = [
    "COLLECTIONS",
    "FILES",
    "STAGING",
    "USAGE",
    "blocks",
    "chunks",
    "documents",
    "engine_index",
    "named",
    "vectors",
]

FILES: Final = Group("file", ("files",))
COLLECTIONS: Final = Group("collection", ("collections",))
STAGING: Final = Group("staging", ("staging",))
USAGE: Final = Group("usage", ("usage",))


def blocks(file_id: str) -> Group:
    """The bytes of a file."""
    return Group("file-block", (file_id,))


def documents(collection: str) -> Group:
    """The documents of a collection."""
    return Group("document", (collection,))


def named(collection: str) -> Group:
    """Names of documents."""
    return Group("document-name", (collection,))


def chunks(version: str) -> Group:
    """The pieces of one version of a document."""
    return Group("chunk", (version,))


def vectors(collection: str) -> Group:
    """What a collection's index is made of."""
    return Group("vectors", (collection,))


def engine_index(collection: str, engine: str, made: str) -> Group:
    """The index in an engine outside. It is dropped after the records, so another of the same id must not have it."""
    return Group("vectors", (collection, engine, made))
