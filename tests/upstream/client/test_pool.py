"""Whose connection it is, how long it is kept, and what is sent again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from partywall.errors import UpstreamUnavailable
from partywall.tenancy import TenantId
from partywall.upstream.client import Origin, PoolKey, UpstreamPool
from partywall.upstream.client.connection import Connection

if TYPE_CHECKING:
    from tests.upstream.client.conftest import Handler, MakePool, Peer, PeerSocket, Run, Send

OK_HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


async def polite(conn: PeerSocket) -> None:
    """Answer every request with the number of the connection."""
    while True:
        await conn.request()
        number = b"%d" % conn.number
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(number), number))


async def _ask(send: Send, upstreams: UpstreamPool, origin: Origin, key: PoolKey, **other: bool) -> bytes:
    async with await send(upstreams, origin, key, **other) as response:
        return await response.read(100)


# -- Whose ---


def test_a_connection_is_used_again_by_its_own_key_only(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    alpha, beta = keys

    async def main() -> None:
        async with peer(polite) as upstream, pool() as upstreams:
            asked = [alpha, beta, alpha, beta, alpha._replace(target="other"), alpha, beta]
            answers = [await _ask(send, upstreams, upstream.origin, key) for key in asked]
            assert answers == [b"0", b"1", b"0", b"1", b"2", b"0", b"1"]

    run(main)


@pytest.mark.parametrize("change", ["origin", "allow_private"])
def test_a_reloaded_document_does_not_use_the_old_targets_connection(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey], change: str
) -> None:
    async def main() -> None:
        async with peer(polite) as old, peer(polite) as new, pool() as upstreams:
            await _ask(send, upstreams, old.origin, keys[0], allow_private=True)
            if change == "origin":
                await _ask(send, upstreams, new.origin, keys[0], allow_private=True)
                assert len(new.accepted) == 1
            else:
                await _ask(send, upstreams, old.origin, keys[0], allow_private=False)
                assert len(old.accepted) == 2

    run(main)


def test_with_the_shelf_broken_the_connection_itself_refuses(
    run: Run,
    peer: type[Peer],
    pool: MakePool,
    send: Send,
    keys: tuple[PoolKey, PoolKey],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One wall falls (the look-up by route); the other holds, and beta's request goes over a connection of its own."""
    alpha, beta = keys

    async def main() -> None:
        async with peer(polite) as upstream, pool() as upstreams:
            assert await _ask(send, upstreams, upstream.origin, alpha) == b"0"
            (alphas,) = upstreams._shelf
            broken = iter([alphas, None])
            monkeypatch.setattr(type(upstreams._shelf), "take", lambda *_: next(broken))
            assert await _ask(send, upstreams, upstream.origin, beta) == b"1"
            assert alphas._transport.is_closing()

    run(main)


