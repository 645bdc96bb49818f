"""One request and its answer over a real socket, with everything that can go wrong with them."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client import Origin

if TYPE_CHECKING:
    from tests.upstream.client.conftest import MakePool, Peer, PeerSocket, Run, Send

OK_HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
MIB = 1024 * 1024


def test_request_and_answer(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def handler(conn: PeerSocket) -> None:
        seen.append(await conn.request())
        await conn.send(OK_HELLO)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            async with await send(upstreams, upstream.origin, headers=[(b"x-a", b"1")], body=b"body") as response:
                assert response.status == 200
                assert response.headers == [(b"content-type", b"text/plain"), (b"content-length", b"5")]
                assert await response.read(100) == b"hello"
                assert await response.read(100) == b""
            assert seen == [
                (
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept-encoding: identity\r\n"
                    b"x-a: 1\r\ncontent-length: 4\r\n\r\n" % upstream.port,
                    b"body",
                )
            ]

    run(main)


def test_a_large_body_travels_both_ways(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    body = bytes(range(256)) * 20_000

    async def handler(conn: PeerSocket) -> None:
        while True:
            _, echoed = await conn.request()
            await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(echoed), echoed)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            for _ in range(2):
                async with await send(upstreams, upstream.origin, body=body) as response:
                    assert await response.read(len(body)) == body
            assert len(upstream.accepted) == 1

    run(main)


def test_a_stream_arrives_as_it_is_sent(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    go_on = asyncio.Event()

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        await conn.send(b"6\r\nsecond\r\n1\r\n+\r\n", b"0\r\n\r\n")
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            async with await send(upstreams, upstream.origin) as response:
                chunks = response.chunks()
                assert await anext(chunks) == b"first"
                go_on.set()
                assert b"".join([chunk async for chunk in chunks]) == b"second+"
            assert len(upstreams._shelf) == 1

    run(main)


def test_chunks_are_coalesced_and_never_empty(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 500 + b"0\r\n\r\n")
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin)
            await asyncio.sleep(0.05)
            assert [chunk async for chunk in response.chunks()] == [b"a" * 500]

    run(main)


def test_a_slow_reader_holds_the_upstream_back(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    sent = 0

    async def handler(conn: PeerSocket) -> None:
        nonlocal sent
        conn.writer.transport.set_write_buffer_limits(high=0)
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            await conn.send(b"x" * MIB)
            sent += 1
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            async with await send(upstreams, upstream.origin) as response:
                await asyncio.sleep(0.3)
                assert response._reader.buffered < 2 * MIB
                assert sent < 20  # what the kernel holds on both sides
                total = sum([len(chunk) async for chunk in response.chunks()])
            assert total == 64 * MIB
            assert len(upstreams._shelf) == 1

    run(main)


def test_limits(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",  # refused before it comes
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ]

    async def handler(conn: PeerSocket) -> None:
        head, _ = await conn.request()
        await conn.send(answers[int(head.split()[1][1:])])
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            for index in range(len(answers)):
                response = await send(upstreams, upstream.origin, path=b"/%d" % index)
                with pytest.raises(UpstreamUnavailable, match="more than 4 bytes") as caught:
                    await response.read(4)
                assert caught.value.status == 502
                with pytest.raises(UpstreamUnavailable):
                    await response.read(100)
            assert len(upstreams._shelf) == 0
            async with await send(upstreams, upstream.origin, path=b"/0") as response:
                assert await response.read(5) == b"hello"

    run(main)


# -- Time ---


def test_no_head_in_time(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    """Neither from one who says nothing, nor from one who says a little for ever."""

    async def silent(conn: PeerSocket) -> None:
        await conn.request()
        await conn.request()

    async def dripping(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await conn.send(b"x: y\r\n")
            await asyncio.sleep(0.02)

    async def main() -> None:
        for behaviour in (silent, dripping):
            async with peer(behaviour) as upstream, pool() as upstreams:
                with pytest.raises(UpstreamUnavailable, match=r"took longer than 0\.2 s") as caught:
                    await send(upstreams, upstream.origin, head_timeout_seconds=0.2)
                assert caught.value.status == 504
                assert str(upstream.origin) in str(caught.value)

    run(main)


@pytest.mark.parametrize("drip", [b"", b"1;", b"0\r\nx-trailer: "])
def test_a_body_that_stalls(run: Run, peer: type[Peer], pool: MakePool, send: Send, drip: bytes) -> None:
    """Also when it stalls with an endless chunk extension or trailer, which are bytes but no content."""

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", drip)
        while True:
            await asyncio.sleep(0.02)
            await conn.send(b"x" if drip else b"")

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin, chunk_timeout_seconds=0.2)
            chunks = response.chunks()
            assert await anext(chunks) == b"hello"
            with pytest.raises(UpstreamUnavailable, match="took longer") as caught:
                await anext(chunks)
            assert caught.value.status == 504

    run(main)


def test_a_stream_may_last_longer_than_the_chunk_timeout(
    run: Run, peer: type[Peer], pool: MakePool, send: Send
) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.05)
            await conn.send(b"1\r\na\r\n")
        await conn.send(b"0\r\n\r\n")

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin, chunk_timeout_seconds=0.25)
            assert await response.read(100) == b"a" * 8

    run(main)


async def _after(conn: PeerSocket) -> None:
    """Answer each request after as many seconds as its body says."""
    while True:
        _, body = await conn.request()
        await asyncio.sleep(float(body))
        await conn.send(OK_HELLO)


def test_a_wait_outlives_the_deadline_of_the_one_before_it_and_no_more(
    run: Run, peer: type[Peer], pool: MakePool, send: Send
) -> None:
    """The connection's one alarm is still set for the wait before, when an answer comes late and when none does."""

    async def main() -> None:
        async with peer(_after) as upstream, pool() as upstreams:
            loop = asyncio.get_running_loop()
            for timeout, seconds in ((0.2, b"0"), (0.6, b"0.4"), (0.1, b"0")):
                response = await send(upstreams, upstream.origin, body=seconds, head_timeout_seconds=timeout)
                assert await response.read(100) == b"hello"
            begun = loop.time()
            with pytest.raises(UpstreamUnavailable, match=r"took longer than 0\.7 s to send the headers") as caught:
                await send(upstreams, upstream.origin, body=b"5", head_timeout_seconds=0.7)
            assert caught.value.status == 504
            assert 0.68 < loop.time() - begun < 2
            assert len(upstream.accepted) == 1

    run(main)


