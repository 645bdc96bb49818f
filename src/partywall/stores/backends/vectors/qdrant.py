"""Qdrant, through its own client, in one of two ways.

    collection  one for each tenant, index and dimension (`separate_collection`, `separate_db`)
    payload     one for each dimension; every point says whose it is, and of which index (`namespace`). The tenant's
                field is indexed with `is_tenant`, and no graph spans tenants: `m=0`; `payload_m` builds one for each

Promises: in payload mode, every call carries the filter of one tenant and index. Up to 20,000 vectors, and wherever it
is narrowed to groups, a search is exact (`exact=True`): what a neighbour has doesn't move it. A server older than 1.11
is refused: it knows no `is_tenant`.

Doesn't promise: a connection for each tenant: the client has one pool for all. It was run in the client's local mode
only (brute force in this process), never against a server.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.vectors.address import EngineAddress
from partywall.stores.backends.vectors.engine import Found, Point, Room, Whose
from partywall.tenancy import TenantId

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.models import Condition, Filter

__all__ = ["EXACT_UP_TO", "Qdrant", "qdrant_client"]

EXACT_UP_TO: Final = 20_000
"""Vectors that are scanned whole."""
_SHARED: Final = "pw_shared"
_PUT_AT_ONCE: Final = 500
_OLDEST: Final = (1, 11)
_VERSION: Final = re.compile(r"v?([0-9]+)\.([0-9]+)", re.ASCII).match
_GONE: Final = 404
_THERE: Final = 409


def qdrant_client(address: EngineAddress) -> AsyncQdrantClient:
    """A client of the server at that address.

    Raises:
        ConfigError: the extra `qdrant` isn't installed.
    """
    try:
        from qdrant_client import AsyncQdrantClient  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError('storage: `qdrant` needs more; pip install "partywall[qdrant]"') from error
    origin = address.origin
    return AsyncQdrantClient(
        host=f"[{origin.host}]" if ":" in origin.host else origin.host,
        port=origin.port,
        https=origin.scheme == "https",
        prefix=address.prefix or None,
        api_key=None if address.key is None else address.key.reveal(),
        check_compatibility=False,  # it prints; `check` refuses
        timeout=30,
        trust_env=False,
    )


class Qdrant:
    """See `VectorEngine`."""

    name = "qdrant"

    def __init__(
        self, client: AsyncQdrantClient, shares: Callable[[TenantId], bool], *, exact_up_to: int = EXACT_UP_TO
    ) -> None:
        """`shares` says whether a tenant's points lie among others'."""
        from qdrant_client import models  # noqa: PLC0415 - an extra; whoever made the client has it

        self._client = client
        self._models = models
        self._shares = shares
        self._exact_up_to = exact_up_to

    async def check(self) -> None:
        """See `VectorEngine.check`."""
        async with _asking():
            version = (await self._client.info()).version
        found = _VERSION(version)
        if found is None or (int(found[1]), int(found[2])) < _OLDEST:
            raise ConfigError(f"storage: this Qdrant is `{version[:20]}`; 1.11 or later is needed, for `is_tenant`")

    async def put(self, room: Room, points: Sequence[Point]) -> None:
        """See `VectorEngine.put`."""
        name, models = self._room(room), self._models
        await self._make(room, name)
        for start in range(0, len(points), _PUT_AT_ONCE):
            some = [
                models.PointStruct(
                    id=each.id,
                    vector=list(each.vector),
                    payload={
                        "t": room.whose.name,
                        "i": room.within,
                        "g": each.group,
                        "n": each.number,
                        "at": each.at,
                    },
                )
                for each in points[start : start + _PUT_AT_ONCE]
            ]
            async with _asking():
                await self._client.upsert(name, points=some, wait=True)

    async def remove(self, room: Room, ids: Sequence[str]) -> None:
        """See `VectorEngine.remove`."""
        if not ids:
            return
        async with _asking(gone_is_fine=True):
            # In a shared collection, too: an id is a keyed hash of this tenant's, and no other point has it.
            await self._client.delete(
                self._room(room), points_selector=self._models.PointIdsList(points=list(ids)), wait=True
            )

    async def drop_group(self, whose: Whose, index: str, group: str) -> None:
        """See `VectorEngine.drop_group`."""
        for name in await self._rooms(whose, index):
            await self._drop_points(name, self._filter(whose, index, [group]))

    async def drop_index(self, whose: Whose, index: str) -> None:
        """See `VectorEngine.drop_index`."""
        for name in await self._rooms(whose, index):
            await self._drop(name, self._filter(whose, index, None))

    async def nearest(
        self, room: Room, vector: Sequence[float], *, limit: int, groups: Sequence[str] | None
    ) -> Sequence[Found]:
        """See `VectorEngine.nearest`."""
        name, own = self._room(room), self._filter(room.whose, room.within, groups)
        exact = groups is not None or await self._size(name, own, exact=False) <= self._exact_up_to
        async with _asking(gone_is_fine=True):
            answer = await self._client.query_points(
                name,
                query=list(vector),
                query_filter=own,
                search_params=self._models.SearchParams(exact=exact, hnsw_ef=None if exact else max(256, limit)),
                limit=limit,
                with_payload=True,
                with_vectors=False,
            )
            return [_found(str(each.id), each.payload, each.score) for each in answer.points]
        return []

    async def count(self, whose: Whose) -> int:
        """See `VectorEngine.count`."""
        own = self._filter(whose, None, None)
        return sum([await self._size(name, own, exact=True) for name in await self._rooms(whose, None)])

    async def drop_all(self, whose: Whose) -> None:
        """See `VectorEngine.drop_all`."""
        for name in await self._rooms(whose, None):
            await self._drop(name, self._filter(whose, None, None))

    async def aclose(self) -> None:
        """See `VectorEngine.aclose`."""
        await self._client.close()

    # -- Collections ---

    def _room(self, room: Room) -> str:
        if self._shares(room.whose.tenant):
            return f"{_SHARED}_{room.dimensions}"
        return f"pw_{room.whose.name}_{room.within}_{room.dimensions}"

    async def _rooms(self, whose: Whose, index: str | None) -> list[str]:
        """Every collection that may hold points of the tenant (and index), whichever way it was placed before."""
        own = f"pw_{whose.name}_" if index is None else f"pw_{whose.name}_{index}_"
        async with _asking():
            found = (await self._client.get_collections()).collections
        return [each.name for each in found if each.name.startswith((own, f"{_SHARED}_"))]

    async def _make(self, room: Room, name: str) -> None:
        async with _asking():
            if await self._client.collection_exists(name):
                return
        models, shared = self._models, self._shares(room.whose.tenant)
        # INVARIANT: no graph spans tenants. In a shared collection there is one for each value of the tenant's field.
        graph = models.HnswConfigDiff(m=0, payload_m=16) if shared else models.HnswConfigDiff(m=32, ef_construct=200)
        async with _asking(there_is_fine=True):
            await self._client.create_collection(
                name,
                vectors_config=models.VectorParams(size=room.dimensions, distance=models.Distance.DOT),
                hnsw_config=graph,
            )
        async with _asking():
            keyword = models.KeywordIndexType.KEYWORD
            await self._client.create_payload_index(
                name, "t", field_schema=models.KeywordIndexParams(type=keyword, is_tenant=shared), wait=True
            )
            for field in ("i", "g"):
                await self._client.create_payload_index(
                    name, field, field_schema=models.KeywordIndexParams(type=keyword), wait=True
                )

    async def _drop(self, name: str, own: Filter) -> None:
        """What of a collection is the tenant's: the points of a shared one, or else the whole."""
        if name.startswith(f"{_SHARED}_"):
            await self._drop_points(name, own)
            return
        async with _asking(gone_is_fine=True):
            await self._client.delete_collection(name)

    async def _drop_points(self, name: str, own: Filter) -> None:
        async with _asking(gone_is_fine=True):
            await self._client.delete(name, points_selector=self._models.FilterSelector(filter=own), wait=True)

    async def _size(self, name: str, own: Filter, *, exact: bool) -> int:
        async with _asking(gone_is_fine=True):
            return (await self._client.count(name, count_filter=own, exact=exact)).count
        return 0

    def _filter(self, whose: Whose, index: str | None, groups: Sequence[str] | None) -> Filter:
        """Whose points are meant; there is none without a tenant (R4, R5)."""
        models = self._models
        wanted: list[Condition] = [models.FieldCondition(key="t", match=models.MatchValue(value=whose.name))]
        if index is not None:
            wanted.append(models.FieldCondition(key="i", match=models.MatchValue(value=index)))
        if groups is not None:
            wanted.append(models.FieldCondition(key="g", match=models.MatchAny(any=list(groups))))
        own: Filter = models.Filter(must=wanted)
        return own


