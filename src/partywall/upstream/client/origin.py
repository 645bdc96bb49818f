"""Where an upstream lives: scheme, host and port, read from a document's `base_url`.

Promises: one spelling. The host is lower-case ASCII, an address literal is in its canonical form, the port is always
written out; two `Origin`s are equal if and only if they are the same server. Spellings on which URL parsers disagree
(user info, backslashes, `127.1`, dot segments, a trailing dot) are refused, not repaired.

Doesn't promise: that the host resolves, or may be connected to; see `address`.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Literal, NamedTuple, cast

from partywall.errors import ConfigError

__all__ = ["Origin", "OriginError", "parse_base_url"]

Scheme = Literal["http", "https"]

_DEFAULT_PORTS: Final[dict[Scheme, int]] = {"http": 80, "https": 443}
_SPLIT = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[0-9A-Za-z._~!$&'()*+,;=:@%/-]*)?",
    re.ASCII,
).fullmatch
_LABEL = re.compile(r"[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?", re.ASCII).fullmatch
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII).search
_NUMBER_LIKE = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII).fullmatch


class OriginError(ConfigError, ValueError):
    """A `base_url` that names no upstream. The message says what is wrong with it and never holds its user info."""


class Origin(NamedTuple):
    """A server. `host` is a lower-case DNS name or a canonical address without brackets."""

    scheme: Scheme
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What the `Host` header says: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def parse_base_url(text: str) -> tuple[Origin, bytes]:
    """Split a `base_url` into its origin and the path that every request to it starts with (no trailing `/`).

    Raises:
        OriginError: anything but `http(s)://host[:port][/path]` in visible ASCII.
    """
    found = _SPLIT(text)
    if found is None:
        raise OriginError(
            "base_url must read `http(s)://host[:port][/path]` in plain ASCII: no user info, query or fragment "
            "(credentials belong in `secret_key_ref`), and an international name in its `xn--` form"
        )
    scheme = cast("Scheme", found["scheme"])
    host = _address_v6(found["v6"]) if found["v6"] else _host(found["name"].lower())
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise OriginError(f"base_url names port {port}; ports run from 1 to 65535")
    return Origin(scheme, host, port), _prefix(found["path"] or "")


def _address_v6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError as err:
        raise OriginError(f"base_url holds `[{text}]`, which is no IPv6 address") from err


def _host(name: str) -> str:
    labels = name.split(".")
    # `127.1`, `0x7f000001` and `2130706433` are loopback to the C resolver and a plain name to a careless check.
    if _NUMBER_LIKE(labels[-1]):
        try:
            return str(IPv4Address(name))
        except AddressValueError as err:
            raise OriginError(f"base_url names `{name}`: write an IPv4 address as four decimal numbers") from err
    if len(name) > 253 or not all(map(_LABEL, labels)):
        raise OriginError(f"base_url names `{name[:80]}`, which is no host name")
    return name


def _prefix(path: str) -> bytes:
    if _BAD_PERCENT(path):
        raise OriginError("base_url holds a `%` that is followed by no two hex digits")
    stripped = path.rstrip("/")
    segments = stripped.lower().replace("%2e", ".").split("/")[1:]
    if any(segment in ("", ".", "..") for segment in segments):
        raise OriginError("base_url has an empty, `.` or `..` segment in its path: write the path that is meant")
    return stripped.encode("ascii")
