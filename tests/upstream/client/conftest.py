"""A peer on a real socket that does what a test says, a pool, and both event loops to run them on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, Self

import pytest
import uvloop

from partywall.tenancy import TenantId
from partywall.upstream.client import Origin, PoolKey, UpstreamPool, UpstreamResponse

ALPHA = PoolKey(TenantId("alpha"), "chat")
BETA = PoolKey(TenantId("beta"), "chat")


class PeerSocket:
    """One accepted connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: its head and its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name == b"content-length":
                size = int(value)
        return head, await self.reader.readexactly(size)

    async def send(self, *pieces: bytes) -> None:
        """Write each piece in a segment of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    def reset(self) -> None:
        """Close with a TCP reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Handler = Callable[[PeerSocket], Awaitable[None]]


class Peer:
    """A listening server. `accepted` holds every connection it ever saw."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.accepted: list[PeerSocket] = []
        self.failures: list[BaseException] = []
        self._handler = handler
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.origin = Origin("https" if self._tls else "http", "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self.failures

    @property
    def still_open(self) -> int:
        """How many connections the other side hasn't closed."""
        return len(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer_socket = PeerSocket(len(self.accepted), reader, writer)
        self.accepted.append(peer_socket)
        try:
            await self._handler(peer_socket)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            pass  # the gateway closed the connection, or the test is over
        except Exception as err:  # noqa: BLE001  # told to the test, which runs in another task
            self.failures.append(err)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


class Send(Protocol):
    """`pool.send` with the arguments that most tests don't care about filled in."""

    def __call__(
        self, pool: UpstreamPool, origin: Origin, key: PoolKey = ..., **other: Any
    ) -> Coroutine[Any, Any, UpstreamResponse]: ...


class MakePool(Protocol):
    """An open pool, closed on leaving, with what was left behind in it checked."""

    def __call__(self, **settings: Any) -> contextlib.AbstractAsyncContextManager[UpstreamPool]: ...


Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine function on each event loop. A hang is a failure, after ten seconds."""

    def on_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(main(), 10)

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(bounded())

    return on_loop


@pytest.fixture(name="peer")
def peer_fixture() -> type[Peer]:
    """`async with peer(handler) as upstream:`."""
    return Peer


@pytest.fixture(name="pool")
def pool_fixture() -> MakePool:
    """`async with pool() as upstreams:`."""

    @contextlib.asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[UpstreamPool]:
        defaults: dict[str, Any] = {
            "connect_timeout_seconds": 2,
            "idle_timeout_seconds": 30,
            "max_idle_total": 100,
            "max_idle_per_key": 10,
        }
        async with UpstreamPool(**(defaults | settings)) as pool:
            yield pool
        assert not pool._open
        assert len(pool._shelf) == 0

    return make


@pytest.fixture(name="send")
def send_fixture() -> Send:
    """See `Send`."""

    def send(
        pool: UpstreamPool, origin: Origin, key: PoolKey = ALPHA, **other: Any
    ) -> Coroutine[Any, Any, UpstreamResponse]:
        defaults: dict[str, Any] = {
            "method": b"POST",
            "path": b"/v1/chat/completions",
            "headers": [(b"content-type", b"application/json")],
            "body": b"{}",
            "head_timeout_seconds": 5,
        }
        return pool.send(key, origin, **(defaults | other))

    return send


@pytest.fixture(name="keys")
def keys_fixture() -> tuple[PoolKey, PoolKey]:
    """Alpha's and beta's key for a target of the same name."""
    return ALPHA, BETA
