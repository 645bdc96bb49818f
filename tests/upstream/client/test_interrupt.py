"""Interrupted anywhere, a connection is closed; nobody ever reads the answer to another's question.

The naive client that these tests are for (redis-py CVE-2023-28858, asyncmy #103) returns a connection to its pool when
the task that used it is cancelled. Every later answer on it is then off by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client import Origin, PoolKey, UpstreamPool, UpstreamResponse

if TYPE_CHECKING:
    from tests.upstream.client.conftest import MakePool, Peer, PeerSocket, Run, Send

LIMIT = 100_000


async def nonce_echo(conn: PeerSocket) -> None:
    """Answer each request with its own path and body, in pieces, after a while; chunked when asked to."""
    while True:
        head, body = await conn.request()
        path = head.split()[1]
        text = path + b"|" + body
        await asyncio.sleep(0)
        if path.startswith(b"/chunked"):
            middle = len(text) // 2
            await conn.send(
                b"HTTP/1.1 200 OK\r\ntransfer-enc",
                b"oding: chunked\r\n\r\n%x\r\n" % middle,
                text[:middle],
                b"\r\n%x\r\n%b\r\n0\r\n" % (len(text) - middle, text[middle:]),
                b"\r\n",
            )
        else:
            await conn.send(b"HTTP/1.1 200 OK\r\nx-n", b"once: %b\r\ncontent-length: %d\r\n\r\n" % (body, len(text)))
            await conn.send(text[:3], text[3:])


async def _with_read(response: UpstreamResponse) -> bytes:
    return await response.read(LIMIT)


async def _with_chunks(response: UpstreamResponse) -> bytes:
    return b"".join([chunk async for chunk in response.chunks()])


Read = Callable[[UpstreamResponse], Awaitable[bytes]]


async def _ask(send: Send, upstreams: UpstreamPool, origin: Origin, key: PoolKey, nonce: int, read: Read) -> None:
    kind = b"chunked" if nonce % 2 else b"counted"
    path, body = b"/%b/%b" % (kind, key.tenant.encode()), b"nonce-%d" % nonce
    async with await send(upstreams, origin, key, path=path, body=body) as response:
        answer = await read(response)
    assert answer == path + b"|" + body


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("read", [_with_read, _with_chunks])
@pytest.mark.parametrize("warm", [False, True])
def test_cancelled_after_any_number_of_turns(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey], read: Read, warm: bool
) -> None:
    """Cancel after 0, 1, 2 … turns of the loop, until the exchange is through before it is cancelled."""

    async def main() -> None:
        async with peer(nonce_echo) as upstream:
            finished = 0
            turns = cancelled = 0
            while finished < 5:
                async with pool() as upstreams:
                    if warm:
                        await _ask(send, upstreams, upstream.origin, keys[0], 0, read)
                    task = asyncio.create_task(_ask(send, upstreams, upstream.origin, keys[0], turns, read))
                    await _turns(turns)
                    through = task.done()
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                    await _turns(3)
                    finished += through
                    cancelled += not through
                    # Nothing in use is left, and what is idle is clean.
                    assert set(upstreams._shelf) == upstreams._open
                    assert all(connection._reader is None for connection in upstreams._shelf)
                    for nonce in range(1000, 1003):
                        await _ask(send, upstreams, upstream.origin, keys[0], nonce, read)
                turns += 1
            assert cancelled > 5

    run(main)


def test_nonces_under_load_with_a_tenth_interrupted(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    rng = random.Random(19)

    async def worker(upstreams: UpstreamPool, origin: Origin, number: int) -> int:
        done = 0
        for index in range(30):
            ask = _ask(
                send, upstreams, origin, keys[number % 2], number * 1000 + index, rng.choice([_with_read, _with_chunks])
            )
            if rng.random() < 0.1:
                task = asyncio.create_task(ask)
                await _turns(rng.randrange(30))
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            else:
                await ask
                done += 1
        return done

    async def main() -> None:
        async with peer(nonce_echo) as upstream, pool() as upstreams:
            done = await asyncio.gather(*[worker(upstreams, upstream.origin, number) for number in range(32)])
            assert sum(done) > 800
            await _turns(5)
            assert set(upstreams._shelf) == upstreams._open

    run(main)


def test_a_timed_out_exchange_does_not_come_back(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    """The late answer to the first question arrives while the second is asked."""
    slow = asyncio.Event()

    async def handler(conn: PeerSocket) -> None:
        while True:
            _, body = await conn.request()
            if body == b"slow":
                await slow.wait()
            await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            await (await send(upstreams, upstream.origin, keys[0], body=b"first")).read(LIMIT)
            with pytest.raises(UpstreamUnavailable):
                await send(upstreams, upstream.origin, keys[0], body=b"slow", head_timeout_seconds=0.1)
            assert len(upstreams._shelf) == 0
            asking = asyncio.create_task(send(upstreams, upstream.origin, keys[0], body=b"fast"))
            slow.set()
            assert await (await asking).read(LIMIT) == b"fast"

    run(main)


def test_an_exception_in_the_callers_block_closes(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    async def endless(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await conn.request()

    async def fail_in_the_middle(upstreams: UpstreamPool, origin: Origin) -> None:
        async with await send(upstreams, origin, keys[0]) as response:
            async for _ in response.chunks():
                raise ZeroDivisionError

    async def main() -> None:
        async with peer(endless) as upstream, pool() as upstreams:
            with pytest.raises(ZeroDivisionError):
                await fail_in_the_middle(upstreams, upstream.origin)
            await asyncio.sleep(0.02)
            assert len(upstreams._open) == 0

    run(main)


def test_cancelled_while_connecting(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    """The socket is closed, not lost: a second look at the peer shows no connection left open."""

    async def main() -> None:
        async with peer(nonce_echo) as upstream, pool() as upstreams:
            for turns in range(12):
                task = asyncio.create_task(send(upstreams, upstream.origin, body=b"x"))
                await _turns(turns)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await task).abort()
            await asyncio.sleep(0.05)
            assert len(upstreams._open) == 0
            assert upstream.still_open == 0

    run(main)
