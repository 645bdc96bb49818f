"""The edge: one ASGI exchange as a request and a responder.

Promises: a body is read within its size and time or refused; a client that hangs up cancels the work done for it; what
is written carries the headers that keep tenants' answers out of shared caches.

Doesn't promise: HTTP parsing. The server (uvicorn with httptools) has done that, strictly, before we are called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Literal, Self

from partywall.errors import BadRequest, PayloadTooLarge, RequestTimedOut

__all__ = ["ASGIApp", "ClientGone", "DisconnectWatch", "Header", "Request", "Responder"]

Header = tuple[bytes, bytes]
Message = MutableMapping[str, Any]  # ASGI's own type: its messages are open dictionaries
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

_DRAIN_FACTOR: Final = 8
"""A body that is too large is read to its end, up to this many limits, so that the client gets to read the refusal."""


class ClientGone(Exception):
    """The client hung up before its answer was complete."""


class Request:
    """One HTTP request. `headers` are as they came; `header_map` joins repeated ones with a comma."""

    __slots__ = ("_receive", "header_map", "headers", "method", "path", "query", "task")

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.method: str = scope["method"]
        # INVARIANT: the path as it was sent. Decoded, `/%61dmin` would be a second spelling, which rules of a proxy in
        # front of us don't know.
        self.path: str = scope["raw_path"].decode("latin-1")
        self.query: bytes = scope["query_string"]
        self.headers: list[Header] = scope["headers"]
        self.header_map: dict[bytes, bytes] = _joined(self.headers)
        self.task = _current_task()
        """The task that serves this request, and that is cancelled when nobody waits for the answer any more."""
        self._receive = receive

    async def body(self, *, limit_bytes: int, timeout_seconds: float) -> bytes:
        """The whole body.

        Raises:
            PayloadTooLarge: it is longer than `limit_bytes`.
            RequestTimedOut: it didn't arrive within `timeout_seconds`.
            BadRequest: it is compressed, which hides its size.
            ClientGone: the client hung up.
        """
        if self.header_map.get(b"content-encoding", b"identity") != b"identity":
            raise BadRequest("compressed request body", public_message="Compressed request bodies are not accepted.")
        with _Deadline(self.task, timeout_seconds):
            return await self._read(limit_bytes)

    async def _read(self, limit_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more and size <= limit_bytes * _DRAIN_FACTOR:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size <= limit_bytes:
                chunks.append(chunk)
        if size > limit_bytes:
            raise PayloadTooLarge(f"{size} bytes; at most {limit_bytes} are accepted")
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def until_gone(self) -> None:
        """Return when the client has hung up. Only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Responder:
    """Writes one answer. Knows whether any of it has gone out."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def whole(self, status: int, headers: list[Header], body: bytes) -> None:
        """Write a complete answer."""
        at_once = getattr(self._send, "whole", None)  # our own server's; any other speaks plain ASGI
        if at_once is not None:
            self.started = True
            await at_once(status, headers, body)
            return
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def start(self, status: int, headers: list[Header]) -> None:
        """Write the status and headers."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """Write a piece of the body; waits while the client reads slowly."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self, chunk: bytes = b"") -> None:
        """Write the last piece."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": False})


class _Deadline:
    """`asyncio.timeout` for the one purpose here, at a third of its cost: every request passes through it."""

    __slots__ = ("_expired", "_handle", "_seconds", "_task")

    def __init__(self, task: asyncio.Task[Any], seconds: float) -> None:
        self._task = task
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> Literal[False]:
        self._handle.cancel()
        if self._expired and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise RequestTimedOut(f"the body did not arrive within {self._seconds:g} s")
        return False


class DisconnectWatch:
    """Cancels the current task when its client hangs up, so that nobody pays for an answer without a reader.

    The watch begins after `_GRACE_SECONDS`: most answers are through by then and cost only a timer.
    """

    __slots__ = ("_handle", "_request", "_watcher", "gone")

    _GRACE_SECONDS: Final = 0.05

    def __init__(self, request: Request) -> None:
        self._request = request
        self._watcher: asyncio.Task[None] | None = None
        self.gone = False

    def __enter__(self) -> Self:
        self._handle = asyncio.get_running_loop().call_later(self._GRACE_SECONDS, self._begin)
        return self

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        await self._request.until_gone()
        self.gone = True
        self._request.task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> Literal[False]:
        self._handle.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self.gone and kind is asyncio.CancelledError and self._request.task.uncancel() == 0:
            raise ClientGone
        return False


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a request is answered in a task of its own")
    return task


def _joined(headers: list[Header]) -> dict[bytes, bytes]:
    joined = dict(headers)
    if len(joined) < len(headers):
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            values.setdefault(name, []).append(value)
        joined = {name: b", ".join(parts) for name, parts in values.items()}
    return joined
