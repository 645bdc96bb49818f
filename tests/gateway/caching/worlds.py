"""A gateway that keeps answers, before an upstream that never gives the same one twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from tests.support.documents import base_document, write_document
from tests.support.inprocess import Client, Reply, gateway
from tests.support.records import recorded
from tests.support.upstream import Received, Upstream, chat_answer, chat_events, upstream, write_stream, write_whole

__all__ = ["CHAT", "answering", "body", "cache_notes", "document", "said", "serving"]

CHAT: Final = "/v1/chat/completions"


@contextmanager
def answering() -> Iterator[Upstream]:
    """Answers every request with another nonce."""
    with upstream() as running:
        numbers = itertools.count()

        async def behave(request: Received, writer: asyncio.StreamWriter) -> bool:
            answer = chat_answer(request)
            answer["id"] = f"chatcmpl-{next(numbers):032x}"
            answer["choices"][0]["message"]["content"] = f"nonce-{next(numbers)} for {request.credential}"
            if request.json.get("stream"):
                piece = {"content": answer["choices"][0]["message"]["content"]}
                chunk = {**answer, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": piece}]}
                events = [event.replace(b"chatcmpl-upstream", answer["id"].encode()) for event in chat_events(request)]
                del chunk["usage"]
                events.insert(1, b"data: " + orjson.dumps(chunk) + b"\n\n")
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
