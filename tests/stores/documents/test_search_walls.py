"""A search through its walls: an index that lies, pieces of other namespaces, and what is told of them.

In every one of these houses alpha and beta have the same collection, and beta asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.stores.fallen import ALL_BUT_ALL, EVERYTHING, without
from tests.stores.houses import ALPHA, BETA, House, WallsOf, house_in, scope_of

from partywall.stores import Retrieval, Stores, Wall
from partywall.stores.documents.index import Candidate, Index
from partywall.stores.documents.metadata import Value
from partywall.stores.documents.shelf import OpenCollection
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Vectors

A, B = scope_of(ALPHA), scope_of(BETA)
ALPHAS, BETAS = "planted-by-alpha", "planted-by-beta"


def in_house(folder: Path, body: Callable[[House], Awaitable[None]], walls_of: WallsOf | None = None) -> None:
    async def main() -> None:
        async with house_in(folder, "memory", walls_of) as house:
            await body(house)

    asyncio.run(main())


async def fill(house: House, scope: TenantScope, mark: str, pieces: int = 8) -> None:
    for number in range(pieces):
        await house.stores.documents.add(scope, name=f"{number}", data=f"{mark} {number}".encode())


def opened_of(house: House, scope: TenantScope) -> OpenCollection:
    opened = house.stores.documents._shelf.get(scope.tenant, "default")
    assert opened is not None
    return opened


def index_of(house: House, scope: TenantScope) -> Index:
    index = opened_of(house, scope).index
    assert isinstance(index, Index)
    return index


def believed(house: House, scope: TenantScope, index: Index) -> None:
    """From now on, that is the index of the tenant's collection."""
    opened = replace(opened_of(house, scope), index=index)
    house.stores.documents._shelf.put(scope.tenant, "default", opened)


class LyingIndex(Index):
    """An index that yields alpha's pieces before beta's own, as a shared one with a lost filter would."""

    def __init__(self, own: Index, foreign: Index) -> None:
        super().__init__(own.stamp, own.model, own.dimensions, (), ())
        self._own, self._foreign = own, foreign

    def __len__(self) -> int:
        return len(self._own) + len(self._foreign)

    def nearest(
        self, vector: Vectors, count: int, allowed: Callable[[Mapping[str, Value]], bool] | None = None
    ) -> list[Candidate]:
        return [*self._foreign.nearest(vector, count), *self._own.nearest(vector, count, allowed)][:count]


async def lied_to(house: House, **question: Any) -> tuple[str, str]:
    """What beta finds with its own index, and with one that holds alpha's pieces too."""
    for scope, mark in ((A, ALPHAS), (B, BETAS)):
        await fill(house, scope, mark, 4)
        await house.stores.documents.search(scope, "planted", k=3)
    house.alarms.clear()
    honest = repr(await house.stores.documents.search(B, "planted", **question))
    assert house.alarms == []
    believed(house, B, LyingIndex(index_of(house, B), index_of(house, A)))
    return honest, repr(await house.stores.documents.search(B, "planted", **question))


@pytest.mark.parametrize("k", [1, 3, 50])
@pytest.mark.parametrize("fallen", ALL_BUT_ALL, ids=lambda fallen: "+".join(fallen) or "none")
def test_an_index_that_lies_gets_nothing_across(tmp_path: Path, fallen: tuple[str, ...], k: int) -> None:
    """With any two walls gone as well. And beta's answer is the same, byte for byte: the next best took their place."""

    async def body(house: House) -> None:
        honest, lied = await lied_to(house, k=k)
        assert lied == honest
        assert ALPHAS not in lied
        assert house.alarms
        assert not any(ALPHAS in str(alarm) or "alpha" in str(alarm) for alarm in house.alarms)

    in_house(tmp_path, body, without(fallen))


@pytest.mark.parametrize("fallen", ALL_BUT_ALL, ids=lambda fallen: "+".join(fallen) or "none")
def test_an_index_that_lies_over_mixed_rows_gets_nothing_across(tmp_path: Path, fallen: tuple[str, ...]) -> None:
    """The placement wall falls after the index was loaded: alpha's rows are there for the asking."""

    async def body(house: House) -> None:
        await lied_to(house, k=3)
        house.looking = True
        assert ALPHAS not in repr(await house.stores.documents.search(B, "planted", k=50))

    in_house(tmp_path, body, without(fallen))


@pytest.mark.parametrize("fallen", EVERYTHING, ids="+".join)
def test_with_every_wall_gone_it_does_get_across(tmp_path: Path, fallen: tuple[str, ...]) -> None:
    async def body(house: House) -> None:
        await lied_to(house, k=3)
        house.looking = True
        house.stores.documents._shelf.drop(B.tenant, "default")
        assert ALPHAS in repr(await house.stores.documents.search(B, "planted", k=50))

    in_house(tmp_path, body, without(fallen))


class Restamped(LyingIndex):
    """Another collection's index, with the stamp of the one that it is taken for."""

    def nearest(
        self, vector: Vectors, count: int, allowed: Callable[[Mapping[str, Value]], bool] | None = None
    ) -> list[Candidate]:
        return self._foreign.nearest(vector, count)


