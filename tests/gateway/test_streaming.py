"""Streams: passed on as they come, ended as their API says, given up when nobody listens, counted all the same.

A gateway of its own process with short time-outs, and an upstream that stalls, dies and floods on demand. Alpha's chain
restricts tools, so its streams are inspected and written anew; beta's are passed on as they are.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from asyncio import StreamWriter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.support.documents import KEYS, TENANTS, both_vendors, headers_of, write_document
from tests.support.process import Served, serve
from tests.support.raw import RawConnection, chat_body, request
from tests.support.records import recorded, until
from tests.support.transcripts import DONE, PATHS, chat_text, completions_text, messages_text, responses_text
from tests.support.upstream import Received, Upstream, answers, streams, upstream, write_stream

from partywall.trail import DecisionRecord

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TEXTS: dict[str, Callable[..., list[bytes]]] = {
    "chat": chat_text,
    "completions": completions_text,
    "responses": responses_text,
    "messages": messages_text,
}
MIB = 2**20

every_api = pytest.mark.parametrize("api", TEXTS)
both_tenants = pytest.mark.parametrize("tenant", TENANTS)


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
    folder = tmp_path_factory.mktemp("streaming")
    document = both_vendors(server.url)
    document["server"] |= {"stream_idle_timeout_seconds": 1, "answer_timeout_seconds": 1}
    document["server"]["circuit_breaker"] = {"failures": 1000}
    document["policies"]["chain"] = [{"rbac": {"when": {"tenant": "alpha"}}}, "audit-logger"]
    with serve(write_document(folder / "partywall.yaml", document), folder / "data") as running:
        yield running


def body(api: str, tenant: str, **fields: Any) -> bytes:
    asked: dict[str, Any] = {"model": f"{tenant}-claude" if api == "messages" else f"{tenant}-model", "stream": True}
    if api in ("chat", "messages"):
        asked |= {"messages": [{"role": "user", "content": "hello"}]}
    else:
        asked |= {"prompt" if api == "completions" else "input": "hello"}
    return orjson.dumps(asked | ({"max_tokens": 5} if api == "messages" else {}) | fields)


def ask(api: str, tenant: str, **fields: Any) -> bytes:
    return request(tenant, body(api, tenant, **fields), path=PATHS[api])


def record_since(served: Served, tenant: str, since: float) -> DecisionRecord:
    """The one record of `tenant` since then, once it is complete."""
    (record,) = until(lambda: [r for r in recorded(served.data_dir, tenant, since=since) if r.outcome])
    return record


def exhaust(api: str, served: Served, tenant: str) -> Any:
    """Read a whole stream with the official client, which raises when the stream says so."""
    headers = {name: value for name, value in headers_of(tenant).items() if name != "authorization"}
    options: Any = {"api_key": KEYS[tenant], "default_headers": headers, "max_retries": 0}
    if api == "messages":
        http = anthropic.DefaultHttpxClient(trust_env=False)
        with Anthropic(base_url=served.url, http_client=http, **options) as claude:
            asked: Any = {"model": f"{tenant}-claude", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
            return list(claude.messages.create(**asked, stream=True))
    with OpenAI(
        base_url=f"{served.url}/v1", http_client=openai.DefaultHttpxClient(trust_env=False), **options
    ) as client:
        model = f"{tenant}-model"
        if api == "chat":
            said: Any = [{"role": "user", "content": "x"}]
            return list(client.chat.completions.create(model=model, messages=said, stream=True))
        if api == "completions":
            return list(client.completions.create(model=model, prompt="x", stream=True))
        return list(client.responses.create(model=model, input="x", stream=True))


# -- As it comes -----------------------------------------------------------------------------------------------------


@both_tenants
@every_api
def test_a_stream_is_complete(served: Served, server: Upstream, api: str, tenant: str) -> None:
    server.behave = streams(TEXTS[api]("one ", "two ", f"for {tenant}"))
    since = time.time()
    events = exhaust(api, served, tenant)
    assert f"for {tenant}" in str(events)
    record = record_since(served, tenant, since)
    assert (record.outcome, record.status, record.streamed) == ("completed", 200, True)
    assert (record.tokens_in, record.tokens_out) == (17, 5)
    assert server.received[0].path == PATHS[api]


@both_tenants
@every_api
def test_the_first_event_is_there_before_the_last_was_sent(
    served: Served, server: Upstream, api: str, tenant: str
) -> None:
    events = TEXTS[api]("first ", "last")
    at = next(number for number, event in enumerate(events) if b"first " in event) + 1
    gate = threading.Event()

    async def in_two_parts(_request: Received, writer: StreamWriter) -> bool:
        writer.write(HEAD + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events[:at]))
        await writer.drain()
        assert await asyncio.to_thread(gate.wait, 5)
        writer.write(b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events[at:]) + b"0\r\n\r\n")
        await writer.drain()
        return True

    server.behave = in_two_parts
    with RawConnection(served.url, timeout_seconds=5) as connection:
        connection.send(ask(api, tenant))
        status, headers = connection.head()
        assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        assert dict(headers)[b"cache-control"] == b"private, no-store"
        read = b""
        while b"first " not in read:
            read += connection.chunk()
        assert b"last" not in read or api == "responses"
        gate.set()
        rest = b"".join(iter(connection.chunk, b""))
    assert b"last" in rest


@both_tenants
def test_pieces_of_events_are_put_together(served: Served, server: Upstream, tenant: str) -> None:
    """The upstream's chunks end in the middle of lines and of characters."""
    stream = b"".join(chat_text("größer", "♞")).replace(b"gr\\u00f6\\u00dfer", "größer".encode())

    async def torn(_request: Received, writer: StreamWriter) -> bool:
        await write_stream(writer, [stream[at : at + 7] for at in range(0, len(stream), 7)])
        return True

    server.behave = torn
    chunks = exhaust("chat", served, tenant)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "größer♞"