def test_a_shorter_time_out_after_a_longer_one_counts(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def main() -> None:
        async with peer(_after) as upstream, pool() as upstreams:
            loop = asyncio.get_running_loop()
            response = await send(upstreams, upstream.origin, body=b"0", head_timeout_seconds=600)
            assert await response.read(100) == b"hello"
            begun = loop.time()
            with pytest.raises(UpstreamUnavailable, match=r"took longer than 0\.1 s"):
                await send(upstreams, upstream.origin, body=b"5", head_timeout_seconds=0.1)
            assert 0.08 < loop.time() - begun < 1.5

    run(main)


def test_a_connection_has_one_alarm_and_leaves_none(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def main() -> None:
        async with peer(_after) as upstream, pool() as upstreams:
            alarms = set()
            for _ in range(5):
                response = await send(upstreams, upstream.origin, body=b"0", head_timeout_seconds=600)
                assert await response.read(100) == b"hello"
                (connection,) = upstreams._open
                alarms.add(connection._alarm)
            (alarm,) = alarms
            assert alarm is not None
            assert not alarm.cancelled()
            await upstreams.aclose()
            assert alarm.cancelled()

    run(main)


def test_an_answer_that_came_in_time_counts_though_the_loop_was_late(
    peer: type[Peer], pool: MakePool, send: Send
) -> None:
    """Answer and deadline fall into one turn of the loop. (uvloop looks at its timers before its sockets.)"""

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        conn.writer.write(OK_HELLO)
        time.sleep(0.2)  # noqa: ASYNC251  # nothing else may run before the deadline

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin, head_timeout_seconds=0.1)
            assert await response.read(100) == b"hello"

    asyncio.run(main())


def test_nobody_listens(run: Run, pool: MakePool, send: Send) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]

        async def main() -> None:
            async with pool() as upstreams:
                with pytest.raises(UpstreamUnavailable, match=rf"http://127\.0\.0\.1:{port}`") as caught:
                    await send(upstreams, Origin("http", "127.0.0.1", port))
                assert caught.value.status == 502

        run(main)


