"""The cache of answers on the whole gateway: a tenant's own hits, and never another's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.inprocess import Client, Reply, gateway
from tests.support.records import recorded
from tests.support.upstream import Received, Upstream, chat_answer, chat_events, upstream, write_stream, write_whole

CHAT = "/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[Upstream]:
    """Answers every request with another nonce."""
    with upstream() as running:
        numbers = itertools.count()

        async def behave(request: Received, writer: asyncio.StreamWriter) -> bool:
            answer = chat_answer(request)
            answer["id"] = f"chatcmpl-{next(numbers):032x}"
            answer["choices"][0]["message"]["content"] = f"nonce-{next(numbers)} for {request.credential}"
            if request.json.get("stream"):
                events = [event.replace(b"chatcmpl-upstream", answer["id"].encode()) for event in chat_events(request)]
                await write_stream(writer, events)
            else:
                await write_whole(writer, 200, orjson.dumps(answer))
            return True

        running.behave = behave
        yield running


def document(server: Upstream, mode: str = "exact", **cache: Any) -> dict[str, Any]:
    made = base_document(base_url=server.url)
    shared = {"id": "shared", "provider": "vllm", "base_url": server.url, "model": "shared", "api_key": "sk-shared"}
    made["providers"]["targets"].append({**shared, "tenants": ["alpha", "beta"]})
    for group in made["consumer_groups"]["groups"]:
        group["upstream"] = [group["upstream"], "shared"]
    made["policy"]["rbac"]["roles"]["clerk"] = made["policy"]["rbac"]["roles"]["analyst"]
    return made | {"encryption": {}, "cache": {"mode": mode, **cache}}


@asynccontextmanager
async def serving(tmp_path: Path, made: dict[str, Any]) -> AsyncIterator[Client]:
    async with gateway(write_document(tmp_path / "partywall.yaml", made), tmp_path / "data") as client:
        yield client


def body(content: str = "What is our refund policy?", model: str = "shared", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **fields}


def said(reply: Reply) -> str:
    assert reply.status == 200, reply.body
    content: str = reply.json["choices"][0]["message"]["content"]
    return content


def cache_notes(data_dir: Path, tenant: str) -> list[str]:
    return [
        result.reason.split(":")[0]
        for record in recorded(data_dir, tenant)
        for result in record.policies
        if result.kind == "cache"
    ]


def test_a_tenant_has_its_own_hits_and_never_another_ones(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server)) as client:
            first = await client.post(CHAT, headers_of("alpha"), body())
            again = await client.post(CHAT, headers_of("alpha"), body())
            assert said(first) == said(again)
            assert len(server.received) == 1
            other = await client.post(CHAT, headers_of("beta"), body())
            assert said(other) not in (said(first), said(again))
            assert len(server.received) == 2
            assert said(await client.post(CHAT, headers_of("beta"), body())) == said(other)
            assert len(server.received) == 2
            # Nothing tells the client: the same headers, other ids, the usage that it was told before.
            assert [name for name, _ in first.headers] == [name for name, _ in again.headers]
            assert first.json["id"] != again.json["id"]
            assert again.json["id"].startswith("chatcmpl-")
            assert first.json["usage"] == again.json["usage"]
            assert again.header("cache-control") == "private, no-store"
            assert first.json | {"id": "", "created": 0} == again.json | {"id": "", "created": 0}
            await client.platform.trail.flush()
        assert cache_notes(tmp_path / "data", "alpha") == ["miss", "hit-exact"]
        assert cache_notes(tmp_path / "data", "beta") == ["miss", "hit-exact"]

    asyncio.run(main())


def test_without_being_asked_for_nothing_is_kept(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        made = document(server, "off")
        made["tenants"] = {"beta": {"cache": "exact"}}
        async with serving(tmp_path, made) as client:
            for _ in range(2):
                await client.post(CHAT, headers_of("alpha"), body())
            assert len(server.received) == 2
            for _ in range(2):
                await client.post(CHAT, headers_of("beta"), body())
            assert len(server.received) == 3
            await client.platform.trail.flush()
        assert cache_notes(tmp_path / "data", "alpha") == []

    asyncio.run(main())


DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "model": (body(model="alpha-model"), {}),
    "temperature": (body(temperature=0.5), {}),
    "max_tokens": (body(max_tokens=5), {}),
    "seed": (body(seed=5), {}),
    "n": (body(n=2), {}),
    "logprobs": (body(logprobs=True), {}),
    "stop": (body(stop=["x"]), {}),
    "response_format": (body(response_format={"type": "json_object"}), {}),
    "tools": (body(tools=[{"type": "function", "function": {"name": "search", "parameters": {}}}]), {}),
    "an undocumented parameter": (body(top_k=5), {}),
    "user": (body(user="u"), {}),
    "stream": (body(stream=True), {}),
    "content": (body("What is our refund policy? "), {}),
    "system prompt": (
        {"model": "shared", "messages": [{"role": "system", "content": "Be terse."}, *body()["messages"]]},
        {},
    ),
    "role": (body(), {"x_user_role": "clerk"}),
    "a header that is sent on": (body(), {"openai_beta": "x"}),
}


def test_whatever_an_answer_depends_on_makes_it_another(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server, per_user=True)) as client:
            await client.post(CHAT, headers_of("alpha"), body())
            cases = {**DIFFERENT, "its user": (body(), {"x_user_id": "somebody-else"})}
            if b"openai-beta" not in _forwarded(client):
                del cases["a header that is sent on"]
            for what, (asked, headers) in cases.items():
                count = len(server.received)
                reply = await client.post(CHAT, headers_of("alpha", **headers), asked)
                assert reply.status == 200, (what, reply.body)
                assert len(server.received) == count + 1, what
                await client.post(CHAT, headers_of("alpha", **headers), asked)
                if what not in ("tools",):
                    assert len(server.received) == count + 1, f"{what}: not kept"
            count = len(server.received)
            await client.post(CHAT, headers_of("alpha"), body())
            assert len(server.received) == count

    asyncio.run(main())


def _forwarded(client: Client) -> frozenset[bytes]:
    from partywall.upstream.targets import compile_targets

    return frozenset(compile_targets(client.platform.snapshot.targets)["shared"].provider.forward_headers)
