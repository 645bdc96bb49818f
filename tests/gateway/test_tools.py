"""A role's tools, on the way in and on the way out, whatever the model wants.

The parrot calls any tool that the user's text names; the recorded upstream answers with vendors' own shapes, torn into
pieces of every size. What may not be called is never offered; a call that comes all the same is stopped before the
first byte of its name or arguments is released. The role `analyst` may use `search` and `get_*`, but not `get_secret`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import orjson
import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.support.documents import KEYS, TENANTS, both_vendors, headers_of, write_document
from tests.support.inprocess import Reply
from tests.support.process import Served, serve
from tests.support.raw import RawConnection
from tests.support.records import recorded, until
from tests.support.transcripts import DONE, PATHS, chat_call, chat_text, messages_call, responses_call, whole_call
from tests.support.upstream import Upstream, answers, streams, upstream

from partywall.trail import DecisionRecord

FORBIDDEN = ["wipe_disk", "get_secret", "search_and_destroy", "Search", "getuser", "search "]
ALLOWED = ["search", "get_user", "get_"]
SECRET = "secret-argument"
ARGUMENTS = ['{"query": "', SECRET, '"}']
CALLS: dict[str, Callable[..., list[bytes]]] = {
    "chat": chat_call,
    "responses": responses_call,
    "messages": messages_call,
}

every_api = pytest.mark.parametrize("api", CALLS)
forbidden = pytest.mark.parametrize("name", FORBIDDEN)
allowed = pytest.mark.parametrize("name", ALLOWED)


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(server: Upstream) -> Iterator[None]:
    server.received.clear()
    yield
    server.behave = None


@pytest.fixture(scope="module")
def served(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tools")
    document = both_vendors(server.url)
    for tenant, group in zip(TENANTS, document["consumer_groups"]["groups"], strict=True):
        document["providers"]["targets"].append(
            {"id": f"{tenant}-parrot", "provider": "parrot", "model": f"{tenant}-parrot"}
        )
        group["upstream"].append(f"{tenant}-parrot")
    with serve(write_document(folder / "partywall.yaml", document), folder / "data") as running:
        yield running


def offered(api: str, *names: str) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {}}
    if api == "chat":
        return [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names]
    if api == "responses":
        return [{"type": "function", "name": name, "parameters": schema, "strict": False} for name in names]
    return [{"name": name, "input_schema": schema} for name in names]


def forcing(api: str, name: str) -> dict[str, Any]:
    if api == "chat":
        return {"type": "function", "function": {"name": name}}
    return {"type": "tool" if api == "messages" else "function", "name": name}


def names_in(api: str, tools: list[dict[str, Any]]) -> list[str]:
    return [tool["function"]["name"] if api == "chat" else tool["name"] for tool in tools]


def ask(
    served: Served, api: str, text: str = "hello", *, tenant: str = "alpha", role: str | None = "analyst", **fields: Any
) -> Reply:
    """One request; `model` is the recorded upstream's unless `fields` say otherwise."""
    model = f"{tenant}-claude" if api == "messages" else f"{tenant}-model"
    said = {"input": text} if api == "responses" else {"messages": [{"role": "user", "content": text}]}
    body = orjson.dumps({"model": model} | said | ({"max_tokens": 5} if api == "messages" else {}) | fields)
    lines = [f"{name}: {value}" for name, value in headers_of(tenant, role=role).items()]
    head = [f"POST {PATHS[api]} HTTP/1.1", "host: gateway", *lines, f"content-length: {len(body)}", "", ""]
    with RawConnection(served.url) as connection:
        connection.send("\r\n".join(head).encode() + body)
        return connection.answer()


def last_record(served: Served, since: float, tenant: str = "alpha") -> DecisionRecord:
    (record,) = until(lambda: [r for r in recorded(served.data_dir, tenant, since=since) if r.outcome])
    return record


# -- What is offered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", TENANTS)
@every_api
def test_forbidden_tools_are_taken_out(served: Served, server: Upstream, api: str, tenant: str) -> None:
    server.behave = answers(200, whole_call(api, "search", "{}"))
    since = time.time()
    reply = ask(served, api, tenant=tenant, tools=offered(api, "search", *FORBIDDEN, "get_user"))
    assert reply.status == 200
    (received,) = server.received
    assert names_in(api, received.json["tools"]) == ["search", "get_user"]
    assert not any(name.encode() + b'"' in received.body for name in FORBIDDEN)
    record = last_record(served, since, tenant)
    said = [policy.reason for policy in record.policies if policy.verdict == "redact"]
    assert record.verdict == "redact"
    assert "wipe_disk" in said[0]


@every_api
def test_with_all_taken_out_none_is_offered(served: Served, server: Upstream, api: str) -> None:
    server.behave = answers(200, whole_call(api, "search", "{}"))
    choice = {"type": "auto"} if api == "messages" else "auto"
    assert ask(served, api, tools=offered(api, *FORBIDDEN), tool_choice=choice).status == 200
    assert {"tools", "tool_choice"}.isdisjoint(server.received[0].json)