# -- What was used ---------------------------------------------------------------------------------------------------


@both_tenants
@pytest.mark.parametrize("api", ["chat", "completions"])
def test_usage_is_asked_for_and_hidden(served: Served, server: Upstream, api: str, tenant: str) -> None:
    server.behave = streams(TEXTS[api]("hello"))
    with RawConnection(served.url) as connection:
        connection.send(ask(api, tenant))
        silent = connection.answer().body
        connection.send(ask(api, tenant, stream_options={"include_usage": True}))
        told = connection.answer().body
        connection.send(ask(api, tenant, stream_options={"include_usage": False, "include_obfuscation": False}))
        declined = connection.answer().body
    options = [received.json["stream_options"] for received in server.received]
    assert [option["include_usage"] for option in options] == [True, True, True]
    assert options[2]["include_obfuscation"] is False
    assert b'"choices":[]' not in silent + declined
    assert b"prompt_tokens" not in silent + declined
    assert told.count(b'"choices":[]') == told.count(b'"prompt_tokens":17') == 1
    assert silent.endswith(DONE)


def test_what_isn_t_streamed_is_counted_too(served: Served, server: Upstream) -> None:
    since = time.time()
    with RawConnection(served.url) as connection:
        connection.send(request("alpha", chat_body("alpha")))
        assert connection.answer().status == 200
    record = record_since(served, "alpha", since)
    assert (record.tokens_in, record.tokens_out, record.streamed) == (3, 5, False)
    assert "stream_options" not in server.received[0].json


# -- Clients that leave ----------------------------------------------------------------------------------------------


async def endless(_request: Received, writer: StreamWriter) -> bool:
    event = chat_text("again")[1]
    writer.write(HEAD)
    while True:
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(0.02)


