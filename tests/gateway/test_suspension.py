"""A suspended tenant gets nothing more, on no path, from no gateway that shares the directory; its neighbour does.

A gateway of its own process; the suspending is done in this one, as an operator's command does it.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamWriter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.support.documents import KEYS, TENANTS, both_vendors, headers_of, merged, write_document
from tests.support.inprocess import Reply
from tests.support.process import Served, serve
from tests.support.raw import RawConnection, chat_body, head, request
from tests.support.records import recorded, until
from tests.support.transcripts import DONE, chat_text
from tests.support.upstream import Received, Upstream, answers, chat_answer, upstream

from partywall.gateway.endpoints import ENDPOINTS, Guard
from partywall.platform import Platform
from partywall.tenancy import TenantId

ALPHA = TenantId("alpha")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sealed = merged(both_vendors(server.url), encryption={"encrypted_per_tenant": ["agent_memory"]})
    return write_document(tmp_path_factory.mktemp("suspension") / "partywall.yaml", sealed)


@pytest.fixture(scope="module")
def served(document: Path) -> Iterator[Served]:
    with serve(document, document.parent / "data") as running:
        yield running


@pytest.fixture
def operator(document: Path, served: Served, server: Upstream) -> Iterator[Callable[[str], None]]:
    """Does to alpha what it is told; alpha is active again in the end."""

    async def do(what: str) -> None:
        async with Platform.open(document, data_dir=served.data_dir) as platform:
            act = {"suspend": platform.tenants.suspend, "resume": platform.tenants.resume}[what]
            await act(ALPHA, who="cli:ann", why="a test")

    yield lambda what: asyncio.run(do(what))
    server.behave = None
    asyncio.run(do("resume"))
    until(lambda: ask(served, "alpha").status == 200)


def ask(served: Served, tenant: str, **fields: Any) -> Reply:
    with RawConnection(served.url) as connection:
        connection.send(request(tenant, chat_body(tenant, **fields)))
        return connection.answer()


def test_it_holds_at_once_also_for_whom_the_gateway_knows(served: Served, operator: Callable[[str], None]) -> None:
    with RawConnection(served.url) as hers, RawConnection(served.url) as his:
        asked = {"alpha": request("alpha", chat_body("alpha")), "beta": request("beta", chat_body("beta"))}
        for _ in range(3):  # the same bytes again: their scope is kept, and no credential is looked at
            for tenant, connection in (("alpha", hers), ("beta", his)):
                connection.send(asked[tenant])
                assert connection.answer().status == 200
        operator("suspend")
        for _ in range(3):
            hers.send(asked["alpha"])
            answer = hers.answer()
            assert (answer.status, answer.code) == (403, "tenant_suspended")
            assert b"cli:ann" not in answer.body
            his.send(asked["beta"])
            assert his.answer().status == 200
        refused = until(lambda: [r for r in recorded(served.data_dir, "alpha") if r.code == "tenant_suspended"])
        assert {(r.status, r.user, str(r.credential_id)[:4]) for r in refused} == {(403, "user-of-alpha", "key:")}
        assert not [r for r in recorded(served.data_dir, "beta") if r.code]
        operator("resume")
        hers.send(asked["alpha"])
        until(lambda: ask(served, "alpha").status == 200)


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.guard is Guard.TENANT], ids=lambda e: e.path)
def test_every_endpoint_of_a_tenants_is_closed(served: Served, operator: Callable[[str], None], endpoint: Any) -> None:
    operator("suspend")
    path = endpoint.path + ("some-id" if endpoint.path.endswith("/") else "")
    for tenant, refused in (("alpha", True), ("beta", False)):
        with RawConnection(served.url) as connection:
            connection.send(request(tenant, b"{}", method=endpoint.method, path=path))
            assert (connection.answer().code == "tenant_suspended") is refused


def test_official_clients_raise(served: Served, operator: Callable[[str], None]) -> None:
    operator("suspend")
    options: Any = {"api_key": KEYS["alpha"], "max_retries": 0}
    said: Any = [{"role": "user", "content": "x"}]
    own = {name: value for name, value in headers_of("alpha").items() if name != "authorization"}
    with (
        OpenAI(
            base_url=f"{served.url}/v1",
            http_client=openai.DefaultHttpxClient(trust_env=False),
            default_headers=own,
            **options,
        ) as gpt,
        pytest.raises(openai.PermissionDeniedError) as caught,
    ):
        gpt.chat.completions.create(model="alpha-model", messages=said)
    assert caught.value.code == "tenant_suspended"
    with (
        Anthropic(
            base_url=served.url,
            http_client=anthropic.DefaultHttpxClient(trust_env=False),
            default_headers=own,
            **options,
        ) as claude,
        pytest.raises(anthropic.PermissionDeniedError),
    ):
        claude.messages.create(model="alpha-claude", max_tokens=5, messages=said)


def gated(
    gate: threading.Event, first: bytes, rest: bytes
) -> Callable[[Received, StreamWriter], Coroutine[Any, Any, bool]]:
    """An upstream that writes `first`, waits for the gate, and goes on with `rest`."""

    async def behave(_request: Received, writer: StreamWriter) -> bool:
        writer.write(first)
        await writer.drain()
        assert await asyncio.to_thread(gate.wait, 20)
        writer.write(rest)
        await writer.drain()
        return False

    return behave


def chunked(events: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)


def test_a_stream_under_way_is_cut_at_its_next_event(
    served: Served, server: Upstream, operator: Callable[[str], None]
) -> None:
    gate = threading.Event()
    events = chat_text("early ", "late")
    at = next(number for number, event in enumerate(events) if b"early " in event) + 1
    server.behave = gated(gate, HEAD + chunked(events[:at]), chunked(events[at:]) + b"0\r\n\r\n")
    connections = {tenant: RawConnection(served.url) for tenant in TENANTS}
    got = dict.fromkeys(TENANTS, b"")
    for tenant, connection in connections.items():
        connection.send(request(tenant, chat_body(tenant, stream=True)))
        assert connection.head()[0] == 200
        while b"early " not in got[tenant]:
            got[tenant] += connection.chunk()
    operator("suspend")
    gate.set()
    for tenant, connection in connections.items():
        got[tenant] += b"".join(iter(connection.chunk, b""))
        connection.close()
    assert b"late" in got["beta"]
    assert got["beta"].endswith(DONE)
    assert b"late" not in got["alpha"]
    assert b'"code":"tenant_suspended"' in got["alpha"]
    assert b"error" not in got["beta"]


def test_a_whole_answer_that_comes_too_late_is_withheld(
    served: Served, server: Upstream, operator: Callable[[str], None]
) -> None:
    gate = threading.Event()

    async def behave(received: Received, writer: StreamWriter) -> bool:
        assert await asyncio.to_thread(gate.wait, 20)
        return await answers(200, orjson.dumps(chat_answer(received)))(received, writer)

    server.behave, asked = behave, len(server.received)
    connections = {tenant: RawConnection(served.url) for tenant in TENANTS}
    for tenant, connection in connections.items():
        connection.send(request(tenant, chat_body(tenant)))
    until(lambda: len(server.received) == asked + len(TENANTS))
    operator("suspend")
    gate.set()
    replies = {tenant: connection.answer() for tenant, connection in connections.items()}
    assert (replies["alpha"].status, replies["alpha"].code) == (403, "tenant_suspended")
    assert replies["beta"].status == 200
    for connection in connections.values():
        connection.close()


def test_while_nobody_can_tell_everybody_is_refused(served: Served, operator: Callable[[str], None]) -> None:
    operator("resume")
    path = served.data_dir / "platform" / "standing.json"
    whole = path.read_bytes()
    path.write_bytes(b"{")
    try:
        for tenant in TENANTS:
            until(lambda tenant=tenant: ask(served, tenant).code == "store_unavailable")  # type: ignore[misc]  # a default binds it
        with RawConnection(served.url) as connection:
            connection.send(head(None, "connection: close", method="GET", path="/readyz"))
            assert connection.answer().status == 503
            assert connection.is_closed()
        with RawConnection(served.url) as connection:
            connection.send(head(None, method="GET", path="/healthz"))
            assert connection.answer().status == 200
    finally:
        path.write_bytes(whole)
    for tenant in TENANTS:
        until(lambda tenant=tenant: ask(served, tenant).status == 200)  # type: ignore[misc]  # a default binds it