@pytest.mark.parametrize("role", [None, "intern", "Analyst", "analyst "])
@every_api
def test_a_role_without_rules_has_no_tools(served: Served, server: Upstream, api: str, role: str | None) -> None:
    """An absent role, an unknown one, and one that only looks like a known one."""
    server.behave = answers(200, whole_call(api, "search", "{}"))
    reply = ask(served, api, role=role, tools=offered(api, "search", "get_user"))
    assert "tools" not in server.received[0].json
    assert (reply.status, reply.code) == (403, "tool_denied")  # for the upstream called one all the same


def test_a_function_of_the_older_form(served: Served, server: Upstream) -> None:
    functions: list[Any] = [{"name": name, "parameters": {}} for name in ("search", "wipe_disk")]
    assert ask(served, "chat", functions=functions).status == 200
    assert [function["name"] for function in server.received[0].json["functions"]] == ["search"]
    reply = ask(served, "chat", functions=functions, function_call={"name": "wipe_disk"})
    assert (reply.status, reply.code) == (403, "tool_denied")


def test_a_search_that_is_switched_on_by_a_field(served: Served, server: Upstream) -> None:
    assert ask(served, "chat", web_search_options={}).status == 200
    assert "web_search_options" not in server.received[0].json


# -- What is demanded ------------------------------------------------------------------------------------------------


@forbidden
@every_api
def test_a_forbidden_tool_can_t_be_forced(served: Served, server: Upstream, api: str, name: str) -> None:
    since = time.time()
    reply = ask(served, api, tools=offered(api, "search", name), tool_choice=forcing(api, name))
    assert (reply.status, reply.code) == (403, "tool_denied")
    assert server.received == []
    record = last_record(served, since)
    assert (record.verdict, record.code, record.outcome) == ("block", "tool_denied", "refused")


@every_api
def test_some_tool_can_t_be_demanded_when_none_is_left(served: Served, server: Upstream, api: str) -> None:
    choice = {"type": "any"} if api == "messages" else "required"
    reply = ask(served, api, tools=offered(api, *FORBIDDEN), tool_choice=choice)
    assert (reply.status, reply.code) == (403, "tool_denied")
    assert server.received == []


@allowed
@every_api
def test_an_allowed_tool_may_be_forced(served: Served, server: Upstream, api: str, name: str) -> None:
    server.behave = answers(200, whole_call(api, name, "{}"))
    assert ask(served, api, tools=offered(api, name), tool_choice=forcing(api, name)).status == 200
    assert server.received[0].json["tool_choice"] == forcing(api, name)


# -- What is called, whole -------------------------------------------------------------------------------------------


@forbidden
@every_api
def test_a_forbidden_call_in_a_whole_answer(served: Served, server: Upstream, api: str, name: str) -> None:
    server.behave = answers(200, whole_call(api, name, "".join(ARGUMENTS)))
    since = time.time()
    reply = ask(served, api, tools=offered(api, "search"))
    assert (reply.status, reply.code) == (403, "tool_denied")
    assert name.encode() not in reply.body
    assert SECRET.encode() not in reply.body
    record = last_record(served, since)
    assert (record.verdict, record.code, record.status) == ("block", "tool_denied", 403)
    assert any(p.kind == "rbac" and p.stage == "pre-response" and p.verdict == "block" for p in record.policies)


@allowed
@every_api
def test_an_allowed_call_in_a_whole_answer(served: Served, server: Upstream, api: str, name: str) -> None:
    answer = whole_call(api, name, "".join(ARGUMENTS))
    server.behave = answers(200, answer)
    reply = ask(served, api, tools=offered(api, name))
    assert (reply.status, reply.json) == (200, orjson.loads(answer))


# -- What is called, streamed ----------------------------------------------------------------------------------------


def torn(events: list[bytes], size: int) -> list[bytes]:
    stream = b"".join(events)
    return [stream[at : at + size] for at in range(0, len(stream), size)]


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("name", ["wipe_disk", "get_secret", "search_and_destroy"])
@every_api
def test_no_byte_of_a_forbidden_call_is_streamed(
    served: Served, server: Upstream, api: str, name: str, size: int
) -> None:
    server.behave = streams(torn(CALLS[api](name, *ARGUMENTS), size))
    since = time.time()
    reply = ask(served, api, stream=True, tools=offered(api, "search"))
    assert reply.status == 200
    for told in (name.encode(), name[2:].encode(), SECRET.encode(), b"query", b"call_1", b"toolu_1"):
        assert told not in reply.body
    assert b"tool_denied" in reply.body
    assert reply.body.endswith(DONE) == (api == "chat")
    record = last_record(served, since)
    assert (record.verdict, record.code, record.outcome) == ("block", "tool_denied", "refused")


