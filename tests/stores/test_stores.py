"""What all stores owe their callers, for each store and backend, with two tenants; then what each one promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from tests.stores.houses import ALPHA, BACKENDS, BETA, NOW, House, house_in, scope_of
from tests.stores.memory_backend import MemoryPartition
from tests.stores.uses import USES, observed, renamed

from partywall.errors import BadRequest, Conflict, KeyDestroyed, Missing, PayloadTooLarge, QuotaExceeded
from partywall.keys import Store, StoreKeys
from partywall.stores.backends.base import Row
from partywall.stores.collection import Collection, Put
from partywall.stores.conversations import _heads
from partywall.stores.fields import members
from partywall.stores.walls import Cryptography
from partywall.tenancy import Secret, TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
_LIES_IN: Final = {"trace_sessions": "sessions", "files": "documents", "system_prompts": "prompts"}
_EMPTIED: Final = {
    store: _LIES_IN.get(store, store)
    for store in ("conversations", "memory", "vault", "documents", "files", "system_prompts", "graph")
}
each_store = pytest.mark.parametrize("store", USES)
each_backend = pytest.mark.parametrize("kind", BACKENDS)


def in_house(folder: Path, body: Callable[[House], Awaitable[None]], kind: str = "memory") -> None:
    async def main() -> None:
        async with house_in(folder, kind) as house:
            await body(house)

    asyncio.run(main())


# -- Each store ---


@each_backend
@each_store
def test_what_one_stores_the_other_does_not_see(tmp_path: Path, store: str, kind: str) -> None:
    """Not even by the ids: foreign and missing give the same words (R1, R11)."""

    async def body(house: House) -> None:
        use, stores = USES[store], house.stores
        nobodys = [name.replace("x", "0") for name in ("conv_" + "x" * 32, "msg_" + "x" * 32)]
        before = await use.look(stores, B, nobodys)
        ids = await use.plant(stores, A, "planted-by-alpha")
        assert "planted-by-alpha" in " ".join(await use.look(stores, A, ids)) or store == "sessions"
        assert await use.look(stores, B, nobodys) == before
        missing = [each.partition("_")[0] + "_" + "0" * 32 for each in ids]
        assert await use.look(stores, B, ids) == await use.look(stores, B, missing)
        assert house.alarms == []

    in_house(tmp_path, body, kind)


@each_backend
@each_store
def test_what_is_deleted_is_gone_and_nothing_else_is(tmp_path: Path, store: str, kind: str) -> None:
    """R6: neither rows left behind nor a neighbour's rows taken along."""

    async def body(house: House) -> None:
        use, stores = USES[store], house.stores
        empty = await use.look(stores, A, [])
        ids = await use.plant(stores, A, "planted-by-alpha")
        betas = await use.plant(stores, B, "planted-by-beta")
        seen = renamed(await use.look(stores, B, betas), {})
        await use.clear(stores, A)
        assert await use.look(stores, A, []) == empty
        collection = _EMPTIED.get(store)
        if collection is not None:
            assert await house.backend.partition(ALPHA, collection).count() == 0
        await use.plant(stores, A, "planted-again")
        assert sum((await stores.erase(A)).values()) > 0
        assert await use.look(stores, A, ids[:1]) == await use.look(stores, A, ids[:1])
        assert sum((await stores.erase(A)).values()) == 0
        assert renamed(await use.look(stores, B, betas), {}) == seen

    in_house(tmp_path, body, kind)


@each_store
@pytest.mark.parametrize("nobody", [None, "alpha", ALPHA, SimpleNamespace(tenant=ALPHA, user=None, credential_id="k")])
def test_nothing_but_a_scope_names_a_tenant(tmp_path: Path, store: str, nobody: object) -> None:
    """R3, R4: None, an empty or a hand-made scope is a mistake, not everybody."""

    async def body(house: House) -> None:
        await USES[store].plant(house.stores, A, "planted-by-alpha")
        scope = cast("TenantScope", nobody)
        for use in (USES[store].look(house.stores, scope, []), USES[store].plant(house.stores, scope, "x")):
            with pytest.raises(TypeError, match="TenantScope"):
                await use
        with pytest.raises(TypeError, match="TenantScope"):
            await house.stores.erase(scope)

    in_house(tmp_path, body)


