"""A server's address, read once and by us alone.

Promises: what is checked is what is connected to; the driver never sees the address as a text. One host, one user with
a password, nothing from the environment. Nothing falls back to clear text: `redis://` and `valkey://` go to this
machine, or to another with `tls=disable` in so many words; `rediss://` and `valkeys://` always verify whom they talk
to, by the authority in `cafile`, or else by those that this machine trusts. What is wrong is told without the address,
and without any piece of it that could be of a password.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from partywall.errors import ConfigError
from partywall.tenancy import Secret

__all__ = ["OWNER_URL", "SERVING_URL", "Address", "parse_address"]

SERVING_URL: Final = "storage.cache_url_ref"
OWNER_URL: Final = "storage.cache_owner_url_ref"
_SCHEMES: Final = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
_FILES: Final = ("cafile", "certfile", "keyfile")
_FORM: Final = "rediss://user:password@host:port?cafile=/path/to/ca.pem"
_PORT: Final = 6379
_LAST_PORT: Final = 65_535
_NAME_OF_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?", re.ASCII).fullmatch
_DIGITS: Final = re.compile(r"[0-9]{1,5}", re.ASCII).fullmatch
_USER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII).fullmatch
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII).search
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]").search

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Address:
    """What an address says. `name` is what the document calls it."""

    name: str
    host: str
    port: int
    user: str
    password: Secret
    encrypted: bool
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def tls(self) -> ssl.SSLContext | None:
        """None for clear text.

        Raises:
            ConfigError: a certificate can't be read.
        """
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile is not None:
                context.load_cert_chain(self.certfile, self.keyfile)
        except OSError as error:  # an `SSLError` is one
            why = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigError(f"{self.name}: a file of certificates can't be used: {why}") from error
        return context


def parse_address(url: Secret, name: str) -> Address:
    """Check the address that the document calls `name`.

    Raises:
        ConfigError: it isn't whole, can be read in two ways, or would send values and passwords in clear unsaid.
    """
    scheme, _, rest = url.reveal().partition("://")
    login, at, place = rest.partition("@")
    # INVARIANT: one `@`, and before it none of what could end a login elsewhere, so there is one way to read it.
    if scheme not in _SCHEMES or not at or "@" in place or set(login) & set("/?#[]") or _UNPRINTABLE(rest):
        raise ConfigError(
            f"{name}: must be {_FORM}, with one `@`; in the password, write `@` as %40, `/` as %2F, `?` as %3F, `#` as "
            "%23, `[` as %5B, `]` as %5D and a space as %20"
        )
    front, _, query = place.partition("?")
    user, _, password = login.partition(":")
    host, port = _host_and_port(front.removesuffix("/"), name)
    asked = _asked(query, name)
    if _USER(user) is None or not password:
        raise ConfigError(
            f"{name}: must name a user (letters, digits, `.`, `_`, `-`) and its password; without one, whoever reaches "
            "the server is everybody"
        )
    encrypted = _SCHEMES[scheme]
    _check_encryption(name, host, asked, encrypted=encrypted)
    return Address(
        name=name,
        host=host,
        port=port,
        user=user,
        password=Secret(_decoded(password, name)),
        encrypted=encrypted,
        cafile=asked.get("cafile"),
        certfile=asked.get("certfile"),
        keyfile=asked.get("keyfile"),
    )


def _asked(query: str, name: str) -> dict[str, str]:
    """What stands behind the `?`, each known and said once."""
    known = ("tls", *_FILES)
    asked: dict[str, str] = {}
    for each in query.split("&") if query else ():
        key, _, value = each.partition("=")
        if key not in known or key in asked or not value:
            raise ConfigError(f"{name}: behind the `?`, there may be {', '.join(known)}, each once and not empty")
        asked[key] = _decoded(value, name)
    return asked


def _decoded(text: str, name: str) -> str:
    try:
        decoded = None if _STRAY_PERCENT(text) else unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = None
    if decoded is None or "\0" in decoded:
        raise ConfigError(f"{name}: holds a `%` that begins no character; write `%` itself as %25")
    return decoded


def _host_and_port(place: str, name: str) -> tuple[str, int]:
    """`host`, `host:port`, `[::1]` or `[::1]:port`. No path: which database is a tenant's isn't said here."""
    if place.startswith("["):
        host, closed, port = place[1:].partition("]")
        colon, port = port[:1], port[1:]
        is_host = bool(closed) and colon in ("", ":") and _is_address(host)
    else:
        host, colon, port = place.partition(":")
        is_host = _NAME_OF_HOST(host) is not None
    if not is_host:
        raise ConfigError(
            f"{name}: must name one host and no path ({_FORM}); each tenant's database is the owner's to say"
        )
    port = port if colon else str(_PORT)
    if _DIGITS(port) is None or not 0 < int(port) <= _LAST_PORT:
        raise ConfigError(f"{name}: the port must be a number from 1 to {_LAST_PORT}")
    return host, int(port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_encryption(name: str, host: str, asked: dict[str, str], *, encrypted: bool) -> None:
    said = asked.get("tls")
    if said not in (None, "disable") or (encrypted and said is not None):
        raise ConfigError(f"{name}: `tls` is `disable`, behind `redis://` or `valkey://`, or isn't said at all")
    if not encrypted and any(key in asked for key in _FILES):
        raise ConfigError(f"{name}: names certificates and goes in clear; write rediss:// or valkeys://")
    if ("keyfile" in asked) != ("certfile" in asked):
        raise ConfigError(f"{name}: `certfile` and `keyfile` belong together")
    if encrypted or host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        return
    if said is None:
        raise ConfigError(
            f"{name}: would go to another machine in clear; write rediss:// or valkeys://, or add `?tls=disable` where "
            "the network itself encrypts"
        )
    _log.warning("%s: values travel to another machine in clear, because it says `tls=disable`", name)
