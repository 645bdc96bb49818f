"""The bytes of one request.

Promises: what is written is one request and no more. No name or value can start a new line, hide behind a second
spelling or change where the body ends; `host`, `content-length`, `accept-encoding` and everything that speaks about
the connection are ours alone.

Doesn't promise: to know which end-to-end headers should travel. The pipeline decides that before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from partywall.errors import UpstreamUnavailable
from partywall.gateway.upstream.origin import Origin

__all__ = ["encode_head"]

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
_OWN_LINE_COUNT: Final = 3  # the request line, host, accept-encoding


@lru_cache(maxsize=4096)
def _own_lines(origin: Origin) -> bytes:
    return b" HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n" % origin.authority.encode("ascii")


def encode_head(
    origin: Origin, method: bytes, path: bytes, headers: Sequence[tuple[bytes, bytes]], body_size: int
) -> bytes:
    """The request line and headers, up to and with the empty line.

    The caller's own lines about the connection are left out: they were meant for another connection.

    Raises:
        UpstreamUnavailable: a method, path or header that can't be written without changing its meaning.
    """
    if method not in _METHODS or not _is_target(path):
        raise UpstreamUnavailable(f"the request to `{origin}` was not sent: its method or path is malformed")
    parts = [method, b" ", path, _own_lines(origin)]
    names = []
    for name, value in headers:
        if name not in _OURS:
            names.append(name)
            parts += (name, b": ", value, b"\r\n")
    lines = _OWN_LINE_COUNT + len(names)
    if body_size or method in _METHODS_WITH_BODY:
        parts.append(b"content-length: %d\r\n" % body_size)
        lines += 1
    head = b"".join(parts)
    # INVARIANT: each name is a lower-case token, so that `x\r\nhost`, `te ` and `Host` don't slip past the names that
    # are ours; and once what a line may hold is deleted, exactly the line ends written above are left.
    if b"" in names or b"".join(names).translate(None, _TOKEN_BYTES):
        raise _malformed(origin, headers)
    if head.translate(None, _LINE_BYTES) != b"\r\n" * lines:
        raise _malformed(origin, headers)
    return head + b"\r\n"


def _malformed(origin: Origin, headers: Sequence[tuple[bytes, bytes]]) -> UpstreamUnavailable:
    what = "the name of a header is malformed"
    for name, value in headers:
        if name and not name.translate(None, _TOKEN_BYTES) and value.translate(None, _LINE_BYTES):
            # Often a key that was read from a file with its line end: so the name is told, the value never.
            what = f"the value of `{name.decode('ascii')}` holds a control character"
    return UpstreamUnavailable(f"the request to `{origin}` was not sent: {what}")
