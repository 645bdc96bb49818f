"""Conversations through OpenAI's own client, and through raw requests of those who don't mean well."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openai
import pytest
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.inprocess import Session, session
from tests.support.official import gpt
from tests.support.process import Served, serve

from partywall.errors import SealBroken
from partywall.keys.tenant_box import new_tenant_box_keys, open_by_tenant, seal_to_tenant
from partywall.platform import Platform

HELLO: dict[str, Any] = {"type": "message", "role": "user", "content": "hello"}


def document(**sections: Any) -> dict[str, Any]:
    return merged(base_document(), **{"encryption": {}, **sections})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("conversations")
    with serve(write_document(folder / "partywall.yaml", document()), folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("conversations")
    with session(write_document(folder / "partywall.yaml", document()), folder / "data") as running:
        yield running


# -- As they are meant ---


def test_a_conversation_from_beginning_to_end(served: Served) -> None:
    with gpt(served) as client:
        made = client.conversations.create(metadata={"topic": "refunds"}, items=[HELLO])  # type: ignore[list-item]
        assert made.id.startswith("conv_")
        assert made.object == "conversation"
        assert made.metadata == {"topic": "refunds"}
        assert client.conversations.retrieve(made.id) == made
        changed = client.conversations.update(made.id, metadata={"topic": "returns"})
        assert (changed.id, changed.metadata) == (made.id, {"topic": "returns"})
        assert client.conversations.retrieve(made.id).metadata == {"topic": "returns"}
        assert client.conversations.update(made.id, metadata=None).metadata == {}
        gone = client.conversations.delete(made.id)
        assert (gone.id, gone.deleted, gone.object) == (made.id, True, "conversation.deleted")
        for attempt in (client.conversations.retrieve, client.conversations.delete, client.conversations.items.list):
            with pytest.raises(openai.NotFoundError) as caught:
                attempt(made.id)
            assert caught.value.code == "not_found"


def test_items_from_beginning_to_end(served: Served) -> None:
    call = {"type": "function_call", "name": "look", "call_id": "call_1", "arguments": '{"file_id": "x"}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "found \u2014 \U0001f9f1"}
    answer = {"role": "assistant", "content": "I looked."}
    items: Any = [{"role": "user", "content": "look"}, call, output, answer]
    with gpt(served) as client:
        made = client.conversations.create()
        added: Any = client.conversations.items.create(made.id, items=items)
        assert [item.type for item in added.data] == ["message", "function_call", "function_call_output", "message"]
        assert not added.has_more
        assert len({item.id for item in added.data}) == 4
        listed = list(client.conversations.items.list(made.id, order="asc", limit=3))  # the client pages
        assert listed == added.data
        assert list(client.conversations.items.list(made.id)) == added.data[::-1]
        first: Any = listed[0]
        assert (first.role, first.status, first.content[0].type) == ("user", "completed", "input_text")
        last: Any = listed[3]
        assert (last.content[0].type, last.content[0].text) == ("output_text", "I looked.")
        behind = client.conversations.items.list(made.id, order="asc", after=added.data[1].id, limit=1)
        assert (behind.data, behind.has_more) == ([added.data[2]], True)
        one: Any = client.conversations.items.retrieve(added.data[2].id, conversation_id=made.id)
        assert one.output == "found \u2014 \U0001f9f1"
        left = client.conversations.items.delete(added.data[0].id, conversation_id=made.id)
        assert left.id == made.id
        assert list(client.conversations.items.list(made.id, order="asc")) == added.data[1:]
        with pytest.raises(openai.NotFoundError):
            client.conversations.items.delete(added.data[0].id, conversation_id=made.id)


def test_include_may_be_repeated(served: Served) -> None:
    search = {"type": "file_search_call", "status": "completed", "queries": ["q"], "results": [{"text": "found"}]}
    with gpt(served) as client:
        made = client.conversations.create(items=[search])  # type: ignore[list-item]
        (plain,) = client.conversations.items.list(made.id)
        (full,) = client.conversations.items.list(
            made.id, include=["file_search_call.results", "message.output_text.logprobs"]
        )
    assert plain.results is None  # type: ignore[union-attr]
    assert full.results[0].text == "found"  # type: ignore[union-attr,index]


def test_what_the_library_appends_is_read_over_http_and_the_other_way_round(alive: Session) -> None:
    async def main() -> None:
        platform = alive.client.platform
        scope = await platform.authenticate(headers_of("alpha"))
        await platform.conversations.append(scope, "own-1", role="user", content="by the library")
        path = "/v1/conversations/own-1/items"
        added = await alive.client.post(path, headers_of("alpha"), {"items": [HELLO]})
        assert added.status == 200
        listed = (await alive.client.get(path, headers_of("alpha"), "order=asc")).json["data"]
        assert [item["content"][0]["text"] for item in listed] == ["by the library", "hello"]
        messages = (await platform.conversations.messages(scope, "own-1")).items
        assert [(message.role, message.content) for message in messages] == [
            ("user", "by the library"),
            ("user", "hello"),
        ]

    alive.run(main())


def test_two_appends_at_once_are_both_there_each_in_one_piece(alive: Session) -> None:
    def batch(who: int) -> list[Any]:
        return [{"role": "user", "content": f"{who}-{number}"} for number in range(5)]

    async def main() -> None:
        headers = headers_of("alpha")
        made = (await alive.client.post("/v1/conversations", headers, {})).json["id"]
        path = f"/v1/conversations/{made}/items"
        replies = await asyncio.gather(*(alive.client.post(path, headers, {"items": batch(who)}) for who in range(6)))
        assert {reply.status for reply in replies} == {200}
        listed = (await alive.client.get(path, headers, "order=asc&limit=100")).json["data"]
        texts = [item["content"][0]["text"] for item in listed]
        assert len(texts) == 30
        for start in range(0, 30, 5):
            who = texts[start].partition("-")[0]
            assert texts[start : start + 5] == [f"{who}-{number}" for number in range(5)]

    alive.run(main())


def test_users_of_one_tenant_have_conversations_of_their_own(served: Served) -> None:
    with gpt(served, user="ann") as ann, gpt(served, user="bob") as bob:
        made = ann.conversations.create(items=[HELLO])  # type: ignore[list-item]
        with pytest.raises(openai.NotFoundError):
            bob.conversations.retrieve(made.id)
        assert ann.conversations.retrieve(made.id).id == made.id


# -- Sealed by the client ---


def test_a_client_s_box_comes_back_as_it_went_in_and_opens_for_it_alone(tmp_path: Path) -> None:
    """The zero-knowledge tier: no secret of the platform's opens what a client sealed to its own key."""
    private, public = new_tenant_box_keys()
    said = b"what alpha's client told nobody"
    box = seal_to_tenant(public, tenant="alpha", store="conversations", record_id="turn-1", plaintext=said)
    text = base64.b64encode(box).decode()
    path = write_document(tmp_path / "partywall.yaml", document())
    with serve(path, tmp_path / "data") as running, gpt(running) as client:
        made = client.conversations.create(items=[{"role": "user", "content": text}])
        items: list[Any] = list(client.conversations.items.list(made.id))
        returned = items[0].content[0].text
    assert returned == text
    opened = open_by_tenant(
        private, tenant="alpha", store="conversations", record_id="turn-1", box=base64.b64decode(returned)
    )
    assert opened == said

    async def as_the_platform() -> None:
        """With the root key, every wrapped key and every file: what the platform opens is the box, and no more."""
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            scope = await platform.authenticate(headers_of("alpha"))
            kept = (await platform.conversations.messages(scope, made.id)).items[0].content
            assert kept == text
            assert platform.keys is not None
            for key in _secrets_of(tmp_path):
                with pytest.raises((SealBroken, ValueError)):
                    open_by_tenant(
                        key, tenant="alpha", store="conversations", record_id="turn-1", box=base64.b64decode(kept)
                    )

    asyncio.run(as_the_platform())
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or said not in file.read_bytes()


