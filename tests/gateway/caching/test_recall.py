"""The cache of answers on the whole gateway: a tenant's own hits, and never another's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.gateway.caching.worlds import CHAT, body, cache_notes, document, said, serving
from tests.support.documents import headers_of, write_document
from tests.support.inprocess import Client, Reply
from tests.support.upstream import Upstream

from partywall.tenancy import TenantId
from partywall.upstream.targets import compile_targets


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
        made["tenants"] = {"alpha": {}, "beta": {"cache": "exact"}}
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
    return frozenset(compile_targets(client.platform.snapshot.targets)["shared"].provider.forward_headers)


def test_a_client_can_only_narrow(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server)) as client:

            async def asks(expected: int, **headers: str) -> Reply:
                before = len(server.received)
                reply = await client.post(CHAT, headers_of("alpha", **headers), body())
                assert len(server.received) - before == expected, headers
                return reply

            await asks(1, cache_control="no-store")
            await asks(1)  # nothing was kept
            await asks(1, cache_control="no-store")
            await asks(0)
            newer = await asks(1, cache_control="no-cache")
            assert said(await asks(0)) == said(newer)
            await asks(0, cache_control="max-age=60")
            await asks(1, cache_control="max-age=0")
            await asks(1, pragma="no-cache")
            for odd in ("max-age=", "max-age=-1", "max-age=1e9", "max-age=99999999999", "max-age=1, no-store"):
                await asks(1, cache_control=odd)
            for wide in ("only-if-cached", "max-stale=9999", "public", "s-maxage=9999", "immutable"):
                await asks(0, cache_control=wide)

    asyncio.run(main())


def test_no_header_chooses_a_cache(tmp_path: Path, server: Upstream) -> None:
    names = ("x_portkey_cache_namespace", "x_cache_key", "helicone_cache_enabled", "x_litellm_cache_key")

    async def main() -> None:
        async with serving(tmp_path, document(server)) as client:
            await client.post(CHAT, headers_of("alpha"), body())
            for name in names:
                own = await client.post(CHAT, headers_of("beta", **{name: "alpha"}), body(f"by {name}"))
                count = len(server.received)
                assert said(await client.post(CHAT, headers_of("beta"), body(f"by {name}"))) == said(own)
                assert len(server.received) == count
            await client.post(CHAT, headers_of("beta", x_portkey_cache_namespace="alpha"), body())
            assert len(server.received) == count + 1

    asyncio.run(main())


def test_a_changed_document_and_a_suspended_tenant_get_nothing_old(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server)) as client:
            await client.post(CHAT, headers_of("alpha"), body())
            made = document(server)
            made["policy"]["rbac"]["roles"]["analyst"]["allowed_tools"] = ["other"]
            write_document(tmp_path / "partywall.yaml", made)
            await client.platform.reload()
            await client.post(CHAT, headers_of("alpha"), body())
            assert len(server.received) == 2
            await client.platform.tenants.suspend(TenantId("alpha"), who="op", why="test")
            refused = await client.post(CHAT, headers_of("alpha"), body())
            assert refused.status == 403
            assert b"nonce" not in refused.body

    asyncio.run(main())
