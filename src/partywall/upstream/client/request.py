"""The bytes of one request.

Promises: what is written is one request and no more. No name or value can start a new line, hide behind a second
spelling or change where the body ends; `host`, `content-length`, `accept-encoding` and everything that speaks about
the connection are ours alone.

The lines that are the same for each request to a target are checked once and remembered; nothing of a client's is
remembered, so that no client can push a target's lines out, or see by the time it takes what another one sent.

Doesn't promise: to know which end-to-end headers should travel; the pipeline decides that before it comes here. Nor
that a credential leaves memory when it is replaced: its line stays until 4,096 newer ones have come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client.origin import Origin

__all__ = ["Header", "encode_head"]

Header = tuple[bytes, bytes]
"""A raw header, name in lower case."""

_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_METHODS_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
_OURS: Final = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_is_target = re.compile(rb"/[!$-~]*").fullmatch  # visible ASCII without `"` and `#`
_TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"  # RFC 9110, lower-case only
_LINE_BYTES: Final = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))


def encode_head(
    origin: Origin,
    method: bytes,
    path: bytes,
    headers: Sequence[Header],
    body_size: int,
    fixed: tuple[Header, ...] = (),
) -> bytes:
    """The request line and headers, up to and with the empty line.

    `fixed` come first: the document's headers, the same for each request. Lines about the connection are left out of
    both: they were meant for another connection.

    Raises:
        UpstreamUnavailable: a method, path or header that can't be written without changing its meaning.
    """
    if method not in _METHODS or not _is_target(path):
        raise UpstreamUnavailable(f"the request to `{origin}` was not sent: its method or path is malformed")
    ours = _fixed_lines(origin, fixed)
    theirs = _lines(origin, headers) if headers else b""
    if body_size or method in _METHODS_WITH_BODY:
        return b"%b %b%b%bcontent-length: %d\r\n\r\n" % (method, path, ours, theirs, body_size)
    return b"%b %b%b%b\r\n" % (method, path, ours, theirs)


@lru_cache(maxsize=4096)
def _fixed_lines(origin: Origin, headers: tuple[Header, ...]) -> bytes:
    """The rest of the request line, and every line that doesn't depend on the request."""
    host = origin.authority.encode("ascii")
    if host.translate(None, _LINE_BYTES):
        raise UpstreamUnavailable(f"the request to `{origin}` was not sent: its host is malformed")
    return b" HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n%b" % (host, _lines(origin, headers))


def _lines(origin: Origin, headers: Sequence[Header]) -> bytes:
    """A line for each header that isn't ours alone."""
    parts: list[bytes] = []
    names: list[bytes] = []
    for name, value in headers:
        if name not in _OURS:
            names.append(name)
            parts += (name, b": ", value, b"\r\n")
    lines = b"".join(parts)
    # INVARIANT: each name is a lower-case token, so that `x\r\nhost`, `te ` and `Host` don't slip past the names that
    # are ours; and once what a line may hold is deleted, exactly the line ends written above are left.
    if b"" in names or b"".join(names).translate(None, _TOKEN_BYTES):
        raise _malformed(origin, headers)
    if lines.translate(None, _LINE_BYTES) != b"\r\n" * len(names):
        raise _malformed(origin, headers)
    return lines


def _malformed(origin: Origin, headers: Sequence[Header]) -> UpstreamUnavailable:
    what = "the name of a header is malformed"
    for name, value in headers:
        if name and not name.translate(None, _TOKEN_BYTES) and value.translate(None, _LINE_BYTES):
            # Often a key that was read from a file with its line end: so the name is told, the value never.
            what = f"the value of `{name.decode('ascii')}` holds a control character"
    return UpstreamUnavailable(f"the request to `{origin}` was not sent: {what}")
