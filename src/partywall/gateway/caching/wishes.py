"""What a client says about the cache, in `cache-control` and `pragma`.

Promises: it only narrows. No header chooses a partition, makes an answer that isn't kept be kept, or keeps one longer;
what can't be read is taken for `no-store`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["Wishes", "wishes_of"]


class Wishes(NamedTuple):
    """What the client still wants."""

    find: bool = True
    keep: bool = True
    oldest_seconds: float = math.inf


_ALL: Final = Wishes()
_NONE: Final = Wishes(find=False, keep=False)


def wishes_of(headers: Mapping[bytes, bytes]) -> Wishes:
    """Of a request with these headers, their names in lower case."""
    control = headers.get(b"cache-control")
    if control is None:
        return _ALL if b"pragma" not in headers else Wishes(find=b"no-cache" not in headers[b"pragma"].lower())
    wishes = _ALL
    for directive in control.decode("latin-1").lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name == "no-store":
            return _NONE
        if name == "no-cache":
            wishes = wishes._replace(find=False)
        elif name == "max-age":
            seconds = value.strip('"')
            if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 10):
                return _NONE
            wishes = wishes._replace(oldest_seconds=min(wishes.oldest_seconds, float(seconds)))
    return wishes if wishes.oldest_seconds > 0 else wishes._replace(find=False)
