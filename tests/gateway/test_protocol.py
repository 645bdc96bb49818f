"""The connection's own limits: time for heads and for what is left over, and answers that nothing spoils.

A bare application behind `GatewayProtocol` on a real socket, with `HEADER_SECONDS` shortened. Without these limits a
client holds a connection for ever with one byte an hour, and a malformed second request answers the first.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from partywall.gateway import clients, protocol
from partywall.gateway.clients import Clients
from partywall.gateway.http import ClientGone, Request, Responder
from partywall.gateway.protocol import App, GatewayProtocol

SECONDS = 0.2
GET = b"GET / HTTP/1.1\r\nhost: g\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\n"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", SECONDS)


async def answers_at_once(_request: Request, responder: Responder) -> None:
    """Doesn't wait for the body, as a refusal doesn't."""
    responder.whole(200, b"", b"ok")


async def answers_slowly(_request: Request, responder: Responder) -> None:
    responder.start(200, b"")
    await responder.write(b"sl")
    await asyncio.sleep(3 * SECONDS)
    await responder.end(b"ow")


SLOWLY = b"2\r\nsl\r\n2\r\now\r\n0\r\n\r\n"


@asynccontextmanager
async def served(app: App) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """One connection to `app`."""
    loop = asyncio.get_running_loop()
    connected = Clients(loop, tick_seconds=SECONDS / 10)
    server = await loop.create_server(lambda: GatewayProtocol(app, connected, loop), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await connected.aclose(grace_seconds=5)


def everything_after(*pieces: bytes, app: App = answers_at_once, pause: float = 0.0) -> bytes:
    """What the gateway says to `pieces` until it closes the connection, which it must do by itself."""

    async def main() -> bytes:
        async with served(app) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(pause)
            return await asyncio.wait_for(reader.read(), 10 * SECONDS)

    return asyncio.run(main())


def test_silence() -> None:
    assert everything_after().startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("pieces", [(b"GET",), (b"GET / HTTP/1.1\r\n", b"a: b\r\n", b"c: d\r\n"), (b"\r\n", b"\r\n")])
def test_a_slow_head(pieces: tuple[bytes, ...]) -> None:
    assert everything_after(*pieces, pause=SECONDS / 5).startswith(b"HTTP/1.1 408 ")


def test_one_byte_now_and_then_buys_no_time() -> None:
    async def main() -> float:
        async with served(answers_at_once) as (reader, writer):
            loop = asyncio.get_running_loop()
            began, closed = loop.time(), asyncio.ensure_future(reader.read())
            writer.write(b"GET / HTTP/1.1\r\nx: ")
            while not closed.done() and loop.time() < began + 10 * SECONDS:
                writer.write(b"a")
                await asyncio.sleep(SECONDS / 10)
            assert closed.done()
            return loop.time() - began

    assert asyncio.run(main()) < 3 * SECONDS


def test_a_slow_head_behind_an_answer() -> None:
    said = everything_after(GET, b"GET / HT", pause=SECONDS / 5)
    assert said.count(b"HTTP/1.1 200 ") == 1
    assert said.endswith(b"connection: close\r\n\r\n")
    assert b"HTTP/1.1 408 " in said


def test_a_body_that_never_comes_after_its_refusal() -> None:
    """One answer, no second one, and the end; and the time for the rest runs once a byte of it has come."""
    said = everything_after(POST, b"a", b"b", pause=SECONDS / 5)
    assert said.count(b"HTTP/1.1") == 1
    assert said.endswith(b"ok")


def test_stray_bytes_between_requests() -> None:
    said = everything_after(GET, b"\r\n", pause=SECONDS / 5)
    assert said.count(b"HTTP/1.1") == 1


def test_an_idle_connection_is_kept() -> None:
    async def main() -> bytes:
        async with served(answers_at_once) as (reader, writer):
            writer.write(GET)
            await reader.readuntil(b"ok")
            await asyncio.sleep(3 * SECONDS)
            writer.write(GET)
            return await asyncio.wait_for(reader.readuntil(b"ok"), 5)

    assert asyncio.run(main()).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_comes_late_is_passed_over() -> None:
    async def main() -> bytes:
        async with served(answers_at_once) as (reader, writer):
            writer.write(POST + b"12345")
            await reader.readuntil(b"ok")
            writer.write(b"67890" + GET)
            return await asyncio.wait_for(reader.readuntil(b"ok"), 5)

    assert asyncio.run(main()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "second",
    [b"GET / HT", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x00", b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000],
    ids=["slow", "malformed", "no HTTP", "too large"],
)
def test_what_follows_spoils_no_answer(second: bytes) -> None:
    """A 400 written at once would land in the middle of the answer that is going out."""
    said = everything_after(GET, second, app=answers_slowly, pause=SECONDS / 5)
    assert said.count(b"HTTP/1.1") == 1
    assert said.endswith(SLOWLY)


def test_what_follows_in_the_same_segment_spoils_no_answer() -> None:
    for second in (b"\x00", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        said = everything_after(GET + GET + second, app=answers_slowly)
        assert said.count(b"HTTP/1.1 200 ") == said.count(b"HTTP/1.1") == 2
        assert said.endswith(SLOWLY)


def test_a_body_that_is_malformed_is_answered() -> None:
    async def reads(request: Request, _responder: Responder) -> None:
        await request.body(limit_bytes=100, timeout_seconds=5)

    bad = b"POST / HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
    assert everything_after(bad, app=reads).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "behind",
    [GET + GET, b"POST / HTTP/1.1\r\nhost: g\r\ncontent-length: 4000000\r\n\r\n" + b"x" * 2_000_000],
    ids=["others", "a long body"],
)
def test_the_running_request_hears_of_the_end(behind: bytes) -> None:
    """Whatever waits behind it on the connection; it would go on for nobody."""

    async def main() -> str:
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def app(request: Request, _responder: Responder) -> None:
            try:
                request.watch()
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                assert request.was_left()
                heard.put_nowait("gone")

        async with served(app) as (_, writer):
            writer.write(GET + behind)
            await asyncio.sleep(SECONDS)
            writer.transport.abort()
            return await asyncio.wait_for(heard.get(), 3)

    assert asyncio.run(main()) == "gone"


def test_a_task_that_is_not_watched_any_more_runs_to_its_end() -> None:
    async def main() -> str:
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def app(request: Request, _responder: Responder) -> None:
            request.watch()
            request.unwatch()
            await asyncio.sleep(SECONDS)
            heard.put_nowait("done" if request.gone else "nobody left")

        async with served(app) as (_, writer):
            writer.write(GET)
            await asyncio.sleep(SECONDS / 5)
            writer.close()
            return await asyncio.wait_for(heard.get(), 5)

    assert asyncio.run(main()) == "done"


def test_trailers_go_nowhere() -> None:
    async def app(request: Request, responder: Responder) -> None:
        await request.body(limit_bytes=100, timeout_seconds=5)
        names = b",".join(name for name, _ in request.headers)
        responder.whole(200, b"", b"<" + names + b">")

    start = b"POST / HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
    for pieces in [
        (start + b"1\r\na\r\n0\r\nx-org-id: beta\r\n\r\n",),
        (start + b"1\r\na\r\n", b"0\r\nx-org-id: b\r\n\r\n"),
    ]:
        said = everything_after(*pieces, b"GET / HT", app=app, pause=SECONDS / 5)
        assert b"<host,transfer-encoding>" in said


def test_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_PIPELINED", 3)
    said = everything_after(GET * 10, app=answers_at_once)
    assert said.count(b"HTTP/1.1 200 ") == said.count(b"HTTP/1.1") == 3


def test_more_connections_than_descriptors_allow_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 0)

    async def main() -> bytes:
        async with served(answers_at_once) as (reader, writer):
            writer.write(GET)
            try:
                return await asyncio.wait_for(reader.read(), 10 * SECONDS)
            except ConnectionResetError:
                return b""

    assert asyncio.run(main()) == b""


def test_a_client_that_never_reads_gives_up_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_SECONDS", SECONDS)
    ended = asyncio.Event()

    async def talks_on(_request: Request, responder: Responder) -> None:
        responder.start(200, b"")
        try:
            while True:
                await responder.write(b"x" * 65_536)
                await asyncio.sleep(0)
        except ClientGone:
            ended.set()

    async def main() -> None:
        async with served(talks_on) as (_reader, writer):
            writer.write(GET)
            await asyncio.wait_for(ended.wait(), 30 * SECONDS)

    asyncio.run(main())


LONG = 24 * 2**20
"""More than the kernel takes for a client that doesn't read."""


