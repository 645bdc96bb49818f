"""The load: keep-alive connections that each send the next request as soon as the answer is complete.

Promises: a fixed number of requests, counted; anything but a whole 200 with the expected marks in it ends the run.

Doesn't promise: an open-loop arrival process. Closed loop is right for CPU per request, and says nothing about queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Self, cast

import httptools

__all__ = ["Load", "Outcome", "RequestFailed"]


class RequestFailed(Exception):
    """An answer was not what the measurement needs, so there is no measurement."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `Load.run` saw: `latencies` in seconds, one for each request."""

    requests: int
    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class _Burst:
    """One bounded run over all connections: how many requests are still to be sent, and to be answered."""

    __slots__ = ("done", "latencies", "unanswered", "unsent")

    def __init__(self, requests: int) -> None:
        self.unsent = requests
        self.unanswered = requests
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(self, latency: float) -> None:
        self.latencies.append(latency)
        self.unanswered -= 1
        if self.unanswered == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RequestFailed(reason))


class _Connection(asyncio.Protocol):
    __slots__ = ("_body", "_burst", "_mark", "_mark_count", "_parser", "_request", "_sent_at", "_transport")

    def __init__(self, request: bytes, mark: bytes, mark_count: int) -> None:
        self._request = request
        self._mark = mark
        self._mark_count = mark_count
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._burst: _Burst | None = None
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._burst is not None:
            self._burst.fail(f"the gateway closed a connection ({exc or 'no error'})")

    def join(self, burst: _Burst) -> None:
        self._burst = burst
        self._send_next(burst)

    def close(self) -> None:
        self._burst = None
        self._transport.close()

    def _send_next(self, burst: _Burst) -> None:
        if burst.unsent:
            burst.unsent -= 1
            self._sent_at = perf_counter()
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"an answer is not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        burst, body, status = self._burst, b"".join(self._body), self._parser.get_status_code()
        self._body.clear()
        if status != 200:
            self._fail(f"HTTP {status}: {body[:200]!r}")
        elif body.count(self._mark) < self._mark_count:
            self._fail(f"{self._mark!r} expected at least {self._mark_count} times in {body[:200]!r}")
        elif burst is not None:
            burst.answered(perf_counter() - self._sent_at)
            self._send_next(burst)

    def _fail(self, reason: str) -> None:
        if self._burst is not None:
            self._burst.fail(reason)


def _hand_over(connection: _Connection) -> _Connection:
    return connection


class Load:
    """Open connections to one gateway. `requests[i]` is what connection i sends, again and again."""

    def __init__(self, port: int, requests: Sequence[bytes], *, mark: bytes, mark_count: int = 1) -> None:
        self._port = port
        self._requests = requests
        self._mark = mark
        self._mark_count = mark_count
        self._connections: list[_Connection] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for request in self._requests:
            connection = _Connection(request, self._mark, self._mark_count)
            await loop.create_connection(partial(_hand_over, connection), "127.0.0.1", self._port)
            self._connections.append(connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()

    async def run(self, requests: int, *, timeout_seconds: float) -> Outcome:
        """Send `requests` over all connections and wait for every answer.

        Raises:
            RequestFailed: an answer was not a whole 200 with the marks in it.
            TimeoutError: `timeout_seconds` went by first.
        """
        burst = _Burst(requests)
        started = perf_counter()
        for connection in self._connections:
            connection.join(burst)
        async with asyncio.timeout(timeout_seconds):
            await burst.done
        return Outcome(requests, perf_counter() - started, burst.latencies)
