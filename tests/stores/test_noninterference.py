"""What beta observes of the stores is the same whether or not other tenants exist.

One house serves beta alone, another serves beta and four more, whose ids are beta's prefix, its extension and the like.
Whatever they do there, every answer to beta is the same in both, refusals and their words included, once ids that the
server made are renamed by their order of appearance. The clocks stand still. `test_the_machine_can_fail` plants a
unique constraint over all tenants, and sees it found.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.stores.fallen import without
from tests.stores.houses import House, house_in, scope_of
from tests.stores.memory_backend import MemoryBackend, MemoryPartition
from tests.stores.places import PLACED, POSTGRES
from tests.stores.uses import USES, observed, renamed

from partywall.stores import Direction, Stores
from partywall.stores.backends.base import Change, Insert, VectorChange
from partywall.tenancy import Secret, TenantId, TenantScope

OTHERS: Final = ("bet", "beta2", "beta-", "alpha")
"""Prefix, extension, look-alike, stranger."""
WORDS: Final = ("a", "conv-1", "A", "\u00e9", "e\u0301", "\u0435", "", "%", "a' OR ''='")
"""Composed and decomposed, a Cyrillic twin, another case, nothing, a wildcard, an injection."""

Op = tuple[str, int, str, str]
"""What, with which of the ids seen so far, a word, another word."""

WHAT: Final = [
    *("append", "create", "delete", "list", "messages", "after", "note", "search", "forget", "wipe", "set"),
    *("tell", "told", "untell", "node", "unnode", "edge", "unedge", "near", "find", "walk"),
    *("learn", "ask", "learnt", "unlearn", "shelve", "fill", "unshelve", "keep", "kept"),
    *("unset", "put", "take", "tools", "trace", "traces", "untrace", "start", "verify", "end"),
]

word = st.sampled_from(WORDS)
operations = st.tuples(
    st.sampled_from(WHAT),
    st.integers(0, 30),
    word,
    word,
)


async def do(stores: Stores, scope: TenantScope, op: Op, ids: Sequence[str]) -> str:
    """One operation, and what came of it."""
    what, number, one, two = op
    known = ids[number % len(ids)] if ids and number % 3 else one
    conversations, memory, traces = stores.conversations, stores.memory, stores.trace_sessions
    graph, documents, files = stores.graph, stores.documents, stores.files
    questions: dict[str, Any] = {
        "append": lambda: conversations.append(scope, known, role="user", content=two),
        "create": lambda: conversations.create(scope, own_id=one),
        "delete": lambda: conversations.delete(scope, known),
        "list": lambda: conversations.list_own(scope, limit=2, backwards=number % 2 == 0),
        "messages": lambda: conversations.messages(scope, known, limit=2),
        "after": lambda: conversations.messages(scope, one, after=known, backwards=number % 2 == 0),
        "note": lambda: memory.add(scope, one, "text", tags=[two]),
        "search": lambda: memory.search(scope, one, two),
        "forget": lambda: memory.forget(scope, one, known),
        "wipe": lambda: memory.forget_all(scope, one),
        "set": lambda: stores.preferences.put(scope, one, two),
        "unset": lambda: stores.preferences.remove(scope, one),
        "put": lambda: stores.vault.put(scope, one, Secret(two or "x")),
        "take": lambda: stores.vault.get(scope, one),
        "learn": lambda: documents.add(scope, name=one, data=two.encode(), metadata={"said": two}),
        "ask": lambda: documents.search(
            scope, one, k=1 + number % 3, filters={"type": "ne", "key": "said", "value": two} if number % 2 else None
        ),
        "learnt": lambda: documents.list_documents(scope, limit=2, backwards=number % 2 == 0),
        "unlearn": lambda: documents.delete(scope, known),
        "shelve": lambda: documents.create_collection(scope, name=one),
        "fill": lambda: documents.attach(scope, known, next((each for each in ids if each.startswith("file_")), two)),
        "unshelve": lambda: documents.delete_collection(scope, known),
        "keep": lambda: files.create(scope, name=one, data=two.encode()),
        "kept": lambda: files.content(scope, known),
        "node": lambda: graph.put_node(scope, "k", {"p": two}, node_id=one, searchable=["p"] if two else []),
        "unnode": lambda: graph.delete_node(scope, known),
        "edge": lambda: graph.put_edge(scope, one, "knows", known, {"p": two}),
        "unedge": lambda: graph.delete_edge(scope, one, "knows", known),
        "near": lambda: graph.neighbours(scope, known, direction=list(Direction)[number % 2], limit=2),
        "find": lambda: graph.search(scope, "k", "p", two),
        "walk": lambda: graph.walk(scope, known, ["knows"], depth=1 + number % 4),
        "tell": lambda: stores.system_prompts.put(scope, one),
        "told": lambda: stores.system_prompts.list_versions(scope, after=number % 3, limit=2),
        "untell": lambda: stores.system_prompts.clear(scope),
        "tools": lambda: stores.vault.list_tools(scope, limit=3),
        "trace": lambda: traces.record(scope, one, {"said": two}),
        "traces": lambda: traces.events(scope, one, limit=3),
        "untrace": lambda: traces.delete(scope, one),
        "start": lambda: stores.sessions.start(scope),
        "verify": lambda: stores.sessions.verify(scope, known),
        "end": lambda: stores.sessions.end_all(scope),
    }
    return await observed(questions[what]())


class Side:
    """One house, and what beta has seen in it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ids: dict[str, str] = {}

    async def beta(self, op: Op) -> str:
        text = await do(self.house.stores, scope_of("beta"), op, list(self.ids))
        return renamed([text], self.ids)[0]

    async def look(self, store: str) -> list[str]:
        texts = await USES[store].look(self.house.stores, scope_of("beta"), list(self.ids)[:4])
        return renamed(texts, self.ids)


