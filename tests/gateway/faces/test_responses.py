"""Responses and Chat that go on with what is stored: through OpenAI's client, and with an upstream that tells tales."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.inprocess import Session, session
from tests.support.official import gpt
from tests.support.process import Served, serve
from tests.support.transcripts import chat_text, responses_text
from tests.support.upstream import Received, Upstream, upstream, write_stream, write_whole

from partywall.errors import StoreUnavailable
from partywall.gateway.context import composing
from partywall.stores import Item
from partywall.stores.backends.sqlite import SqlitePartition
from partywall.stores.conversations import Conversations
from partywall.stores.fields import Page
from partywall.stores.responses import Responses
from partywall.tenancy import TenantId

HELLO: dict[str, Any] = {"type": "message", "role": "user", "content": "hello"}


def document(**sections: Any) -> dict[str, Any]:
    return merged(base_document(), **{"encryption": {}, **sections})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("responses")
    with serve(write_document(folder / "partywall.yaml", document()), folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with upstream() as server:
        server.behave = _vendor
        yield server


@pytest.fixture(scope="module")
def alive(vendor: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A gateway before a vendor that answers with ids of its own."""
    folder = tmp_path_factory.mktemp("vendor")
    made = merged(base_document(base_url=vendor.url), encryption={})
    with session(write_document(folder / "partywall.yaml", made), folder / "data") as running:
        yield running


