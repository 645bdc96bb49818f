"""A connection string, checked before anything is sent.

Promises: it names host, user and database itself, so that no variable of the environment chooses them. Nothing falls
back to clear text: to another machine, `sslmode` must be said, and must be `require`, `verify-ca` or `verify-full`, or
`disable` in so many words. What is wrong is told without the string, which holds a password.

Doesn't promise: that `require` knows whom it talks to. `verify-full` with `sslrootcert` does.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from partywall.errors import ConfigError
from partywall.tenancy import Secret

__all__ = ["Address", "parse_address"]

_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
_SCHEMES: Final = frozenset({"postgresql", "postgres"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """What a connection string says, but for the password."""

    hosts: tuple[str, ...]
    user: str
    database: str
    sslmode: str | None


def parse_address(dsn: Secret, name: str) -> Address:
    """Check the connection string that the document calls `name`.

    Raises:
        ConfigError: it isn't whole, or would send rows and passwords in clear without saying so.
    """
    try:
        parts = urlsplit(dsn.reveal())
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    except ValueError:
        raise ConfigError(f"{name}: is no connection string (postgresql://user:password@host/database)") from None
    if parts.scheme not in _SCHEMES:
        raise ConfigError(f"{name}: is no connection string (postgresql://user:password@host/database)")
    if asked.get("service") or asked.get("servicefile"):
        raise ConfigError(f"{name}: `service` would read the address elsewhere; write it out")
    login, _, hosts = parts.netloc.rpartition("@")
    address = Address(
        hosts=tuple(_host(each) for each in (hosts or asked.get("host", "")).split(",")),
        user=unquote(login.partition(":")[0]) or asked.get("user", ""),
        database=unquote(parts.path.removeprefix("/")) or asked.get("database", "") or asked.get("dbname", ""),
        sslmode=asked.get("sslmode"),
    )
    if not (all(address.hosts) and address.user and address.database):
        raise ConfigError(f"{name}: must name host, user and database; nothing of it is taken from the environment")
    _check_encryption(address, name)
    return address


def _host(text: str) -> str:
    """The host without its port; `[::1]:5432` and paths of sockets too."""
    text = unquote(text)
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text if text.startswith("/") else text.partition(":")[0]


def _check_encryption(address: Address, name: str) -> None:
    if all(_is_here(host) for host in address.hosts) or address.sslmode in _ENCRYPTED:
        return
    if address.sslmode != "disable":
        said = "nothing" if address.sslmode is None else f"`sslmode={address.sslmode}`"
        raise ConfigError(
            f"{name}: leads to another machine and says {said} of encryption, so it could go in clear; add "
            "`sslmode=verify-full&sslrootcert=/path/to/ca.pem`, or `sslmode=disable` where the network itself encrypts"
        )
    _log.warning("%s: rows travel to another machine in clear, because it says `sslmode=disable`", name)


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
