"""The knowledge graph: what it promises beyond the contract of all stores, and a model of twenty lines beside it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.stores.houses import ALPHA, BETA, House, house_in, scope_of
from tests.stores.uses import observed

from partywall.errors import BadRequest, Missing, PayloadTooLarge, QuotaExceeded
from partywall.stores import Direction, Graph
from partywall.stores import graph as module
from partywall.stores.backends.base import Change

A, B = scope_of(ALPHA), scope_of(BETA)


def in_house(folder: Path, body: Callable[[House], Awaitable[None]], kind: str = "memory") -> None:
    async def main() -> None:
        async with house_in(folder, kind) as house:
            await body(house)

    asyncio.run(main())


async def chain(graph: Graph, scope: Any, ids: Sequence[str], relation: str = "knows") -> None:
    for each in ids:
        await graph.put_node(scope, "person", {"of": scope.tenant}, node_id=each)
    for source, target in pairwise(ids):
        await graph.put_edge(scope, source, relation, target)


# -- C32: no pivot through a shared entity ---


def test_equal_ids_in_two_tenants_never_join(tmp_path: Path) -> None:
    """`acme` is known to both. Beta's walk through it comes out at beta's own, and at nothing of alpha's."""

    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["ann", "acme", "alphas-secret"])
        await chain(graph, B, ["bob", "acme"])
        assert [each.node.id for each in (await graph.walk(B, "bob", ["knows"], depth=4)).items] == ["acme"]
        assert (await graph.neighbours(B, "acme")).items == ()
        (into,) = (await graph.neighbours(B, "acme", direction=Direction.IN)).items
        assert (into.node.id, into.node.properties) == ("bob", {"of": "beta"})
        assert (await graph.get_node(B, "acme")).properties == {"of": "beta"}
        for foreign in ("ann", "alphas-secret"):
            missing = await observed(graph.put_edge(B, "acme", "knows", "nobody"))
            assert await observed(graph.put_edge(B, "acme", "knows", foreign)) == missing
            assert await observed(graph.walk(B, foreign, ["knows"])) == await observed(graph.walk(B, "x", ["knows"]))
        await graph.delete_node(B, "acme")
        assert len((await graph.walk(A, "ann", ["knows"], depth=4)).items) == 2

    in_house(tmp_path, body)


def test_each_hop_is_verified_anew(tmp_path: Path) -> None:
    """A row that stands in the wrong place is dropped on the way, with an alarm, and the walk doesn't pass it."""

    async def body(house: House) -> None:
        graph = house.stores.graph
        for scope in (A, B):
            await chain(graph, scope, ["one", "two", "three"])
        alphas, betas = house.backend.partition(ALPHA, "graph"), house.backend.partition(BETA, "graph")
        get = betas.get

        async def foreign(group: bytes, key: bytes) -> Any:
            row = await get(group, key)
            theirs = list(alphas.rows.values())  # type: ignore[attr-defined]  # of the memory backend
            return row and theirs[0]._replace(group=group, key=key)

        betas.get = foreign  # type: ignore[method-assign]  # on this one partition
        with pytest.raises(Missing):
            await graph.walk(B, "one", ["knows"])
        assert house.alarms
        reads = 0

        async def from_the_second_on(group: bytes, key: bytes) -> Any:
            nonlocal reads
            reads += 1
            return await (get if reads <= 3 else foreign)(group, key)

        betas.get = from_the_second_on  # type: ignore[method-assign]  # likewise
        walked = await graph.walk(B, "one", ["knows"], depth=4)
        assert [each.node.id for each in walked.items] == ["two"]
        assert all(each.node.properties == {"of": "beta"} for each in walked.items)

    in_house(tmp_path, body)


# -- Walks ---


