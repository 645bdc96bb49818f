"""Documents whose vectors lie in an engine outside: what it may do wrong, and what is left when it goes away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.stores.documents.test_documents import texts
from tests.stores.documents.test_partition_index import ALPHAS, BETAS, fill, there
from tests.stores.engines import Beside, engine_for
from tests.stores.houses import ALPHA, BETA, House, house_in, scope_of
from tests.support.engines.child import free_port
from tests.support.engines.chroma import chroma_server
from tests.support.engines.weaviate import weaviate_imitation

from partywall.errors import ConfigError, Missing, StoreUnavailable
from partywall.stores import Retrieval, Stores, Wall
from partywall.stores.backends.base import Insert
from partywall.stores.backends.sqlite import SqlitePartition
from partywall.stores.backends.vectors.chroma import Chroma
from partywall.stores.backends.vectors.engine import Found, Point, Room, VectorEngine, Whose
from partywall.stores.backends.vectors.http import JsonClient
from partywall.stores.backends.vectors.names import TenantNames
from partywall.stores.backends.vectors.qdrant import Qdrant
from partywall.stores.backends.vectors.self_check import try_engine
from partywall.tenancy import TenantId

A, B = scope_of(ALPHA), scope_of(BETA)

each_kind = pytest.mark.parametrize("kind", ["chroma", "qdrant", "qdrant-payload"])


def in_house(folder: Path, kind: str, body: Callable[[House, Beside], Awaitable[None]]) -> None:
    async def main() -> None:
        async with house_in(folder, kind, None, there(kind)) as house:
            assert isinstance(house.backend, Beside)
            await body(house, house.backend)

    asyncio.run(main())


async def size(beside: Beside, tenant: TenantId) -> int:
    """How many vectors an engine has of a tenant."""
    return await beside.engine.count((await beside.names(tenant)).whose)


# -- Hints ---


@each_kind
@pytest.mark.parametrize("lie", ["foreign", "foreign under own names", "another index", "invented"])
def test_what_an_engine_shows_of_others_is_dropped_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, lie: str
) -> None:
    """A filter that was ignored (R5), the wrong collection, or nothing at all: with the best scores, and first."""

    async def body(house: House, beside: Beside) -> None:
        documents = house.stores.documents
        for scope, mark in ((A, ALPHAS), (B, BETAS)):
            await fill(house, scope, mark, 5)
        other = (await documents.create_collection(B, name="other")).id
        await documents.add(B, name="1", data=b"planted elsewhere", collection=other)
        honest = await documents.search(B, "planted", k=4)
        engine, true = beside.engine, beside.engine.nearest
        rooms = {
            tenant: [
                names.room(index, 256) for index in beside.indexes[tenant] for names in [await beside.names(tenant)]
            ]
            for tenant in (ALPHA, BETA)
        }

        async def lying(
            room: Room, vector: Sequence[float], *, limit: int, groups: Sequence[str] | None
        ) -> Sequence[Found]:
            own = await true(room, vector, limit=limit, groups=groups)
            if lie == "another index":
                told = [
                    each
                    for where in rooms[BETA]
                    if where != room
                    for each in await true(where, vector, limit=9, groups=None)
                ]
            elif lie == "invented":
                told = [Found(each.id, each.group, each.number + 1, 0, 1.0) for each in own]
                told += [own[0]._replace(group="not hexadecimal"), own[0]._replace(number=-1), own[0]._replace(id="é")]
            else:
                told = [each for where in rooms[ALPHA] for each in await true(where, vector, limit=9, groups=None)]
            if lie == "foreign under own names":
                told = [each._replace(id=mine.id) for each, mine in zip(told, own, strict=False)]
            assert told
            return [*(each._replace(score=2.0, at=0) for each in told), *own][:limit]

        monkeypatch.setattr(engine, "nearest", lying)
        assert house.alarms == []
        for k in (4, 50):
            found = await documents.search(B, "planted", k=k)
            assert list(found)[:4] == list(honest)
            assert ALPHAS not in repr(found)
        assert {(alarm.wall, alarm.tenant) for alarm in house.alarms} == {(Wall.VERIFICATION, BETA)}

    in_house(tmp_path, kind, body)


@each_kind
def test_what_is_left_over_is_dropped_in_silence_and_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Vectors whose rows never came, as after a crash; what is still being stored isn't swept."""

    async def body(house: House, beside: Beside) -> None:
        documents = house.stores.documents
        await fill(house, A, ALPHAS, 3)
        whole = SqlitePartition.commit

        async def crashing(self: SqlitePartition, changes: Any) -> bool:
            if any(type(change).__name__ == "Replace" for change in changes) and len(changes) > 4:
                raise StoreUnavailable("the process died here")
            return await whole(self, changes)

        before = await size(beside, ALPHA)
        monkeypatch.setattr(SqlitePartition, "commit", crashing)
        with pytest.raises(StoreUnavailable, match="died here"):
            await documents.add(A, name="late", data=b"planted late")
        monkeypatch.undo()
        assert await size(beside, ALPHA) == before + 1
        for _ in range(2):
            made = await documents.add(A, name="late", data=b"planted late")
            found = await documents.search(A, "planted late", k=9)
            assert sorted(texts(found)) == sorted([*(f"{ALPHAS} {number}" for number in range(3)), "planted late"])
            assert made.name == "late"
        assert await size(beside, ALPHA) == before + 1
        assert house.alarms == []

    in_house(tmp_path, kind, body)


