"""Documents whose vectors lie in the tenant's partition and are compared there; two tenants throughout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from tests.stores.documents.test_documents import rows, texts
from tests.stores.engines import ENGINES
from tests.stores.fallen import ALL_BUT_ALL, EVERYTHING, without
from tests.stores.houses import ALPHA, BETA, House, WallsOf, house_in, scope_of
from tests.stores.memory_backend import MemoryPartition
from tests.stores.uses import USES, renamed

from partywall.errors import StoreUnavailable
from partywall.stores import Hit, Retrieval, Stores, Wall
from partywall.stores.backends.base import Near, VectorPartition
from partywall.stores.backends.postgres.partition import PostgresPartition
from partywall.stores.backends.vectors.beside import BesidePartition
from partywall.tenancy import TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
ALPHAS, BETAS = "planted-by-alpha", "planted-by-beta"
HERE, THERE = Retrieval(), Retrieval(vectors_in_partition=True)


def there(kind: str) -> Retrieval:
    """What puts vectors where a house of that kind has them."""
    return Retrieval(vectors_in_partition=True, vectors_engine=kind if kind in ENGINES else "")


PARTITIONS: dict[str, type[MemoryPartition | PostgresPartition]] = {
    "memory": MemoryPartition,
    "postgres": PostgresPartition,
}
KINDS = ["memory", "postgres", *ENGINES]
each_engine = pytest.mark.parametrize("kind", KINDS)


def in_house(
    folder: Path, kind: str, body: Callable[[House], Awaitable[None]], walls_of: WallsOf | None = None
) -> None:
    async def main() -> None:
        async with house_in(folder, kind, walls_of, there(kind)) as house:
            await body(house)

    asyncio.run(main())


def settled(house: House, settings: Retrieval) -> None:
    house.stores = Stores(house.walls, house.clock, settings)


async def fill(house: House, scope: TenantScope, mark: str, count: int = 4) -> None:
    for number in range(count):
        await house.stores.documents.add(
            scope, name=f"{number}", data=f"{mark} {number}".encode(), metadata={"number": number}
        )


@each_engine
def test_what_is_found_is_what_a_scan_in_memory_finds(tmp_path: Path, kind: str) -> None:
    """Text, order and scores, with a filter and without; equal pieces come in the order in which they were stored."""

    async def body(house: House) -> None:
        answers: dict[Retrieval, list[Sequence[Hit]]] = {HERE: [], there(kind): []}
        for settings, found in answers.items():
            settled(house, settings)
            documents = house.stores.documents
            collection = (await documents.create_collection(A, name="c")).id
            for number, text in enumerate(["refunds in thirty days", "parcels", "parcels", "trains. " * 900]):
                await documents.add(
                    A, name=f"{number}", data=text.encode(), metadata={"n": number}, collection=collection
                )
            wanted = {"type": "gte", "key": "n", "value": 2}
            for k in (1, 2, 3, 50):
                found.append(await documents.search(A, "my parcels", k=k, collection=collection))
                found.append(await documents.search(A, "my parcels", k=k, collection=collection, filters=wanted))
        here, beyond = ([hit for hits in found for hit in hits] for found in answers.values())
        assert [len(hits) for hits in answers[there(kind)]] == [len(hits) for hits in answers[HERE]]
        for one, other in zip(here, beyond, strict=True):
            assert (other.document_name, other.chunk, other.text) == (one.document_name, one.chunk, one.text)
            assert other.score == pytest.approx(one.score, abs=1e-5)
        assert [hit.document_name for hit in answers[there(kind)][2]] == ["1", "2"]
        assert house.alarms == []

    in_house(tmp_path, kind, body)


@each_engine
def test_vectors_go_with_their_documents_and_with_nobody_else_s(tmp_path: Path, kind: str) -> None:
    async def body(house: House) -> None:
        documents, files = house.stores.documents, house.stores.files
        await fill(house, B, BETAS, 1)
        before = await rows(house, B)
        collection = (await documents.create_collection(A, name="c")).id
        empty = await rows(house)
        made = await documents.add(A, name="1", data=b"one", collection=collection)
        await documents.add(A, name="1", data=b"another", collection=collection)
        assert texts(await documents.search(A, "one", k=9, collection=collection)) == ["another"]
        (made,) = (await documents.list_documents(A, collection)).items
        await documents.delete(A, made.id, collection=collection)
        assert await rows(house) == empty
        file = await files.create(A, name="f", data=b"attached")
        kept = await rows(house)
        await documents.attach(A, collection, file.id)
        await documents.detach(A, collection, file.id)
        assert await rows(house) == kept
        await documents.attach(A, collection, file.id)
        await files.delete(A, file.id)
        assert await rows(house) == empty
        await documents.add(A, name="2", data=b"two", collection=collection)
        await documents.delete_collection(A, collection)
        assert await rows(house) == 0
        await fill(house, A, ALPHAS)
        assert (await house.stores.erase(A))["documents"] > 8
        assert await rows(house) == 0
        assert await rows(house, B) == before
        assert len(await documents.search(B, "planted")) == 1
        assert house.alarms == []

    in_house(tmp_path, kind, body)


def test_a_collection_stays_where_its_first_document_came_to(tmp_path: Path) -> None:
    """Whatever the document says since: nothing is lost, and nothing is in two places."""

    async def body(house: House) -> None:
        for first, then in ((THERE, HERE), (HERE, THERE)):
            settled(house, first)
            await fill(house, A, ALPHAS, 2)
            settled(house, then)
            await house.stores.documents.add(A, name="later", data=b"planted later")
            assert len(await house.stores.documents.search(A, "planted", k=9)) == 3
            partition = house.backend.partition(ALPHA, "documents")
            assert isinstance(partition, MemoryPartition)
            assert len(partition.vectors) == (3 if first is THERE else 0)
            await house.stores.documents.delete_collection(A, "default")
            assert await rows(house) == 0

    in_house(tmp_path, "memory", body)


def test_an_engine_that_compares_nothing_is_refused(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        with pytest.raises(StoreUnavailable, match="compared by PostgreSQL"):
            await fill(house, A, ALPHAS, 1)
        assert (await house.stores.documents.list_documents(A)).items == ()

    in_house(tmp_path, "sqlite", body)


# -- Through the walls ---


@pytest.mark.parametrize("kind", ["memory", "postgres", "chroma", "qdrant-payload"])
@pytest.mark.parametrize("fallen", ALL_BUT_ALL, ids=lambda fallen: "+".join(fallen) or "none")
def test_no_foreign_byte_comes_through_one_wall(tmp_path: Path, fallen: tuple[str, ...], kind: str) -> None:
    """Also where the engine answers with the other tenant's vectors and rows first."""

    async def body(house: House) -> None:
        for scope, mark in ((A, ALPHAS), (B, BETAS)):
            await fill(house, scope, mark)
            await house.stores.documents.search(scope, "planted", k=3)
        house.alarms.clear()
        house.looking = True
        for k in (3, 50):
            assert ALPHAS not in repr(await house.stores.documents.search(B, "planted", k=k))
        if "placement" in fallen:
            assert house.alarms
        assert not any(ALPHAS in str(alarm) or "alpha" in str(alarm) for alarm in house.alarms)
        house.stores.documents._shelf.drop(BETA, "default")
        ids = [document.id for document in (await house.stores.documents.list_documents(B)).items]
        assert ALPHAS not in " ".join(await USES["documents"].look(house.stores, B, ids))

    in_house(tmp_path, kind, body, without(fallen))


