"""A gateway in this process, without sockets towards the client: fast enough for thousands of examples."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
from httptools import HttpResponseParser
from tests.support.records import recorded

from partywall.gateway.app import Gateway
from partywall.gateway.clients import Clients
from partywall.gateway.protocol import GatewayProtocol
from partywall.platform import Platform
from partywall.trail import DecisionRecord

__all__ = ["Client", "Reply", "Session", "gateway", "session"]


T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v.decode("latin-1") for n, v in self.headers if n == name.encode()), None)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str | None:
        """The refusal code, in either dialect."""
        error = self.json.get("error") if self.body.startswith(b"{") else None
        return error.get("code") if isinstance(error, dict) else None


class Client:
    """Calls a gateway. `body` is bytes, or anything that becomes JSON."""

    def __init__(self, app: Gateway, platform: Platform) -> None:
        self.app = app
        self.platform = platform
        self._clients = Clients(asyncio.get_running_loop())

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | Iterable[tuple[str, str]] = (),
        body: object = b"",
        query: str = "",
    ) -> Reply:
        pairs = headers.items() if isinstance(headers, dict) else headers
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        target = f"{path}?{query}" if query else path
        lines = ["host: gateway", *(f"{n}: {v}" for n, v in pairs), f"content-length: {len(raw)}", "", ""]
        head = f"{method} {target} HTTP/1.1\r\n".encode() + "\r\n".join(lines).encode("latin-1")
        loop = asyncio.get_running_loop()
        protocol = GatewayProtocol(self.app, self._clients, loop)
        wire = MemoryTransport(loop, bodiless=method == "HEAD")
        protocol.connection_made(wire)
        try:
            protocol.data_received(head + raw)
            return await wire.answer()
        finally:
            wire.abort()
            protocol.connection_lost(None)

    async def post(self, path: str, headers: dict[str, str], body: object, query: str = "") -> Reply:
        return await self.call("POST", path, headers=headers, body=body, query=query)

    async def get(self, path: str, headers: dict[str, str], query: str = "") -> Reply:
        return await self.call("GET", path, headers=headers, query=query)

    async def aclose(self) -> None:
        await self._clients.aclose(grace_seconds=0)


class MemoryTransport(asyncio.Transport):
    """A client that reads everything at once, and the first whole answer that it was sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, bodiless: bool) -> None:
        super().__init__()
        self._bodiless = bodiless
        self._done = loop.create_future()
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._closing = False

    async def answer(self) -> Reply:
        """The answer, when it is complete. Raises EOFError when the connection ends before."""
        reply: Reply = await self._done
        return reply

    # -- What the gateway calls ---

    def write(self, data: Any) -> None:
        assert not self._closing
        if not self._done.done():  # what follows a complete answer is a second one, which nobody asked for
            self._parser.feed_data(bytes(data))
        elif data:
            raise AssertionError(f"more than one answer: {data!r}")

    def close(self) -> None:
        self._closing = True
        if not self._done.done():
            self._done.set_exception(EOFError("the gateway closed the connection without an answer"))

    def abort(self) -> None:
        self._closing = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        """Everything has been sent already."""

    def resume_reading(self) -> None:
        """Likewise."""

    # -- What httptools calls ---

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_headers_complete(self) -> None:
        if self._bodiless:
            self.on_message_complete()

    def on_message_complete(self) -> None:
        # The date is a clock's, and chunks are the protocol's: neither is what the application said.
        ours = [(n, v) for n, v in self._headers if n not in (b"date", b"transfer-encoding")]
        self._done.set_result(Reply(self._parser.get_status_code(), ours, self._body))


@asynccontextmanager
async def gateway(document: Path, data_dir: Path) -> AsyncIterator[Client]:
    """A gateway over the document at `document`."""
    async with Platform.open(document, data_dir=data_dir) as platform:
        app = Gateway(platform)
        client = Client(app, platform)
        try:
            yield client
        finally:
            await client.aclose()
            await app.aclose()


@dataclass(frozen=True)
class Session:
    """A gateway that outlives single examples of a property test, for tests that aren't asynchronous themselves."""

    client: Client
    loop: asyncio.AbstractEventLoop
    data_dir: Path

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def post(self, path: str, headers: dict[str, str], body: object, query: str = "") -> Reply:
        return self.run(self.client.post(path, headers, body, query))

    def get(self, path: str, headers: dict[str, str], query: str = "") -> Reply:
        return self.run(self.client.get(path, headers, query))

    def recorded(self, tenant: str | None, *, since: float | None = None) -> list[DecisionRecord]:
        """What the gateway has recorded for one tenant, or among the platform's own for None."""
        self.run(self.client.platform.trail.flush())
        return recorded(self.data_dir, tenant, since=since)


@contextmanager
def session(document: Path, data_dir: Path) -> Iterator[Session]:
    """Open a gateway in an event loop that runs only while it is asked something."""
    loop = asyncio.new_event_loop()
    opened = gateway(document, data_dir)
    try:
        yield Session(loop.run_until_complete(opened.__aenter__()), loop, data_dir)
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
