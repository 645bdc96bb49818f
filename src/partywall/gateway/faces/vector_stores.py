"""`/v1/vector_stores`: a tenant's collections of documents and the search over them, in OpenAI's shapes.

Promises: a vector store made with files has all of them, or isn't made. What this gateway wouldn't do (expiry, other
ways to cut a text) is refused and not ignored. No answer holds a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partywall.errors import PartywallError
from partywall.gateway.context.retrieving import SearchAsked, found_by, search_asked
from partywall.gateway.endpoints import Act
from partywall.gateway.faces.call import Call, Face, Told, listed, told
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.stores import DocumentCollection, Hit

__all__ = ["FACES"]

_MOST_FILES: Final = 100
_MOST_QUERIES: Final = 8
_LONGEST_QUERY_BYTES: Final = 8192


async def _create(call: Call) -> Told:
    _refuse_unknown(call.body)
    files = call.body.get("file_ids") or []
    if not isinstance(files, list) or len(files) > _MOST_FILES or not all(isinstance(each, str) for each in files):
        raise malformed(f"`file_ids` must be a list of at most {_MOST_FILES} ids")
    documents = call.stores.documents
    name, metadata = call.body.get("name") or "unnamed", call.body.get("metadata") or {}
    if not isinstance(name, str) or not isinstance(metadata, dict):
        raise malformed("`name` must be a text and `metadata` an object")
    made = await documents.create_collection(call.scope, name=name, metadata=metadata)
    try:
        for file_id in files:
            await documents.attach(call.scope, made.id, file_id)
    except PartywallError:
        await documents.delete_collection(call.scope, made.id)
        raise
    made = await documents.get_collection(call.scope, made.id)
    return told(_shown(made), f"made a vector store of {len(files)} files")


async def _list(call: Call) -> Told:
    after, limit, backwards = call.page()
    page = await call.stores.documents.list_collections(call.scope, after=after, limit=limit, backwards=backwards)
    answer = listed([_shown(each) for each in page.items], has_more=page.has_more)
    return told(answer, f"listed {len(page.items)} vector stores")


async def _retrieve(call: Call) -> Told:
    return told(_shown(await call.stores.documents.get_collection(call.scope, call.ids[0])), "read a vector store")


async def _update(call: Call) -> Told:
    _refuse_unknown(call.body)
    name, metadata = call.body.get("name"), call.body.get("metadata")
    if not isinstance(name, str | None) or not isinstance(metadata, dict | None):
        raise malformed("`name` must be a text and `metadata` an object")
    changed = await call.stores.documents.update_collection(call.scope, call.ids[0], name=name, metadata=metadata)
    return told(_shown(changed), "changed a vector store")


async def _delete(call: Call) -> Told:
    await call.stores.documents.delete_collection(call.scope, call.ids[0])
    answer: JsonObject = {"id": call.ids[0], "object": "vector_store.deleted", "deleted": True}
    return told(answer, "deleted a vector store")


async def _search(call: Call) -> Told:
    if call.body.get("rewrite_query"):
        raise malformed("`rewrite_query` isn't known here: a query is searched for as it stands")
    asked = search_asked({**call.body, "vector_store_ids": [call.ids[0]]}, "search")
    queries = _queries(call.body.get("query"))
    hits = await _best(call, asked, queries)
    answer: JsonObject = {
        "object": "vector_store.search_results.page",
        "search_query": queries,
        "data": [_shown_hit(hit) for hit in hits],
        "has_more": False,
        "next_page": None,
    }
    return told(answer, f"found {len(hits)} passages")


async def _best(call: Call, asked: SearchAsked, queries: list[str]) -> list[Hit]:
    """The best passages for any of the queries, each once."""
    best: dict[tuple[str, int], Hit] = {}
    for query in queries:
        for hit in await found_by(call.scope, call.stores, asked, query):
            place = (hit.document_id, hit.chunk)
            if place not in best or best[place].score < hit.score:
                best[place] = hit
    return sorted(best.values(), key=lambda hit: -hit.score)[: asked.most]


def _queries(query: object) -> list[str]:
    queries = [query] if isinstance(query, str) else query
    if not isinstance(queries, list) or not 1 <= len(queries) <= _MOST_QUERIES:
        raise malformed(f"`query` must be a text, or a list of 1 to {_MOST_QUERIES}")
    for each in queries:
        if not isinstance(each, str) or not 1 <= len(each.encode("utf-8", "surrogatepass")) <= _LONGEST_QUERY_BYTES:
            raise malformed(f"each query must be a text of 1 to {_LONGEST_QUERY_BYTES} bytes")
    return queries


def _refuse_unknown(body: JsonObject) -> None:
    if body.get("expires_after") is not None:
        raise malformed("`expires_after` isn't known here: vector stores stay until they are deleted")
    refuse_chunking(body)


def refuse_chunking(body: JsonObject) -> None:
    """Refuse to cut texts in another way than here.

    Raises:
        BadRequest: the body asks for it.
    """
    if body.get("chunking_strategy") not in (None, {"type": "auto"}):
        raise malformed("`chunking_strategy` must be `auto`")


def _shown(collection: DocumentCollection) -> JsonObject:
    return {
        "id": collection.id,
        "object": "vector_store",
        "created_at": int(collection.created),
        "last_active_at": int(collection.updated),
        "name": collection.name,
        "status": "completed",
        "usage_bytes": collection.bytes,
        "file_counts": {
            "in_progress": 0,
            "completed": collection.documents,
            "failed": 0,
            "cancelled": 0,
            "total": collection.documents,
        },
        "metadata": dict(collection.metadata),
        "expires_after": None,
        "expires_at": None,
    }


def _shown_hit(hit: Hit) -> JsonObject:
    return {
        "file_id": hit.file_id,
        "filename": hit.document_name,
        "score": hit.score,
        "attributes": dict(hit.metadata),
        "content": [{"type": "text", "text": hit.text}],
    }


FACES: Final[Mapping[Act, Face]] = {
    Act.STORE_CREATE: _create,
    Act.STORE_LIST: _list,
    Act.STORE_RETRIEVE: _retrieve,
    Act.STORE_UPDATE: _update,
    Act.STORE_DELETE: _delete,
    Act.STORE_SEARCH: _search,
}