@each_engine
@pytest.mark.parametrize("fallen", EVERYTHING, ids="+".join)
def test_with_every_wall_gone_it_does_get_across(tmp_path: Path, fallen: tuple[str, ...], kind: str) -> None:
    async def body(house: House) -> None:
        for scope, mark in ((A, ALPHAS), (B, BETAS)):
            await fill(house, scope, mark)
        house.looking = True
        assert ALPHAS in repr(await house.stores.documents.search(B, "planted", k=50))

    in_house(tmp_path, kind, body, without(fallen))


@pytest.mark.parametrize("kind", sorted(PARTITIONS))  # engines outside lie in test_engines.py
def test_hints_of_nothing_are_dropped_and_the_next_best_comes(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stale, foreign or invented: they shorten nothing, and the alarm sounds."""

    async def body(house: House) -> None:
        await fill(house, A, BETAS, 3)
        head = await house.stores.documents._books.head(A, "default")
        assert head is not None
        alphas = await house.stores.documents._records.group_names(A, [head.index])
        await fill(house, B, BETAS, 6)
        honest = await house.stores.documents.search(B, "planted", k=4)
        partition = PARTITIONS[kind]
        true = partition.nearest

        async def lying(self: object, index: bytes, vector: Sequence[float], *, limit: int, **rest: object) -> object:
            invented = [Near(bytes([number]) * 32, number, 1.0) for number in range(7)]
            other = house.backend.partition(ALPHA, "documents")
            invented += await true(other, alphas[0], vector, limit=3)  # type: ignore[arg-type]  # of the same class
            assert len(invented) == 10
            real = await true(self, index, vector, limit=limit, **rest)  # type: ignore[arg-type]  # passed on
            gone = [Near(real[0].group, 77, 1.0)]
            return [*invented, *gone, *real][:limit]

        monkeypatch.setattr(partition, "nearest", lying)
        assert await house.stores.documents.search(B, "planted", k=4) == honest
        assert {alarm.wall for alarm in house.alarms} == {Wall.VERIFICATION}
        assert {alarm.reason for alarm in house.alarms} == {
            "the index named pieces of no document that is there for this tenant",
            "the index named a piece that isn't there for this tenant",
        }

    in_house(tmp_path, kind, body)


@each_engine
def test_an_engine_that_ignores_the_filter_widens_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(house: House) -> None:
        await fill(house, B, BETAS, 6)
        wanted = {"type": "gte", "key": "number", "value": 4}
        honest = await house.stores.documents.search(B, "planted", k=5, filters=wanted)
        assert len(honest) == 2
        assert house.alarms == []
        partition: type[VectorPartition] = PARTITIONS.get(kind, BesidePartition)
        true = partition.nearest

        async def ignoring(self: object, *names: object, groups: object, **rest: object) -> object:
            return await true(self, *names, **rest)  # type: ignore[arg-type]  # passed on

        monkeypatch.setattr(partition, "nearest", ignoring)
        assert await house.stores.documents.search(B, "planted", k=5, filters=wanted) == honest
        assert house.alarms

    in_house(tmp_path, kind, body)


@each_engine
def test_what_a_tenant_sees_is_the_same_beside_a_neighbour(tmp_path: Path, kind: str) -> None:
    folders = {beside: tmp_path / f"{beside}" for beside in (False, True)}
    for folder in folders.values():
        folder.mkdir()

    async def seen_by_beta(*, beside: bool) -> list[str]:
        async with house_in(folders[beside], kind, None, there(kind)) as house:
            if beside:
                await house.stores.documents.add(A, name="many", data=" ".join([f"{BETAS}."] * 20_000).encode())
            ids = await USES["documents"].plant(house.stores, B, BETAS)
            if beside:
                await USES["documents"].plant(house.stores, A, BETAS)
            seen = renamed(await USES["documents"].look(house.stores, B, ids), {})
            assert house.alarms == []
            return seen

    async def main() -> None:
        alone = await seen_by_beta(beside=False)
        assert await seen_by_beta(beside=True) == alone
        assert any(BETAS in each for each in alone)

    asyncio.run(main())
