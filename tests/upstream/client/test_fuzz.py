"""Whatever a peer sends, in whatever segments: an answer, or `UpstreamUnavailable`; no hang, no other exception."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from partywall.errors import UpstreamUnavailable

if TYPE_CHECKING:
    from tests.upstream.client.conftest import MakePool, Peer, PeerSocket, Send

_HEAD = b"HTTP/1.1 200 OK\r\n"
_WORDS = [
    *(_HEAD, b"HTTP/1.0 ", b"\r\n", b"\r", b"\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n"),
    *(b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n", b"connection: close\r\n", b"HTTP/1.1 101 \r\n\r\n", b"\0", b"\xff"),
]
_SOUP = st.lists(st.sampled_from(_WORDS), max_size=10)
_ONCE = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@_ONCE
@given(segments=_SOUP | st.lists(st.binary(max_size=20), max_size=5), hangs_up=st.booleans())
@example(segments=[], hangs_up=False)
@example(segments=[_HEAD, b"\r\n", b"abc"], hangs_up=True)
def test_garbage(peer: type[Peer], pool: MakePool, send: Send, segments: list[bytes], hangs_up: bool) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(*segments)
        if not hangs_up:
            await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            with contextlib.suppress(UpstreamUnavailable):
                async with await send(
                    upstreams, upstream.origin, head_timeout_seconds=0.1, chunk_timeout_seconds=0.1
                ) as response:
                    assert set(await response.read(1000)) <= set(b"".join(segments))

    asyncio.run(asyncio.wait_for(main(), 5))


@_ONCE
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=50), max_size=6),
    is_chunked=st.booleans(),
    cuts=st.lists(st.integers(1, 400), max_size=8),
)
def test_segments_do_not_matter(
    peer: type[Peer], pool: MakePool, send: Send, pieces: list[bytes], is_chunked: bool, cuts: list[int]
) -> None:
    body = b"".join(pieces)
    if is_chunked:
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        raw = _HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    else:
        raw = _HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    places = [0, *sorted({cut for cut in cuts if cut < len(raw)}), len(raw)]
    segments = [raw[a:b] for a, b in itertools.pairwise(places)]

    async def handler(conn: PeerSocket) -> None:
        while True:
            await conn.request()
            await conn.send(*segments)

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            async with await send(upstreams, upstream.origin) as response:
                assert await response.read(1000) == body
            async with await send(upstreams, upstream.origin) as response:
                assert b"".join([chunk async for chunk in response.chunks()]) == body
            assert len(upstream.accepted) == 1

    asyncio.run(asyncio.wait_for(main(), 5))