def test_a_walk_comes_to_each_node_once_the_nearest_first(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b", "c", "d", "e", "f"])
        await graph.put_edge(A, "c", "knows", "a")
        await graph.put_edge(A, "a", "likes", "d")
        for depth in range(1, 5):
            walked = await graph.walk(A, "a", ["knows"], depth=depth)
            expected = [("b", 1), ("c", 2), ("d", 3), ("e", 4)][:depth]
            assert [(each.node.id, each.depth) for each in walked.items] == expected
            assert not walked.has_more
        both = await graph.walk(A, "a", ["knows", "likes"], depth=2)
        assert [(each.node.id, each.depth) for each in both.items] == [("b", 1), ("d", 1), ("c", 2), ("e", 2)]
        assert both.items[1].edge.relation == "likes"
        cut = await graph.walk(A, "a", ["knows", "likes"], depth=2, limit=3)
        assert (cut.items, cut.has_more) == (both.items[:3], True)
        exact = await graph.walk(A, "a", ["knows", "likes"], depth=2, limit=4)
        assert (exact.items, exact.has_more) == (both.items, False)

    in_house(tmp_path, body)


def test_a_walk_looks_at_a_bounded_number_of_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 5)

    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, [str(n) for n in range(4)])
        for source in "0123":
            for target in "0123":
                await graph.put_edge(A, source, "knows", target)
        assert (await graph.walk(A, "0", ["knows"], depth=1)).has_more is False
        await graph.put_node(A, "person", {}, node_id="far")
        await graph.put_edge(A, "3", "knows", "far")
        walked = await graph.walk(A, "0", ["knows"], depth=4)
        assert walked.has_more
        assert "far" not in {each.node.id for each in walked.items}

    in_house(tmp_path, body)


# -- Deleting ---


def test_a_node_goes_with_its_edges(tmp_path: Path) -> None:
    """R6: nothing of them is left at the other ends, and nothing else is gone."""

    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b", "c"])
        partition = house.backend.partition(ALPHA, "graph")
        before = await partition.count()
        await graph.put_node(A, "hub", {"name": "h"}, node_id="h", searchable=["name"])
        for each in "abch":
            await graph.put_edge(A, "h", "has", each)
            await graph.put_edge(A, each, "in", "h")
        await graph.delete_node(A, "h")
        assert await partition.count() == before
        assert (await graph.neighbours(A, "a", direction=Direction.IN)).items == ()
        assert [each.node.id for each in (await graph.neighbours(A, "a")).items] == ["b"]
        for each in "abc":
            await graph.delete_node(A, each)
        assert await partition.count() == 0

    in_house(tmp_path, body, "sqlite")


@pytest.mark.parametrize(
    "meanwhile", ["edge out", "edge in", "edge afar", "edge to itself", "node again", "other end gone"]
)
def test_what_happens_meanwhile_is_not_left_behind(tmp_path: Path, meanwhile: str) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b", "c"])
        await graph.put_node(A, "person", {}, node_id="d")
        partition = house.backend.partition(ALPHA, "graph")
        commit = partition.commit
        acts: list[Callable[[], Awaitable[object]]] = [
            {
                "edge out": lambda: graph.put_edge(A, "b", "new", "a"),
                "edge in": lambda: graph.put_edge(A, "c", "new", "b"),
                "edge afar": lambda: graph.put_edge(A, "b", "new", "d"),
                "edge to itself": lambda: graph.put_edge(A, "b", "new", "b"),
                "node again": lambda: graph.put_node(A, "other", {"p": 1}, node_id="b", searchable=["p"]),
                "other end gone": lambda: graph.delete_node(A, "c"),
            }[meanwhile]
        ]

        async def interrupted(changes: Sequence[Change]) -> bool:
            if acts:
                await acts.pop()()
            return await commit(changes)

        partition.commit = interrupted  # type: ignore[method-assign]  # on this one partition
        assert await observed(graph.delete_node(A, "b")) == "None"
        left = {"a", "c", "d"} - ({"c"} if meanwhile == "other end gone" else set())
        assert {node.id for node in (await graph.list_nodes(A)).items} == left
        for each in left:
            for direction in Direction:
                assert (await graph.neighbours(A, each, direction=direction)).items == ()
        assert await partition.count() == 2 * len(left)

    in_house(tmp_path, body)


