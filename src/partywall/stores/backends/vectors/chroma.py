"""Chroma, client/server, over version 2 of its HTTP interface.

    tenant      one for each of ours, under its keyed name, with one database
    collection  one for each index and dimension: an HNSW graph of this tenant's alone, so no neighbour moves a result
    point       a keyed id, a vector, and the group, number and time; never a document, and no embedding function

Promises: Chroma has no authentication, and whoever knows a collection's UUID reads it through any tenant's URL (#7462),
so a UUID is asked for by this tenant's own names, which can't be guessed, is held in memory alone, and never enters or
leaves by a call. What Chroma says a UUID belongs to is compared with what was asked for.

Doesn't promise: that Chroma keeps tenants apart. It doesn't; put it where only the gateway reaches it. Nor that an HNSW
graph finds everything: it has no exact search.

Its own client (`chromadb`) isn't used: it shares one connection pool, headers and key among all clients of an event
loop, by a dictionary of the class.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.vectors.engine import Found, Point, Room, Whose
from partywall.stores.backends.vectors.http import JsonClient
from partywall.tenancy import TenantId

__all__ = ["Chroma"]

_ROOT: Final = "/api/v2"
_DATABASE: Final = "partywall"
_PUT_AT_ONCE: Final = 500
_LISTED_AT_ONCE: Final = 100
_MOST_KNOWN: Final = 10_000
_GRAPH: Final = {"hnsw": {"space": "ip", "ef_construction": 200, "ef_search": 400, "max_neighbors": 32}}
_NOBODY: Final = TenantId("nobody")
"""Whose connection is used for what is of no tenant."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII).fullmatch
"""As it enters a path: nothing else may."""
_GONE: Final = 404
_THERE: Final = 409


