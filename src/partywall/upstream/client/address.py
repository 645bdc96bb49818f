"""Which addresses an upstream may have (the server-side request forgery rule).

Promises: a name is resolved once, every address it gave is judged, and the caller is handed addresses to connect to
as numbers, so that no second answer from DNS can differ from the one that was judged. A name with a single address
that is not public is refused whole: a mixed answer is how DNS rebinding starts. An IPv4 address inside an IPv6 one
(mapped, NAT64, 6to4, Teredo, compatible) is judged as what it is. Cloud metadata services are refused always.

What opens more: an address written in the document as a literal; `localhost`, for loopback only; `allow_private`.

Doesn't promise: to know an organisation's own public addresses, nor that what listens there is the right server; the
latter is what TLS is for.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client.origin import Origin

__all__ = ["Address", "resolve", "why_refused"]

Address = IPv4Address | IPv6Address

_METADATA: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # AWS, Azure, GCP, Oracle, DigitalOcean, OpenStack; ECS credentials at .170.2
            "fd00:ec2::/32",  # AWS over IPv6: instance metadata at ::254, pod credentials at ::23
            "fd20:ce::254/128",  # GCP over IPv6
            "fe80::a9fe:a9fe/128",  # OpenStack over IPv6
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure's host agent: a public address by its number alone
        ),
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_CARRIES_V4_LAST: Final = (
    _NAT64,
    IPv6Network("64:ff9b:1::/48"),  # NAT64 prefixes of a local network, RFC 8215
    IPv6Network("::/96"),  # IPv4-compatible, long deprecated, still routed by some stacks
)


async def resolve(origin: Origin, *, allow_private: bool) -> list[Address]:
    """Every address of `origin`, in the resolver's order, each of them judged.

    Raises:
        UpstreamUnavailable: it doesn't resolve, or an address of it is one we don't connect to.
    """
    literal = _literal(origin.host)
    addresses = [literal] if literal else await _look_up(origin)
    for address in addresses:
        reason = _refusal_for(origin, address, trusted=allow_private or literal is not None)
        if reason:
            raise UpstreamUnavailable(f"`{origin}` was not contacted: {address} is {reason}")
    return addresses


async def _look_up(origin: Origin) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as err:
        raise UpstreamUnavailable(f"`{origin}` can't be resolved: {err}") from err
    # A dict, because it keeps the resolver's order and drops what it says twice.
    addresses = list(dict.fromkeys(ip_address(sockaddr[0]) for *_, sockaddr in found))
    if not addresses:
        raise UpstreamUnavailable(f"`{origin}` can't be resolved: the resolver gave no address")
    return addresses


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _refusal_for(origin: Origin, address: Address, *, trusted: bool) -> str | None:
    if origin.host == "localhost" and not trusted:
        return None if address.is_loopback else "what `localhost` resolves to here, and not loopback"
    return why_refused(address, allow_private=trusted)


def why_refused(address: Address, *, allow_private: bool) -> str | None:
    """Why `address` is not connected to (a phrase that completes "it is ..."), or None when it may be."""
    for inner in (address, *_carried_v4(address)):
        if any(inner in network for network in _METADATA):
            return "a metadata service, which is never an upstream"
        if inner.is_multicast or inner.is_unspecified:
            return "no address that a server can have"
    if allow_private or _is_public(address):
        return None
    return "no public address; if it is meant, write it as a literal in `base_url` or allow private addresses"


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_reserved
    carried = list(_carried_v4(address))
    if not all(map(_is_public, carried)):
        return False
    # NAT64 and mapped addresses are as public as what they carry; DNS64 makes the former for every IPv4 host.
    if address in _NAT64 or address.ipv4_mapped:
        return True
    if address.sixtofour:
        return False  # deprecated (RFC 7526); releases of Python disagree about it
    # An allow-list: what IANA hands out next year stays closed until `ipaddress` knows it.
    return address in _GLOBAL_UNICAST and address.is_global


def _carried_v4(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a packet to this IPv6 address may end at."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if any(address in network for network in _CARRIES_V4_LAST):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
