"""Which answers are given again, and in which form."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.gateway.caching.worlds import CHAT, body, cache_notes, document, said, serving
from tests.support.documents import headers_of, write_document
from tests.support.engines.valkey import OWNER, valkey_server
from tests.support.inprocess import Reply
from tests.support.records import recorded
from tests.support.upstream import Received, Upstream, chat_answer, chat_events, write_stream, write_whole

import partywall.stores.caching.patience
from partywall.errors import ConfigError, CredentialUnavailable, KeyUnavailable, PartywallError, StoreUnavailable
from partywall.platform.storage import migrate_storage
from partywall.stores.backends.memory_values import MemoryValuePartition

CALL = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
ENDINGS: dict[str, dict[str, Any]] = {
    "cut off": {"finish_reason": "length"},
    "filtered": {"finish_reason": "content_filter"},
    "a call": {"finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls": [CALL]}},
    "a call that says stop": {"message": {"role": "assistant", "content": "x", "tool_calls": [CALL]}},
    "a refusal": {"message": {"role": "assistant", "content": None, "refusal": "No."}},
    "no end": {"finish_reason": None},
    "too large": {"message": {"role": "assistant", "content": "x" * 2000}},
}


def events_of(reply: Reply) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in reply.body.split(b"\n") if line.startswith(b"data: {")]
    return [orjson.loads(line) for line in lines]


def test_a_stream_is_given_again_as_a_stream(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server)) as client:
            first = await client.post(CHAT, headers_of("alpha"), body(stream=True))
            again = await client.post(CHAT, headers_of("alpha"), body(stream=True))
            assert len(server.received) == 1
            assert first.header("content-type") == again.header("content-type")
            assert again.body.endswith(b"data: [DONE]\n\n")
            assert b'"usage"' not in again.body  # it was asked for by us, and not by the client
            ids = [{event["id"] for event in events_of(reply)} for reply in (first, again)]
            assert len(ids[0]) == len(ids[1]) == 1
            assert ids[0] != ids[1]
            assert [event["choices"] for event in events_of(first)] == [event["choices"] for event in events_of(again)]
            whole = await client.post(CHAT, headers_of("alpha"), body())
            assert len(server.received) == 2
            assert said(whole)
            wanted = {"include_usage": True}
            with_usage = await client.post(CHAT, headers_of("alpha"), body(stream=True, stream_options=wanted))
            assert len(server.received) == 2
            assert b'"prompt_tokens":3' in with_usage.body
            await client.post(CHAT, headers_of("beta"), body(stream=True))
            assert len(server.received) == 3

    asyncio.run(main())


def test_what_did_not_end_well_is_not_kept(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server, largest_answer_bytes=1024)) as client:

            async def asks_twice(what: str, **fields: Any) -> None:
                for _ in range(2):
                    count = len(server.received)
                    reply = await client.post(CHAT, headers_of("alpha"), body(what, **fields))
                    assert reply.status == 200, (what, reply.body)
                    assert len(server.received) == count + 1, what

            for what, ending in ENDINGS.items():
                server.behave = _ends(ending)
                await asks_twice(what)
            server.behave = _breaks_off
            await asks_twice("breaks off", stream=True)

    asyncio.run(main())


def _ends(ending: dict[str, Any]) -> Any:
    async def behave(request: Received, writer: asyncio.StreamWriter) -> bool:
        answer = chat_answer(request)
        answer["choices"][0] |= ending
        await write_whole(writer, 200, orjson.dumps(answer))
        return True

    return behave


async def _breaks_off(request: Received, writer: asyncio.StreamWriter) -> bool:
    await write_stream(writer, chat_events(request)[:-1])
    return True


def test_what_is_part_of_the_store_is_not_kept_here(tmp_path: Path, server: Upstream) -> None:
    made = document(server)
    made["providers"]["targets"] = [
        {"id": "shared", "provider": "parrot", "model": "shared", "tenants": ["alpha", "beta"]}
    ]
    for group in made["consumer_groups"]["groups"]:
        group["upstream"] = "shared"

    async def main() -> None:
        async with serving(tmp_path, made) as client:
            asked = {"model": "shared", "input": "hello"}
            for each in (asked, asked, asked | {"store": False}, asked | {"store": False}):
                reply = await client.post("/v1/responses", headers_of("alpha"), each)
                assert reply.status == 200, reply.body
            for _ in range(2):
                embedded = await client.post("/v1/embeddings", headers_of("alpha"), asked)
                assert embedded.status == 200
            await client.platform.trail.flush()
        assert cache_notes(tmp_path / "data", "alpha") == ["bypass", "bypass", "miss", "hit-exact"]

    asyncio.run(main())


@pytest.mark.parametrize("broken", [StoreUnavailable, KeyUnavailable, CredentialUnavailable, ConfigError])
def test_without_its_engine_requests_go_on(
    tmp_path: Path, server: Upstream, monkeypatch: pytest.MonkeyPatch, broken: type[PartywallError]
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise broken("the engine is down")

    async def main() -> None:
        async with serving(tmp_path, document(server)) as client:
            await client.post(CHAT, headers_of("alpha"), body())
            monkeypatch.setattr(MemoryValuePartition, "put", fails)
            assert (await client.post(CHAT, headers_of("alpha"), body("else"))).status == 200
            monkeypatch.setattr(MemoryValuePartition, "get", fails)
            assert (await client.post(CHAT, headers_of("alpha"), body())).status == 200
            assert len(server.received) == 3
            await client.platform.trail.flush()
        reasons = [r.reason for e in recorded(tmp_path / "data", "alpha") for r in e.policies if r.kind == "cache"]
        assert sorted(reasons) == ["miss", "miss", f"miss: {broken.__name__}", f"not kept: {broken.__name__}"]

    asyncio.run(main())


def test_an_engine_that_hangs_costs_next_to_nothing(
    tmp_path: Path, server: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real Valkey, stopped by SIGSTOP: its sockets stay open, and nothing answers."""
    valkey = valkey_server()
    valkey.clear()
    monkeypatch.setenv("PW_CACHE", valkey.url())
    monkeypatch.setenv("PW_CACHE_OWNER", valkey.url(OWNER))
    storage = {
        "cache": "valkey",
        "cache_url_ref": {"env": "PW_CACHE"},
        "cache_owner_url_ref": {"env": "PW_CACHE_OWNER"},
    }
    sealed = {"encrypted_per_tenant": ["conversation_logs", "agent_memory", "user_preferences"]}
    made = document(server) | {"storage": storage, "encryption": sealed}

    async def main() -> None:
        path = write_document(tmp_path / "partywall.yaml", made)
        async for _ in migrate_storage(path, tmp_path / "data"):
            pass
        async with serving(tmp_path, made) as client:

            async def asks(what: str, tenant: str = "alpha") -> float:
                begun = time.monotonic()
                assert (await client.post(CHAT, headers_of(tenant), body(what))).status == 200
                return time.monotonic() - begun

            await asks("one")
            await asks("one")
            assert len(server.received) == 1
            valkey.suspend()
            try:
                took = await asks("two")
                monkeypatch.setattr(partywall.stores.caching.patience, "DEADLINE_SECONDS", 30.0)
                passed_by = [await asks("three"), await asks("four", "beta")]
            finally:
                valkey.resume()
            assert took < 2  # and not the 3 s that other uses of the engine wait
            assert max(passed_by) < 2  # nobody asked it, or these would have waited for 3 s
            client.platform.stores.cache._patience._again = 0.0
            await asks("one")
            assert len(server.received) == 4
            await client.platform.trail.flush()
        reasons = [r.reason for e in recorded(tmp_path / "data", "alpha") for r in e.policies if r.kind == "cache"]
        told = ["miss", "hit-exact: 0 s old", "miss: StoreUnavailable", "bypass: the cache doesn't answer"]
        assert reasons[:4] == told
        assert reasons[4].startswith("hit-exact")

    asyncio.run(main())