def _secrets_of(folder: Path) -> list[bytes]:
    """Every run of 32 bytes that the platform could take for a key: of each small file, at each offset; and in text."""
    found = []
    for file in folder.rglob("*"):
        if not file.is_file() or file.stat().st_size > 4096:
            continue
        data = file.read_bytes()
        found += [data[start : start + 32] for start in range(0, max(1, len(data) - 31), 8)]
        for word in data.split():
            try:
                found.append(base64.b64decode(word, validate=True)[:32])
            except ValueError:
                continue
    assert len(found) > 10
    return [key for key in found if len(key) == 32]


# -- Nothing is stored in clear ---


def test_without_encryption_nothing_is_stored(tmp_path: Path) -> None:
    with session(write_document(tmp_path / "partywall.yaml", base_document()), tmp_path / "data") as running:
        missing = "conv_" + "0" * 32
        for method, path in (
            ("POST", "/v1/conversations"),
            ("GET", f"/v1/conversations/{missing}"),
            ("POST", f"/v1/conversations/{missing}/items"),
        ):
            reply = running.run(running.client.call(method, path, headers=headers_of("alpha"), body={"items": [HELLO]}))
            assert (reply.status, reply.code) == (404, "not_found")
            assert "encryption" in reply.json["error"]["message"]
        assert not list((tmp_path / "data").rglob("conversations*"))