class Neighbours(RuleBasedStateMachine):
    """Beta alone, and beta among others."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.foreign: dict[str, str] = {}
        self.alone, self.among = self.runner.run(self._open())

    async def _open(self) -> tuple[Side, Side]:
        sides = []
        for name in ("alone", "among"):
            folder = Path(self.folder.name) / name
            folder.mkdir()
            sides.append(Side(await self.stack.enter_async_context(house_in(folder, self.kind))))
        return sides[0], sides[1]

    @rule(op=operations)
    def beta_acts(self, op: Op) -> None:
        assert self.runner.run(self.alone.beta(op)) == self.runner.run(self.among.beta(op))

    @rule(who=st.sampled_from(OTHERS), op=operations)
    def another_acts(self, who: str, op: Op) -> None:
        """Others use beta's ids as well as their own."""
        ids = [*self.foreign, *self.among.ids]
        text = self.runner.run(do(self.among.house.stores, scope_of(who), op, ids))
        renamed([text], self.foreign)

    @rule(who=st.sampled_from(OTHERS), op=operations)
    def another_does_the_same_just_before(self, who: str, op: Op) -> None:
        """The same names at the same time: where a shared index or count would show."""
        self.another_acts(who, op)
        self.beta_acts(op)

    @rule(who=st.sampled_from(OTHERS))
    def another_erases_everything(self, who: str) -> None:
        if self.kind in POSTGRES and self.kind != "postgres" and who not in PLACED:
            return  # nothing is provisioned for it, so that whatever it asks for is refused
        self.runner.run(self.among.house.stores.erase(scope_of(who)))

    @rule(store=st.sampled_from(sorted(USES)))
    def beta_looks_at_everything(self, store: str) -> None:
        assert self.runner.run(self.alone.look(store)) == self.runner.run(self.among.look(store))

    def teardown(self) -> None:
        try:
            assert self.alone.house.alarms == self.among.house.alarms == []
            self.runner.run(self.stack.aclose())
        finally:
            self.runner.close()
            self.folder.cleanup()


def run(machine: type[Neighbours], examples: int, steps: int, *, derandomize: bool = True) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("kind", ["sqlite", "memory", "postgres"])
def test_noninterference(kind: str) -> None:
    run(type("Machine", (Neighbours,), {"kind": kind}), 6 if kind == "postgres" else 20, 40)


@pytest.mark.parametrize("kind", ["postgres-schemas", "postgres-databases"])
def test_noninterference_between_schemas_and_databases(kind: str) -> None:
    """Few and long: what costs is to empty both databases before each."""
    run(type("Machine", (Neighbours,), {"kind": kind}), 2, 60)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", POSTGRES)
def test_soak(kind: str) -> None:
    run(type("Machine", (Neighbours,), {"kind": kind}), 100, 60, derandomize=False)


class _SharedIds(MemoryPartition):
    """A unique constraint over all tenants: what R11 is made of."""

    def __init__(self, taken: set[bytes]) -> None:
        super().__init__()
        self._taken = taken

    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        new = {change.key for change in changes if isinstance(change, Insert)}
        if new & self._taken or not await super().commit(changes):
            return False
        self._taken.update(new)
        return True


class _SharingBackend(MemoryBackend):
    def __init__(self) -> None:
        super().__init__()
        self._taken: set[bytes] = set()

    def partition(self, tenant: TenantId, store: str) -> MemoryPartition:
        return self.partitions.setdefault((tenant, store), _SharedIds(self._taken))


class _Leaky(Neighbours):
    """Keys that are hashed without the tenant, in an index that all tenants share."""

    kind = "memory"

    async def _open(self) -> tuple[Side, Side]:
        sides = await super()._open()
        for side in sides:
            side.house.backend = _SharingBackend()
            side.house.stores = Stores(partial(without(("null key",)), side.house), side.house.clock)
        return sides


def test_the_machine_can_fail() -> None:
    """Existence becomes visible, and it is beta's refusal that shows it."""
    with pytest.raises(AssertionError):
        run(_Leaky, 30, 15)