@asynccontextmanager
async def _asking(*, gone_is_fine: bool = False, there_is_fine: bool = False) -> AsyncIterator[None]:
    """What the client raises, in our words; nothing for a collection that is or isn't there, where that's fine.

    Raises:
        StoreUnavailable: it can't be asked, or says no.
    """
    from qdrant_client.http.exceptions import ApiException, UnexpectedResponse  # noqa: PLC0415 - an extra

    try:
        yield
    except UnexpectedResponse as error:
        if (gone_is_fine and error.status_code == _GONE) or (there_is_fine and error.status_code == _THERE):
            return
        raise StoreUnavailable(f"vectors: `qdrant` answered {error.status_code}") from error
    except (ApiException, OSError) as error:
        raise StoreUnavailable(f"vectors: `qdrant` can't be asked: {type(error).__name__}") from error
    except ValueError as error:  # what local mode says of a collection that isn't there, or is already
        if (gone_is_fine and "not found" in str(error)) or (there_is_fine and "already exists" in str(error)):
            return
        raise StoreUnavailable(f"vectors: `qdrant` can't do that: {type(error).__name__}") from error


def _found(point: str, payload: object, score: float) -> Found:
    if not isinstance(payload, dict):
        raise StoreUnavailable("vectors: `qdrant` answered something else than it should")
    try:
        return Found(point, str(payload["g"]), int(payload["n"]), int(payload["at"]), float(score))
    except (KeyError, TypeError, ValueError):
        raise StoreUnavailable("vectors: `qdrant` answered something else than it should") from None