@pytest.mark.parametrize("looking", [False, True], ids=["own rows", "mixed rows"])
@pytest.mark.parametrize("fallen", ALL_BUT_ALL, ids=lambda fallen: "+".join(fallen) or "none")
def test_a_shelf_that_mixes_tenants_up_gets_nothing_across(
    tmp_path: Path,
    fallen: tuple[str, ...],
    looking: bool,
) -> None:
    """What is remembered of alpha's documents, names and metadata, answers nothing that beta asks: no piece, no hit."""

    async def body(house: House) -> None:
        for scope, mark in ((A, ALPHAS), (B, BETAS)):
            for number in range(4):
                data, said = f"{mark} {number}".encode(), {"said": f"{mark} {number}"}
                await house.stores.documents.add(scope, name=f"{mark} {number}", data=data, metadata=said)
            await house.stores.documents.search(scope, "planted", k=3)
        shelf, alphas, betas = house.stores.documents._shelf, opened_of(house, A), opened_of(house, B)
        for mixed in (alphas, replace(alphas, index=Restamped(index_of(house, B), index_of(house, A))), betas):
            house.looking = looking
            shelf.put(BETA, "default", mixed)
            assert ALPHAS not in repr(await house.stores.documents.search(B, "planted", k=50))
        assert house.alarms

    in_house(tmp_path, body, without(fallen))


def test_an_index_that_ignores_the_filter_widens_nothing(tmp_path: Path) -> None:
    """R5: also within a tenant, what the filter excludes doesn't come, whoever forgot it."""

    class Ignoring(LyingIndex):
        def nearest(
            self, vector: Vectors, count: int, allowed: Callable[[Mapping[str, Value]], bool] | None = None
        ) -> list[Candidate]:
            return self._own.nearest(vector, count)

    async def body(house: House) -> None:
        documents = house.stores.documents
        for number in range(6):
            await documents.add(B, name=f"{number}", data=f"piece {number}".encode(), metadata={"number": number})
        wanted = {"type": "gte", "key": "number", "value": 4}
        honest = await documents.search(B, "piece", k=5, filters=wanted)
        believed(house, B, Ignoring(index_of(house, B), index_of(house, B)))
        assert await documents.search(B, "piece", k=5, filters=wanted) == honest
        assert len(honest) == 2
        assert {alarm.wall for alarm in house.alarms} == {Wall.VERIFICATION}

    in_house(tmp_path, body)


# -- Namespaces ---


def foreign_pieces(house: House, count: int) -> None:
    """From now on, the first pieces that beta stores say that they are of another namespace."""
    ingestion = house.stores.documents._ingestion
    true, left = ingestion.namespace, [count]

    def false(scope: TenantScope) -> str:
        left[0] -= 1
        return "t_alpha" if left[0] >= 0 else true(scope)

    ingestion.namespace = false  # type: ignore[method-assign]  # as a writer with the wrong namespace would


def settled(house: House, settings: Retrieval) -> None:
    house.stores = Stores(house.walls, house.clock, settings)


def test_a_piece_of_another_namespace_is_dropped_and_reported(tmp_path: Path) -> None:
    """The last check of all, when whatever wrote the piece was wrong; and the next best takes its place."""

    async def body(house: House) -> None:
        foreign_pieces(house, 3)
        await fill(house, B, BETAS)
        del house.stores.documents._ingestion.namespace
        hits = await house.stores.documents.search(B, "planted", k=5)
        assert sorted(hit.document_name for hit in hits) == ["3", "4", "5", "6", "7"]
        assert house.alarms
        assert all("namespace" in alarm.reason and "alpha" not in str(alarm) for alarm in house.alarms)

    in_house(tmp_path, body)


@pytest.mark.parametrize(("threshold", "alarms"), [(None, 0), (0, 1), (2, 1), (3, 0)])
def test_namespaces_are_counted_in_each_result(tmp_path: Path, threshold: int | None, alarms: int) -> None:
    async def body(house: House) -> None:
        settled(house, Retrieval(verify_namespace=False, alert_threshold=threshold))
        foreign_pieces(house, 3)
        await fill(house, B, BETAS)
        del house.stores.documents._ingestion.namespace
        await house.stores.documents.search(B, "planted", k=8)
        assert [alarm.reason for alarm in house.alarms] == alarms * [
            "3 of 8 pieces found by one search are of other namespaces"
        ]

    in_house(tmp_path, body)


def test_the_namespace_is_the_one_that_the_document_states(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        settled(house, Retrieval(namespace_format="customers/{tenant_id}/v1", alert_threshold=0))
        await fill(house, B, BETAS, 2)
        assert len(await house.stores.documents.search(B, "planted")) == 2
        assert house.alarms == []
        settled(house, Retrieval(namespace_format="other/{tenant_id}", alert_threshold=0))
        assert await house.stores.documents.search(B, "planted") == ()
        assert len(house.alarms) == 3

    in_house(tmp_path, body)


# -- What a neighbour moves: nothing ---


def test_a_neighbour_moves_neither_scores_nor_order(tmp_path: Path) -> None:
    """C33: what beta finds, with alpha's thousand pieces of the same words beside it and without."""

    async def body(house: House) -> None:
        await fill(house, B, BETAS)
        alone = repr(await house.stores.documents.search(B, "planted", k=50))
        data = " ".join([f"{BETAS}."] * 50_000).encode()
        await house.stores.documents.add(A, name="many", data=data)
        await house.stores.documents.search(A, "planted", k=50)
        house.stores.documents._shelf.drop_tenant(B.tenant)
        assert repr(await house.stores.documents.search(B, "planted", k=50)) == alone

    in_house(tmp_path, body)