@each_store
def test_nothing_is_clear_on_disk(tmp_path: Path, store: str) -> None:
    async def body(house: House) -> None:
        await USES[store].plant(house.stores, A, "planted-by-alpha")

    in_house(tmp_path, body, "sqlite")
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    for clear in (b"planted", b"n-1", b"ann", b"1800000000"):
        assert clear not in stored


@each_store
def test_without_its_key_nothing_is_read_or_written(tmp_path: Path, store: str) -> None:
    async def body(house: House) -> None:
        ids = await USES[store].plant(house.stores, A, "planted-by-alpha")
        betas = await USES[store].plant(house.stores, B, "planted-by-beta")
        await house.ring.life.destroy(ALPHA, who="test")
        seen = " ".join(await USES[store].look(house.stores, A, ids))
        assert "planted" not in seen
        assert "KeyDestroyed" in seen
        with pytest.raises(KeyDestroyed):
            await USES[store].plant(house.stores, A, "again")
        assert "KeyDestroyed" not in " ".join(await USES[store].look(house.stores, B, betas))

    in_house(tmp_path, body)


@each_store
def test_foreign_and_missing_cost_the_backend_the_same(tmp_path: Path, store: str) -> None:
    """R11: the same calls, with names of the same length, whether or not somebody else has it."""

    async def body(house: House) -> None:
        calls: list[tuple[str, int]] = []
        partition = house.backend.partition(BETA, _LIES_IN.get(store, store))
        get = partition.get

        async def counted_get(group: bytes, key: bytes) -> Row | None:
            calls.append(("get", len(group + key)))
            return await get(group, key)

        async def counted_get_many(places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
            calls.extend(("get_many", len(group + key)) for group, key in places)
            return await get_many(places)

        partition.get, get_many = counted_get, partition.get_many  # type: ignore[method-assign]  # a spy on this one
        partition.get_many = counted_get_many  # type: ignore[method-assign]  # likewise
        ids = await USES[store].plant(house.stores, A, "planted-by-alpha")
        await USES[store].look(house.stores, B, ids)
        foreign, calls[:] = list(calls), []
        await USES[store].look(house.stores, B, [each[:-32] + "0" * 32 for each in ids])
        assert calls == foreign

    in_house(tmp_path, body)


# -- Ids ---


@pytest.mark.parametrize(
    ("one", "two"),
    [("caf\u00e9", "cafe\u0301"), ("a", "\u0430"), ("K", "\u212a"), ("a", "A"), ("a", "a\u200b"), ("a", "a ")],
)
def test_look_alikes_are_different_ids(tmp_path: Path, one: str, two: str) -> None:
    async def body(house: House) -> None:
        await house.stores.vault.put(A, one, Secret("one"))
        with pytest.raises(Missing):
            await house.stores.vault.get(A, two)
        await house.stores.conversations.append(A, one, role="user", content="one")
        with pytest.raises(Missing):
            await house.stores.conversations.get(A, two)

    in_house(tmp_path, body)


@pytest.mark.parametrize("bad", ["", "x" * 257, "\ud800", None, 7, b"a", ["a"], {"$ne": ""}])
def test_what_is_no_id_is_refused_before_anything_is_asked(tmp_path: Path, bad: str) -> None:
    """R4, R7: an empty or structured value never reaches a backend."""

    async def body(house: House) -> None:
        stores = house.stores
        await stores.memory.add(A, "agent", "note", tags=["t"])
        questions: list[Callable[[], Awaitable[object]]] = [
            lambda: stores.conversations.get(A, bad),
            lambda: stores.conversations.append(A, bad, role="user", content="x"),
            lambda: stores.conversations.append(A, "c", role=bad, content="x"),
            lambda: stores.memory.search(A, "agent", bad),
            lambda: stores.memory.list_notes(A, bad),
            lambda: stores.memory.forget_all(A, bad),
            lambda: stores.memory.add(A, "agent", "note", tags=[bad]),
            lambda: stores.preferences.put(A, bad, 1),
            lambda: stores.vault.get(A, bad),
            lambda: stores.trace_sessions.delete(A, bad),
            lambda: stores.sessions.verify(A, bad),
        ]
        for question in questions:
            with pytest.raises(BadRequest):
                await question()
        assert len((await stores.memory.list_notes(A, "agent")).items) == 1

    in_house(tmp_path, body)


def test_sizes_are_bounded(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        stores = house.stores
        big = "x" * (2**20 + 1)
        with pytest.raises(PayloadTooLarge):
            await stores.conversations.append(A, "c", role="user", content=big)
        with pytest.raises(PayloadTooLarge):
            await stores.memory.add(A, "agent", big)
        with pytest.raises(PayloadTooLarge):
            await stores.vault.put(A, "tool", Secret(big))
        with pytest.raises(PayloadTooLarge):
            await stores.preferences.put(A, "p", big * 5)
        with pytest.raises(BadRequest):
            await stores.memory.add(A, "agent", "x", tags=[str(n) for n in range(33)])
        for limit in (0, -1, 101, True):
            with pytest.raises(BadRequest):
                await stores.conversations.list_own(A, limit=limit)
        assert (await stores.conversations.list_own(A)).items == ()

    in_house(tmp_path, body)


# -- Conversations ---


def test_messages_come_in_order_and_in_pages(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        conversations = house.stores.conversations
        made = [await conversations.append(A, "c", role="user", content=str(n)) for n in range(7)]
        first = await conversations.messages(A, "c", limit=3)
        assert (first.items, first.has_more) == (tuple(made[:3]), True)
        rest = await conversations.messages(A, "c", after=made[2].id, limit=4)
        assert (rest.items, rest.has_more) == (tuple(made[3:]), False)
        newest = await conversations.messages(A, "c", limit=2, backwards=True)
        assert (newest.items, newest.has_more) == ((made[6], made[5]), True)
        assert (await conversations.get(A, "c")).messages == 7

    in_house(tmp_path, body, "sqlite")


MIB = 2**20


def big(number: int) -> dict[str, object]:
    """An item of a little more than 1 MiB."""
    return {"type": "message", "role": "user", "content": f"{number} {'x' * MIB}"}


def watched(house: House, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes the backend gave for each page that was asked of it, from now on."""
    partition = house.backend.partition(ALPHA, "conversations")
    page, seen = partition.page, []

    async def counted(group: bytes, **named: Any) -> Sequence[Row] | None:
        rows = await page(group, **named)
        seen.append(sum(len(row.sealed) for row in rows or ()))
        return rows

    monkeypatch.setattr(partition, "page", counted)
    return seen


@pytest.mark.parametrize("backwards", [False, True])
def test_a_page_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool) -> None:
    """Whatever limit is asked for: no more than 4 MiB, and four rows, are read for one page, and none is left out."""

    async def body(house: House) -> None:
        conversations = house.stores.conversations
        made = await conversations.create(A, items=[big(number) for number in range(12)])
        await conversations.append_items(A, made.id, [{"type": "message", "role": "user", "content": "small"}] * 9)
        seen = watched(house, monkeypatch)
        found: list[str] = []
        after, more, pages = None, True, 0
        while more:
            seen.clear()
            page = await conversations.items(A, made.id, after=after, limit=100, backwards=backwards)
            assert sum(seen) < (4 + 4 + 1) * MIB
            assert sum(len(str(item.body)) for item in page.items) <= 4 * MIB
            found += [str(item.body["content"])[:5].strip("x ") for item in page.items]
            after, more, pages = page.items[-1].id, page.has_more, pages + 1
        expected = [*map(str, range(12)), *["small"] * 9]
        assert found == (expected[::-1] if backwards else expected)
        assert pages == 4
        first = await conversations.items(A, made.id, limit=2, backwards=backwards)
        assert (len(first.items), first.has_more) == (2, True)

    in_house(tmp_path, body)


def test_a_conversation_knows_its_bytes_and_is_full_at_64_mib(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        conversations = house.stores.conversations
        made = await conversations.create(A, items=[big(0)])
        assert MIB < (made.bytes or 0) < MIB + 200
        await conversations.append(A, "own", role="user", content="hello")
        assert 5 < ((await conversations.get(A, "own")).bytes or 0) < 100
        (item,) = (await conversations.items(A, made.id)).items
        assert (await conversations.delete_item(A, made.id, item.id)).bytes == 0
        for _ in range(63):
            await conversations.append_items(A, made.id, [big(0)])
        full = await conversations.get(A, made.id)
        with pytest.raises(QuotaExceeded):
            await conversations.append_items(A, made.id, [big(0)])
        with pytest.raises(QuotaExceeded):
            await conversations.append(A, made.id, role="user", content="x" * MIB)
        with pytest.raises(QuotaExceeded):
            await conversations.create(B, items=[big(0)] * 64)
        assert await conversations.get(A, made.id) == full
        assert (await conversations.create(A, items=[big(0)])).messages == 1

    in_house(tmp_path, body)


def test_a_conversation_from_before_bytes_were_counted_is_read_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(house: House) -> None:
        conversations = house.stores.conversations
        made = await conversations.create(A, items=[big(number) for number in range(6)])
        records = Collection(house.walls(Store.CONVERSATIONS))
        (record,) = (await records.page(A, _heads(A), after=None, limit=1, backwards=False)).items
        old = {name: value for name, value in members(record.body).items() if name != "bytes"}
        assert await records.commit(A, [Put(_heads(A), record.id, old, record.revision)])
        assert (await conversations.get(A, made.id)).bytes is None
        seen = watched(house, monkeypatch)
        page = await conversations.items(A, made.id, limit=100)
        assert (len(page.items), page.has_more) == (3, True)
        assert sum(seen) < 9 * MIB
        await conversations.delete_item(A, made.id, page.items[0].id)
        await conversations.append(A, made.id, role="user", content="x")
        assert (await conversations.get(A, made.id)).messages == 6

    in_house(tmp_path, body)


def test_appending_at_once_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        conversations = house.stores.conversations
        await asyncio.gather(*(conversations.append(A, "c", role="user", content=str(n)) for n in range(8)))
        page = await conversations.messages(A, "c", limit=100)
        assert sorted(message.content for message in page.items) == [str(n) for n in range(8)]
        assert (await conversations.get(A, "c")).messages == 8
        assert len((await conversations.list_own(A)).items) == 1

    in_house(tmp_path, body, "sqlite")


def test_users_of_one_tenant_have_their_own(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        stores, bob, nobody = house.stores, scope_of(ALPHA, "bob"), scope_of(ALPHA, None)
        conversation = await stores.conversations.create(A, own_id="c")
        for other in (bob, nobody, scope_of(ALPHA, "none")):
            assert await observed(stores.conversations.get(other, "c")) == await observed(
                stores.conversations.get(other, "d")
            )
            with pytest.raises(Missing):
                await stores.conversations.append(other, conversation.id, role="user", content="x")
            await stores.conversations.create(other, own_id="c")
            assert await stores.preferences.read(other) == {}
        with pytest.raises(Conflict):
            await stores.conversations.create(A, own_id="c")
        session = await stores.sessions.start(A)
        for other in (bob, nobody, B):
            assert await observed(stores.sessions.verify(other, session.id)) == await observed(
                stores.sessions.verify(other, "sess_" + "0" * 32)
            )

    in_house(tmp_path, body)


def test_ids_of_ours_are_not_the_callers_to_make(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        conversations = house.stores.conversations
        with pytest.raises(Missing):
            await conversations.append(A, "conv_mine", role="user", content="x")
        with pytest.raises(BadRequest):
            await conversations.create(A, own_id="conv_mine")
        ids = {(await conversations.create(A)).id for _ in range(20)}
        assert len(ids) == 20
        assert all(len(each) == len("conv_") + 32 for each in ids)

    in_house(tmp_path, body)


def test_a_conversation_begun_again_has_no_old_messages(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        conversations = house.stores.conversations
        await conversations.append(A, "c", role="user", content="old")
        await conversations.delete(A, "c")
        await conversations.append(A, "c", role="user", content="new")
        assert [message.content for message in (await conversations.messages(A, "c")).items] == ["new"]

    in_house(tmp_path, body)


# -- Sessions, memory, preferences, vault ---


def test_sessions_end_one_by_one_all_at_once_and_by_themselves(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        sessions = house.stores.sessions
        bob = scope_of(ALPHA, "bob")
        one, two, betas = [await sessions.start(scope, ttl_seconds=60) for scope in (A, A, B)]
        bobs = await sessions.start(bob, ttl_seconds=60)
        await sessions.end(A, one.id)
        assert await sessions.verify(A, two.id) == two
        with pytest.raises(Missing):
            await sessions.end(bob, two.id)
        await sessions.end_all(A)
        for scope, session in ((A, one), (A, two), (bob, bobs)):
            with pytest.raises(Missing):
                await sessions.verify(scope, session.id)
        assert await sessions.verify(B, betas.id) == betas
        house.now = NOW + 60
        with pytest.raises(Missing):
            await sessions.verify(B, betas.id)
        for seconds in (0, -1, float("nan"), float("inf"), 31 * 86400):
            with pytest.raises(BadRequest):
                await sessions.start(A, ttl_seconds=seconds)

    in_house(tmp_path, body)


def test_a_tag_is_matched_whole(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        memory = house.stores.memory
        note = await memory.add(A, "agent", "x", tags=["food/tea", "taste", "taste"])
        assert note.tags == ("food/tea", "taste")
        assert (await memory.search(A, "agent", "food/tea")).items == (note,)
        for tag in ("food", "food/", "tea", "Taste", "tast_", "taste%", "*", "x' OR ''='"):
            assert (await memory.search(A, "agent", tag)).items == ()
        assert (await memory.search(A, "other agent", "taste")).items == ()
        assert (await memory.search(B, "agent", "taste")).items == ()
        await memory.forget(A, "agent", note.id)
        assert (await memory.search(A, "agent", "taste")).items == ()
        with pytest.raises(BadRequest):
            await memory.add(A, "agent", "x", tags="taste")

    in_house(tmp_path, body)


@pytest.mark.parametrize("value", [float("nan"), (1, 2), {1: "a"}, object(), b"x", {"a": {"b": float("inf")}}])
def test_a_setting_that_would_change_is_refused(tmp_path: Path, value: object) -> None:
    async def body(house: House) -> None:
        await house.stores.preferences.put(A, "p", {"kept": [1, 2.5, None, True, "\u00e9"]})
        with pytest.raises(BadRequest):
            await house.stores.preferences.put(A, "p", value)
        assert await house.stores.preferences.read(A) == {"p": {"kept": [1, 2.5, None, True, "\u00e9"]}}

    in_house(tmp_path, body)


def test_the_vault_lists_names_and_prints_no_value(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        vault = house.stores.vault
        for value in ("first", "second"):
            house.now += 1
            await vault.put(A, "crm", Secret(value))
        assert (await vault.get(A, "crm")).matches("second")
        listed = repr((await vault.list_tools(A)).items)
        assert "crm" in listed
        assert "second" not in listed + repr(await vault.get(A, "crm"))
        with pytest.raises(BadRequest):
            await vault.put(A, "crm", cast("Secret", "in clear"))
        await vault.remove(A, "crm")
        with pytest.raises(Missing):
            await vault.remove(A, "crm")

    in_house(tmp_path, body)


def test_an_old_row_put_back_under_a_newer_revision_is_refused(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        await house.stores.preferences.put(A, "p", "old")
        partition = house.backend.partition(ALPHA, "preferences")
        assert isinstance(partition, MemoryPartition)
        ((place, old),) = partition.rows.items()
        await house.stores.preferences.put(A, "p", "new")
        partition.rows[place] = old._replace(revision=2)
        assert await house.stores.preferences.read(A) == {}
        assert [alarm.wall for alarm in house.alarms] == ["verification"]

    in_house(tmp_path, body)


def test_all_stores_are_in_these_tests(tmp_path: Path) -> None:
    """A store that is added to `Stores` joins `uses.py`, or this fails."""

    async def body(house: House) -> None:
        assert {name for name in vars(house.stores) if not name.startswith("_")} == {
            *USES,
            "counters",  # numbers, which nothing seals; tests/stores/test_sessions.py has their walls
            "cache",  # answers are asked for by questions and not by ids; tests/stores/caching has its walls
        }

    in_house(tmp_path, body)


def test_names_differ_between_tenants_even_under_one_key(tmp_path: Path) -> None:
    """The tenant is part of what is hashed, so that one key for everybody would still mix no rows."""

    async def body(house: House) -> None:
        keys = house.ring.store(Store.MEMORY)
        index = keys.index_many

        async def of_alpha(scope: TenantScope, purpose: str, values: Sequence[bytes]) -> list[bytes]:
            return await index(A, purpose, values)

        one = Cryptography(cast("StoreKeys", SimpleNamespace(index_many=of_alpha, name="memory")))
        assert await one.name(A, "group", "ann") != await one.name(B, "group", "ann")
        assert await one.name(A, "group", "ann") == await one.name(A, "group", "ann")

    in_house(tmp_path, body)


@each_backend
def test_cancelled_at_any_await_leaves_nothing_by_halves(tmp_path: Path, kind: str) -> None:
    """R10, above the backend: the count and the messages agree, a note and its tags too, and no answer is another's."""

    async def body(house: House) -> None:
        stores = house.stores
        for turns in range(60):
            tasks = [
                asyncio.create_task(stores.conversations.append(A, "c", role="user", content=f"{turns}")),
                asyncio.create_task(stores.memory.add(A, "agent", f"{turns}", tags=[f"{turns}"])),
            ]
            bystander = asyncio.create_task(stores.conversations.append(B, "c", role="user", content=f"b{turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert (await bystander).content == f"b{turns}"
            for task in tasks:
                if not task.cancelled():
                    assert f"{turns}" in repr(task.result())
            notes = [note.text for note in (await stores.memory.list_notes(A, "agent", limit=100)).items]
            tagged = [note.text for note in (await stores.memory.search(A, "agent", f"{turns}")).items]
            assert tagged == [note for note in notes if note == f"{turns}"]
            said = await observed(stores.conversations.get(A, "c"))
            if not said.startswith("Missing"):
                page = await stores.conversations.messages(A, "c", limit=100)
                assert (await stores.conversations.get(A, "c")).messages == len(page.items)
        assert (await stores.conversations.get(B, "c")).messages == 60
        assert house.alarms == []

    in_house(tmp_path, body, kind)


@each_backend
def test_deleting_while_others_append_leaves_no_message_behind(tmp_path: Path, kind: str) -> None:
    """R6: whatever comes first, no message lies there without its conversation, and no note's tag without the note."""

    async def body(house: House) -> None:
        stores = house.stores
        for turns in range(25):

            async def begin_and_end(turns: int = turns) -> None:
                for _ in range(turns % 7):
                    await asyncio.sleep(0)
                await observed(stores.conversations.delete(A, "c"))
                await observed(stores.memory.forget_all(A, "agent"))
                await observed(stores.trace_sessions.delete(A, "s"))

            await asyncio.gather(
                observed(stores.conversations.append(A, "c", role="user", content="x")),
                observed(stores.memory.add(A, "agent", "x", tags=[f"{turns}"])),
                observed(stores.trace_sessions.record(A, "s", {})),
                begin_and_end(),
                observed(stores.conversations.append(A, "c", role="user", content="y")),
                observed(stores.memory.add(A, "agent", "y", tags=[f"{turns}", "t"])),
                observed(stores.trace_sessions.record(A, "s", {})),
            )
        await observed(stores.conversations.delete(A, "c"))
        await observed(stores.memory.forget_all(A, "agent"))
        await observed(stores.trace_sessions.delete(A, "s"))
        for store in ("conversations", "memory", "sessions"):
            assert await house.backend.partition(ALPHA, store).count() == 0

    in_house(tmp_path, body, kind)


def test_a_note_added_while_everything_is_forgotten_leaves_no_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R6: the tags are read first and deleted then; what comes in between is noticed, and all of it goes."""

    async def body(house: House) -> None:
        memory = house.stores.memory
        await memory.add(A, "agent", "early", tags=["early"])
        tags_of, late = memory._tags, ["late"]

        async def tags(scope: TenantScope, agent: str) -> set[str]:
            found = await tags_of(scope, agent)
            if late:
                await memory.add(A, "agent", "late", tags=[late.pop()])
            return found

        monkeypatch.setattr(memory, "_tags", tags)
        await memory.forget_all(A, "agent")
        assert await house.backend.partition(ALPHA, "memory").count() == 0

    in_house(tmp_path, body)
