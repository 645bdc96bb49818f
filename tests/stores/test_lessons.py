"""LESSONS R1 to R7 and R11: one assertion for each, which ours holds and a naive version breaks.

The naive store is what was published again and again: one table, a filter by tenant where somebody thought of it.
R10 is in test_backends.py, beside the lanes that it is about.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.stores.houses import ALPHA, BACKENDS, BETA, House, house_in, scope_of

from partywall.errors import BadRequest, Conflict, Missing
from partywall.tenancy import TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
NOTHING = "nothing"


class Subject(Protocol):
    """A store of notes, as a caller sees it. What is refused reads as `nothing`."""

    async def add(self, who: TenantScope, name: str, note: str) -> str: ...
    async def get(self, who: TenantScope, note_id: str) -> str: ...
    async def search(self, who: TenantScope | None, name: str) -> str: ...
    async def claim(self, who: TenantScope, own_id: str, tenant: str | None = None) -> str: ...
    async def forget_all(self, who: TenantScope, name: str) -> None: ...
    async def left(self, who: TenantScope) -> int: ...


class Naive:
    """One table, an optional hint, a query put together from text."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, tenant TEXT, name TEXT, note TEXT)")
        self.db.execute("CREATE TABLE tags (note INTEGER, name TEXT)")
        self.db.execute("CREATE TABLE claims (own_id TEXT UNIQUE, tenant TEXT)")

    async def add(self, who: TenantScope, name: str, note: str) -> str:
        done = self.db.execute("INSERT INTO notes (tenant, name, note) VALUES (?, ?, ?)", (who.tenant, name, note))
        self.db.execute("INSERT INTO tags VALUES (?, ?)", (done.lastrowid, name))
        return str(done.lastrowid)

    async def get(self, who: TenantScope, note_id: str) -> str:
        found = self.db.execute("SELECT note FROM notes WHERE id = ?", (note_id,)).fetchone()  # R1: by id alone
        return NOTHING if found is None else str(found[0])

    async def search(self, who: TenantScope | None, name: str) -> str:
        query = "SELECT note FROM notes WHERE 1"
        if who is not None:  # R4: nobody is everybody
            query += f" AND tenant LIKE '{who.tenant}%'"
        if name:  # R4: an empty name is no filter
            query += f" AND name = '{name}'"
        return " ".join(str(row[0]) for row in self.db.execute(query)) or NOTHING

    async def claim(self, who: TenantScope, own_id: str, tenant: str | None = None) -> str:
        try:
            # R3: the caller's word for the tenant; R11: unique over all tenants
            self.db.execute("INSERT INTO claims VALUES (?, ?)", (own_id, tenant or who.tenant))
        except sqlite3.IntegrityError:
            return "taken"
        return tenant or who.tenant

    async def forget_all(self, who: TenantScope, name: str) -> None:
        # R6: too much (every tenant's of that name) and too little (the tags stay)
        self.db.execute("DELETE FROM notes WHERE name = ?", (name,))

    async def left(self, who: TenantScope) -> int:
        return int(self.db.execute("SELECT (SELECT count(*) FROM notes) + (SELECT count(*) FROM tags)").fetchone()[0])


