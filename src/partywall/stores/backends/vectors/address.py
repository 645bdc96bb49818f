"""Where an engine is, and the key that it asks for: one secret, `https://:KEY@host:port`, read once.

Promises: what is wrong is told without the address and without any piece of it. Nothing goes in clear text to another
machine: from vectors, most of a text can be made again.

Doesn't promise: to take a new key without a restart.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote

from partywall.errors import ConfigError
from partywall.tenancy import Secret
from partywall.upstream.client import Origin, OriginError, parse_base_url

__all__ = ["EngineAddress", "parse_engine_address"]

_FORM: Final = "`https://:KEY@host:port`, with the key percent-encoded, or left out with its `:` and `@`"
_SPLIT: Final = re.compile(r"(https?://)(?::([^@/:\s]+)@)?([^@\s]+)", re.ASCII).fullmatch
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]").search


class EngineAddress(NamedTuple):
    """What the secret says."""

    origin: Origin
    prefix: str
    """What every path begins with."""
    key: Secret | None


def parse_engine_address(secret: Secret) -> EngineAddress:
    """Read it.

    Raises:
        ConfigError: it has another form, or would send vectors in clear text to another machine.
    """
    found = _SPLIT(secret.reveal().strip())
    if found is None:
        raise ConfigError(f"storage: what `vectors_url_ref` names must read {_FORM}")
    scheme, key, rest = found.groups()
    try:
        origin, prefix = parse_base_url(scheme + rest)
    except OriginError:
        raise ConfigError(f"storage: what `vectors_url_ref` names must read {_FORM}") from None
    if origin.scheme == "http" and not _is_here(origin.host):
        raise ConfigError(
            "storage: `vectors_url_ref` names another machine without TLS, and from vectors most of a text can be made "
            "again; say `https`, or let a proxy on this machine speak TLS to it"
        )
    plain = None if key is None else unquote(key)
    if plain is not None and _UNPRINTABLE(plain):
        raise ConfigError("storage: the key in `vectors_url_ref` has characters that no header can hold")
    return EngineAddress(origin, prefix.decode(), None if plain is None else Secret(plain))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