# -- Those who don't mean well ---


IDS = [
    "..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fadmin",
    "a%2fb",
    "a%2Fitems%2Fb",
    "%00",
    "%",
    "%ff",
    "%F0%9F%A7%B1",
    "conv_",
    "conv_" + "0" * 32,
    "conv_" + "0" * 400,
    "x" * 10_000,
    "*",
    "%25",
    "' or 1=1 --".replace(" ", "%20"),
    "null",
    "none",
    "user:user-of-beta",
]


@pytest.mark.parametrize("bad", IDS, ids=lambda each: each[:12])
def test_no_odd_id_is_anything_but_missing(alive: Session, bad: str) -> None:
    async def main() -> None:
        headers = headers_of("alpha")
        made = (await alive.client.post("/v1/conversations", headers, {"items": [HELLO]})).json["id"]
        for method, path in (
            ("GET", f"/v1/conversations/{bad}"),
            ("POST", f"/v1/conversations/{bad}"),
            ("DELETE", f"/v1/conversations/{bad}"),
            ("GET", f"/v1/conversations/{bad}/items"),
            ("POST", f"/v1/conversations/{bad}/items"),
            ("GET", f"/v1/conversations/{made}/items/{bad}"),
            ("DELETE", f"/v1/conversations/{made}/items/{bad}"),
            ("GET", f"/v1/conversations/{bad}/items/{bad}"),
            ("GET", f"/v1/conversations/{made}/items?after={quote(bad, safe='%')}"),
        ):
            path, _, query = path.partition("?")
            body = {"items": [HELLO], "metadata": {}} if method == "POST" else b""
            reply = await alive.client.call(method, path, headers=headers, body=body, query=query)
            assert (reply.status, reply.code) in ((404, "not_found"), (400, "invalid_request")), (method, path)
            if reply.status == 400:
                assert query, path
        assert (await alive.client.get(f"/v1/conversations/{made}/items", headers)).json["data"]

    alive.run(main())


ODD: list[Any] = [None, True, 0, 1.5, "x", "", [], {}, [None], [[]], {"a": {}}, [{"type": "x"}], [{}], "\u0000", 10**30]


@pytest.mark.parametrize("field", ["items", "metadata", "unknown", None])
@pytest.mark.parametrize("number", range(len(ODD)))
def test_a_body_of_another_type_is_never_a_failure(alive: Session, number: int, field: str | None) -> None:
    async def main() -> None:
        headers = headers_of("alpha")
        made = (await alive.client.post("/v1/conversations", headers, {})).json["id"]
        for path in ("/v1/conversations", f"/v1/conversations/{made}", f"/v1/conversations/{made}/items"):
            body = ODD[number] if field is None else {field: ODD[number]}
            raw = repr(body).encode() if isinstance(body, int) and body > 2**63 else body
            try:
                reply = await alive.client.post(path, headers, raw)
            except TypeError:  # this number is no JSON of orjson's
                continue
            assert reply.status in (200, 400, 404), (path, body, reply.body)
            assert reply.status == 200 or reply.code in ("invalid_request", "not_found")

    alive.run(main())