class Ours:
    """The same, with agents for names."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def add(self, who: TenantScope, name: str, note: str) -> str:
        return (await self.house.stores.memory.add(who, name, note, tags=[name])).id

    async def get(self, who: TenantScope, note_id: str) -> str:
        try:
            return (await self.house.stores.memory.get(who, "agent", note_id)).text
        except Missing:
            return NOTHING

    async def search(self, who: TenantScope | None, name: str) -> str:
        try:
            page = await self.house.stores.memory.search(who, "agent", name)  # type: ignore[arg-type]  # None, on purpose
        except (BadRequest, TypeError):
            return NOTHING
        return " ".join(note.text for note in page.items) or NOTHING

    async def claim(self, who: TenantScope, own_id: str, tenant: str | None = None) -> str:
        named: dict[str, Any] = {} if tenant is None else {"tenant": tenant}
        try:
            await self.house.stores.conversations.create(who, own_id=own_id, **named)
        except Conflict:
            return "taken"
        except TypeError:  # R5: what isn't known is an error, and never ignored
            return "refused"
        return who.tenant

    async def forget_all(self, who: TenantScope, name: str) -> None:
        await self.house.stores.memory.forget_all(who, name)

    async def left(self, who: TenantScope) -> int:
        return await self.house.backend.partition(who.tenant, "memory").count()


# -- One assertion for each lesson ---


async def r1_an_id_alone_is_not_enough(store: Subject) -> None:
    note = await store.add(A, "agent", "of alpha")
    assert await store.get(A, note) == "of alpha"
    assert await store.get(B, note) == NOTHING


async def r2_a_prefix_is_somebody_else(store: Subject) -> None:
    await store.add(scope_of("beta2"), "agent", "of beta2")
    assert await store.search(B, "agent") == NOTHING


async def r3_a_caller_names_no_tenant(store: Subject) -> None:
    assert await store.claim(B, "mine", tenant="alpha") != "alpha"


async def r4_nobody_is_not_everybody(store: Subject) -> None:
    await store.add(A, "agent", "of alpha")
    assert await store.search(None, "agent") == NOTHING


async def r4_an_empty_filter_matches_nothing(store: Subject) -> None:
    await store.add(B, "agent", "of beta")
    assert await store.search(B, "") == NOTHING


async def r6_deleting_takes_all_of_one_and_none_of_the_others(store: Subject) -> None:
    await store.add(B, "agent", "of beta")
    betas = await store.left(B)
    await store.add(A, "agent", "of alpha")
    await store.forget_all(A, "agent")
    assert await store.search(B, "agent") == "of beta"
    assert await store.search(A, "agent") == NOTHING
    assert await store.left(B) == betas


async def r6_deleting_leaves_nothing(store: Subject) -> None:
    await store.add(A, "agent", "of alpha")
    await store.forget_all(A, "agent")
    assert await store.left(A) == 0


async def r7_a_value_is_no_query(store: Subject) -> None:
    await store.add(A, "agent", "of alpha")
    assert await store.search(B, "x' OR tenant != '") == NOTHING


async def r11_an_id_tells_of_nobody_else(store: Subject) -> None:
    await store.claim(A, "conv-1")
    assert await store.claim(B, "conv-1") != "taken"


LESSONS: list[Callable[[Subject], Awaitable[None]]] = [
    r1_an_id_alone_is_not_enough,
    r2_a_prefix_is_somebody_else,
    r3_a_caller_names_no_tenant,
    r4_nobody_is_not_everybody,
    r4_an_empty_filter_matches_nothing,
    r6_deleting_takes_all_of_one_and_none_of_the_others,
    r6_deleting_leaves_nothing,
    r7_a_value_is_no_query,
    r11_an_id_tells_of_nobody_else,
]

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.__name__)


@pytest.mark.parametrize("kind", BACKENDS)
@each_lesson
def test_ours_holds(tmp_path: Path, lesson: Callable[[Subject], Awaitable[None]], kind: str) -> None:
    async def main() -> None:
        async with house_in(tmp_path, kind) as house:
            await lesson(Ours(house))
            assert house.alarms == []

    asyncio.run(main())


@each_lesson
def test_the_naive_one_does_not(lesson: Callable[[Subject], Awaitable[None]]) -> None:
    async def main() -> None:
        await lesson(Naive())

    with pytest.raises(AssertionError):
        asyncio.run(main())


class _IgnoresFilters:
    """R5: takes any filter, and knows one by another name."""

    def __init__(self) -> None:
        self.notes = [("alpha", "of alpha"), ("beta", "of beta")]

    def search(self, **filters: str) -> list[str]:
        wanted = filters.get("tenant_id")
        return [note for tenant, note in self.notes if wanted is None or tenant == wanted]


async def _r5_an_unknown_filter_is_no_wider_search(search: Callable[..., Awaitable[list[str]]]) -> None:
    try:
        found = await search(tenant="beta")
    except TypeError:
        return
    assert "of alpha" not in found


def test_an_unknown_filter_is_refused_and_not_ignored(tmp_path: Path) -> None:
    async def ours(**filters: str) -> list[str]:
        async with house_in(tmp_path) as house:
            await house.stores.memory.add(A, "agent", "of alpha", tags=["t"])
            page = await house.stores.memory.search(A, "agent", "t", **filters)  # type: ignore[arg-type]  # unknown on purpose
            return [note.text for note in page.items]

    async def naive(**filters: str) -> list[str]:
        return _IgnoresFilters().search(**filters)

    asyncio.run(_r5_an_unknown_filter_is_no_wider_search(ours))
    with pytest.raises(AssertionError):
        asyncio.run(_r5_an_unknown_filter_is_no_wider_search(naive))
