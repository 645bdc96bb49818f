"""Which addresses may be connected to, and that the judged address is the one connected to."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client import Origin
from partywall.upstream.client.address import resolve, why_refused

if TYPE_CHECKING:
    from tests.upstream.client.conftest import MakePool, Peer, PeerSocket, Send

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",  # what DNS64 makes of 8.8.8.8
]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "127.8.8.8",
    "100.64.0.1",  # carrier-grade NAT
    "192.0.2.1",
    "198.18.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "2001:db8::1",
    "2001:0:808:808::1",  # Teredo
    "2002:808:808::1",  # 6to4
    "100::1",
    "4000::1",  # not handed out
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::808:808",
    "2002:a00:1::1",
    "2002:7f00:1::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "fe80::a9fe:a9fe%2",
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "2001:0:a9fe:a9fe::1",  # Teredo server
    "2001::5601:5601",  # Teredo client, its bits inverted
    "0.0.0.0",  # noqa: S104  # an address to refuse, not to bind
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "::ffff:224.0.0.1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert why_refused(ip_address(text), allow_private=False) is None


@pytest.mark.parametrize("text", PRIVATE)
def test_private_only_when_allowed(text: str) -> None:
    assert why_refused(ip_address(text), allow_private=False)
    assert why_refused(ip_address(text), allow_private=True) is None


@pytest.mark.parametrize("text", NEVER)
def test_never(text: str) -> None:
    assert why_refused(ip_address(text), allow_private=False)
    assert why_refused(ip_address(text), allow_private=True)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "2002::"]))
def test_an_embedded_address_is_no_more_public_than_itself(inner: Any, wrapper: str) -> None:
    base = int(ip_address(wrapper))
    shift = 80 if wrapper == "2002::" else 0
    outer = ip_address(base | (int(inner) << shift))
    for allow_private in (False, True):
        if why_refused(inner, allow_private=allow_private):
            assert why_refused(outer, allow_private=allow_private), (inner, outer)


def _resolve(host: str, answers: list[str], *, allow_private: bool = False) -> list[str]:
    async def main() -> list[str]:
        _answer_with(answers)
        found = await resolve(Origin("https", host, 443), allow_private=allow_private)
        return [str(address) for address in found]

    return asyncio.run(main())


def _answer_with(*rounds: list[str]) -> list[str]:
    """Make the running loop's resolver give these answers, in order; returns the names it was asked, as they come."""
    asked: list[str] = []
    left = list(rounds)

    async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        answers = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port)) for answer in answers]

    asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign,assignment]  # DNS, for a test
    return asked


def test_a_public_name_gives_its_addresses_once_and_in_order() -> None:
    assert _resolve("api.example", ["8.8.8.8", "1.1.1.1", "8.8.8.8"]) == ["8.8.8.8", "1.1.1.1"]


@pytest.mark.parametrize("answers", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["127.0.0.1"], ["fe80::1%2"], ["::1"]])
def test_a_name_with_one_private_address_is_refused_whole(answers: list[str]) -> None:
    with pytest.raises(UpstreamUnavailable, match="no public address") as caught:
        _resolve("rebind.example", answers)
    assert caught.value.status == 502
    assert _resolve("rebind.example", answers, allow_private=True)


@pytest.mark.parametrize("allow_private", [False, True])
def test_metadata_behind_a_name_is_refused_even_when_private_addresses_are_allowed(allow_private: bool) -> None:
    with pytest.raises(UpstreamUnavailable, match="metadata"):
        _resolve("metadata.example", ["10.0.0.1", "169.254.169.254"], allow_private=allow_private)


def test_no_address_and_no_such_name() -> None:
    with pytest.raises(UpstreamUnavailable, match="can't be resolved"):
        _resolve("empty.example", [])
    with pytest.raises(UpstreamUnavailable, match="can't be resolved"):
        asyncio.run(resolve(Origin("https", "no-such-host.invalid", 443), allow_private=False))


def test_localhost_means_loopback_and_nothing_else() -> None:
    assert _resolve("localhost", ["127.0.0.1", "::1"]) == ["127.0.0.1", "::1"]
    for elsewhere in ("10.0.0.1", "8.8.8.8", "169.254.169.254"):
        with pytest.raises(UpstreamUnavailable, match="localhost"):
            _resolve("localhost", [elsewhere])
    with pytest.raises(UpstreamUnavailable, match="no public address"):
        _resolve("a.localhost", ["127.0.0.1"])


@pytest.mark.parametrize("text", ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "8.8.8.8"])
def test_a_literal_is_what_the_document_meant_and_is_not_looked_up(text: str) -> None:
    async def main() -> None:
        asked = _answer_with(["8.8.8.8"])
        assert [str(a) for a in await resolve(Origin("http", text, 80), allow_private=False)] == [text]
        assert asked == []

    asyncio.run(main())


@pytest.mark.parametrize("text", ["169.254.169.254", "fd00:ec2::254", "::ffff:a9fe:a9fe", "0.0.0.0"])  # noqa: S104  # refused
def test_a_literal_metadata_address_is_refused(text: str) -> None:
    with pytest.raises(UpstreamUnavailable):
        asyncio.run(resolve(Origin("http", text, 80), allow_private=True))


def test_the_connection_goes_to_the_judged_address(peer: type[Peer], pool: MakePool, send: Send) -> None:
    """DNS answers a second time with another address (rebinding); nobody asks it a second time."""

    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            asked = _answer_with(["127.0.0.1"], ["169.254.169.254"])
            origin = Origin("http", "rebind.example", upstream.port)
            async with await send(upstreams, origin, allow_private=True) as response:
                assert await response.read(10) == b"ok"
            assert asked == ["rebind.example"]

    asyncio.run(main())


def test_a_private_name_is_not_contacted(peer: type[Peer], pool: MakePool, send: Send) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()

    async def main() -> None:
        async with peer(handler) as upstream, pool() as upstreams:
            _answer_with(["127.0.0.1"])
            with pytest.raises(UpstreamUnavailable, match="was not contacted"):
                await send(upstreams, Origin("http", "intern.example", upstream.port))
            assert upstream.accepted == []

    asyncio.run(main())