@each_kind
def test_what_has_rows_already_is_not_swept(tmp_path: Path, kind: str) -> None:
    """Another process's document between its vectors and its rows: its pieces are staged, so it stays."""

    async def body(house: House, beside: Beside) -> None:
        documents = house.stores.documents
        await fill(house, A, ALPHAS, 1)
        partition = beside.partition(ALPHA, "documents")
        (index,) = beside.indexes[ALPHA]
        names = await beside.names(ALPHA)
        assert await partition.commit([Insert(b"staged", b"0", b"sealed")])
        vector = [1.0] + [0.0] * 255
        for group in (b"staged", b"left over"):
            point = Point(names.point(index, group, 0), group.hex(), 0, 1, vector)
            await beside.engine.put(names.room(index, 256), [point])
        assert await size(beside, ALPHA) == 3
        assert len(await documents.search(A, "planted", k=9)) == 1
        assert await size(beside, ALPHA) == 2
        assert house.alarms == []

    in_house(tmp_path, kind, body)


# -- Engines that fail ---


@each_kind
def test_an_engine_that_is_away_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async def body(house: House, beside: Beside) -> None:
        documents = house.stores.documents
        await fill(house, A, ALPHAS, 2)

        async def away(*_: object, **__: object) -> Any:
            raise StoreUnavailable("away")

        for verb in ("put", "remove", "drop_group", "drop_index", "nearest", "count", "drop_all"):
            monkeypatch.setattr(beside.engine, verb, away)
        for refused in (
            documents.add(A, name="new", data=b"new"),
            documents.search(A, "planted", k=3),
            house.stores.erase(A),
        ):
            with pytest.raises(StoreUnavailable, match="away"):
                await refused
        gone = (await documents.list_documents(A)).items[0]
        await documents.delete(A, gone.id)  # its vectors are owed
        assert beside.owed[ALPHA]
        monkeypatch.undo()
        assert len(await documents.search(A, "planted", k=9)) == 1
        await documents.add(A, name="new", data=b"planted new")
        assert beside.owed[ALPHA] == []
        assert await size(beside, ALPHA) == 2
        assert len(await documents.search(A, "planted", k=9)) == 2
        assert house.alarms == []

    in_house(tmp_path, kind, body)


@each_kind
def test_an_engine_that_lost_everything_is_no_empty_collection(tmp_path: Path, kind: str) -> None:
    async def body(house: House, beside: Beside) -> None:
        await fill(house, A, ALPHAS, 2)
        await beside.engine.drop_all((await beside.names(ALPHA)).whose)
        with pytest.raises(StoreUnavailable, match="has lost"):
            await house.stores.documents.search(A, "planted", k=3)
        assert await house.stores.documents.search(B, "planted", k=3) == ()

    in_house(tmp_path, kind, body)


