"""LESSONS R1 to R7 and R11 for retrieval: one assertion each, which ours holds and the published naive store breaks.

The naive one is a shared collection with an optional filter: what mem0, LlamaIndex, Open WebUI and others had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.stores.houses import ALPHA, BETA, House, house_in, scope_of

from partywall.errors import BadRequest, Missing
from partywall.tenancy import TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
REFUSED = "refused"


class Subject(Protocol):
    async def add(self, who: TenantScope, name: str, text: str, metadata: Mapping[str, Any] = ...) -> str: ...
    async def get(self, who: TenantScope, document: str) -> str: ...
    async def search(self, who: TenantScope | None, filters: object = None) -> str: ...
    async def claim(self, who: TenantScope, name: str) -> str: ...
    async def delete(self, who: TenantScope, name: str) -> None: ...
    async def left(self, who: TenantScope) -> int: ...


class Naive:
    """One list for everybody."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.chunks: list[tuple[str, str]] = []
        self.collections: dict[str, str] = {}

    async def add(self, who: TenantScope, name: str, text: str, metadata: Mapping[str, Any] = {}) -> str:
        # R3: the caller's metadata overwrites the tenant
        self.documents.append(
            {"id": f"d{len(self.documents)}", "tenant": who.tenant, "name": name, "text": text} | dict(metadata)
        )
        self.chunks.append((name, text))
        return f"d{len(self.documents) - 1}"

    async def get(self, who: TenantScope, document: str) -> str:
        return str(next(each["text"] for each in self.documents if each["id"] == document))  # R1: by id alone

    async def search(self, who: TenantScope | None, filters: object = None) -> str:
        condition = "True"
        if who is not None:  # R4: nobody is everybody
            condition = f"each['tenant'].startswith('{who.tenant}')"  # R2: a prefix
        if isinstance(filters, Mapping) and filters.get("type") == "eq":  # R5: another operator is no filter
            condition += f" and each.get('{filters['key']}') == '{filters['value']}'"  # R7: a key becomes code
        found = [each["text"] for each in self.documents if eval(condition, {"each": each})]  # noqa: S307 - the fault itself
        return " ".join(found)

    async def claim(self, who: TenantScope, name: str) -> str:
        return "taken" if self.collections.setdefault(name, who.tenant) != who.tenant else "yours"  # R11

    async def delete(self, who: TenantScope, name: str) -> None:
        # R6: everybody's of that name, and the chunks stay
        self.documents = [each for each in self.documents if each["name"] != name]

    async def left(self, who: TenantScope) -> int:
        return len([each for each in self.documents if each["tenant"] == who.tenant]) + len(self.chunks)


class Ours:
    def __init__(self, house: House) -> None:
        self.house = house
        self.documents = house.stores.documents

    async def add(self, who: TenantScope, name: str, text: str, metadata: Mapping[str, Any] = {}) -> str:
        try:
            return (await self.documents.add(who, name=name, data=text.encode(), metadata=metadata)).id
        except BadRequest:
            return REFUSED

    async def get(self, who: TenantScope, document: str) -> str:
        try:
            return (await self.house.stores.files.content(who, document)).decode()
        except Missing:
            return REFUSED

    async def search(self, who: TenantScope | None, filters: object = None) -> str:
        try:
            hits = await self.documents.search(who, "planted", k=50, filters=filters)  # type: ignore[arg-type]  # None and worse, on purpose
        except (BadRequest, TypeError):
            return REFUSED
        return " ".join(hit.text for hit in hits)

    async def claim(self, who: TenantScope, name: str) -> str:
        await self.documents.create_collection(who, name=name)
        return "yours"

    async def delete(self, who: TenantScope, name: str) -> None:
        for document in (await self.documents.list_documents(who)).items:
            if document.name == name:
                await self.documents.delete(who, document.id)
        if not (await self.documents.list_documents(who)).items:
            await self.documents.delete_collection(who, "default")

    async def left(self, who: TenantScope) -> int:
        return await self.house.backend.partition(who.tenant, "documents").count()


async def r1_an_id_alone_is_not_enough(store: Subject) -> None:
    document = await store.add(A, "a", "of alpha")
    assert await store.get(A, document) == "of alpha"
    assert await store.get(B, document) == REFUSED


async def r2_a_prefix_is_somebody_else(store: Subject) -> None:
    await store.add(scope_of("beta2"), "a", "of beta2")
    assert "beta2" not in await store.search(B)


async def r3_metadata_names_no_tenant(store: Subject) -> None:
    await store.add(B, "a", "poison of beta", {"tenant": "alpha"})
    assert "poison" not in await store.search(A)


async def r4_nobody_is_not_everybody(store: Subject) -> None:
    await store.add(A, "a", "of alpha")
    assert "alpha" not in await store.search(None)


async def r5_an_unknown_filter_is_refused_and_not_ignored(store: Subject) -> None:
    await store.add(B, "a", "old", {"year": 1999})
    assert "old" not in await store.search(B, {"type": "after", "key": "year", "value": 2020})


async def r6_deleting_takes_one_s_own_and_leaves_nothing(store: Subject) -> None:
    await store.add(A, "a", "of alpha")
    await store.add(B, "a", "of beta")
    await store.delete(A, "a")
    assert await store.search(B) == "of beta"
    assert await store.left(A) == 0


async def r7_a_filter_s_key_is_no_code(store: Subject) -> None:
    await store.add(A, "a", "of alpha")
    await store.add(B, "a", "of beta")
    injected = {"type": "eq", "key": "x') or each['text'] or each.get('", "value": ""}
    assert "alpha" not in await store.search(B, injected)


async def r11_a_name_tells_of_nobody_else(store: Subject) -> None:
    await store.claim(A, "contracts")
    assert await store.claim(B, "contracts") == "yours"


LESSONS: list[Callable[[Subject], Awaitable[None]]] = [
    r1_an_id_alone_is_not_enough,
    r2_a_prefix_is_somebody_else,
    r3_metadata_names_no_tenant,
    r4_nobody_is_not_everybody,
    r5_an_unknown_filter_is_refused_and_not_ignored,
    r6_deleting_takes_one_s_own_and_leaves_nothing,
    r7_a_filter_s_key_is_no_code,
    r11_a_name_tells_of_nobody_else,
]

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.__name__)


@each_lesson
def test_ours_holds(tmp_path: Path, lesson: Callable[[Subject], Awaitable[None]]) -> None:
    async def main() -> None:
        async with house_in(tmp_path) as house:
            await lesson(Ours(house))
            assert house.alarms == []

    asyncio.run(main())


@each_lesson
def test_the_naive_one_does_not(lesson: Callable[[Subject], Awaitable[None]]) -> None:
    async def main() -> None:
        await lesson(Naive())

    with pytest.raises(AssertionError):
        asyncio.run(main())
