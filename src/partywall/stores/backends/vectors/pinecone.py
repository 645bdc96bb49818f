"""A Pinecone index, over its data plane.

    namespace  one for each tenant and index: its keyed names, one behind the other
    vector     a keyed id, and the group, number and time as metadata

Promises: every call names the namespace. The index is the operator's; its metric must be `dotproduct` or `cosine`.

Doesn't promise: to find at once what was just put: Pinecone takes some seconds, and until then a search of a new
collection says that the store can't be had, rather than nothing. Nor exact search. Nor that it was run against
Pinecone: it is held to an imitation of its interface, written from its public documentation
(tests/support/engines/pinecone.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.vectors.engine import Found, Point, Room, Whose
from partywall.stores.backends.vectors.http import JsonClient
from partywall.tenancy import TenantId

__all__ = ["API_VERSION", "Pinecone"]

API_VERSION: Final = "2025-10"
"""The first that lists namespaces by how they begin."""
_NOBODY: Final = TenantId("nobody")
"""Whose connection is used for what is of no tenant."""
_PUT_AT_ONCE: Final = 100
_REMOVED_AT_ONCE: Final = 1000
_MOST_WANTED: Final = 10_000
_METRICS: Final = frozenset({"dotproduct", "cosine"})
_GONE: Final = 404


class Pinecone:
    """See `VectorEngine`."""

    name = "pinecone"

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self.dimensions: int | None = None
        """Of the index, once it was asked."""

    async def check(self) -> None:
        """See `VectorEngine.check`."""
        _, said = await self._client.ask(_NOBODY, "POST", "/describe_index_stats", {})
        if not isinstance(said, dict) or not isinstance(dimensions := said.get("dimension"), int):
            raise ConfigError("storage: the Pinecone index doesn't say its dimension; it must be one of dense vectors")
        if said.get("metric") not in _METRICS:
            raise ConfigError("storage: the Pinecone index must have the metric `dotproduct` or `cosine`")
        self.dimensions = dimensions

    async def put(self, room: Room, points: Sequence[Point]) -> None:
        """See `VectorEngine.put`."""
        if self.dimensions is not None and room.dimensions != self.dimensions:
            raise StoreUnavailable(
                f"vectors: the Pinecone index has {self.dimensions} dimensions, and the embedding {room.dimensions}"
            )
        for start in range(0, len(points), _PUT_AT_ONCE):
            some = points[start : start + _PUT_AT_ONCE]
            vectors = [
                {"id": each.id, "values": each.vector, "metadata": {"g": each.group, "n": each.number, "at": each.at}}
                for each in some
            ]
            body = {"namespace": _namespace(room.whose, room.within), "vectors": vectors}
            _, said = await self._client.ask(room.whose.tenant, "POST", "/vectors/upsert", body)
            if not isinstance(said, dict) or said.get("upsertedCount") != len(some):
                raise StoreUnavailable("vectors: `pinecone` didn't take every vector")

    async def remove(self, room: Room, ids: Sequence[str]) -> None:
        """See `VectorEngine.remove`."""
        for start in range(0, len(ids), _REMOVED_AT_ONCE):
            await self._delete(room.whose, room.within, {"ids": ids[start : start + _REMOVED_AT_ONCE]})

    async def drop_group(self, whose: Whose, index: str, group: str) -> None:
        """See `VectorEngine.drop_group`."""
        await self._delete(whose, index, {"filter": {"g": {"$eq": group}}})

    async def drop_index(self, whose: Whose, index: str) -> None:
        """See `VectorEngine.drop_index`."""
        await self._drop(whose, _namespace(whose, index))

    async def nearest(
        self, room: Room, vector: Sequence[float], *, limit: int, groups: Sequence[str] | None
    ) -> Sequence[Found]:
        """See `VectorEngine.nearest`."""
        if self.dimensions is not None and room.dimensions != self.dimensions:
            return []
        body: dict[str, object] = {
            "namespace": _namespace(room.whose, room.within),
            "vector": vector,
            "topK": min(limit, _MOST_WANTED),
            "includeMetadata": True,
            "includeValues": False,
        }
        if groups is not None:
            body["filter"] = {"g": {"$in": groups}}
        _, said = await self._client.ask(room.whose.tenant, "POST", "/query", body)
        try:
            assert isinstance(said, dict)  # noqa: S101 - refused below, with every other shape
            return [
                Found(
                    str(each["id"]),
                    str(each["metadata"]["g"]),
                    int(each["metadata"]["n"]),
                    int(each["metadata"]["at"]),
                    float(each["score"]),
                )
                for each in said["matches"]
            ]
        except (AssertionError, KeyError, TypeError, ValueError):
            raise self._client.odd() from None

    async def count(self, whose: Whose) -> int:
        """See `VectorEngine.count`."""
        return sum([count for _, count in await self._namespaces(whose)])

    async def drop_all(self, whose: Whose) -> None:
        """See `VectorEngine.drop_all`."""
        for name, _ in await self._namespaces(whose):
            await self._drop(whose, name)

    async def aclose(self) -> None:
        """See `VectorEngine.aclose`."""
        await self._client.aclose()

    # -- Namespaces ---

    async def _namespaces(self, whose: Whose) -> list[tuple[str, int]]:
        """The tenant's, and how many vectors each has. All names have the same length (R2)."""
        found: list[tuple[str, int]] = []
        after = ""
        while True:
            path = f"/namespaces?prefix={whose.name}&limit=100{after}"
            _, said = await self._client.ask(whose.tenant, "GET", path)
            if not isinstance(said, dict) or not isinstance(listed := said.get("namespaces") or [], list):
                raise self._client.odd()
            try:
                found += [(str(each["name"]), int(each.get("record_count") or 0)) for each in listed]
            except (KeyError, TypeError, ValueError, AttributeError):
                raise self._client.odd() from None
            pagination = said.get("pagination")
            token = pagination.get("next") if isinstance(pagination, dict) else None
            if not token:
                # Believed in nothing: an older interface ignores `prefix`, and would hand over everybody's (R5).
                return [each for each in found if each[0].startswith(whose.name)]
            after = f"&paginationToken={quote(str(token), safe='')}"

    async def _drop(self, whose: Whose, name: str) -> None:
        await self._client.ask(whose.tenant, "DELETE", f"/namespaces/{quote(name, safe='')}", fine={202, _GONE})

    async def _delete(self, whose: Whose, index: str, which: dict[str, object]) -> None:
        body = {"namespace": _namespace(whose, index), **which}
        await self._client.ask(whose.tenant, "POST", "/vectors/delete", body, fine={_GONE})


def _namespace(whose: Whose, index: str) -> str:
    return whose.name + index
