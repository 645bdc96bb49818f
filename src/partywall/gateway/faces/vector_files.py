"""`/v1/vector_stores/{id}/files`: which of a tenant's files are searched together, in OpenAI's shapes.

Promises: when a file has been attached, it can be found: it was read, cut and embedded before the answer. Taking it out
leaves the file itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partywall.gateway.endpoints import Act
from partywall.gateway.faces.call import Call, Face, Told, listed, told
from partywall.gateway.faces.vector_stores import refuse_chunking
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.stores import Document

__all__ = ["FACES"]


async def _create(call: Call) -> Told:
    refuse_chunking(call.body)
    file_id = call.body.get("file_id")
    if not isinstance(file_id, str):
        raise malformed("`file_id` is required")
    document = await call.stores.documents.attach(call.scope, call.ids[0], file_id, metadata=_attributes(call.body))
    return told(_shown(document), f"attached a file of {document.chunks} passages")


async def _list(call: Call) -> Told:
    after, limit, backwards = call.page()
    if call.query.get("filter", "completed") != "completed":
        return told(listed([], has_more=False), "listed no files: every one is completed")
    page = await call.stores.documents.list_documents(
        call.scope, call.ids[0], after=after, limit=limit, backwards=backwards
    )
    answer = listed([_shown(each) for each in page.items], has_more=page.has_more)
    return told(answer, f"listed {len(page.items)} files of a vector store")


async def _retrieve(call: Call) -> Told:
    store, file_id = call.ids
    return told(_shown(await call.stores.documents.get(call.scope, file_id, collection=store)), "read a file's state")


async def _update(call: Call) -> Told:
    if "attributes" not in call.body:
        raise malformed("`attributes` is required")
    store, file_id = call.ids
    metadata = _attributes(call.body)
    changed = await call.stores.documents.update(call.scope, file_id, metadata=metadata, collection=store)
    return told(_shown(changed), "changed a file's attributes")


async def _delete(call: Call) -> Told:
    await call.stores.documents.detach(call.scope, *call.ids)
    answer: JsonObject = {"id": call.ids[1], "object": "vector_store.file.deleted", "deleted": True}
    return told(answer, "took a file out of a vector store")


def _attributes(body: JsonObject) -> Mapping[str, object]:
    attributes = body.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise malformed("`attributes` must be an object")
    return attributes or {}


def _shown(document: Document) -> JsonObject:
    return {
        "id": document.file_id,
        "object": "vector_store.file",
        "created_at": int(document.created),
        "vector_store_id": document.collection,
        "status": "completed",
        "last_error": None,
        "usage_bytes": document.bytes,
        "attributes": dict(document.metadata),
        "chunking_strategy": {"type": "other"},
    }


FACES: Final[Mapping[Act, Face]] = {
    Act.STORE_FILE_CREATE: _create,
    Act.STORE_FILE_LIST: _list,
    Act.STORE_FILE_RETRIEVE: _retrieve,
    Act.STORE_FILE_UPDATE: _update,
    Act.STORE_FILE_DELETE: _delete,
}
