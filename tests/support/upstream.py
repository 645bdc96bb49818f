"""A real HTTP upstream in a thread of its own, which records every request as it arrived.

It answers chat completions (whole and streamed) with what it was sent, so that a test can look for foreign content.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = ["Received", "Upstream", "upstream"]


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def credential(self) -> str | None:
        """The credential it came with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or self.headers.get("x-api-key")


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request; returns whether the connection may be kept."""


@dataclass
class Upstream:
    """A running upstream. Replace `behave` to make it misbehave."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    behave: Behaviour | None = None
    open_connections: int = 0
    disconnects: int = 0
    """Connections that were closed while an answer was being written."""


def chat_answer(request: Received) -> dict[str, Any]:
    content = "\n".join(str(message.get("content")) for message in request.json.get("messages", []))
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1,
        "model": request.json.get("model"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }


async def write_whole(writer: asyncio.StreamWriter, status: int, body: bytes, *extra: str) -> None:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    writer.write(head.encode() + "".join(f"{line}\r\n" for line in extra).encode() + b"\r\n" + body)
    await writer.drain()


async def write_stream(writer: asyncio.StreamWriter, events: list[bytes], *, delay_seconds: float = 0.0) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for event in events:
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def chat_events(request: Received) -> list[bytes]:
    answer = chat_answer(request)
    content = answer["choices"][0]["message"]["content"]
    base = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1, "model": answer["model"]}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": content[at : at + 16]} for at in range(0, len(content), 16)]
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (request.json.get("stream_options") or {}).get("include_usage"):
        chunks.append({**base, "choices": [], "usage": answer["usage"]})
    return [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def answers(status: int, body: bytes, *extra: str) -> Behaviour:
    """Always the same answer."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> bool:
        await write_whole(writer, status, body, *extra)
        return True

    return behave


def streams(events: list[bytes], *, delay_seconds: float = 0.0) -> Behaviour:
    """Always the same stream."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> bool:
        await write_stream(writer, events, delay_seconds=delay_seconds)
        return True

    return behave


async def echo(request: Received, writer: asyncio.StreamWriter) -> bool:
    """The well-behaved upstream."""
    if request.json.get("stream"):
        await write_stream(writer, chat_events(request))
    else:
        await write_whole(writer, 200, orjson.dumps(chat_answer(request)))
    return True


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run an upstream until the block ends."""
    state = Upstream()
    started = threading.Event()
    stopping = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.open_connections += 1
        try:
            while (request := await _read(reader)) is not None:
                state.received.append(request)
                if not await (state.behave or echo)(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            state.disconnects += 1
        finally:
            state.open_connections -= 1
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0, backlog=1024)
        state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        started.set()
        await stopping.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()