class Chroma:
    """See `VectorEngine`."""

    name = "chroma"

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        """UUIDs by tenant's and collection's name. They are authority, and stay here."""

    async def check(self) -> None:
        """See `VectorEngine.check`."""
        status, version = await self._client.ask(_NOBODY, "GET", f"{_ROOT}/version", fine={_GONE, 410, 405})
        if status != 200 or not isinstance(version, str) or not version[:1].isdigit() or version.startswith("0."):
            raise ConfigError("storage: this Chroma doesn't speak version 2 of its interface; use Chroma 1.0 or later")

    async def put(self, room: Room, points: Sequence[Point]) -> None:
        """See `VectorEngine.put`."""
        for start in range(0, len(points), _PUT_AT_ONCE):
            some = points[start : start + _PUT_AT_ONCE]
            body = {
                "ids": [each.id for each in some],
                "embeddings": [each.vector for each in some],
                "metadatas": [{"g": each.group, "n": each.number, "at": each.at} for each in some],
            }
            if await self._in(room, "upsert", body) is None:
                await self._make(room)
                if await self._in(room, "upsert", body) is None:
                    raise self._client.odd()

    async def remove(self, room: Room, ids: Sequence[str]) -> None:
        """See `VectorEngine.remove`."""
        for start in range(0, len(ids), _PUT_AT_ONCE):
            await self._in(room, "delete", {"ids": ids[start : start + _PUT_AT_ONCE]})

    async def drop_group(self, whose: Whose, index: str, group: str) -> None:
        """See `VectorEngine.drop_group`."""
        for name in await self._names(whose):
            if name.startswith(f"{index}-"):
                room = Room(whose, index, int(name.rpartition("-")[2]))
                await self._in(room, "delete", {"where": {"g": group}})

    async def drop_index(self, whose: Whose, index: str) -> None:
        """See `VectorEngine.drop_index`."""
        for name in await self._names(whose):
            if name.startswith(f"{index}-"):
                await self._drop(whose, name)

    async def nearest(
        self, room: Room, vector: Sequence[float], *, limit: int, groups: Sequence[str] | None
    ) -> Sequence[Found]:
        """See `VectorEngine.nearest`."""
        body: dict[str, object] = {
            "query_embeddings": [vector],
            "n_results": limit,
            "include": ["metadatas", "distances"],
        }
        if groups is not None:
            body["where"] = {"g": {"$in": groups}}
        answer = await self._in(room, "query", body)
        if answer is None:
            return []
        try:
            return [
                Found(str(id_), str(said["g"]), int(said["n"]), int(said["at"]), 1.0 - float(distance))
                for id_, said, distance in zip(
                    answer["ids"][0], answer["metadatas"][0], answer["distances"][0], strict=True
                )
            ]
        except (KeyError, TypeError, ValueError, IndexError):
            raise self._client.odd() from None

    async def count(self, whose: Whose) -> int:
        """See `VectorEngine.count`."""
        total = 0
        for name in await self._names(whose):
            if (uuid := await self._uuid(whose, name)) is not None:
                path = f"{_collections(whose)}/{uuid}/count"
                status, count = await self._client.ask(whose.tenant, "GET", path, fine={_GONE})
                if not isinstance(count, int) and status == 200:
                    raise self._client.odd()
                total += count if isinstance(count, int) else 0
        return total

    async def drop_all(self, whose: Whose) -> None:
        """See `VectorEngine.drop_all`. Chroma can't delete a tenant: its keyed name is left, with nothing in it."""
        for name in await self._names(whose):
            await self._drop(whose, name)
        await self._client.ask(whose.tenant, "DELETE", f"{_tenant(whose)}/databases/{_DATABASE}", fine={_GONE})

    async def aclose(self) -> None:
        """See `VectorEngine.aclose`."""
        await self._client.aclose()

    # -- Collections ---

    async def _in(self, room: Room, verb: str, body: object) -> Mapping[str, Any] | None:
        """What the room's collection answers; None when there is no such collection."""
        name = _collection(room)
        for _ in range(2):
            uuid = await self._uuid(room.whose, name)
            if uuid is None:
                return None
            path = f"{_collections(room.whose)}/{uuid}/{verb}"
            status, answer = await self._client.ask(room.whose.tenant, "POST", path, body, fine={_GONE})
            if status == 200:
                if not isinstance(answer, dict):
                    raise self._client.odd()
                return answer
            self._known.pop((room.whose.name, name), None)  # deleted, and perhaps made anew, by another process
        return None

    async def _uuid(self, whose: Whose, name: str) -> str | None:
        """The collection's, by the tenant's own names; None when there is none."""
        known = self._known.get((whose.name, name))
        if known is not None:
            self._known.move_to_end((whose.name, name))
            return known
        path = f"{_collections(whose)}/{name}"
        status, answer = await self._client.ask(whose.tenant, "GET", path, fine={_GONE})
        return None if status == _GONE else self._learnt(whose, name, answer)

    async def _make(self, room: Room) -> None:
        """See that the room's collection is there, with its tenant and database."""
        whose, name = room.whose, _collection(room)
        ask = self._client.ask
        await ask(whose.tenant, "POST", f"{_ROOT}/tenants", {"name": whose.name}, fine={_THERE})
        await ask(whose.tenant, "POST", f"{_tenant(whose)}/databases", {"name": _DATABASE}, fine={_THERE})
        body = {"name": name, "get_or_create": True, "configuration": {**_GRAPH, "embedding_function": None}}
        _, answer = await ask(whose.tenant, "POST", _collections(whose), body)
        self._learnt(whose, name, answer)

    def _learnt(self, whose: Whose, name: str, answer: object) -> str:
        """The UUID that Chroma names, if it says that it is of this very collection."""
        if not isinstance(answer, dict) or not isinstance(uuid := answer.get("id"), str):
            raise self._client.odd()
        if (answer.get("tenant"), answer.get("database"), answer.get("name")) != (whose.name, _DATABASE, name):
            raise StoreUnavailable("vectors: `chroma` named a collection of somebody else")
        if _UUID(uuid) is None:
            raise self._client.odd()
        self._known[whose.name, name] = uuid
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return uuid

    async def _names(self, whose: Whose) -> list[str]:
        """Of the tenant's collections."""
        names: list[str] = []
        while True:
            path = f"{_collections(whose)}?limit={_LISTED_AT_ONCE}&offset={len(names)}"
            status, answer = await self._client.ask(whose.tenant, "GET", path, fine={_GONE})
            if status == _GONE:
                return names
            if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
                raise self._client.odd()
            names += [str(each.get("name")) for each in answer]
            if len(answer) < _LISTED_AT_ONCE:
                return names

    async def _drop(self, whose: Whose, name: str) -> None:
        self._known.pop((whose.name, name), None)
        await self._client.ask(whose.tenant, "DELETE", f"{_collections(whose)}/{name}", fine={_GONE})


def _tenant(whose: Whose) -> str:
    return f"{_ROOT}/tenants/{whose.name}"


def _collections(whose: Whose) -> str:
    return f"{_tenant(whose)}/databases/{_DATABASE}/collections"


def _collection(room: Room) -> str:
    return f"{room.within}-{room.dimensions}"