def test_connecting_takes_too_long(run: Run, pool: MakePool, send: Send) -> None:
    """A listener whose queue is full swallows the handshake, as a dead host does."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        first.connect(address)
        second.setblocking(False)
        second.connect_ex(address)

        async def main() -> None:
            async with pool(connect_timeout_seconds=0.2) as upstreams:
                with pytest.raises(UpstreamUnavailable, match="can't be connected to") as caught:
                    await send(upstreams, Origin("http", *address))
                assert caught.value.status == 504

        run(main)


# -- Endings ---


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\n\x1f",
        b"\x16\x03\x01",
    ],
)
@pytest.mark.parametrize("ending", ["eof", "reset"])
def test_broken_answers(run: Run, peer: type[Peer], pool: MakePool, send: Send, answer: bytes, ending: str) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(answer)
        if ending == "reset":
            conn.reset()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            with pytest.raises(UpstreamUnavailable) as caught:
                await (await send(upstreams, upstream.origin)).read(100)
            assert caught.value.status == 502
            assert str(upstream.origin) in str(caught.value)
            assert "hell" not in str(caught.value)
            assert len(upstreams._shelf) == 0
            assert len(upstream.accepted) == 1  # and nothing was sent twice

    run(main)


def test_a_body_that_ends_with_the_connection(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
        conn.writer.close()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            assert await (await send(upstreams, upstream.origin)).read(100) == b"hello"
            assert len(upstreams._shelf) == 0

    run(main)


def test_a_reset_does_not_end_a_body_without_length(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
        await asyncio.sleep(0.05)
        conn.reset()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin)
            with pytest.raises(UpstreamUnavailable):
                await response.read(100)

    run(main)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_answers_without_a_body_give_the_connection_back_at_once(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, method: bytes, answer: bytes
) -> None:
    async def handler(conn: PeerSocket) -> None:
        while True:
            await conn.request()
            await conn.send(answer)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            for _ in range(3):
                response = await send(upstreams, upstream.origin, method=method, body=b"")
                assert len(upstreams._shelf) == 1
                assert await response.read(0) == b""
                response.abort()
            assert len(upstream.accepted) == 1

    run(main)


def test_an_answer_before_the_request_was_written_is_read_but_the_connection_is_not_kept(
    run: Run, peer: type[Peer], pool: MakePool, send: Send
) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.reader.readuntil(b"\r\n\r\n")
        await conn.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nhello")
        await asyncio.sleep(1)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin, body=b"x" * (32 * MIB))
            assert response.status == 413
            assert await response.read(100) == b"hello"
            assert len(upstreams._shelf) == 0

    run(main)


# -- Leaving early ---


def test_leaving_unread_closes(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        while True:
            await conn.request()
            await conn.send(OK_HELLO)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            async with await send(upstreams, upstream.origin):
                pass
            assert len(upstreams._shelf) == 0
            async with await send(upstreams, upstream.origin) as response:
                assert await response.read(100) == b"hello"
            assert len(upstream.accepted) == 2

    run(main)


def test_leaving_a_stream_in_the_middle_closes(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    gone = asyncio.Event()

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        assert await conn.reader.read() == b""
        gone.set()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            async with await send(upstreams, upstream.origin) as response:
                async for _ in response.chunks():
                    break
            await gone.wait()
            with pytest.raises(UpstreamUnavailable, match="left by the gateway"):
                await response.read(100)
            assert len(upstreams._shelf) == 0

    run(main)


def test_closing_the_iterator_closes_the_connection(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            chunks = (await send(upstreams, upstream.origin)).chunks()
            assert await anext(chunks) == b"hel"
            await chunks.aclose()
            await asyncio.sleep(0.02)
            assert upstream.still_open == 0

    run(main)


def test_what_arrived_before_the_failure_is_given_and_then_the_failure(
    run: Run, peer: type[Peer], pool: MakePool, send: Send
) -> None:
    go_on = asyncio.Event()

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await go_on.wait()
        await conn.send(b"5\r\nhello\r\n", b"oops")
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin)
            go_on.set()
            await asyncio.sleep(0.05)
            chunks = response.chunks()
            assert await anext(chunks) == b"hello"
            with pytest.raises(UpstreamUnavailable, match="malformed chunks"):
                await anext(chunks)
            with pytest.raises(UpstreamUnavailable, match="malformed chunks"):
                await response.read(100)

    run(main)


def test_an_upstream_that_talks_on_after_the_end_is_cut_off(
    run: Run, peer: type[Peer], pool: MakePool, send: Send
) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(OK_HELLO)
        while True:
            await conn.send(b"x" * MIB)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin)
            await asyncio.sleep(0.1)
            assert upstream.still_open == 0
            assert await response.read(100) == b"hello"

    run(main)


def test_abort_wakes_the_reader_and_may_be_repeated(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin)
            reading = asyncio.create_task(response.read(100))
            await asyncio.sleep(0.05)
            response.abort()
            response.abort()
            with pytest.raises(UpstreamUnavailable, match="left by the gateway"):
                await reading

    run(main)


def test_a_late_abort_does_not_touch_the_next_exchange(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        while True:
            await conn.request()
            await asyncio.sleep(0.05)
            await conn.send(OK_HELLO)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            first = await send(upstreams, upstream.origin)
            assert await first.read(100) == b"hello"
            second = asyncio.create_task(send(upstreams, upstream.origin))
            await asyncio.sleep(0.01)
            first.abort()
            assert await (await second).read(100) == b"hello"
            assert len(upstream.accepted) == 1

    run(main)


def test_one_task_reads(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    go_on = asyncio.Event()

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
        await go_on.wait()
        await conn.send(b"lo")

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            response = await send(upstreams, upstream.origin)
            chunks = response.chunks()
            assert await anext(chunks) == b"hel"
            waiting = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="one task"):
                await response.read(100)
            go_on.set()
            assert await waiting == b"lo"
            assert await response.read(100) == b""

    run(main)


def test_a_malformed_header_is_not_sent(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            with pytest.raises(UpstreamUnavailable, match="`authorization` holds a control character") as caught:
                await send(upstreams, upstream.origin, headers=[(b"authorization", b"Bearer hunter2\n")])
            assert "hunter2" not in str(caught.value)
            assert upstream.accepted == []

    run(main)
