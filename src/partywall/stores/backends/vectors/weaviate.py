"""Weaviate with multi-tenancy, over its HTTP and GraphQL interface.

    class   one for each dimension, with multi-tenancy and a flat index: each search scans one tenant's shard, exactly
    tenant  one for each of our tenants and indexes: its keyed names, one behind the other
    object  a keyed id, a vector, and group, number and time

Promises: every call names the Weaviate tenant. Nothing from outside gets into a query's text: names are ours, of
letters and digits, and numbers are written as numbers (R7). A server older than 1.26 is refused.

Doesn't promise: that it was run against Weaviate. It is held to an imitation of its interface, written from its
public documentation (tests/support/engines/weaviate.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.vectors.engine import Found, Point, Room, Whose
from partywall.stores.backends.vectors.http import JsonClient
from partywall.tenancy import TenantId

__all__ = ["Weaviate"]

_CLASS: Final = re.compile(r"Partywall([0-9]{1,5})", re.ASCII).fullmatch
_WORD: Final = re.compile(r"[0-9a-z-]{1,140}", re.ASCII).fullmatch
_NOBODY: Final = TenantId("nobody")
"""Whose connection is used for what is of no tenant."""
_PUT_AT_ONCE: Final = 200
_OLDEST: Final = (1, 26)
_VERSION: Final = re.compile(r"v?([0-9]+)\.([0-9]+)", re.ASCII).match
_GONE: Final = 404
_THERE: Final = 422


class Weaviate:
    """See `VectorEngine`."""

    name = "weaviate"

    def __init__(self, client: JsonClient) -> None:
        self._client = client

    async def check(self) -> None:
        """See `VectorEngine.check`."""
        _, said = await self._client.ask(_NOBODY, "GET", "/v1/meta")
        version = str(said.get("version")) if isinstance(said, dict) else ""
        found = _VERSION(version)
        if found is None or (int(found[1]), int(found[2])) < _OLDEST:
            raise ConfigError(f"storage: this Weaviate is `{version[:20]}`; 1.26 or later is needed")

    async def put(self, room: Room, points: Sequence[Point]) -> None:
        """See `VectorEngine.put`."""
        await self._make(room)
        for start in range(0, len(points), _PUT_AT_ONCE):
            objects = [
                {
                    "class": _class(room),
                    "tenant": _tenant(room.whose, room.within),
                    "id": each.id,
                    "vector": each.vector,
                    "properties": {"g": each.group, "n": each.number, "at": each.at},
                }
                for each in points[start : start + _PUT_AT_ONCE]
            ]
            _, done = await self._client.ask(room.whose.tenant, "POST", "/v1/batch/objects", {"objects": objects})
            if not isinstance(done, list) or len(done) != len(objects) or not all(map(_succeeded, done)):
                raise StoreUnavailable("vectors: `weaviate` didn't take every vector")

    async def remove(self, room: Room, ids: Sequence[str]) -> None:
        """See `VectorEngine.remove`."""
        for start in range(0, len(ids), _PUT_AT_ONCE):
            where = {"path": ["id"], "operator": "ContainsAny", "valueTextArray": ids[start : start + _PUT_AT_ONCE]}
            await self._delete(room.whose, _class(room), room.within, where)

    async def drop_group(self, whose: Whose, index: str, group: str) -> None:
        """See `VectorEngine.drop_group`."""
        for name in await self._classes(whose):
            where = {"path": ["g"], "operator": "Equal", "valueText": group}
            await self._delete(whose, name, index, where)

    async def drop_index(self, whose: Whose, index: str) -> None:
        """See `VectorEngine.drop_index`."""
        await self._drop_tenants(whose, _tenant(whose, index))

    async def nearest(
        self, room: Room, vector: Sequence[float], *, limit: int, groups: Sequence[str] | None
    ) -> Sequence[Found]:
        """See `VectorEngine.nearest`."""
        if not await self._is_there(room.whose, _class(room), room.within):
            return []
        where = ""
        if groups is not None:
            listed = ", ".join(f'"{_word(group)}"' for group in groups)
            where = f', where: {{path: ["g"], operator: ContainsAny, valueText: [{listed}]}}'
        near = orjson.dumps([float(number) for number in vector]).decode()
        said = await self._query(
            room.whose,
            f'{{ Get {{ {_class(room)}(tenant: "{_tenant(room.whose, room.within)}", limit: {int(limit)}, '
            f"nearVector: {{vector: {near}}}{where}) {{ g n at _additional {{ id distance }} }} }} }}",
        )
        try:
            return [
                Found(
                    str(each["_additional"]["id"]),
                    str(each["g"]),
                    int(each["n"]),
                    int(each["at"]),
                    -float(each["_additional"]["distance"]),  # Weaviate's distance `dot` is the product, negated
                )
                for each in said["Get"][_class(room)]
            ]
        except (KeyError, TypeError, ValueError):
            raise self._client.odd() from None

    async def count(self, whose: Whose) -> int:
        """See `VectorEngine.count`."""
        total = 0
        for name in await self._classes(whose):
            for tenant in await self._tenants(whose, name, whose.name):
                said = await self._query(
                    whose, f'{{ Aggregate {{ {name}(tenant: "{_word(tenant)}") {{ meta {{ count }} }} }} }}'
                )
                try:
                    total += int(said["Aggregate"][name][0]["meta"]["count"])
                except (KeyError, TypeError, ValueError, IndexError):
                    raise self._client.odd() from None
        return total

    async def drop_all(self, whose: Whose) -> None:
        """See `VectorEngine.drop_all`."""
        await self._drop_tenants(whose, whose.name)

    async def aclose(self) -> None:
        """See `VectorEngine.aclose`."""
        await self._client.aclose()

    # -- Classes and tenants ---

    async def _make(self, room: Room) -> None:
        """See that the room's class and tenant are there."""
        if await self._is_there(room.whose, _class(room), room.within):
            return
        made = {
            "class": _class(room),
            "vectorizer": "none",
            "vectorIndexType": "flat",
            "vectorIndexConfig": {"distance": "dot"},
            "multiTenancyConfig": {"enabled": True, "autoTenantCreation": False, "autoTenantActivation": False},
            "properties": [
                {"name": "g", "dataType": ["text"], "tokenization": "field"},
                {"name": "n", "dataType": ["int"]},
                {"name": "at", "dataType": ["int"]},
            ],
        }
        ask, path = self._client.ask, f"/v1/schema/{_class(room)}"
        await ask(room.whose.tenant, "POST", "/v1/schema", made, fine={_THERE})
        tenant = [{"name": _tenant(room.whose, room.within)}]
        await ask(room.whose.tenant, "POST", f"{path}/tenants", tenant, fine={_THERE})

    async def _is_there(self, whose: Whose, name: str, index: str) -> bool:
        path = f"/v1/schema/{name}/tenants/{_tenant(whose, index)}"
        status, _ = await self._client.ask(whose.tenant, "GET", path, fine={_GONE, _THERE})
        return status == 200

    async def _classes(self, whose: Whose) -> list[str]:
        _, said = await self._client.ask(whose.tenant, "GET", "/v1/schema")
        if not isinstance(said, dict) or not isinstance(classes := said.get("classes") or [], list):
            raise self._client.odd()
        names = [str(each.get("class")) for each in classes if isinstance(each, dict)]
        return [name for name in names if _CLASS(name)]

    async def _tenants(self, whose: Whose, name: str, beginning: str) -> list[str]:
        """Our Weaviate tenants in a class. All names have the same length, so none is the beginning of another's."""
        _, said = await self._client.ask(whose.tenant, "GET", f"/v1/schema/{name}/tenants")
        if not isinstance(said, list):
            raise self._client.odd()
        names = [str(each.get("name")) for each in said if isinstance(each, dict)]
        return [each for each in names if each.startswith(beginning)]

    async def _drop_tenants(self, whose: Whose, beginning: str) -> None:
        for name in await self._classes(whose):
            if tenants := await self._tenants(whose, name, beginning):
                await self._client.ask(whose.tenant, "DELETE", f"/v1/schema/{name}/tenants", tenants)

    async def _delete(self, whose: Whose, name: str, index: str, where: object) -> None:
        """Delete what matches, which is done in steps of a size that the server chooses."""
        if not await self._is_there(whose, name, index):
            return
        path, body = f"/v1/batch/objects?tenant={_tenant(whose, index)}", {"match": {"class": name, "where": where}}
        while True:
            _, said = await self._client.ask(whose.tenant, "DELETE", path, body)
            results = said.get("results") if isinstance(said, dict) else None
            if not isinstance(results, dict):
                raise self._client.odd()
            if results.get("failed") or int(results.get("matches", 0)) == 0:
                break
        if results.get("failed"):
            raise StoreUnavailable("vectors: `weaviate` didn't delete every vector")

    async def _query(self, whose: Whose, query: str) -> Mapping[str, Any]:
        _, said = await self._client.ask(whose.tenant, "POST", "/v1/graphql", {"query": query})
        if not isinstance(said, dict) or said.get("errors") or not isinstance(data := said.get("data"), dict):
            raise StoreUnavailable("vectors: `weaviate` couldn't answer a query")
        return data


def _class(room: Room) -> str:
    return f"Partywall{int(room.dimensions)}"


def _tenant(whose: Whose, index: str) -> str:
    return _word(whose.name + index)


def _word(text: str) -> str:
    """A name as it enters a path or a query's text: nothing else may."""
    if _WORD(text) is None:
        raise StoreUnavailable("vectors: a name has characters that no name of ours has")
    return text


def _succeeded(done: object) -> bool:
    result = done.get("result") if isinstance(done, dict) else None
    return isinstance(result, dict) and result.get("status", "SUCCESS") == "SUCCESS" and not result.get("errors")
