"""Documents embedded by an upstream: the tenant's own, with its own credential, and nobody else's."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.stores.houses import scope_of
from tests.support.documents import UPSTREAM_SECRETS, base_document, headers_of, merged, write_document
from tests.support.inprocess import gateway
from tests.support.upstream import Received, Upstream, answers, upstream, write_whole

from partywall import Platform
from partywall.errors import BadRequest, ConfigError, Denied, PartywallError, PiiBlocked, TrailUnavailable

ALPHA, BETA = scope_of("alpha"), scope_of("beta")
_WORDS = 64


def vector_of(text: str) -> list[float]:
    """A bag of words, long and of any length: the embedder brings it to length 1."""
    vector = [0.0] * _WORDS
    for word in text.lower().split():
        vector[hashlib.sha256(word.encode()).digest()[0] % _WORDS] += 3.0
    return vector


async def embeds(request: Received, writer: Any) -> bool:
    """An upstream that answers out of order, as it may."""
    data = [{"index": index, "embedding": vector_of(text)} for index, text in enumerate(request.json["input"])]
    await write_whole(writer, 200, orjson.dumps({"object": "list", "data": data[::-1]}))
    return True


@pytest.fixture
def there() -> Iterator[Upstream]:
    with upstream() as running:
        running.behave = embeds
        yield running


def document(url: str, **tenants: dict[str, Any]) -> dict[str, Any]:
    def model(tenant: str) -> dict[str, Any]:
        return {"target": f"{tenant}-target", "model": "words-1", "dimensions": _WORDS}

    both = {tenant: {"embedding": model(tenant), **tenants.get(tenant, {})} for tenant in ("alpha", "beta")}
    return merged(base_document(base_url=url), encryption={}, tenants=both)


async def with_documents(folder: Path, described: dict[str, Any], there: Upstream) -> None:
    path = write_document(folder / "partywall.yaml", described)
    async with Platform.open(path, data_dir=folder / "data") as platform:
        for scope in (ALPHA, BETA):
            text = f"The refund policy of {scope.tenant} says thirty days.\n\nParking is behind the house."
            await platform.documents.add(scope, name="policy.txt", data=text.encode())
        for scope in (ALPHA, BETA):
            there.received.clear()
            hits = await platform.documents.search(scope, "refund policy", k=1)
            assert scope.tenant in hits[0].text
            (asked,) = there.received
            assert asked.path == "/v1/embeddings"
            assert asked.json["input"] == ["refund policy"]
            assert asked.json["model"] == "words-1"
            assert asked.credential == UPSTREAM_SECRETS[scope.tenant]


def test_each_tenants_own_target_embeds_its_documents(tmp_path: Path, there: Upstream) -> None:
    asyncio.run(with_documents(tmp_path, document(there.url), there))
    assert not [each for each in there.received if "alpha" in each.body.decode()]


def test_a_target_of_somebody_elses_is_never_asked(tmp_path: Path, there: Upstream) -> None:
    foreign = {"embedding": {"target": "alpha-target", "model": "words-1", "dimensions": _WORDS}}
    path = write_document(tmp_path / "partywall.yaml", document(there.url, beta=foreign))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            with pytest.raises(Denied):
                await platform.documents.add(BETA, name="policy.txt", data=b"The refund policy of beta.")
            assert (await platform.documents.list_documents(BETA)).items == ()

    asyncio.run(main())
    assert there.received == []


@pytest.mark.parametrize(
    "asked",
    [{"regions": ["eu"]}, {"regions": []}, {"require_zero_data_retention": True}, {"allowed_models": ["other"]}],
    ids=["region", "no region", "retention", "model"],
)
def test_what_a_chat_may_not_do_an_embedding_may_not(tmp_path: Path, there: Upstream, asked: dict[str, Any]) -> None:
    path = write_document(tmp_path / "partywall.yaml", document(there.url, alpha=asked))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            with pytest.raises(Denied):
                await platform.documents.add(ALPHA, name="policy.txt", data=b"The refund policy of alpha.")
            await platform.documents.add(BETA, name="policy.txt", data=b"The refund policy of beta.")

    asyncio.run(main())
    assert {each.credential for each in there.received} == {UPSTREAM_SECRETS["beta"]}


def scanned(url: str, action: str) -> dict[str, Any]:
    policy = {**base_document()["policy"], "pii-detector": {"action": action}}
    return merged(document(url), policies={"chain": ["rbac", "audit-logger", "pii-detector"]}, policy=policy)


def test_what_is_embedded_elsewhere_is_scanned_first(tmp_path: Path, there: Upstream) -> None:
    path = write_document(tmp_path / "partywall.yaml", scanned(there.url, "redact"))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            await platform.documents.add(ALPHA, name="a.txt", data=b"Write to jane.doe@example.com about refunds.")
            (hit,) = await platform.documents.search(ALPHA, "refunds of jane.doe@example.com", k=1)
            assert "jane.doe@example.com" in hit.text  # what the tenant stored stays as it is

    asyncio.run(main())
    assert [each.json["input"] for each in there.received] == [
        ["Write to [EMAIL] about refunds."],
        ["refunds of [EMAIL]"],
    ]


def test_what_is_blocked_is_not_embedded_elsewhere(tmp_path: Path, there: Upstream) -> None:
    path = write_document(tmp_path / "partywall.yaml", scanned(there.url, "block"))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            with pytest.raises(PiiBlocked):
                await platform.documents.add(ALPHA, name="a.txt", data=b"Card 4111 1111 1111 1111.")
            await platform.documents.add(ALPHA, name="b.txt", data=b"Refunds.")
            there.received.clear()
            with pytest.raises(PiiBlocked):
                await platform.documents.search(ALPHA, "who is jane.doe@example.com?", k=1)

    asyncio.run(main())
    assert there.received == []


def test_no_question_is_embedded_elsewhere_before_it_is_on_record(
    tmp_path: Path, there: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_document(tmp_path / "partywall.yaml", document(there.url))
    search = {"type": "file_search", "vector_store_ids": ["default"]}
    asked = {"model": "alpha-model", "input": "refunds?", "store": False, "tools": [search]}

    async def unavailable(_record: object) -> None:
        raise TrailUnavailable("the disk is full")

    async def main() -> None:
        async with gateway(path, tmp_path / "data") as client:
            await client.platform.documents.add(ALPHA, name="a.txt", data=b"Refunds take a week.")
            there.received.clear()
            monkeypatch.setattr(client.platform.trail, "admit", unavailable)
            assert (await client.post("/v1/responses", headers_of("alpha"), asked)).status == TrailUnavailable.status

    asyncio.run(main())
    assert there.received == []


def _said(*vectors: object) -> bytes:
    return orjson.dumps({"data": [{"index": index, "embedding": each} for index, each in enumerate(vectors)]})


_GOOD = [1.0] * _WORDS
_BAD: dict[str, tuple[int, bytes]] = {
    "refused": (401, b'{"error":"sk-upstream-alpha is unknown"}'),
    "broken": (500, b""),
    "no JSON": (200, b"<html>"),
    "a list": (200, b"[]"),
    "nothing": (200, _said()),
    "one too many": (200, _said(_GOOD, _GOOD)),
    "another length": (200, _said(_GOOD[1:])),
    "text": (200, _said("x" * _WORDS)),
    "texts": (200, _said(["1"] * _WORDS)),
    "null": (200, _said(None)),
    "NaN": (200, _said([float("nan"), *_GOOD[1:]])),
    "bools": (200, _said([True] * _WORDS)),
    "another index": (200, orjson.dumps({"data": [{"index": 1, "embedding": _GOOD}]})),
    "too large for us": (200, _said([1e300, *_GOOD[1:]])),
}


@pytest.mark.parametrize("how", _BAD)
def test_what_is_no_embedding_stores_nothing(tmp_path: Path, there: Upstream, how: str) -> None:
    path = write_document(tmp_path / "partywall.yaml", document(there.url))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            there.behave = answers(*_BAD[how])
            with pytest.raises(PartywallError) as caught:
                await platform.documents.add(ALPHA, name="policy.txt", data=b"The refund policy of alpha.")
            assert caught.value.status in (502, 503)
            assert "sk-upstream" not in str(caught.value) + caught.value.public_message
            there.behave = embeds
            assert await platform.documents.search(ALPHA, "refund") == ()
            await platform.documents.add(ALPHA, name="policy.txt", data=b"The refund policy of alpha.")
            assert len(await platform.documents.search(ALPHA, "refund")) == 1

    asyncio.run(main())


def test_another_model_than_a_collections_is_refused(tmp_path: Path, there: Upstream) -> None:
    first = document(there.url)
    path = write_document(tmp_path / "partywall.yaml", first)

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            await platform.documents.add(ALPHA, name="policy.txt", data=b"The refund policy of alpha.")
            first["tenants"]["alpha"]["embedding"]["model"] = "words-2"
            write_document(tmp_path / "partywall.yaml", first)
            await platform.reload()
            there.received.clear()
            with pytest.raises(BadRequest):
                await platform.documents.search(ALPHA, "refund")
            with pytest.raises(BadRequest):
                await platform.documents.add(ALPHA, name="hours.txt", data=b"Open at eight.")
            assert there.received == []

    asyncio.run(main())


def test_a_model_at_no_target_is_found_when_the_document_is_read(tmp_path: Path, there: Upstream) -> None:
    nowhere = {"embedding": {"target": "nowhere", "dimensions": 3}}
    path = write_document(tmp_path / "partywall.yaml", document(there.url, alpha=nowhere))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data"):
            pass

    with pytest.raises(ConfigError, match=r"tenants\.alpha\.embedding\.target: no target has the id `nowhere`"):
        asyncio.run(main())


def test_many_texts_are_asked_for_in_pieces_and_come_back_in_order(tmp_path: Path, there: Upstream) -> None:
    path = write_document(tmp_path / "partywall.yaml", document(there.url))
    paragraphs = [f"word{number} " * 120 for number in range(150)]

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            await platform.documents.add(ALPHA, name="long.txt", data="\n\n".join(paragraphs).encode())
            for number in (0, 77, 149):
                (hit,) = await platform.documents.search(ALPHA, f"word{number}", k=1)
                assert math.isclose(hit.score, 1.0, abs_tol=1e-3)

    asyncio.run(main())
    assert max(len(each.json["input"]) for each in there.received) <= 64
