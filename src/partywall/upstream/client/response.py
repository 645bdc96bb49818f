"""The answer of an upstream, as its caller sees it.

Promises: `read` and `chunks` give the body bytes and nothing else, and raise rather than end early. Reading to the
end gives the connection back; leaving in any other way closes it.

Doesn't promise: to clean up after a caller that drops it unread. Use it as an async context manager.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client.connection import Connection
from partywall.upstream.client.reader import ResponseReader

__all__ = ["UpstreamResponse"]


class UpstreamResponse:
    """Status and headers, and a body still to be read. Header names are lower-case."""

    __slots__ = ("_chunk_timeout_seconds", "_connection", "_failure", "_reader", "headers", "status")

    def __init__(self, connection: Connection, reader: ResponseReader, *, chunk_timeout_seconds: float) -> None:
        self.status = reader.status
        self.headers = reader.headers
        self._connection: Connection | None = connection
        self._reader = reader
        self._chunk_timeout_seconds = chunk_timeout_seconds
        self._failure: UpstreamUnavailable | None = None
        if reader.complete and not reader.untaken:
            self._finish()

    def read_at_once(self, limit_bytes: int) -> bytes | None:
        """The body, if all of it has come, as it mostly has; None when `read` must wait, or has read it before.

        Raises:
            UpstreamUnavailable: it is longer than `limit_bytes`.
        """
        reader = self._reader
        if self._connection is None or not reader.complete:
            return None
        body = reader.take()
        if len(body) > limit_bytes:
            raise self._too_long(limit_bytes)
        self._finish()
        return body

    async def read(self, limit_bytes: int) -> bytes:
        """The rest of the body, at once.

        Raises:
            UpstreamUnavailable: it is longer than `limit_bytes`, broke off or isn't HTTP (502), or it stalled (504).
        """
        whole = self.read_at_once(limit_bytes)
        if whole is not None:
            return whole
        if self._reader.known_bytes > limit_bytes:
            raise self._too_long(limit_bytes)
        body = await self._next()
        if self._connection is None and len(body) <= limit_bytes:
            return body
        parts = bytearray(body)
        while len(parts) <= limit_bytes:
            data = await self._next()
            if not data:
                return bytes(parts)
            parts += data
        raise self._too_long(limit_bytes)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes: each item is all that arrived since the last, and never empty.

        While the caller doesn't ask, the upstream is held back once about 256 KiB wait here.

        Raises:
            UpstreamUnavailable: it broke off or isn't HTTP (502), or nothing came for the chunk time-out (504).
        """
        try:
            while data := await self._next():
                yield data
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the connection unless the body has been read to its end. May be called at any time, by any task."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.fail("was left by the gateway before its answer was complete")
            self._failure = connection.failure

    async def __aenter__(self) -> Self:
        """Nothing but the promise that `abort` is called."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection unless the body has been read to its end."""
        if self._connection is not None:
            self.abort()

    async def _next(self) -> bytes:
        """What has arrived, after a wait if need be; empty at the end."""
        connection = self._connection
        if connection is None:
            if self._failure is not None:
                raise self._failure
            return b""
        reader = self._reader
        if not reader.complete:
            await connection.wait_for_body(reader, self._chunk_timeout_seconds)
        data = reader.take()
        if reader.complete:
            self._finish()
        return data

    def _finish(self) -> None:
        # INVARIANT: from here on the connection may serve somebody else, so nothing of this answer may reach it:
        # a late `abort` would close their exchange.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()

    def _too_long(self, limit_bytes: int) -> UpstreamUnavailable:
        connection = self._connection
        self.abort()
        place = f"`{connection.route.origin}`" if connection is not None else "the upstream"
        return UpstreamUnavailable(f"{place} gave an answer of more than {limit_bytes} bytes")
