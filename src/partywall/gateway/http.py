"""The edge: one HTTP exchange as a request and a responder.

Promises: a body is read within its size and time or refused; a client that hangs up cancels the work done for it; a
client that doesn't read its answer gives up its connection.

Doesn't promise: HTTP parsing. `protocol` has done that, strictly, before a `Request` exists.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, Protocol

from partywall.errors import BadRequest, PayloadTooLarge, RequestTimedOut

__all__ = ["WRITE_SECONDS", "ClientGone", "Header", "Link", "Request", "Responder", "header_lines"]

Header = tuple[bytes, bytes]

WRITE_SECONDS: Final = 60.0
"""How long a client may leave what was written unread, before it counts as gone."""
_DRAIN_FACTOR: Final = 8
"""A body that is too large is read to its end, up to this many limits, so that the client gets to read the refusal."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def header_lines(headers: Iterable[Header]) -> bytes:
    """Headers as they stand in a head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class ClientGone(Exception):
    """The client hung up before its answer was complete."""


class Link(Protocol):
    """What a request and its responder need of the connection that they came over."""

    transport: asyncio.Transport

    def hold(self, *, held: bool) -> None:
        """Stop reading from the client, or go on."""

    def answered(self, request: Request) -> None:
        """The answer to `request` is complete."""

    async def drained(self) -> None:
        """Return when the client has read enough for more to be written."""


class Request:
    """One HTTP request. `headers` are as they came, names in lower case; `header_map` joins repeated ones."""

    __slots__ = (
        "_buffer",
        "_is_watched",
        "_link",
        "_waiter",
        "answered",
        "begun",
        "complete",
        "expects_continue",
        "gone",
        "header_map",
        "headers",
        "is_http_10",
        "keep_alive",
        "method",
        "path",
        "query",
        "repeats_no_header",
        "task",
    )

    def __init__(self, link: Link, method: str, path: str, query: bytes, headers: list[Header]) -> None:
        self.method = method
        # INVARIANT: the path as it was sent. Decoded, `/%61dmin` would be a second spelling, which rules of a proxy in
        # front of us don't know.
        self.path = path
        self.query = query
        self.headers = headers
        self.header_map = header_map = dict(headers)
        self.repeats_no_header = len(header_map) == len(headers)
        if not self.repeats_no_header:
            self.header_map = header_map = _joined(headers)
        self.expects_continue = b"expect" in header_map and header_map[b"expect"].lower() == b"100-continue"
        self.is_http_10 = False
        self.keep_alive = True
        self.complete = False
        """The whole body has come."""
        self.begun = False
        """Some of the answer has gone out."""
        self.answered = False
        """All of it has."""
        self.gone = False
        """The client has hung up."""
        self.task: asyncio.Task[Any] | None = None
        """What serves this request, once its turn has come; cancelled when nobody waits for the answer any more."""
        self._link = link
        self._buffer = b""
        self._waiter: asyncio.Future[None] | None = None
        self._is_watched = False

    def body_at_once(self, *, limit_bytes: int) -> bytes | None:
        """The whole body, if it has come, as it mostly has; None when there is something to wait for, or too much.

        Raises:
            BadRequest: it is compressed, which hides its size.
        """
        if self.header_map.get(b"content-encoding", b"identity") != b"identity":
            raise BadRequest("compressed request body", public_message="Compressed request bodies are not accepted.")
        return self._buffer if self.complete and len(self._buffer) <= limit_bytes else None

    async def body(self, *, limit_bytes: int, timeout_seconds: float) -> bytes:
        """The whole body, once it has come.

        Raises:
            PayloadTooLarge: it is longer than `limit_bytes`.
            RequestTimedOut: it didn't arrive within `timeout_seconds`.
            ClientGone: the client hung up.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._read(limit_bytes)
        except TimeoutError:
            raise RequestTimedOut(f"the body did not arrive within {timeout_seconds:g} s") from None

    async def _read(self, limit_bytes: int) -> bytes:
        if self.expects_continue and not self.complete and not self.is_http_10:
            self.expects_continue = False
            self._link.transport.write(_CONTINUE)
        parts = bytearray()
        size = 0
        while size <= limit_bytes * _DRAIN_FACTOR:
            size += len(self._buffer)
            if size <= limit_bytes:
                parts += self._buffer
            self._buffer = b""
            if self.complete:
                break
            if self.gone:
                raise ClientGone
            self._link.hold(held=False)
            await self._more()
        if size > limit_bytes:
            raise PayloadTooLarge(f"{size} bytes; at most {limit_bytes} are accepted")
        return bytes(parts)

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- What the connection tells ---

    def feed(self, data: bytes) -> int:
        """A piece of the body has come. Returns how many bytes wait to be taken."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._waiter is not None:
            self._wake()
        return len(self._buffer)

    def end(self) -> None:
        """The body is whole."""
        self.complete = True
        if self._waiter is not None:
            self._wake()

    def lost(self) -> None:
        """The client has hung up."""
        self.gone = True
        self._wake()
        if self._is_watched and not self.answered and self.task is not None:
            self.task.cancel()

    # -- Work that nobody may wait for any more ---

    def watch(self) -> None:
        """From now on a client that hangs up cancels the task: nobody pays for an answer without a reader.

        Raises:
            ClientGone: it has done so already.
        """
        if self.gone:
            raise ClientGone
        self._is_watched = True
        self._link.hold(held=False)  # who isn't read from can't be seen to leave

    def unwatch(self) -> None:
        """From now on the task runs to its end, whoever reads what it writes."""
        self._is_watched = False

    def was_left(self) -> bool:
        """Whether the cancellation just caught was the watch's. It is then forgotten, unless another came with it."""
        self._is_watched = False
        return self.gone and self.task is not None and self.task.uncancel() == 0

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Responder:
    """Writes one answer. To a client that has hung up it writes nothing, and says nothing of it.

    What is written carries no byte of a client's or an upstream's in its head but the request id, which we made.
    """

    __slots__ = ("_chunked", "_link", "_request")

    def __init__(self, link: Link, request: Request) -> None:
        self._link = link
        self._request = request
        self._chunked = False

    @property
    def started(self) -> bool:
        """Whether any of the answer has gone out."""
        return self._request.begun

    def whole(self, status: int, lines: bytes, body: bytes) -> None:
        """Write a complete answer, at once. `lines` are its headers (`header_lines`), all but the length."""
        head = self._begin(status, lines)
        content = b"" if self._request.method == "HEAD" else body
        self._put(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), content))
        self._link.answered(self._request)

    def start(self, status: int, lines: bytes) -> None:
        """Write the status and headers of an answer whose length isn't known."""
        head = self._begin(status, lines)
        # HTTP/1.0 knows no chunks: the end of the connection ends the answer.
        self._chunked = not self._request.is_http_10
        self._put(head + (b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"))

    async def write(self, chunk: bytes) -> None:
        """Write a piece of the body; waits while the client reads slowly.

        Raises:
            ClientGone: it doesn't read at all.
        """
        if chunk:
            self._put(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
            await self._link.drained()

    async def end(self, chunk: bytes = b"") -> None:
        """Write the last piece."""
        await self.write(chunk)
        if self._chunked:
            self._put(b"0\r\n\r\n")
        self._link.answered(self._request)

    def _put(self, data: bytes) -> None:
        if not self._link.transport.is_closing():
            self._link.transport.write(data)

    def _begin(self, status: int, lines: bytes) -> bytes:
        request = self._request
        if request.begun:
            raise RuntimeError("an answer has begun already")
        request.begun = True
        if request.expects_continue and not request.complete:
            # It may now send the body that it announced, or not: whoever guesses wrong takes a body for a request.
            request.keep_alive = False
        head = _STATUS_LINES[status] + _dates.line() + lines
        return head if request.keep_alive else head + b"connection: close\r\n"


class _Dates:
    """The `date` header, written anew once a second (RFC 9110, section 6.6.1)."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second, self._line = now, f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._line


_dates: Final = _Dates()


def _joined(headers: list[Header]) -> dict[bytes, bytes]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(parts) for name, parts in values.items()}