def test_a_port_where_nobody_listens_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(house: House, beside: Beside) -> None:
        await fill(house, A, ALPHAS, 1)
        engine = beside.engine
        assert isinstance(engine, Chroma)
        address = engine._client._address
        monkeypatch.setattr(
            engine._client, "_address", address._replace(origin=address.origin._replace(port=free_port()))
        )
        with pytest.raises(StoreUnavailable, match="can't be asked") as told:
            await house.stores.documents.search(A, "planted", k=3)
        assert "alpha" not in str(told.value)

    in_house(tmp_path, "chroma", body)


@pytest.mark.parametrize("kind", ["chroma", "qdrant-payload"])
def test_a_caller_that_leaves_anywhere_leaves_what_can_be_searched(tmp_path: Path, kind: str) -> None:
    async def body(house: House, beside: Beside) -> None:
        documents = house.stores.documents
        await fill(house, A, ALPHAS, 1)
        for steps in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144):
            task = asyncio.create_task(documents.add(A, name="again", data=f"planted {steps}".encode()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            listed = {document.name for document in (await documents.list_documents(A)).items}
            found = await documents.search(A, "planted", k=20)
            assert {hit.document_name for hit in found} == listed
            assert len(found) == len(listed)
        await documents.delete_collection(A, "default")
        await fill(house, A, ALPHAS, 2)
        assert len(await documents.search(A, "planted", k=20)) == 2
        assert house.alarms == []
        await house.stores.erase(A)
        assert await size(beside, ALPHA) == 0

    in_house(tmp_path, kind, body)


# -- Where a collection's vectors are ---


def test_a_collection_stays_in_its_engine_and_says_so(tmp_path: Path) -> None:
    async def body(house: House, beside: Beside) -> None:
        await fill(house, A, ALPHAS, 1)
        for settings in (Retrieval(), there("qdrant"), Retrieval(vectors_in_partition=True)):
            house.stores = Stores(house.walls, house.clock, settings)
            documents = house.stores.documents
            for refused in (
                documents.search(A, "planted", k=1),
                documents.add(A, name="more", data=b"more"),
                documents.delete_collection(A, "default"),
            ):
                with pytest.raises(StoreUnavailable, match="lie in `chroma`"):
                    await refused
        house.stores = Stores(house.walls, house.clock, there("chroma"))
        await house.stores.documents.add(A, name="more", data=b"more")
        assert len(await house.stores.documents.search(A, "planted", k=9)) == 2

    in_house(tmp_path, "chroma", body)


def test_what_came_before_the_engine_stays_sealed(tmp_path: Path) -> None:
    async def body(house: House, beside: Beside) -> None:
        house.stores = Stores(house.walls, house.clock, Retrieval())
        await fill(house, A, ALPHAS, 2)
        house.stores = Stores(house.walls, house.clock, there("chroma"))
        await house.stores.documents.add(A, name="later", data=b"planted later")
        assert len(await house.stores.documents.search(A, "planted", k=9)) == 3
        assert await size(beside, ALPHA) == 0

    in_house(tmp_path, "chroma", body)


# -- Chroma itself ---


def test_chroma_s_own_boundary_is_none_and_ours_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: bare, a UUID opens through anybody's URL. Through partywall, no UUID ever gets in, or out."""

    async def body(house: House, beside: Beside) -> None:
        documents, server = house.stores.documents, chroma_server()
        for scope, mark in ((A, ALPHAS), (B, BETAS)):
            await fill(house, scope, mark, 2)
        assert isinstance(beside.engine, Chroma)
        alphas, betas = [(await beside.names(tenant)).whose.name for tenant in (ALPHA, BETA)]
        (uuid,) = [uuid for (whose, _), uuid in beside.engine._known.items() if whose == alphas]
        through = f"/tenants/{betas}/databases/partywall/collections/{uuid}/get"
        status, bare = await asyncio.to_thread(
            server.ask, "POST", through, {"include": ["metadatas", "embeddings", "documents"]}
        )
        assert status == 200
        assert isinstance(bare, dict)
        assert len(bare["ids"]) == 2
        assert len(bare["embeddings"][0]) == 256
        assert bare["documents"] in (None, [None, None])
        for secret in ("alpha", "planted", "documents/"):
            assert secret not in repr(bare["metadatas"]) + repr(bare["ids"])
        asked: list[str] = []
        true = JsonClient.ask

        async def noted(
            self: JsonClient, tenant: TenantId, method: str, path: str, body: object = None, **rest: Any
        ) -> Any:
            answer = await true(self, tenant, method, path, body, **rest)
            if tenant == BETA:
                asked.append(f"{path} {body} {answer}")
            return answer

        monkeypatch.setattr(JsonClient, "ask", noted)
        for refused in (
            documents.search(B, "planted", k=9, collection=uuid),
            documents.list_documents(B, uuid),
            documents.add(B, name="x", data=b"x", collection=uuid),
            documents.delete_collection(B, uuid),
        ):
            with pytest.raises(Missing):
                await refused
        wanted = {"type": "eq", "key": "number", "value": uuid}
        assert await documents.search(B, "planted", k=9, filters=wanted) == ()
        assert len(await documents.search(B, "planted", k=9)) == 2
        assert asked
        assert not any(uuid in each or alphas in each for each in asked)

    in_house(tmp_path, "chroma", body)


def test_a_uuid_that_is_said_to_be_somebody_else_s_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a proxy, or a Chroma, that mixes two answers up would say."""

    async def body(house: House, beside: Beside) -> None:
        for scope, mark in ((A, ALPHAS), (B, BETAS)):
            await fill(house, scope, mark, 1)
        assert isinstance(beside.engine, Chroma)
        client = beside.engine._client
        names = {tenant: await beside.names(tenant) for tenant in (ALPHA, BETA)}
        foreign = names[ALPHA].room(next(iter(beside.indexes[ALPHA])), 256)
        true = client.ask
        path = f"/api/v2/tenants/{foreign.whose.name}/databases/partywall/collections/{foreign.within}-256"
        _, said = await true(ALPHA, "GET", path)

        async def mixed(tenant: TenantId, method: str, path: str, body: object = None, **rest: Any) -> Any:
            if method == "GET" and tenant == BETA:
                return 200, said
            return await true(tenant, method, path, body, **rest)

        beside.engine._known.clear()
        monkeypatch.setattr(client, "ask", mixed)
        with pytest.raises(StoreUnavailable, match="of somebody else"):
            await house.stores.documents.search(B, "planted", k=1)

    in_house(tmp_path, "chroma", body)


def test_deletion_leaves_no_vector_and_no_collection_on_chroma(tmp_path: Path) -> None:
    async def body(house: House, beside: Beside) -> None:
        documents, server = house.stores.documents, chroma_server()
        names = {tenant: (await beside.names(tenant)).whose.name for tenant in (ALPHA, BETA)}

        async def listed(tenant: TenantId) -> list[str]:
            path = f"/tenants/{names[tenant]}/databases/partywall/collections"
            status, found = await asyncio.to_thread(server.ask, "GET", path)
            assert status == 200
            assert isinstance(found, list)
            return [each["id"] for each in found]

        await fill(house, B, BETAS, 1)
        kept = await listed(BETA)
        collection = (await documents.create_collection(A, name="c")).id
        made = await documents.add(A, name="1", data=b"one", collection=collection)
        (uuid,) = await listed(ALPHA)
        await documents.delete(A, made.id, collection=collection)
        path = f"/tenants/{names[ALPHA]}/databases/partywall/collections/{uuid}"
        assert await asyncio.to_thread(server.ask, "GET", f"{path}/count") == (200, 0)
        await documents.delete_collection(A, collection)
        assert await listed(ALPHA) == []
        assert (await asyncio.to_thread(server.ask, "GET", f"{path}/count"))[0] == 404
        await fill(house, A, ALPHAS, 2)
        await house.stores.erase(A)
        assert await listed(ALPHA) == []
        assert (await asyncio.to_thread(server.ask, "GET", f"/tenants/{names[ALPHA]}/databases"))[1] == []
        assert await listed(BETA) == kept
        assert len(await documents.search(B, "planted", k=9)) == 1

    in_house(tmp_path, "chroma", body)


# -- Before anything is served ---


class _Faulty:
    """An engine with one fault."""

    def __init__(self, engine: VectorEngine, fault: str) -> None:
        self._engine = engine
        self._fault = fault
        self._rooms: list[Room] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def put(self, room: Room, points: Sequence[Point]) -> None:
        self._rooms.append(room)
        if self._fault != "loses":
            await self._engine.put(room, points)

    async def nearest(self, room: Room, vector: Sequence[float], **rest: Any) -> Sequence[Found]:
        if self._fault == "mixes":
            return [each for where in self._rooms for each in await self._engine.nearest(where, vector, **rest)]
        if self._fault == "forgets the filter" and rest["groups"] is not None:
            return await self._engine.nearest(self._rooms[0], vector, **rest)
        return await self._engine.nearest(room, vector, **rest)

    async def drop_all(self, whose: Whose) -> None:
        if self._fault != "keeps":
            await self._engine.drop_all(whose)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("mixes", "shows one tenant's vectors to another"),
        ("forgets the filter", "shows one tenant's vectors to another"),
        ("loses", "doesn't find"),
        ("keeps", "doesn't delete"),
    ],
)
def test_an_engine_that_fails_its_trial_is_refused(monkeypatch: pytest.MonkeyPatch, fault: str, told: str) -> None:
    monkeypatch.setattr("partywall.stores.backends.vectors.self_check._PATIENCE_SECONDS", 0.1)

    async def main() -> None:
        engine = engine_for("qdrant-payload")
        await try_engine(engine)
        with pytest.raises(ConfigError, match=told):
            await try_engine(_Faulty(engine, fault))
        await engine.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["chroma", "qdrant", "qdrant-payload", "weaviate", "pinecone"])
def test_an_engine_that_does_what_it_should_is_taken(kind: str) -> None:
    async def main() -> None:
        engine = engine_for(kind, 8)
        await engine.check()
        await try_engine(engine)
        await engine.aclose()

    asyncio.run(main())


def test_a_qdrant_without_tenant_indexes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        engine = engine_for("qdrant")
        assert isinstance(engine, Qdrant)
        for version, fine in (("1.10.1", False), ("0.11.0", False), ("dev", False), ("1.11.0", True), ("2.0.0", True)):

            async def info(version: str = version) -> object:
                return type("Info", (), {"version": version})()

            monkeypatch.setattr(engine._client, "info", info)
            if fine:
                await engine.check()
            else:
                with pytest.raises(ConfigError, match=r"1\.11 or later"):
                    await engine.check()
        await engine.aclose()

    asyncio.run(main())


def test_a_weaviate_that_is_too_old_or_wants_another_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        engine = engine_for("weaviate")
        monkeypatch.setattr(weaviate_imitation(), "version", "1.25.9")
        with pytest.raises(ConfigError, match=r"1\.26 or later"):
            await engine.check()
        monkeypatch.setattr("tests.support.engines.weaviate.KEY", "another")
        with pytest.raises(StoreUnavailable, match="answered 401"):
            await engine.check()
        await engine.aclose()

    asyncio.run(main())


def test_names_are_of_one_tenant_and_one_length() -> None:
    secrets = [hashlib.sha256(bytes([number])).digest() for number in range(2)]
    tenants = [TenantNames(TenantId("t_a"), secrets[0]), TenantNames(TenantId("t_ab"), secrets[1])]
    indexes = [b"x", b"xy", b"", b"x\0"]
    made = [names.whose.name for names in tenants] + [names.index(each) for names in tenants for each in indexes]
    assert len({*made}) == 10
    assert {len(each) for each in made} == {31}
    points = {
        names.point(index, group, number)
        for names in tenants
        for index, group in [(b"x", b"yz"), (b"xy", b"z"), (b"", b"xyz")]
        for number in (0, 1, 256)
    }
    assert len(points) == 18
    one, other = tenants
    found = Found(one.point(b"x", b"g", 3), b"g".hex(), 3, 0, 1.0)
    assert one.group_of(b"x", found) == b"g"
    for wrong in (found._replace(number=4), found._replace(group=b"h".hex()), found._replace(number=-1)):
        assert one.group_of(b"x", wrong) == b""
    assert one.group_of(b"y", found) == b""
    assert other.group_of(b"x", found) == b""
    with pytest.raises(ValueError, match="32 secret bytes"):
        TenantNames(TenantId("t"), b"short")