def test_no_edge_leads_to_a_node_that_goes_meanwhile(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b"])
        partition = house.backend.partition(ALPHA, "graph")
        commit, acts = partition.commit, [lambda: graph.delete_node(A, "b")]

        async def interrupted(changes: Sequence[Change]) -> bool:
            if acts:
                await acts.pop()()
            return await commit(changes)

        partition.commit = interrupted  # type: ignore[method-assign]  # on this one partition
        with pytest.raises(Missing):
            await graph.put_edge(A, "a", "new", "b")
        assert await partition.count() == 2

    in_house(tmp_path, body)


@pytest.mark.parametrize("turns", range(0, 90, 6))
def test_cancelled_at_any_await_nothing_is_by_halves(tmp_path: Path, turns: int) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b", "c"])
        doing = asyncio.ensure_future(graph.delete_node(A, "b"))
        for _ in range(turns):
            await asyncio.sleep(0)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        whole = {node.id for node in (await graph.list_nodes(A)).items} == {"a", "b", "c"}
        assert len((await graph.neighbours(A, "a")).items) == whole
        assert len((await graph.neighbours(A, "c", direction=Direction.IN)).items) == whole
        assert len((await graph.list_nodes(A, "person")).items) == 2 + whole

    in_house(tmp_path, body, "sqlite")


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await graph.put_node(A, "hub", {}, node_id="hub")
        await asyncio.gather(*(graph.put_node(A, "leaf", {}, node_id=str(n)) for n in range(6)))
        await asyncio.gather(*(graph.put_edge(A, "hub", "has", str(n)) for n in range(6)))
        assert {each.node.id for each in (await graph.neighbours(A, "hub")).items} == set("012345")

    in_house(tmp_path, body, "sqlite")


# -- Values and bounds ---


def test_a_value_is_matched_whole(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        values: list[Any] = ["1", 1, 1.0, True, "true", "caf\u00e9", "cafe\u0301", "%", "' OR ''='"]
        for number, value in enumerate(values):
            await graph.put_node(A, "k", {"p": value, "q": value}, node_id=f"n{number}", searchable=["p"])
        for number, value in enumerate(values):
            found = (await graph.search(A, "k", "p", value)).items
            assert [node.id for node in found] == [f"n{number}"]
            assert (await graph.search(A, "k", "q", value)).items == ()
            assert (await graph.search(A, "other", "p", value)).items == ()
            assert (await graph.search(B, "k", "p", value)).items == ()
        await graph.put_node(A, "k", {"p": "moved"}, node_id="n0", searchable=["p"])
        assert (await graph.search(A, "k", "p", "1")).items == ()
        await graph.put_node(A, "k", {"p": "moved"}, node_id="n0")
        assert (await graph.search(A, "k", "p", "moved")).items == ()

    in_house(tmp_path, body)


def test_putting_again_keeps_edges_and_the_day_of_making(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b"])
        made = await graph.get_node(A, "a")
        edge = (await graph.neighbours(A, "a")).items[0].edge
        house.now += 60
        again = await graph.put_node(A, "robot", {"p": 1}, node_id="a", searchable=["p"])
        assert (again.created, again.kind) == (made.created, "robot")
        assert again == await graph.get_node(A, "a")
        assert (await graph.list_nodes(A, "person")).items == (await graph.get_node(A, "b"),)
        changed = await graph.put_edge(A, "a", "knows", "b", {"since": 2020})
        assert (changed.id, changed.created, changed.properties) == (edge.id, edge.created, {"since": 2020})
        assert [each.edge for each in (await graph.neighbours(A, "a")).items] == [changed]

    in_house(tmp_path, body)


@pytest.mark.parametrize("bad", ["", "x" * 257, "\ud800", None, 7, b"a", ["a"], {"$ne": ""}])
def test_what_is_no_name_is_refused(tmp_path: Path, bad: Any) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b"])
        questions: list[Callable[[], Awaitable[object]]] = [
            lambda: graph.put_node(A, bad, {}),
            lambda: graph.put_node(A, "k", {"p": 1}, searchable=[bad]),
            lambda: graph.get_node(A, bad),
            lambda: graph.delete_node(A, bad),
            lambda: graph.search(A, bad, "p", 1),
            lambda: graph.search(A, "k", bad, 1),
            lambda: graph.put_edge(A, "a", bad, "b"),
            lambda: graph.put_edge(A, bad, "knows", "b"),
            lambda: graph.delete_edge(A, "a", "knows", bad),
            lambda: graph.walk(A, "a", [bad]),
            lambda: graph.walk(A, bad, ["knows"]),
        ]
        if bad is not None:
            questions += [
                lambda: graph.put_node(A, "k", {}, node_id=bad),
                lambda: graph.list_nodes(A, bad),
                lambda: graph.neighbours(A, "a", bad),
            ]
        for question in questions:
            with pytest.raises(BadRequest):
                await question()
        assert len((await graph.list_nodes(A)).items) == 2

    in_house(tmp_path, body)


@pytest.mark.parametrize("value", ["", None, [], {}, ["a"], float("nan"), 2**70, b"a", "\ud800"], ids=repr)
def test_what_is_no_value_finds_nothing_and_is_not_kept(tmp_path: Path, value: Any) -> None:
    async def body(house: House) -> None:
        graph = house.stores.graph
        await graph.put_node(A, "k", {"p": "x"}, searchable=["p"])
        with pytest.raises(BadRequest):
            await graph.search(A, "k", "p", value)
        with pytest.raises(BadRequest):
            await graph.put_node(A, "k", {"p": value}, searchable=["p"])

    in_house(tmp_path, body)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_EDGES", 3)

    async def body(house: House) -> None:
        graph = house.stores.graph
        await chain(graph, A, ["a", "b"])
        with pytest.raises(PayloadTooLarge):
            await graph.put_node(A, "k", {"p": "x" * 65_536})
        with pytest.raises(PayloadTooLarge):
            await graph.put_edge(A, "a", "r", "b", {"p": "x" * 65_536})
        with pytest.raises(BadRequest):
            await graph.put_node(A, "k", {str(n): n for n in range(17)}, searchable=[str(n) for n in range(17)])
        for wrong in ("p", ["q"]):
            with pytest.raises(BadRequest):
                await graph.put_node(A, "k", {"p": 1}, searchable=wrong)
        for relation in ("r", "s"):
            await graph.put_edge(A, "a", relation, "b")
        with pytest.raises(QuotaExceeded):
            await graph.put_edge(A, "b", "one too many", "a")
        await graph.put_edge(A, "a", "r", "b", {"an": "update"})
        await graph.delete_edge(A, "a", "r", "b")
        await graph.put_edge(A, "b", "not too many", "a")
        await graph.delete_edge(A, "a", "s", "b")
        for _ in range(4):
            await graph.put_node(A, "k", {}, node_id="comes and goes")
            await graph.put_edge(A, "comes and goes", "r", "b")
            await graph.delete_node(A, "comes and goes")
            await graph.delete_edge(A, "b", "not too many", "a")
            await graph.put_edge(A, "b", "not too many", "a")
        walks: list[dict[str, Any]] = [{"depth": 0}, {"depth": 5}, {"depth": True}, {"limit": 0}, {"limit": 1001}]
        for how in walks:
            with pytest.raises(BadRequest):
                await graph.walk(A, "a", ["r"], **how)
        for relations in ([], "r", ["r"] * 17):
            with pytest.raises(BadRequest):
                await graph.walk(A, "a", relations)
        with pytest.raises(Missing):
            await graph.put_node(A, "k", {}, node_id="node_" + "0" * 32)

    in_house(tmp_path, body)


# -- A model ---

IDS: Final = ("a", "ab", "A", "\u0430")
RELATIONS: Final = ("r", "rr")


class Model:
    """One tenant's graph, as simple as it can be."""

    def __init__(self) -> None:
        self.nodes: dict[str, tuple[str, object]] = {}
        self.edges: dict[tuple[str, str, str], object] = {}

    def put_edge(self, source: str, relation: str, target: str, value: object) -> bool:
        if not {source, target} <= set(self.nodes):
            return False
        self.edges[source, relation, target] = value
        return True

    def delete_node(self, node_id: str) -> bool:
        self.edges = {edge: value for edge, value in self.edges.items() if node_id not in (edge[0], edge[2])}
        return self.nodes.pop(node_id, None) is not None

    def walk(self, start: str, relation: str, depth: int) -> set[str]:
        reached = {start}
        for _ in range(depth):
            reached |= {target for source, r, target in self.edges if source in reached and r == relation}
        return reached - {start}


class Machine(RuleBasedStateMachine):
    """Two tenants with the same ids, each beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.house = self.runner.run(self.stack.enter_async_context(house_in(Path(self.folder.name), "memory")))
        self.graph = self.house.stores.graph
        self.models = {scope_of(tenant): Model() for tenant in (ALPHA, BETA)}
        self.scopes = list(self.models)

    def did(self, doing: Awaitable[object]) -> bool:
        async def main() -> bool:
            try:
                await doing
            except Missing:
                return False
            return True

        return self.runner.run(main())

    who, node = st.integers(0, 1), st.sampled_from(IDS)
    relation, value = st.sampled_from(RELATIONS), st.sampled_from([1, "1", True])

    @rule(who=who, node=node, kind=st.sampled_from(["k", "kk"]), value=value)
    def put_node(self, who: int, node: str, kind: str, value: object) -> None:
        scope = self.scopes[who]
        assert self.did(self.graph.put_node(scope, kind, {"p": value}, node_id=node, searchable=["p"]))
        self.models[scope].nodes[node] = (kind, value)

    @rule(who=who, node=node)
    def delete_node(self, who: int, node: str) -> None:
        scope = self.scopes[who]
        assert self.did(self.graph.delete_node(scope, node)) == self.models[scope].delete_node(node)

    @rule(who=who, source=node, relation=relation, end=node, value=value)
    def put_edge(self, who: int, source: str, relation: str, end: str, value: object) -> None:
        scope = self.scopes[who]
        done = self.did(self.graph.put_edge(scope, source, relation, end, {"p": value}))
        assert done == self.models[scope].put_edge(source, relation, end, value)

    @rule(who=who, source=node, relation=relation, end=node)
    def delete_edge(self, who: int, source: str, relation: str, end: str) -> None:
        scope = self.scopes[who]
        done = self.did(self.graph.delete_edge(scope, source, relation, end))
        there = self.models[scope].edges.pop((source, relation, end), None) is not None
        assert done == there

    @invariant()
    def both_agree_with_their_models(self) -> None:
        for scope, model in self.models.items():
            self.runner.run(self._agrees(scope, model))
        assert self.house.alarms == []

    async def _agrees(self, scope: Any, model: Model) -> None:
        graph = self.graph
        listed = {node.id: (node.kind, node.properties["p"]) for node in (await graph.list_nodes(scope)).items}
        assert repr(sorted(listed.items())) == repr(sorted(model.nodes.items()))
        for kind, value in (("k", 1), ("k", True), ("kk", "1")):
            found = {node.id for node in (await graph.search(scope, kind, "p", value)).items}
            assert found == {i for i, held in model.nodes.items() if repr(held) == repr((kind, value))}
        for here in model.nodes:
            for direction, end in ((Direction.OUT, 0), (Direction.IN, 2)):
                page = await graph.neighbours(scope, here, direction=direction)
                seen = [((e.edge.source, e.edge.relation, e.edge.target), e.edge.properties["p"]) for e in page.items]
                assert repr(seen) == repr([each for each in model.edges.items() if each[0][end] == here])
                assert [each.node.id for each in page.items] == [edge[2 - end] for edge, _ in seen]
            walked = (await graph.walk(scope, here, ["r"], depth=2)).items
            assert {each.node.id for each in walked} == model.walk(here, "r", 2)

    def teardown(self) -> None:
        try:
            for scope in self.scopes:
                self.runner.run(self._emptied(scope))
            self.runner.run(self.stack.aclose())
        finally:
            self.runner.close()
            self.folder.cleanup()

    async def _emptied(self, scope: Any) -> None:
        """Whatever was done: when the nodes are gone, nothing is left."""
        for node in self.models[scope].nodes:
            await self.graph.delete_node(scope, node)
        assert await self.house.backend.partition(scope.tenant, "graph").count() == 0


def test_it_behaves_like_its_model() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