async def answers_at_length(request: Request, responder: Responder) -> None:
    responder.whole(200, b"", request.path.encode() * LONG)


def test_whole_answers_that_nobody_reads_are_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request waits until the first one's answer was read, and then it is served."""
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 100.0)
    begun: list[str] = []

    async def app(request: Request, responder: Responder) -> None:
        begun.append(request.path)
        await answers_at_length(request, responder)

    async def main() -> None:
        async with served(app) as (reader, writer):
            writer.write(GET)
            await asyncio.sleep(SECONDS)
            writer.write(GET + GET)
            await asyncio.sleep(SECONDS)
            assert begun == ["/"]
            head = await reader.readuntil(b"\r\n\r\n")
            assert len(await reader.readexactly(LONG)) == LONG
            assert (await reader.readuntil(b"\r\n\r\n"))[:15] == head[:15]
            assert begun == ["/", "/"]

    asyncio.run(main())


@pytest.mark.parametrize("last", ["", "connection: close\r\n"])
def test_an_unread_whole_answer_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    monkeypatch.setattr(protocol, "WRITE_SECONDS", SECONDS)

    async def main() -> int:
        async with served(answers_at_length) as (reader, writer):
            writer.write(f"GET / HTTP/1.1\r\nhost: g\r\n{last}\r\n".encode())
            await asyncio.sleep(5 * SECONDS)
            try:
                return len(await reader.read())
            except ConnectionResetError:
                return 0

    assert asyncio.run(main()) < LONG