async def _vendor(request: Received, writer: Any) -> bool:
    if request.path.endswith("/responses"):
        events = responses_text("said ", "before")
        last: Any = orjson.loads(events[-1].split(b"data: ")[1])
        last["response"]["instructions"] = request.json.get("instructions")
        events[-1] = b"event: response.completed\ndata: " + orjson.dumps(last) + b"\n\n"
        whole: Any = last["response"]
    else:
        events = chat_text("said ", "before")
        message = {"role": "assistant", "content": "said before"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": "chatcmpl-9", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    if request.json.get("stream"):
        # One that says so breaks off: everything but its terminal event.
        await write_stream(writer, events[:-1] if b"BREAK OFF" in request.body else events)
    else:
        await write_whole(writer, 200, orjson.dumps(whole))
    return True


def asks(path: str, *, stream: bool, **fields: Any) -> tuple[str, dict[str, Any]]:
    said = {"input": "hello"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hello"}]}
    return path, {"model": "alpha-model", "stream": stream, **said, **fields}


def texts(items: Any) -> list[str]:
    return [item["content"][0]["text"] for item in items]


# -- Through the client ---


def test_an_answer_is_kept_read_and_deleted(served: Served) -> None:
    with gpt(served) as client:
        made = client.responses.create(model="alpha-model", input="PLUM", instructions="be brief")
        assert made.id.startswith("resp_")
        assert made.store  # type: ignore[attr-defined]  # OpenAI sends it; the client's type doesn't say so
        assert client.responses.retrieve(made.id) == made
        (said,) = client.responses.input_items.list(made.id)
        assert said.content[0].text == "PLUM"  # type: ignore[union-attr,index]
        client.responses.delete(made.id)
        for attempt in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                attempt(made.id)


def test_an_answer_that_is_not_to_be_kept_is_not(served: Served) -> None:
    with gpt(served) as client:
        made = client.responses.create(model="alpha-model", input="PLUM", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_follows_another(served: Served, stream: bool) -> None:
    """The parrot says what it was given: what was said first comes back, and no id does."""
    with gpt(served) as client:
        first = client.responses.create(model="alpha-model", input="PLUM is my word")
        fields: Any = {"model": "alpha-model", "input": "and CHERRY", "previous_response_id": first.id}
        if stream:
            with client.responses.stream(**fields) as events:
                second: Any = next(e.response for e in events if e.type == "response.completed")
        else:
            second = client.responses.create(**fields)
        assert "PLUM is my word" in second.output_text
        assert "CHERRY" in second.output_text
        assert second.previous_response_id == first.id
        assert first.id not in second.output_text
        assert first.output[0].id not in second.output_text
        assert client.responses.retrieve(second.id).output_text == second.output_text
        third = client.responses.create(model="alpha-model", input="what were they?", previous_response_id=second.id)
        assert third.output_text.count("PLUM is my word") >= 2
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="alpha-model", input="x", previous_response_id=second.id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_responses_go_on_with_a_conversation(served: Served, stream: bool) -> None:
    with gpt(served) as client:
        conversation = client.conversations.create(items=[{"role": "user", "content": "my word is PLUM"}])
        fields: Any = {"model": "alpha-model", "input": "what is it?", "conversation": conversation.id}
        if stream:
            events = list(client.responses.create(**fields, stream=True))
            made: Any = events[-1].response
            assert {event.response.id for event in events if hasattr(event, "response")} == {made.id}
            assert {event.item_id for event in events if hasattr(event, "item_id")} == {made.output[0].id}
        else:
            made = client.responses.create(**fields)
        assert "my word is PLUM" in made.output_text
        assert conversation.id not in made.output_text
        assert made.conversation.id == conversation.id
        items: list[Any] = list(client.conversations.items.list(conversation.id, order="asc"))
        assert [item.role for item in items] == ["user", "user", "assistant"]
        assert items[1].content[0].text == "what is it?"
        assert items[2].id == made.output[0].id
        assert items[2].content[0].text == made.output_text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_chat_goes_on_with_a_conversation(served: Served, stream: bool) -> None:
    with gpt(served) as client:
        conversation = client.conversations.create(items=[{"role": "user", "content": "my word is PLUM"}])
        messages: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it?"}]
        made: Any = client.chat.completions.create(
            model="alpha-model", messages=messages, stream=stream, extra_body={"conversation": conversation.id}
        )
        text = (
            "".join(chunk.choices[0].delta.content or "" for chunk in made)
            if stream
            else made.choices[0].message.content
        )
        assert text.index("be brief") < text.index("my word is PLUM") < text.index("what is it?")
        assert conversation.id not in text
        items: list[Any] = list(client.conversations.items.list(conversation.id, order="asc"))
        assert [item.role for item in items] == ["user", "user", "assistant"]
        assert items[2].content[0].text == text


def test_a_stored_call_and_its_output_go_before_both_apis(served: Served) -> None:
    call = {"type": "function_call", "name": "look", "call_id": "call_7", "arguments": '{"q": "PLUM"}'}
    output = {"type": "function_call_output", "call_id": "call_7", "output": "CHERRY"}
    with gpt(served) as client:
        conversation = client.conversations.create(items=[HELLO, call, output])  # type: ignore[list-item]
        fields: Any = {"model": "alpha-model", "extra_body": {"conversation": {"id": conversation.id}}}
        whole: Any = client.chat.completions.create(messages=[{"role": "user", "content": "well?"}], **fields)
        said = whole.choices[0].message.content
        assert said.index("call_7") < said.index("CHERRY") < said.index("well?")
        assert "tool_call_id: call_7" in said
        made = client.responses.create(model="alpha-model", input="well?", conversation=conversation.id)
        assert "type: function_call_output" in made.output_text


# -- What the upstream sees, and what the client sees of it ---


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_id_of_ours_goes_up_and_none_of_the_vendor_s_comes_down(
    alive: Session, vendor: Upstream, stream: bool
) -> None:
    headers = headers_of("alpha")
    conversation = alive.post("/v1/conversations", headers, {"items": [HELLO]}).json["id"]
    vendor.received.clear()
    reply = alive.post(*_swap(headers, asks("/v1/responses", stream=stream, conversation=conversation)))
    assert reply.status == 200
    assert b'"resp_9"' not in reply.body
    assert b'"msg_1"' not in reply.body
    (sent,) = vendor.received
    assert sent.json["store"] is False
    assert not {"conversation", "previous_response_id"} & set(sent.json)
    assert conversation.encode() not in sent.body
    assert b'"id"' not in sent.body
    answer = _last(reply.body) if stream else reply.json
    following = asks("/v1/responses", stream=stream, previous_response_id=answer["id"], input=answer["output"])
    vendor.received.clear()
    assert alive.post(*_swap(headers, following)).status == 200
    (sent,) = vendor.received
    assert answer["id"].encode() not in sent.body
    assert answer["output"][0]["id"].encode() not in sent.body
    assert sent.body.count(b"said before") == 2


def _swap(headers: dict[str, str], asked: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, str], dict[str, Any]]:
    return asked[0], headers, asked[1]


def _last(body: bytes) -> Any:
    events = [part for part in body.split(b"\n\n") if b"response.completed" in part]
    return orjson.loads(events[-1].split(b"data: ", 1)[1])["response"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_can_not_be_kept_is_no_success(
    alive: Session, monkeypatch: pytest.MonkeyPatch, path: str, stream: bool
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is full")

    headers = headers_of("alpha")
    conversation = alive.post("/v1/conversations", headers, {"items": [HELLO]}).json["id"]
    monkeypatch.setattr(Conversations, "append_made", broken)
    reply = alive.post(*_swap(headers, asks(path, stream=stream, conversation=conversation)))
    if stream:
        assert b"store_unavailable" in reply.body
        assert b"response.completed" not in reply.body
        assert b"said " in reply.body  # what came before the end had gone out
        assert reply.body.count(b"[DONE]") == (0 if path == "/v1/responses" else 1)
    else:
        assert (reply.status, reply.code) == (503, "store_unavailable")
    (record, *_) = sorted(alive.recorded("alpha"), key=lambda each: -each.time)
    assert (record.verdict, record.code) == ("block", "store_unavailable")
    monkeypatch.undo()
    listed = alive.get(f"/v1/conversations/{conversation}/items", headers).json["data"]
    assert len(listed) == 1


def test_an_answer_that_can_not_be_kept_alone_is_no_success(alive: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(Responses, "keep", broken)
    assert alive.post(*_swap(headers_of("alpha"), asks("/v1/responses", stream=False))).status == 503
    assert alive.post(*_swap(headers_of("alpha"), asks("/v1/responses", stream=False, store=False))).status == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_of_a_turn_that_broke_off_nothing_is_kept(alive: Session, path: str) -> None:
    headers = headers_of("alpha")
    conversation = alive.post("/v1/conversations", headers, {"items": [HELLO]}).json["id"]
    said: dict[str, Any] = {"input": "BREAK OFF", "messages": [{"role": "user", "content": "BREAK OFF"}]}
    body = {"model": "alpha-model", "stream": True, "conversation": conversation, **said}
    reply = alive.post(path, headers, body)
    assert b"upstream_unavailable" in reply.body
    assert len(alive.get(f"/v1/conversations/{conversation}/items", headers).json["data"]) == 1


def test_a_stream_that_is_cancelled_at_any_await_keeps_all_of_a_turn_or_nothing(alive: Session) -> None:
    """Cancelled after each number of turns of the loop: question and answer are both there, or neither is."""

    async def main() -> set[int]:
        headers, seen = headers_of("alpha"), set()
        for turns in [*range(0, 120, 4), None]:
            made = (await alive.client.post("/v1/conversations", headers, {})).json["id"]
            path, body = asks("/v1/responses", stream=True, conversation=made)
            asking = asyncio.create_task(alive.client.post(path, headers, body))
            for _ in range(turns or 0):
                await asyncio.sleep(0)
            if turns is not None:
                asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await asyncio.sleep(0.02)
            listed = (await alive.client.get(f"/v1/conversations/{made}/items", headers)).json["data"]
            seen.add(len(listed))
        return seen

    assert alive.run(main()) == {0, 2}


def test_two_turns_at_once_are_both_kept(alive: Session) -> None:
    async def main() -> None:
        headers = headers_of("alpha")
        made = (await alive.client.post("/v1/conversations", headers, {})).json["id"]
        path, body = asks("/v1/responses", stream=True, conversation=made)
        replies = await asyncio.gather(
            *(alive.client.post(path, headers, {**body, "input": f"turn {number}"}) for number in range(4))
        )
        assert {reply.status for reply in replies} == {200}
        listed = (await alive.client.get(f"/v1/conversations/{made}/items", headers, "order=asc")).json["data"]
        said = texts(listed)
        assert len(said) == 8
        assert all(said[index + 1] == "said before" for index in range(0, 8, 2))
        assert sorted(said[::2]) == [f"turn {number}" for number in range(4)]

    alive.run(main())


def test_what_is_too_large_to_be_kept_is_answered_unless_it_was_to_be_kept(alive: Session) -> None:
    headers = headers_of("alpha")
    conversation = alive.post("/v1/conversations", headers, {}).json["id"]
    large = {"model": "alpha-model", "input": [{"role": "user", "content": "x" * (3 * 2**20)}]}
    answered = alive.post("/v1/responses", headers, large)
    assert (answered.status, answered.json["store"]) == (200, False)
    assert alive.get(f"/v1/responses/{answered.json['id']}", headers).status == 404
    for fields in ({"store": True}, {"conversation": conversation}):
        refused_one = alive.post("/v1/responses", headers, large | fields)
        assert (refused_one.status, refused_one.code) == (413, "payload_too_large")
    many = {"model": "alpha-model", "input": [{"role": "user", "content": "x"}] * 2000}
    kept = alive.post("/v1/responses", headers, many)
    assert (kept.status, kept.json["store"]) == (200, True)
    assert alive.post("/v1/responses", headers, many | {"conversation": conversation}).status == 400


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_answer_that_failed_is_not_kept(alive: Session, vendor: Upstream, status: str) -> None:
    async def failing(request: Received, writer: Any) -> bool:
        answer = orjson.loads(responses_text("said ", "before")[-1].split(b"data: ")[1])["response"]
        await write_whole(writer, 200, orjson.dumps(answer | {"status": status}))
        return True

    headers = headers_of("alpha")
    made = alive.post("/v1/conversations", headers, {"items": [HELLO]}).json["id"]
    vendor.behave = failing
    try:
        alone = alive.post(*_swap(headers, asks("/v1/responses", stream=False)))
        there = alive.post(*_swap(headers, asks("/v1/responses", stream=False, conversation=made)))
    finally:
        vendor.behave = _vendor
    for reply in (alone, there):
        assert (reply.status, reply.json["status"]) == (200, status)
        assert alive.get(f"/v1/responses/{reply.json['id']}", headers).status == 404
    assert len(alive.get(f"/v1/conversations/{made}/items", headers).json["data"]) == 1


# -- How much goes before ---


def test_what_goes_before_is_read_no_further_than_a_request_could_hold(
    vendor: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some 32 MiB lie there, of which some are never sent: refused after a piece, and the backend gave no more."""
    made = merged(base_document(base_url=vendor.url), encryption={}, server={"max_body_bytes": 2 * 2**20})
    with session(write_document(tmp_path / "partywall.yaml", made), tmp_path / "data") as running:
        headers, large = headers_of("alpha"), "x" * 2**20
        sent = {"role": "user", "content": large}
        unsent = {"type": "file_search_call", "queries": [], "results": [{"text": large}], "status": "completed"}
        fitting = running.post("/v1/conversations", headers, {"items": [sent]}).json["id"]
        read: list[int] = []

        async def fill() -> list[str]:
            scope = await running.client.platform.authenticate(headers)
            store = running.client.platform.conversations
            return [(await store.create(scope, items=[{"type": "message", **item}] * 16)).id for item in (sent, unsent)]

        page = SqlitePartition.page

        async def counted(self: SqlitePartition, group: bytes, **named: Any) -> Any:
            rows = await page(self, group, **named)
            read.append(sum(len(row.sealed) for row in rows or ()))
            return rows

        conversations = running.run(fill())
        monkeypatch.setattr(SqlitePartition, "page", counted)
        for path in ("/v1/responses", "/v1/chat/completions"):
            for conversation, most in zip(conversations, (5, 13), strict=True):
                read.clear()
                reply = running.post(*_swap(headers, asks(path, stream=False, conversation=conversation)))
                assert (reply.status, reply.code) == (413, "payload_too_large")
                assert sum(read) < most * 2**20
                assert max(read) < 5 * 2**20
            assert running.post(*_swap(headers, asks(path, stream=False, conversation=fitting))).status == 200
        read.clear()
        listed = running.get(f"/v1/conversations/{conversations[0]}/items", headers, "limit=100")
        assert listed.json["has_more"]
        assert len(listed.body) < 5 * 2**20
        assert sum(read) < 9 * 2**20


def test_a_chain_and_a_conversation_have_a_longest_length(alive: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = headers_of("alpha")
    monkeypatch.setattr(composing, "_LONGEST_CHAIN", 2)
    monkeypatch.setattr(composing, "_MOST_ITEMS", 2)
    previous, statuses = None, []
    for _ in range(4):
        reply = alive.post(*_swap(headers, asks("/v1/responses", stream=False, previous_response_id=previous)))
        statuses.append((reply.status, reply.code))
        previous = reply.json.get("id", previous)
    assert statuses == [(200, None)] * 3 + [(400, "invalid_request")]
    for count, status in ((2, 200), (3, 400)):
        for path in ("/v1/responses", "/v1/chat/completions"):
            made = alive.post("/v1/conversations", headers, {"items": [HELLO] * count}).json["id"]
            assert alive.post(*_swap(headers, asks(path, stream=False, conversation=made))).status == status


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_foreign_item_is_kept_out_of_the_prompt_and_logged(
    alive: Session, vendor: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """With every wall of the stores down, the last look still keeps it out, and says so without its content."""
    headers = headers_of("alpha")
    made = alive.post("/v1/conversations", headers, {"items": [HELLO]}).json["id"]
    items = Conversations.items

    async def leaky(*args: Any, **named: Any) -> Page[Item]:
        page = await items(*args, **named)
        said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "BETA'S SECRET"}]}
        foreign = Item("msg_foreign", 1.0, said, TenantId("beta"))
        return replace(page, items=(*page.items, foreign))

    monkeypatch.setattr(Conversations, "items", leaky)
    vendor.received.clear()
    assert alive.post(*_swap(headers, asks(path, stream=False, conversation=made))).status == 200
    (sent,) = vendor.received
    assert sent.body.count(b"hello") == 2
    assert b"SECRET" not in sent.body
    assert "kept an item of `beta` (`msg_foreign` in `conversations`) out of a prompt of `alpha`" in caplog.text
    assert "SECRET" not in caplog.text


# -- Roles ---


def test_a_tool_that_another_role_stored_is_held_against_this_one_s(alive: Session, vendor: Upstream) -> None:
    tool = {"type": "function", "name": "get_secret", "parameters": {}}
    added = {"type": "additional_tools", "role": "developer", "tools": [tool]}
    headers = headers_of("alpha")
    made = alive.post("/v1/conversations", headers, {"items": [added, HELLO]}).json["id"]
    vendor.received.clear()
    reply = alive.post(*_swap(headers, asks("/v1/responses", stream=False, conversation=made)))
    assert reply.status == 200
    (sent,) = vendor.received
    assert b"get_secret" not in sent.body


# -- Those who don't mean well ---


def refused(running: Session, body: dict[str, Any], path: str = "/v1/responses") -> tuple[int, bytes]:
    reply = running.post(path, headers_of("alpha"), {"model": "alpha-model", "input": "x", **body})
    return reply.status, reply.body


def test_another_tenant_s_answer_and_conversation_look_like_nobody_s(alive: Session, vendor: Upstream) -> None:
    headers = headers_of("beta")
    conversation = alive.post("/v1/conversations", headers, {"items": [HELLO]}).json["id"]
    answer = alive.post("/v1/responses", headers, {"model": "beta-model", "input": "hello"}).json["id"]
    vendor.received.clear()
    for field, theirs, kind in (("conversation", conversation, "conv_"), ("previous_response_id", answer, "resp_")):
        foreign, missing = refused(alive, {field: theirs}), refused(alive, {field: kind + "0" * 32})
        assert foreign == missing
        assert foreign[0] == 404
        assert orjson.loads(foreign[1])["error"]["code"] == "not_found"
    messages = [{"role": "user", "content": "x"}]
    chat = "/v1/chat/completions"
    assert refused(alive, {"messages": messages, "conversation": conversation}, chat) == refused(
        alive, {"messages": messages, "conversation": "conv_" + "0" * 32}, chat
    )
    assert vendor.received == []
    for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/input_items")):
        replies = [
            alive.run(alive.client.call(method, f"/v1/responses/{each}{suffix}", headers=headers_of("alpha")))
            for each in (answer, "resp_" + "0" * 32)
        ]
        assert replies[0].status == 404
        assert replies[0].body == replies[1].body


ODD: list[Any] = [0, 1.5, True, [], [1], {}, {"id": None}, {"id": 5}, {"id": "x", "y": 1}, "", "x" * 300, "\ud800"]


@pytest.mark.parametrize("field", ["conversation", "previous_response_id"])
@pytest.mark.parametrize("number", range(len(ODD)))
def test_a_reference_of_another_type_is_never_a_failure(alive: Session, field: str, number: int) -> None:
    value = ODD[number]
    for path in ("/v1/responses", "/v1/chat/completions"):
        body = {"model": "alpha-model", "input": "x", "messages": [HELLO], field: "SET"}
        raw = orjson.dumps(body).replace(b'"SET"', repr(value).encode() if value == "\ud800" else orjson.dumps(value))
        reply = alive.run(alive.client.call("POST", path, headers=headers_of("alpha"), body=raw))
        if path == "/v1/chat/completions" and field == "previous_response_id":
            continue
        assert reply.status in (400, 404), (path, value, reply.body)


def test_both_references_at_once_are_refused(alive: Session) -> None:
    assert refused(alive, {"conversation": "conv_x", "previous_response_id": "resp_x"})[0] == 400


INPUTS: list[Any] = [None, 5, True, {}, [], [None], [5], ["x"], [[]], [{}], [{"type": 5}], [{"role": 5, "content": 5}]]


@pytest.mark.parametrize("number", range(len(INPUTS)))
def test_an_input_of_another_type_is_never_a_failure(alive: Session, number: int) -> None:
    for fields in ({}, {"conversation": alive.post("/v1/conversations", headers_of("alpha"), {}).json["id"]}):
        status, body = refused(alive, {"input": INPUTS[number], **fields})
        assert status in (200, 400, 404), body


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


VALUES = [b"[1]", b"{}", b"5", b"null", *map(deep, (246, 248, 250, 252, 254, 900))]
PLACES = [
    b'[{"role": SET, "content": "x"}]',
    b'[{"role": "user", "content": "x", "extra": SET}]',
    b'[{"role": "user", "content": SET}]',
    b'[{"role": "user", "content": [SET]}]',
    b'[{"role": "user", "content": [{"type": SET, "text": "x"}]}]',
    b'[{"role": "user", "content": [{"type": "text", "text": SET}]}]',
    b'[{"role": "user", "content": [{"type": "input_text", "text": SET}]}]',
    b'[{"role": "user", "content": [{"type": "image_url", "image_url": SET}]}]',
    b'[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": SET, "detail": SET}}]}]',
    b'[{"role": "tool", "tool_call_id": SET, "content": SET}]',
    b'[{"role": "assistant", "refusal": SET, "tool_calls": SET}]',
    b'[{"role": "assistant", "tool_calls": [{"id": SET, "type": "function", "function": {"name": "f"}}]}]',
    b'[{"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": SET}}]}]',
    b'[{"type": SET}]',
    b'[{"type": "message", "role": "user", "content": "x", "tools": SET}]',
    b'[{"type": "function_call", "name": "f", "call_id": SET, "arguments": SET}]',
    b'[{"type": "function_call_output", "call_id": "1", "output": SET}]',
    b'[{"type": "reasoning", "summary": SET}]',
    b"[SET]",
    b"SET",
]


@pytest.mark.parametrize("place", PLACES, ids=bytes.decode)
def test_no_value_in_a_message_or_item_is_a_failure(alive: Session, place: bytes) -> None:
    """Unhashable where something is looked up, too deep to be written: a 400 of its own, kept or not (F10)."""
    headers = headers_of("alpha")

    async def main() -> None:
        for value in VALUES:
            for path, field in (("/v1/chat/completions", b"messages"), ("/v1/responses", b"input")):
                made = (await alive.client.post("/v1/conversations", headers, {"items": [HELLO]})).json["id"].encode()
                for more in (b"", b', "store": false', b', "conversation": "%s"' % made):
                    said = place.replace(b"SET", value)
                    body = b'{"model": "alpha-model", "%s": %s%s}' % (field, said, more)
                    reply = await alive.client.call("POST", path, headers=headers, body=body)
                    assert reply.status in (200, 400, 404), (path, more, value[:300], reply.body)
                    assert reply.status == 200 or reply.code in ("invalid_request", "not_found")
                items = b'{"items": %s}' % place.replace(b"SET", value)
                path = f"/v1/conversations/{made.decode()}/items"
                reply = await alive.client.call("POST", path, headers=headers, body=items)
                assert reply.status in (200, 400, 404), (path, value[:300], reply.body)
                # Whatever was let in comes out again, and the conversation can be gone on with.
                listed = await alive.client.get(path, headers, "limit=100")
                assert listed.status == 200, listed.body
                for other in ("/v1/chat/completions", "/v1/responses"):
                    fields = asks(other, stream=False, conversation=made.decode())[1]
                    assert (await alive.client.post(other, headers, fields)).status == 200, (other, value[:300])

    alive.run(main())


@pytest.mark.parametrize("role", [[1], {}, 5, None])
def test_a_message_of_a_conversation_has_a_role(alive: Session, role: object) -> None:
    headers = headers_of("alpha")
    made = alive.post("/v1/conversations", headers, {}).json["id"]
    body = {"model": "alpha-model", "messages": [{"role": role, "content": "x"}], "conversation": made}
    reply = alive.post("/v1/chat/completions", headers, body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert "`messages` must be an object with a `role`" in reply.json["error"]["message"]


def test_a_message_that_brought_tools_does_not_spoil_its_conversation(alive: Session, vendor: Upstream) -> None:
    headers = headers_of("alpha")
    tool = {"type": "function", "name": "get_secret", "parameters": {}}
    made = alive.post("/v1/conversations", headers, {"items": [{**HELLO, "tools": [tool]}]}).json["id"]
    vendor.received.clear()
    for path in ("/v1/responses", "/v1/chat/completions"):
        assert alive.post(*_swap(headers, asks(path, stream=False, conversation=made))).status == 200
    assert [b"tools" in sent.body for sent in vendor.received] == [False, False]
    none_of_those: list[Any] = [5, [{}], [5]]
    for tools in none_of_those:
        for item in ({**HELLO, "tools": tools}, {"type": "additional_tools", "role": "developer", "tools": tools}):
            reply = alive.post("/v1/conversations", headers, {"items": [item]})
            assert (reply.status, reply.code) == (400, "invalid_request"), item


# -- The platform's own words ---


@pytest.mark.parametrize("store", [True, False, None], ids=["kept", "not kept", "nowhere to keep"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_vendor_that_repeats_the_instructions_repeats_the_client_s(
    vendor: Upstream, tmp_path: Path, store: bool | None, stream: bool
) -> None:
    """OpenAI's answers hold the `instructions` that it was sent, the platform's among them."""
    sections: dict[str, Any] = {"prompts": {"base_system_prompt": "THE PLATFORM'S OWN WORDS"}}
    if store is not None:
        sections["encryption"] = {}
    made = merged(base_document(base_url=vendor.url), **sections)
    vendor.received.clear()
    with session(write_document(tmp_path / "partywall.yaml", made), tmp_path / "data") as running:
        fields = {} if store is None else {"store": store}
        asked = asks("/v1/responses", stream=stream, instructions="be brief", **fields)
        reply = running.post(*_swap(headers_of("alpha"), asked))
    assert reply.status == 200
    assert b"THE PLATFORM'S OWN WORDS" in vendor.received[0].body
    assert b"THE PLATFORM'S" not in reply.body
    assert b'"instructions":"be brief"' in reply.body


# -- Without a place to store ---


def test_without_encryption_references_are_refused_and_answers_pass(tmp_path: Path) -> None:
    with session(write_document(tmp_path / "partywall.yaml", base_document()), tmp_path / "data") as running:
        assert refused(running, {"conversation": "conv_x"})[0] == 404
        assert refused(running, {"previous_response_id": "resp_x"})[0] == 404
        chat = {"messages": [{"role": "user", "content": "x"}], "conversation": "conv_x"}
        assert refused(running, chat, "/v1/chat/completions")[0] == 404
        assert refused(running, {"store": True})[0] == 200
        assert refused(running, {})[0] == 200
