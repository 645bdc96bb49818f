"""A gateway in this process, called as ASGI: fast enough for thousands of examples, no sockets towards the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson
from tests.support.records import recorded

from partywall.gateway.app import Gateway
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
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in pairs],
        }
        sent: list[dict[str, Any]] = []
        incoming = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            await asyncio.Event().wait()  # a client that stays
            raise AssertionError("unreachable")

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await self.app(scope, receive, send)
        return Reply(
            status=sent[0]["status"],
            headers=sent[0]["headers"],
            body=b"".join(message.get("body", b"") for message in sent[1:]),
        )

    async def post(self, path: str, headers: dict[str, str], body: object, query: str = "") -> Reply:
        return await self.call("POST", path, headers=headers, body=body, query=query)

    async def get(self, path: str, headers: dict[str, str], query: str = "") -> Reply:
        return await self.call("GET", path, headers=headers, query=query)


@asynccontextmanager
async def gateway(document: Path, data_dir: Path) -> AsyncIterator[Client]:
    """A gateway over the document at `document`."""
    async with Platform.open(document, data_dir=data_dir) as platform:
        app = Gateway(platform)
        try:
            yield Client(app, platform)
        finally:
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