ITEMS: list[tuple[Any, int]] = [
    ({"type": "message", "role": "user"}, 400),
    ({"type": "message", "role": "owner", "content": "x"}, 400),
    ({"type": "message", "role": ["user"], "content": "x"}, 400),
    ({"type": "message", "role": "user", "content": [{"text": "x"}]}, 400),
    ({"type": "message", "role": "user", "content": 5}, 400),
    ({"type": "unheard_of"}, 400),
    ({"type": ["message"]}, 400),
    ({"type": "item_reference", "id": "msg_1"}, 404),
    ({"id": "msg_1"}, 400),
    ({"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}, 404),
    ({"type": "reasoning", "id": "rs_1", "summary": []}, 404),
    ({"type": "code_interpreter_call", "container_id": "cntr_1", "code": "x"}, 404),
]


@pytest.mark.parametrize("number", range(len(ITEMS)))
def test_items_that_are_none_or_point_elsewhere_are_refused(alive: Session, number: int) -> None:
    item, status = ITEMS[number]
    for body in ({"items": [item]}, {"items": [HELLO, item]}):
        reply = alive.post("/v1/conversations", headers_of("alpha"), body)
        assert (reply.status, reply.code) == (status, "not_found" if status == 404 else "invalid_request")


METADATA: list[Any] = [
    {"a": 1},
    {"a": None},
    {"": "x"},
    {"a" * 65: "x"},
    {"a": "x" * 513},
    {str(number): "x" for number in range(17)},
    {"a": {"b": "c"}},
    ["a"],
]


@pytest.mark.parametrize("number", range(len(METADATA)))
def test_metadata_that_are_none_are_refused(alive: Session, number: int) -> None:
    reply = alive.post("/v1/conversations", headers_of("alpha"), {"metadata": METADATA[number]})
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=1e1", "order=up", "order="])
def test_pages_that_are_none_are_refused(alive: Session, query: str) -> None:
    made = alive.post("/v1/conversations", headers_of("alpha"), {}).json["id"]
    assert alive.get(f"/v1/conversations/{made}/items", headers_of("alpha"), query).status == 400


@pytest.mark.parametrize(
    "body",
    [{"tenant": "beta"}, {"metadata": {"tenant_id": "beta"}}, {"org_id": ["alpha"]}],
    ids=["top", "meta", "list"],
)
def test_a_body_that_names_another_tenant_is_refused(alive: Session, body: dict[str, Any]) -> None:
    reply = alive.post("/v1/conversations", headers_of("alpha"), body)
    assert (reply.status, reply.code) == (403, "tenant_mismatch")
    agreeing = alive.post("/v1/conversations", headers_of("alpha"), {"metadata": {"tenant_id": "alpha"}})
    assert agreeing.json["metadata"] == {"tenant_id": "alpha"}
    query = alive.post("/v1/conversations", headers_of("alpha"), {}, "tenant=beta")
    assert (query.status, query.code) == (403, "tenant_mismatch")


def test_what_a_client_gave_as_id_is_not_one(alive: Session) -> None:
    """R3: an id that a client names is neither kept nor looked up."""
    theirs = alive.post("/v1/conversations", headers_of("beta"), {"items": [HELLO]}).json["id"]
    item = alive.get(f"/v1/conversations/{theirs}/items", headers_of("beta")).json["data"][0]
    mine = alive.post("/v1/conversations", headers_of("alpha"), {"id": theirs, "items": [item]})
    assert mine.status == 200
    assert mine.json["id"] != theirs
    kept = alive.get(f"/v1/conversations/{mine.json['id']}/items", headers_of("alpha")).json["data"]
    assert [each["id"] for each in kept] != [item["id"]]
