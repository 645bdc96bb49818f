"""What files, collections and documents promise their tenant; two tenants throughout."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.stores.houses import ALPHA, BETA, House, house_in, scope_of

from partywall.errors import BadRequest, Conflict, KeyUnavailable, Missing, PayloadTooLarge, QuotaExceeded
from partywall.stores import Documents, Hit, Limits, Retrieval, Stores
from partywall.stores.documents import ingestion
from partywall.stores.documents.books import Books
from partywall.stores.documents.files import stage_file
from partywall.stores.documents.ingestion import Ingestion
from partywall.stores.documents.staging import STALE_SECONDS, Stage
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Vectors

A, B = scope_of(ALPHA), scope_of(BETA)
POLICY = b"Refunds are paid within thirty days.\n\nParcels travel by train."


def in_house(folder: Path, body: Callable[[House], Awaitable[None]], kind: str = "memory", **limits: int) -> None:
    async def main() -> None:
        async with house_in(folder, kind) as house:
            house.stores = Stores(house.walls, house.clock, Retrieval(limits=Limits(**limits)))
            await body(house)
            assert house.alarms == []

    asyncio.run(main())


async def rows(house: House, tenant: TenantScope = A) -> int:
    return await house.backend.partition(tenant.tenant, "documents").count()


def texts(hits: Sequence[Hit]) -> list[str]:
    return [hit.text for hit in hits]


# -- Search ---


def test_a_search_finds_what_means_the_same_and_says_where_it_stands(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents = house.stores.documents
        whole = "# Refunds\n\nMoney comes back in thirty days.\n\n# Parcels\n\n" + "They travel by train. " * 60
        made = await documents.add(A, name="terms.md", data=whole.encode(), metadata={"year": 2026})
        await documents.add(B, name="terms.md", data=b"Money never comes back.")
        first, *_ = await documents.search(A, "when is my money returned?", k=2)
        assert "thirty days" in first.text
        assert first.text == whole[first.start : first.end]
        assert (first.document_id, first.file_id, first.document_name) == (made.id, made.id, "terms.md")
        assert first.metadata == {"year": 2026}
        assert texts(await documents.search(B, "money", k=50)) == ["Money never comes back."]
        scores = [hit.score for hit in await documents.search(A, "trains", k=50)]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == made.chunks
        assert not any("vector" in name or "embedding" in name for name in Hit.__slots__)

    in_house(tmp_path, body)


def test_a_default_collection_that_nobody_filled_asks_nobody(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        def nobody(scope: TenantScope) -> Any:
            raise AssertionError("a model was asked for")

        house.stores.documents.embed_with(nobody)
        assert await house.stores.documents.search(A, "anything") == ()
        assert await rows(house) == 0
        for collection in ("vs_" + "0" * 32, "Default", "default ", "x"):
            with pytest.raises(Missing):
                await house.stores.documents.search(A, "anything", collection=collection)

    in_house(tmp_path, body)


@pytest.mark.parametrize(
    "question", [{"query": ""}, {"k": 0}, {"k": 51}, {"k": True}, {"collection": ""}, {"filters": []}], ids=str
)
def test_a_search_that_could_mean_everything_is_refused(tmp_path: Path, question: dict[str, Any]) -> None:
    async def body(house: House) -> None:
        with pytest.raises(BadRequest):
            await house.stores.documents.search(A, **({"query": "x"} | question))

    in_house(tmp_path, body)


def test_a_filter_takes_away_before_the_best_are_chosen(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents = house.stores.documents
        for year in range(2000, 2020):
            await documents.add(A, name=f"{year}", data=f"refund policy of {year}".encode(), metadata={"year": year})
        hits = await documents.search(A, "refund policy", k=3, filters={"type": "lt", "key": "year", "value": 2003})
        assert {hit.metadata["year"] for hit in hits} == {2000, 2001, 2002}
        document = await documents.update(A, hits[0].document_id, metadata={"year": 3000})
        assert document.metadata == {"year": 3000}
        hits = await documents.search(A, "refund policy", k=3, filters={"type": "lt", "key": "year", "value": 2003})
        assert len(hits) == 2
        with pytest.raises(BadRequest):
            await documents.search(A, "x", filters={"type": "eq", "key": "tenant_id", "value": "beta"})

    in_house(tmp_path, body)


def test_another_model_s_collection_is_refused_and_not_searched(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents = house.stores.documents
        await documents.add(A, name="a", data=POLICY)
        offline = documents.offline_embedder()

        class Other:
            name = "other"
            dimensions = offline.dimensions

            async def embed(self, scope: TenantScope, texts: Sequence[str]) -> Vectors:
                return await offline.embed(scope, texts)

        documents.embed_with(lambda scope: Other())
        with pytest.raises(BadRequest, match="embedded with"):
            await documents.search(A, "refunds")
        with pytest.raises(BadRequest, match="embedded with"):
            await documents.add(A, name="b", data=b"more")
        await documents.add(B, name="b", data=b"more")
        assert (await documents.get_collection(B, "default")).model == "other"
        assert len(await documents.search(B, "refunds")) == 1

    in_house(tmp_path, body)


def test_long_vectors_are_kept_in_more_blocks(tmp_path: Path) -> None:
    """A block of vectors is a record, and records have a bound; so has what is open of one collection."""

    async def body(house: House) -> None:
        documents = house.stores.documents

        class Long:
            name, dimensions = "long", 4096

            async def embed(self, scope: TenantScope, texts: Sequence[str]) -> Vectors:
                rows = [np.random.default_rng(len(text)).standard_normal(self.dimensions) for text in texts]
                return np.array([row / np.linalg.norm(row) for row in rows], np.float32)

        documents.embed_with(lambda scope: Long())
        made = await documents.add(A, name="a", data=b"word " * 50_000)
        assert made.chunks > 250
        assert len(await documents.search(A, "word", k=50)) == 50
        with pytest.raises(QuotaExceeded):
            await documents.add(A, name="b", data=b"word " * 50_000)
        await documents.delete_collection(A, "default")
        assert await rows(house) == 0

    in_house(tmp_path, body, "memory", index_bytes=16 * 2**20)


def test_what_is_remembered_of_a_document_is_what_its_record_says_now(tmp_path: Path) -> None:
    """Somebody else, with open collections of their own, changes and deletes what is open here."""

    async def body(house: House) -> None:
        here, there = house.stores.documents, Stores(house.walls, house.clock).documents
        made = {s: await here.add(s, name="d", data=b"a piece", metadata={"said": "old"}) for s in (A, B)}
        old = {"type": "eq", "key": "said", "value": "old"}
        for scope in (A, B):
            assert [hit.metadata for hit in await here.search(scope, "piece", filters=old)] == [{"said": "old"}]
        await there.update(A, made[A].id, metadata={"said": "new"})
        assert [hit.metadata for hit in await here.search(A, "piece")] == [{"said": "new"}]
        assert await here.search(A, "piece", filters=old) == ()
        await there.delete(A, made[A].id)
        assert await here.search(A, "piece") == ()
        assert [hit.metadata for hit in await here.search(B, "piece", filters=old)] == [{"said": "old"}]
        assert house.alarms == []

    in_house(tmp_path, body)


def test_without_the_key_the_open_index_is_gone(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents = house.stores.documents
        for scope in (A, B):
            await documents.add(scope, name="a", data=POLICY)
            await documents.search(scope, "refunds")
        assert len(documents._shelf) == 2
        await house.ring.life.destroy(ALPHA, who="test")
        with pytest.raises(KeyUnavailable):
            await documents.search(A, "refunds")
        assert len(documents._shelf) == 1
        assert documents._shelf.get(BETA, "default") is not None

    in_house(tmp_path, body)


def test_open_indexes_are_bounded(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents = house.stores.documents
        for number in range(12):
            await documents.add(scope_of(f"t{number}"), name="a", data=POLICY)
        for _ in range(2):
            for number in range(12):
                assert len(await documents.search(scope_of(f"t{number}"), "refunds")) == 1
        assert documents._shelf.nbytes <= 9000
        assert 1 <= len(documents._shelf) <= 8

    in_house(tmp_path, body, index_bytes=9000)


def test_no_answer_changes_hands_when_searches_are_cancelled(tmp_path: Path) -> None:
    """R10: both tenants search at once, a third of the callers leave, and every answer is its caller's own."""

    async def body(house: House) -> None:
        documents = house.stores.documents
        for scope in (A, B):
            for number in range(4):
                await documents.add(scope, name=f"{number}", data=f"{scope.tenant} says {number}".encode())

        async def ask(number: int) -> None:
            scope = (A, B)[number % 2]
            hits = await documents.search(scope, f"says {number}", k=1 + number % 4)
            assert len(hits) == 1 + number % 4
            assert all(hit.text.startswith(f"{scope.tenant} says") for hit in hits)

        for turn in range(12):
            tasks = [asyncio.create_task(ask(number)) for number in range(12)]
            for _ in range(turn * 2):
                await asyncio.sleep(0)
            for task in tasks[turn % 3 :: 3]:
                task.cancel()
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                assert answer is None or isinstance(answer, asyncio.CancelledError)

    in_house(tmp_path, body, "sqlite")