def test_concurrent_requests_do_not_share(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    arrived = 0
    everybody = asyncio.Event()

    async def handler(conn: PeerSocket) -> None:
        nonlocal arrived
        while True:
            await conn.request()
            arrived += 1
            if arrived == 20:
                everybody.set()
            await everybody.wait()
            await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n%02d" % conn.number)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            asks = [_ask(send, upstreams, upstream.origin, keys[index % 2]) for index in range(20)]
            assert set(Counter(await asyncio.gather(*asks)).values()) == {1}
            assert len(upstreams._shelf) == 20

    run(main)


def test_a_connection_in_use_refuses_a_second_exchange(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams, await send(upstreams, upstream.origin):
            (connection,) = upstreams._open
            with pytest.raises(RuntimeError, match="one exchange at a time"):
                await connection.exchange(b"", b"", is_head_request=False, timeout_seconds=1)

    run(main)


# -- How long ---


def test_the_one_idle_for_longest_makes_room(run: Run, peer: type[Peer], pool: MakePool, send: Send) -> None:
    names = [PoolKey(TenantId(name), "chat") for name in ("alpha", "beta", "gamma")]

    async def main() -> None:
        async with peer(polite) as upstream, pool(max_idle_total=2) as upstreams:
            for key in names:
                await _ask(send, upstreams, upstream.origin, key)
            assert [connection.route.key for connection in upstreams._shelf] == names[1:]
            await _ask(send, upstreams, upstream.origin, names[1])
            assert [connection.route.key for connection in upstreams._shelf] == [names[2], names[1]]
            await _ask(send, upstreams, upstream.origin, names[0])
            assert [connection.route.key for connection in upstreams._shelf] == [names[1], names[0]]
            await asyncio.sleep(0.05)
            assert len(upstreams._open) == 2
            assert await upstream.accepted[0].reader.read() == b""

    run(main)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_idle_connections_per_key(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey], limit: int
) -> None:
    async def main() -> None:
        async with peer(polite) as upstream, pool(max_idle_per_key=limit) as upstreams:
            await asyncio.gather(*[_ask(send, upstreams, upstream.origin, keys[0]) for _ in range(5)])
            assert len(upstreams._shelf) == limit
            await _ask(send, upstreams, upstream.origin, keys[1])
            assert len(upstreams._shelf) == limit + min(limit, 1)

    run(main)


def test_idle_connections_are_closed_after_their_time_by_one_timer(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    async def main() -> None:
        async with peer(polite) as upstream, pool(idle_timeout_seconds=0.1) as upstreams:
            for _ in range(2):
                for key in keys:
                    await _ask(send, upstreams, upstream.origin, key)
                    await asyncio.sleep(0.03)
                assert upstreams._sweep_timer is not None
                while upstreams._open:  # noqa: ASYNC110  # the pool has no event for this, and needs none
                    await asyncio.sleep(0.01)
                assert upstreams._sweep_timer is None
                assert len(upstreams._shelf) == 0

    run(main)


def test_an_expired_connection_is_not_used_though_the_sweep_has_not_come_yet(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    async def main() -> None:
        async with peer(polite) as upstream, pool(idle_timeout_seconds=0.05) as upstreams:
            assert await _ask(send, upstreams, upstream.origin, keys[0]) == b"0"
            time.sleep(0.06)  # noqa: ASYNC251  # the loop must not run in between
            assert await _ask(send, upstreams, upstream.origin, keys[0]) == b"1"

    run(main)


# -- What comes unasked ---


@pytest.mark.parametrize("surplus", [b"\r\n", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 4\r\n\r\nevil"])
@pytest.mark.parametrize("moment", ["with the answer", "while idle", "while idle, and the loop is busy"])
def test_bytes_nobody_asked_for_never_answer_the_next_request(
    run: Run,
    peer: type[Peer],
    pool: MakePool,
    send: Send,
    keys: tuple[PoolKey, PoolKey],
    surplus: bytes,
    moment: str,
) -> None:
    sent_late = False

    async def handler(conn: PeerSocket) -> None:
        while True:
            await conn.request()
            extra = surplus if moment == "with the answer" and conn.number == 0 else b""
            await conn.send(OK_HELLO + extra)

    async def main() -> None:
        nonlocal sent_late
        async with peer(handler) as upstream, pool() as upstreams:
            assert await _ask(send, upstreams, upstream.origin, keys[0]) == b"hello"
            if moment != "with the answer":
                # The write goes straight to the kernel; the client's side of the loop hasn't run when it returns.
                upstream.accepted[0].writer.write(surplus)
            if moment == "while idle":
                await asyncio.sleep(0.05)
                assert len(upstreams._shelf) == 0
            assert await _ask(send, upstreams, upstream.origin, keys[0]) == b"hello"
            assert len(upstream.accepted) == 2

    if moment == "while idle, and the loop is busy":
        # uvloop writes at the end of the turn, so only a thread could hit this moment there.
        asyncio.run(main())
    else:
        run(main)


def test_an_end_of_stream_while_idle_is_seen_before_the_next_request(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(OK_HELLO)
        conn.writer.close()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            for _ in range(3):
                assert await _ask(send, upstreams, upstream.origin, keys[0]) == b"hello"
                await asyncio.sleep(0.02)
                assert len(upstreams._open) == 0
            assert len(upstream.accepted) == 3

    run(main)


# -- What is sent again ---


def _counting(first: Handler, second: Handler) -> tuple[list[bytes], Handler]:
    """A peer that answers the first request of each connection well, and records all requests.

    What follows on the first connection is `first`'s matter, on later ones `second`'s.
    """
    bodies: list[bytes] = []

    async def handler(conn: PeerSocket) -> None:
        if conn.number == 0:
            bodies.append((await conn.request())[1])
            await conn.send(OK_HELLO)
        bodies.append((await conn.request())[1])
        await (first if conn.number == 0 else second)(conn)

    return bodies, handler


async def _close(conn: PeerSocket) -> None:
    conn.writer.close()


async def _reset(conn: PeerSocket) -> None:
    conn.reset()


async def _answer(conn: PeerSocket) -> None:
    await conn.send(OK_HELLO)


async def _half(conn: PeerSocket) -> None:
    await conn.send(b"H")
    conn.writer.close()


async def _half_and_reset(conn: PeerSocket) -> None:
    await conn.send(b"H")
    await asyncio.sleep(0.05)
    conn.reset()


async def _silence(conn: PeerSocket) -> None:
    await conn.request()


@pytest.mark.parametrize("ending", [_close, _reset])
def test_sent_again_once_when_an_idle_connection_closes_unanswered(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, ending: Handler
) -> None:
    bodies, handler = _counting(ending, _answer)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            assert await (await send(upstreams, upstream.origin, body=b"1")).read(100) == b"hello"
            assert await (await send(upstreams, upstream.origin, body=b"2")).read(100) == b"hello"
            assert bodies == [b"1", b"2", b"2"]

    run(main)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (_close, _close, [b"1", b"2", b"2"]),  # the fresh connection closes too: no third time
        (_half, _answer, [b"1", b"2"]),  # a byte of an answer came
        (_half_and_reset, _answer, [b"1", b"2"]),
        (_silence, _answer, [b"1", b"2"]),  # a time-out
    ],
)
def test_nothing_else_is_sent_again(
    run: Run,
    peer: type[Peer],
    pool: MakePool,
    send: Send,
    first: Handler,
    second: Handler,
    expected: list[bytes],
) -> None:
    bodies, handler = _counting(first, second)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            assert await (await send(upstreams, upstream.origin, body=b"1")).read(100) == b"hello"
            with pytest.raises(UpstreamUnavailable):
                await send(upstreams, upstream.origin, body=b"2", head_timeout_seconds=0.3)
            await asyncio.sleep(0.02)
            assert bodies == expected

    run(main)


# -- Closing ---


def test_closing_the_pool_wakes_those_who_wait_and_refuses_those_who_come(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, keys: tuple[PoolKey, PoolKey]
) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        if conn.number == 0:
            await conn.send(OK_HELLO)
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            await _ask(send, upstreams, upstream.origin, keys[0])
            waiting = asyncio.create_task(send(upstreams, upstream.origin, keys[1]))
            await asyncio.sleep(0.05)
            assert len(upstreams._open) == 2
            await upstreams.aclose()
            assert len(upstreams._open) == 0
            with pytest.raises(UpstreamUnavailable, match="closing"):
                await waiting
            with pytest.raises(UpstreamUnavailable, match="closed") as caught:
                await send(upstreams, upstream.origin, keys[0])
            assert caught.value.status == 503
            await upstreams.aclose()

    run(main)


def test_a_connection_that_is_lost_before_its_dialler_wakes_does_not_hold_up_the_closing(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(conn: PeerSocket) -> None:
        conn.reset()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            dial = upstreams._dial

            async def slow_dial(*args: Any) -> Connection:
                connection = await dial(*args)
                await asyncio.sleep(0.05)
                return connection

            monkeypatch.setattr(upstreams, "_dial", slow_dial)
            with pytest.raises(UpstreamUnavailable, match="closed the connection"):
                await send(upstreams, upstream.origin)

    run(main)


def test_a_connection_that_opens_after_the_pool_closed_is_closed(
    run: Run, peer: type[Peer], pool: MakePool, send: Send
) -> None:
    async def main() -> None:
        async with peer(polite) as upstream, pool() as upstreams:
            waiting = asyncio.create_task(send(upstreams, upstream.origin))
            await asyncio.sleep(0)
            await upstreams.aclose()
            with pytest.raises(UpstreamUnavailable, match="closing"):
                await waiting
            await asyncio.sleep(0.05)
            assert len(upstreams._open) == 0

    run(main)
