"""uvicorn's HTTP protocol, with the two limits that it lacks: size of the headers, and time for them.

Promises: a request's line and headers arrive within `HEADER_SECONDS` and `MAX_HEADER_BYTES`, or the connection is
closed, so that neither a slow nor an endless header holds memory or a connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEADER_SECONDS", "MAX_HEADER_BYTES", "GatewayProtocol"]

HEADER_SECONDS: Final = 20.0
MAX_HEADER_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = b"HTTP/1.1 431 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class GatewayProtocol(HttpToolsProtocol):
    """One client's connection."""

    _awaiting_headers = True
    _header_bytes = 0
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._awaiting_headers:
            # Counts what came before the headers were complete; a body in the same piece may count once, harmlessly
            # below the limit or in a request whose own limit is far larger.
            self._header_bytes += min(len(data), self._until_headers_end(data))
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)
        if self._awaiting_headers and self._header_timer is None and not self.transport.is_closing():
            self._start_timer()

    def on_message_begin(self) -> None:
        self._awaiting_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._awaiting_headers = False
        self._header_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def _until_headers_end(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        return len(data) if end < 0 else end

    def _start_timer(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _too_slow(self) -> None:
        self._header_timer = None
        if self._awaiting_headers:
            self._refuse(_TOO_SLOW)

    def _refuse(self, answer: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