# -- Ingestion ---


def test_the_same_again_is_the_same_document(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents = house.stores.documents
        made = await documents.add(A, name="a", data=POLICY, metadata={"x": 1})
        before = await rows(house)
        assert await documents.add(A, name="a", data=POLICY, metadata={"x": 1}) == made
        same = await asyncio.gather(*(documents.add(A, name="a", data=POLICY, metadata={"x": 1}) for _ in range(5)))
        assert set(map(repr, same)) == {repr(made)}
        assert await rows(house) == before
        at_once = await asyncio.gather(*(documents.add(B, name="a", data=POLICY) for _ in range(5)))
        assert len({document.id for document in at_once}) == 1
        assert await rows(house, B) == before
        assert (await documents.get_collection(B, "default")).documents == 1
        described = await documents.add(A, name="a", data=POLICY, metadata={"x": 2})
        assert (described.id, described.metadata) == (made.id, {"x": 2})

    in_house(tmp_path, body)


def test_other_bytes_take_the_place_of_the_old_ones_at_once(tmp_path: Path) -> None:
    """Whoever searches meanwhile finds the old document or the new one, whole."""

    async def body(house: House) -> None:
        documents = house.stores.documents
        versions = [" ".join([f"refund version{number} ."] * 200) for number in range(4)]
        await documents.add(A, name="a", data=versions[0].encode())
        counts, done = [], asyncio.Event()

        async def look() -> None:
            while not done.is_set():
                hits = await documents.search(A, "refund", k=50)
                assert len({number for hit in hits for number in re.findall(r"version(\d)", hit.text)}) == 1
                counts.append(len(hits))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(look())
            for version in versions[1:]:
                await documents.add(A, name="a", data=version.encode())
            done.set()
        assert len(set(counts)) == 1
        (hit, *_) = await documents.search(A, "refund", k=1)
        assert "version3" in hit.text
        assert [file.name for file in (await house.stores.files.list_own(A)).items] == ["a"]
        assert (await documents.get_collection(A, "default")).chunks == counts[0]

    in_house(tmp_path, body, "sqlite")


def test_progress_is_told(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        told: list[tuple[int, int]] = []
        data = " ".join(["words and words."] * 3000).encode()
        made = await house.stores.documents.add(A, name="a", data=data, progress=lambda *done: told.append(done))
        assert told == sorted(told)
        assert len(told) > 2
        assert told[-1] == (made.chunks, made.chunks)

    in_house(tmp_path, body)


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedder fails, a caller leaves, a process dies, at each step: nothing is seen, and at last nothing lies."""

    async def body(house: House) -> None:
        documents = house.stores.documents
        offline, left, leave = documents.offline_embedder(), [0], [False]

        class Failing:
            name, dimensions = offline.name, offline.dimensions

            async def embed(self, scope: TenantScope, texts: Sequence[str]) -> Vectors:
                left[0] -= 1
                if left[0] < 0 and not leave[0]:
                    raise KeyUnavailable("not now")
                if left[0] < 0 and (task := asyncio.current_task()) is not None:
                    task.cancel()  # its caller leaves
                return await offline.embed(scope, texts)

        documents.embed_with(lambda scope: Failing())
        data = " ".join(["words and words."] * 3000).encode()
        for count in range(3):
            left[0] = count
            with pytest.raises(KeyUnavailable):
                await documents.add(A, name="a", data=data)
            assert await rows(house) == 0
        leave[0] = True

        async def dies(stage: Stage) -> None:
            """What a process does that is gone."""

        for dead in (False, True):
            if dead:
                monkeypatch.setattr(Stage, "give_up", dies)
            for count in range(3):
                left[0] = count
                task = asyncio.create_task(documents.add(A, name="a", data=data))
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await documents.search(A, "words", k=50) == ()
                assert dead or await rows(house) == 0
        left[0] = 10**6
        assert await rows(house) > 10  # pieces that nobody sees, until somebody sweeps
        await documents.add(A, name="a", data=data)
        await documents.delete_collection(A, "default")
        house.now += STALE_SECONDS + 1
        file = await house.stores.files.create(A, name="last", data=b"x")
        await house.stores.files.delete(A, file.id)
        assert await rows(house) == 0

    in_house(tmp_path, body)


# -- Files and collections ---


@pytest.mark.parametrize("attached", [False, True], ids=["added", "attached"])
def test_what_was_given_up_meanwhile_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    """Another's sweep took the pieces of a slow one: that is said, and not tried again until nobody knows why."""

    async def body(house: House) -> None:
        stores = house.stores
        kept = await stores.documents.add(A, name="kept", data=POLICY)
        file = await stores.files.create(A, name="slow", data=b"Slowly, slowly.")
        before = await rows(house)
        embed = Ingestion._embed

        async def swept(self: Ingestion, scope: TenantScope, come: Any, stage: Stage, *more: Any) -> Any:
            made = await embed(self, scope, come, stage, *more)
            await stage.give_up()
            return made

        async def whole(self: Books, stage: Stage, **named: Any) -> Any:
            stored = await stage_file(self, stage, **named)
            await stage.give_up()
            return stored

        with monkeypatch.context() as patched:
            if attached:
                patched.setattr(Ingestion, "_embed", swept)
                attempt = stores.documents.attach(A, "default", file.id)
            else:
                patched.setattr(ingestion, "stage_file", whole)
                attempt = stores.documents.add(A, name="slow", data=b"Slowly, slowly.")
            with pytest.raises(Conflict, match="given up"):
                await attempt
        assert await rows(house) == before
        assert (await stores.documents.get(A, kept.id)).chunks == kept.chunks

    in_house(tmp_path, body)


def test_a_file_is_attached_taken_out_and_deleted_everywhere(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents, files = house.stores.documents, house.stores.files
        file = await files.create(A, name="f.txt", data=POLICY, purpose="assistants")
        one = await documents.create_collection(A, name="one", metadata={"a": "b"})
        two = await documents.create_collection(A, name="two")
        for collection in (one, two):
            made = await documents.attach(A, collection.id, file.id, metadata={"in": collection.name})
            assert (made.id, made.name, made.collection) == (file.id, "f.txt", collection.id)
            assert await documents.attach(A, collection.id, file.id, metadata={"in": collection.name}) == made
        assert [hit.metadata for hit in await documents.search(A, "x", collection=two.id)] == [{"in": "two"}]
        await documents.detach(A, one.id, file.id)
        assert await documents.search(A, "x", collection=one.id) == ()
        assert await files.content(A, file.id) == POLICY
        foreign = [
            documents.attach(B, one.id, file.id),
            documents.detach(B, two.id, file.id),
            documents.get(B, file.id, collection=two.id),
            documents.update(B, file.id, metadata={}, collection=two.id),
            documents.update_collection(B, two.id, name="mine"),
            documents.delete_collection(B, two.id),
            files.delete(B, file.id),
        ]
        for attempt in foreign:
            with pytest.raises(Missing):
                await attempt
        assert await rows(house, B) == 0
        await files.delete(A, file.id)
        assert (await documents.get_collection(A, two.id)).documents == 0
        for collection in (one, two):
            await documents.delete_collection(A, collection.id)
        assert await rows(house) == 0

    in_house(tmp_path, body)


def test_a_collection_goes_with_its_documents_and_leaves_other_files(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        documents, files = house.stores.documents, house.stores.files
        kept = await files.create(A, name="kept", data=POLICY)
        made = await documents.create_collection(A, name="one")
        await documents.attach(A, made.id, kept.id)
        added = await documents.add(A, name="added", data=POLICY, collection=made.id)
        await documents.attach(A, "default", added.id)
        assert len(await documents.search(A, "x")) == 1
        await documents.delete_collection(A, made.id)
        assert {file.id for file in (await files.list_own(A)).items} == {kept.id, added.id}
        assert len(await documents.search(A, "x")) == 1
        await documents.delete(A, added.id)
        await files.delete(A, kept.id)
        await files.delete(A, added.id)
        await documents.delete_collection(A, "default")
        assert await rows(house) == 0

    in_house(tmp_path, body)


def test_a_large_file_comes_back_as_it_was(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        data = bytes(range(256)) * 20_000
        file = await house.stores.files.create(A, name="large", data=data)
        assert await house.stores.files.content(A, file.id) == data
        assert (await house.stores.files.list_own(A, purpose="other")).items == ()

    in_house(tmp_path, body, "sqlite")


QUOTAS: dict[str, tuple[dict[str, int], Callable[[Stores], Awaitable[object]], type[Exception]]] = {
    "bytes of a file": ({"file_bytes": 60}, lambda s: s.documents.add(A, name="b", data=POLICY), PayloadTooLarge),
    "files": ({"files": 1}, lambda s: s.files.create(A, name="b", data=b"x"), QuotaExceeded),
    "files of documents": ({"files": 1}, lambda s: s.documents.add(A, name="b", data=b"x"), QuotaExceeded),
    "bytes": ({"bytes": 60}, lambda s: s.documents.add(A, name="b", data=POLICY), QuotaExceeded),
    "chunks": ({"chunks": 1}, lambda s: s.documents.add(A, name="b", data=b"x"), QuotaExceeded),
    "documents": ({"documents_of_collection": 1}, lambda s: s.documents.add(A, name="b", data=b"x"), QuotaExceeded),
    "collections": ({"collections": 1}, lambda s: s.documents.create_collection(A, name="b"), QuotaExceeded),
    "pieces": (
        {"chunks_of_document": 1},
        lambda s: s.documents.add(A, name="b", data=b"word " * 1000),
        PayloadTooLarge,
    ),
}


@pytest.mark.parametrize("what", QUOTAS)
def test_a_tenant_s_room_ends_and_another_s_does_not(tmp_path: Path, what: str) -> None:
    limits, too_much, refusal = QUOTAS[what]

    async def body(house: House) -> None:
        documents = house.stores.documents
        await documents.add(A, name="a", data=b"small")
        before = await rows(house)
        with pytest.raises(refusal):
            await too_much(house.stores)
        assert await rows(house) == before
        await documents.add(B, name="a", data=b"small")
        await documents.add(A, name="a", data=b"other")  # the same room again
        await documents.delete_collection(A, "default")
        await documents.add(A, name="b", data=b"small")

    in_house(tmp_path, body, "memory", **limits)


def test_no_operation_gives_a_vector_back() -> None:
    """C34: nothing public of `Documents` is annotated with one."""
    public = [getattr(Documents, name) for name in vars(Documents) if not name.startswith("_")]
    assert not any("Vectors" in str(each.__annotations__.get("return")) for each in public if callable(each))