@allowed
@every_api
def test_an_allowed_call_is_streamed_in_full(served: Served, server: Upstream, api: str, name: str) -> None:
    events = CALLS[api](name, *ARGUMENTS)
    server.behave = streams(torn(events, 50))
    reply = ask(served, api, stream=True, tools=offered(api, name))
    told = [line for line in reply.body.split(b"\n") if line]
    sent = [line for line in b"".join(events).split(b"\n") if line]
    assert [_value(line) for line in told] == [_value(line) for line in sent]


def _value(line: bytes) -> object:
    field, _, value = line.partition(b": ")
    return (field, orjson.loads(value)) if value.startswith(b"{") else (field, value)


@pytest.mark.parametrize("size", [40, 100_000])
def test_text_before_a_forbidden_call_is_released(served: Served, server: Upstream, size: int) -> None:
    server.behave = streams(torn(chat_text("I shall now ")[:2] + chat_call("wipe_disk", *ARGUMENTS)[1:], size))
    reply = ask(served, "chat", stream=True)
    assert b"I shall now" in reply.body
    assert b"wipe" not in reply.body
    assert SECRET.encode() not in reply.body


def test_a_second_call_under_the_first_one_s_index(served: Served, server: Upstream) -> None:
    """An allowed call opens the door; a name that grows or changes behind it must be seen again."""
    first, second = chat_call("search", "{}"), chat_call("wipe_disk", *ARGUMENTS)
    server.behave = streams(first[:4] + second[1:])
    reply = ask(served, "chat", stream=True, tools=offered("chat", "search"))
    assert b"tool_denied" in reply.body
    assert SECRET.encode() not in reply.body


# -- The parrot, which does what it is told ---------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tenant", TENANTS)
@every_api
def test_the_parrot_is_stopped(served: Served, api: str, tenant: str, stream: bool) -> None:
    parrot: Any = {"tenant": tenant, "model": f"{tenant}-parrot", "stream": stream}
    reply = ask(served, api, f"call:wipe_disk {SECRET}", **parrot)
    assert reply.status == (200 if stream else 403)
    assert b"tool_denied" in reply.body
    assert b"wipe_disk" not in reply.body
    assert SECRET.encode() not in reply.body
    reply = ask(served, api, f"call:search call:wipe_disk {SECRET}", **parrot)
    assert b"tool_denied" in reply.body
    assert b'"name":"wipe_disk"' not in reply.body
    assert stream or SECRET.encode() not in reply.body
    reply = ask(served, api, f"call:search {SECRET}", **parrot)
    assert reply.status == 200
    assert b'"name":"search"' in reply.body
    assert b"tool_denied" not in reply.body


# -- The official clients --------------------------------------------------------------------------------------------


def consume(served: Served, api: str, seen: list[Any], *, helper: bool) -> None:
    """Put what a streamed answer makes the official client yield into `seen`; raises as the client does."""
    headers = {name: value for name, value in headers_of("alpha").items() if name != "authorization"}
    options: Any = {"api_key": KEYS["alpha"], "default_headers": headers, "max_retries": 0}
    said: Any = [{"role": "user", "content": "x"}]
    if api == "messages":
        asked: Any = {"model": "alpha-claude", "max_tokens": 5, "messages": said}
        http = anthropic.DefaultHttpxClient(trust_env=False)
        with Anthropic(base_url=served.url, http_client=http, **options) as claude:
            if not helper:
                seen += claude.messages.create(**asked, stream=True)
                return
            with claude.messages.stream(**asked) as blocks:
                seen += blocks
        return
    transport = openai.DefaultHttpxClient(trust_env=False)
    with OpenAI(base_url=f"{served.url}/v1", http_client=transport, **options) as client:
        if api == "chat" and helper:
            with client.chat.completions.stream(model="alpha-model", messages=said) as events:
                seen += events
        elif api == "chat":
            seen += client.chat.completions.create(model="alpha-model", messages=said, stream=True)
        elif helper:
            with client.responses.stream(model="alpha-model", input="x") as items:
                seen += items
        else:
            seen += client.responses.create(model="alpha-model", input="x", stream=True)


@pytest.mark.parametrize("helper", [False, True])
@every_api
def test_a_stream_that_is_stopped_raises_in_the_client(
    served: Served, server: Upstream, api: str, helper: bool
) -> None:
    server.behave = streams(CALLS[api]("wipe_disk", *ARGUMENTS))
    seen: list[Any] = []
    with pytest.raises((openai.APIError, anthropic.APIStatusError)) as caught:
        consume(served, api, seen, helper=helper)
    error: Any = caught.value
    assert (error.error_code if api == "messages" else error.code) == "tool_denied"
    assert "wipe" not in str(seen)
    assert SECRET not in str(seen)


@every_api
def test_a_stream_that_isn_t_stopped_doesn_t(served: Served, server: Upstream, api: str) -> None:
    server.behave = streams(CALLS[api]("get_user", *ARGUMENTS))
    seen: list[Any] = []
    consume(served, api, seen, helper=True)
    assert "get_user" in str(seen)
    assert SECRET in str(seen)