def test_a_refusal_before_the_announced_body_ends_the_connection() -> None:
    """Whether the body still comes, only the client knows: it would be taken for a request, or a request for it."""
    announced = b"POST / HTTP/1.1\r\nhost: g\r\ncontent-length: 300\r\nexpect: 100-continue\r\n\r\n"
    said = everything_after(announced, GET + b" " * 300 + GET, pause=SECONDS / 5)
    assert said.count(b"HTTP/1.1") == 1
    assert b"\r\nconnection: close\r\n" in said


def test_http_1_0_is_not_told_to_continue() -> None:
    async def app(request: Request, responder: Responder) -> None:
        responder.whole(200, b"", await request.body(limit_bytes=10, timeout_seconds=5))

    start = b"POST / HTTP/1.0\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    assert b" 100 " not in everything_after(start, b"ok", app=app, pause=SECONDS / 5)


def test_a_stop_passes_over_what_was_never_served() -> None:
    """An answer that nobody reads, and behind it a request that spoils the connection."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        connected = Clients(loop, tick_seconds=SECONDS / 10)
        server = await loop.create_server(lambda: GatewayProtocol(answers_at_length, connected, loop), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(GET + POST.replace(b"content-length: 10", b"transfer-encoding: chunked") + b"ZZZ\r\n")
        await asyncio.sleep(SECONDS)
        server.close()
        await asyncio.wait_for(connected.aclose(grace_seconds=SECONDS), 5)
        await asyncio.sleep(SECONDS)
        assert len(connected) == 0
        writer.close()

    asyncio.run(main())