async def slow_head(_request: Received, writer: StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        writer.write(b"x-%d: still thinking\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.02)
    return False


@both_tenants
def test_a_client_that_leaves_ends_the_work(served: Served, server: Upstream, tenant: str) -> None:
    server.behave = endless
    before, since = server.disconnects, time.time()
    with RawConnection(served.url) as connection:
        connection.send(ask("chat", tenant))
        connection.head()
        assert b"again" in connection.chunk()
    until(lambda: server.disconnects > before, 1.0)
    record = record_since(served, tenant, since)
    assert (record.outcome, record.status, record.verdict) == ("client_gone", 499, "allow")


def test_a_client_that_leaves_before_the_answer_begins(served: Served, server: Upstream) -> None:
    server.behave = slow_head
    before, since = server.disconnects, time.time()
    with RawConnection(served.url) as connection:
        connection.send(request("alpha", chat_body("alpha")))
        until(lambda: server.received)
    until(lambda: server.disconnects > before, 1.0)
    assert record_since(served, "alpha", since).outcome == "client_gone"


def test_a_client_that_leaves_with_others_behind_it(served: Served, server: Upstream) -> None:
    """Pipelined: the one that runs is told, and those that wait are never begun."""
    server.behave = endless
    before, since = server.disconnects, time.time()
    with RawConnection(served.url) as connection:
        connection.send(ask("chat", "alpha") + request("beta", chat_body("beta")))
        connection.head()
        connection.chunk()
    until(lambda: server.disconnects > before, 1.0)
    assert record_since(served, "alpha", since).outcome == "client_gone"
    assert recorded(served.data_dir, "beta", since=since) == []
    assert len(server.received) == 1


def test_the_other_tenant_s_stream_goes_on(served: Served, server: Upstream) -> None:
    server.behave = endless
    with RawConnection(served.url) as betas:
        betas.send(ask("chat", "beta"))
        betas.head()
        before = server.disconnects
        with RawConnection(served.url) as alphas:
            alphas.send(ask("chat", "alpha"))
            alphas.head()
        until(lambda: server.disconnects > before, 1.0)
        for _ in range(20):
            assert b"again" in betas.chunk()


# -- Upstreams that fail ---------------------------------------------------------------------------------------------


def dies_after(api: str) -> Callable[[Received, StreamWriter], Any]:
    async def behave(_request: Received, writer: StreamWriter) -> bool:
        writer.write(HEAD)
        for event in TEXTS[api]("first ", "last")[:4]:
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        return False

    return behave


def stops_short(api: str) -> Callable[[Received, StreamWriter], Any]:
    """HTTP says that this is all; the API says it isn't."""
    return streams(TEXTS[api]("first ", "last")[:4])


def stalls(api: str) -> Callable[[Received, StreamWriter], Any]:
    async def behave(_request: Received, writer: StreamWriter) -> bool:
        writer.write(HEAD)
        for event in TEXTS[api]("first ", "last")[:4]:
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(3)
        return False

    return behave


def speaks_no_json(api: str) -> Callable[[Received, StreamWriter], Any]:
    return streams([TEXTS[api]("first")[0], b'data: {"usage": {"broken\n\n'])


FAULTS = {"dies": (dies_after, 502), "stops short": (stops_short, 502), "stalls": (stalls, 504)}


@pytest.mark.parametrize("fault", FAULTS)
@every_api
def test_a_broken_stream_raises_in_the_client(served: Served, server: Upstream, api: str, fault: str) -> None:
    behaviour, status = FAULTS[fault]
    server.behave = behaviour(api)
    since = time.time()
    expected = anthropic.APIStatusError if api == "messages" else openai.APIError
    with pytest.raises(expected) as caught:
        exhaust(api, served, "alpha")
    told: Any = caught.value
    assert (told.error_code if api == "messages" else told.code) == "upstream_unavailable"
    record = record_since(served, "alpha", since)
    assert (record.outcome, record.status, record.code) == ("upstream_failed", status, "upstream_unavailable")
    assert 0.9 < time.time() - since < 3 or fault != "stalls"


@pytest.mark.parametrize("fault", ["dies", "stops short"])
@both_tenants
@every_api
def test_a_broken_stream_ends_as_a_stream_should(
    served: Served, server: Upstream, api: str, tenant: str, fault: str
) -> None:
    """For clients that look neither at errors nor at the connection: the API's last event, and HTTP's last chunk."""
    server.behave = FAULTS[fault][0](api)
    with RawConnection(served.url) as connection:
        connection.send(ask(api, tenant))
        stream = connection.answer().body
        connection.send(request(tenant, body("chat", tenant, stream=False)))
        server.behave = None
        assert connection.answer().status == 200  # the client's connection is as good as new
    assert b"first " in stream or api == "responses"
    assert b"upstream_unavailable" in stream
    last = stream.rstrip(b"\n").rsplit(b"\n\n", 1)[1]
    if api in ("chat", "completions"):
        assert last + b"\n\n" == DONE
    else:
        assert last.startswith({"responses": b"event: response.failed\n", "messages": b"event: error\n"}[api])


@both_tenants
def test_what_is_no_json_where_we_must_read_it(served: Served, server: Upstream, tenant: str) -> None:
    server.behave = speaks_no_json("chat")
    with pytest.raises(openai.APIError) as caught:
        exhaust("chat", served, tenant)
    assert caught.value.code == "upstream_unavailable"


def test_an_upstream_that_never_begins(served: Served, server: Upstream) -> None:
    async def silent(_request: Received, _writer: StreamWriter) -> bool:
        await asyncio.sleep(3)
        return False

    server.behave = silent
    since = time.time()
    with RawConnection(served.url) as connection:
        connection.send(ask("chat", "alpha"))
        reply = connection.answer()
    assert (reply.status, reply.code) == (504, "upstream_unavailable")
    assert 0.9 < time.time() - since < 3
    assert record_since(served, "alpha", since).outcome == "upstream_failed"


DEEP = b"[" * 300 + b"]" * 300
WHOLE_FAULTS = {
    "no JSON": answers(200, b"<html>welcome</html>"),
    "an array": answers(200, b"[]"),
    "nothing": answers(200, b""),
    "bad UTF-8": answers(200, b'{"a":"\xff"}'),
    "deeper than can be written": answers(200, b'{"choices":[],"a":' + DEEP + b"}"),
    "no content": answers(204, b""),
    "a redirect": answers(307, b"", "location: http://127.0.0.1:9/"),
}


@both_tenants
@pytest.mark.parametrize("fault", WHOLE_FAULTS)
def test_a_whole_answer_that_is_none(served: Served, server: Upstream, fault: str, tenant: str) -> None:
    server.behave = WHOLE_FAULTS[fault]
    with RawConnection(served.url) as connection:
        connection.send(request(tenant, chat_body(tenant)))
        reply = connection.answer()
    if fault == "deeper than can be written" and tenant == "beta":
        assert reply.status == 200  # passed on as it is
    else:
        assert (reply.status, reply.code) == (502, "upstream_unavailable")


def test_an_event_that_is_deeper_than_can_be_written(served: Served, server: Upstream) -> None:
    server.behave = streams([b'data: {"choices":[],"a":' + DEEP + b"}\n\n", DONE])
    with pytest.raises(openai.APIError) as caught:
        exhaust("chat", served, "alpha")
    assert caught.value.code == "upstream_unavailable"


# -- Slow readers ----------------------------------------------------------------------------------------------------


def resident_mib(served: Served) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{served.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


@both_tenants
def test_a_slow_reader_slows_the_upstream_down(served: Served, server: Upstream, tenant: str) -> None:
    sent = 0

    async def flood(_request: Received, writer: StreamWriter) -> bool:
        nonlocal sent
        event = chat_text("x" * 32_768)[1]
        writer.write(HEAD)
        for _ in range(4096):
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            sent += len(event)
        return False

    server.behave = flood
    before = resident_mib(served)
    with RawConnection(served.url) as connection:
        connection.send(ask("chat", tenant))
        connection.head()
        time.sleep(0.6)
        waiting = sent
        time.sleep(0.2)
        assert sent - waiting < MIB, "the upstream still sends though nobody reads"
        assert sent < 20 * MIB  # what the kernel's buffers on two connections hold
        assert resident_mib(served) < before + 24
        read = 0
        while read < 24 * MIB:
            read += len(connection.chunk())
        assert sent > 24 * MIB
        assert resident_mib(served) < before + 32
