"""A connection string, read once and by us alone.

Promises: what is checked is what is connected to: the driver gets host, port, user, password, database and TLS one by
one, and never the string, which it would read in its own way. One host. Nothing of it comes from the environment or
from a home directory. Nothing falls back to clear text: to another machine, `sslmode` must be said, and must be
`require`, `verify-ca` or `verify-full`, or `disable` in so many words. What is wrong is told without the string, and
without any piece of it that could be of a password.

Doesn't promise: that `require` without `sslrootcert` knows whom it talks to.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypedDict
from urllib.parse import unquote

from partywall.errors import ConfigError
from partywall.tenancy import Secret

__all__ = ["Address", "Reach", "parse_address"]

_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_MODES: Final = frozenset({"disable", "require", "verify-ca", "verify-full"})
_PARAMETERS: Final = ("host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey")
_SYSTEM: Final = "system"
"""As `sslrootcert`: whom this machine trusts."""
_PORT: Final = 5432
_LAST_PORT: Final = 65_535
_FORM: Final = "postgresql://user:password@host:port/database?sslmode=verify-full&sslrootcert=/path/to/ca.pem"
_NAME_OF_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?", re.ASCII).fullmatch
_DIGITS: Final = re.compile(r"[0-9]{1,5}", re.ASCII).fullmatch
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII).search
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]").search

_log = logging.getLogger(__name__)


class Reach(TypedDict):
    """What `asyncpg.connect` takes, without anything that it would otherwise look up in the environment."""

    host: str
    port: int
    user: str
    password: str
    ssl: ssl.SSLContext | bool
    direct_tls: bool


@dataclass(frozen=True, eq=False)
class Address:
    """What a connection string says. `name` is what the document calls it."""

    name: str
    host: str
    port: int
    user: str
    password: Secret | None
    database: str
    sslmode: str | None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None

    def reach(self) -> Reach:
        """How to get there.

        Raises:
            ConfigError: a certificate can't be read.
        """
        # An empty password, for with none the driver asks PGPASSWORD and ~/.pgpass.
        password = "" if self.password is None else self.password.reveal()
        tls = self._tls() or False
        return Reach(host=self.host, port=self.port, user=self.user, password=password, ssl=tls, direct_tls=False)

    def _tls(self) -> ssl.SSLContext | None:
        """None for clear text. By `require`, an `sslrootcert` is held to as well, as libpq does."""
        if self.sslmode is None or self.sslmode == "disable":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.sslmode == "verify-full"
        if self.sslrootcert is None:
            context.verify_mode = ssl.CERT_NONE
        elif self.sslrootcert == _SYSTEM:
            context.load_default_certs()
        else:
            self._load("sslrootcert", self.sslrootcert, lambda: context.load_verify_locations(self.sslrootcert))
        if self.sslcert is not None:
            cert, key = self.sslcert, self.sslkey
            self._load("sslcert", cert, lambda: context.load_cert_chain(cert, key))
        return context

    def _load(self, what: str, path: str, load: Callable[[], None]) -> None:
        try:
            load()
        except OSError as error:  # an `SSLError` is one
            why = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigError(f"{self.name}: `{what}`: `{path}`: {why}") from error


def parse_address(dsn: Secret, name: str) -> Address:
    """Check the connection string that the document calls `name`.

    Raises:
        ConfigError: it isn't whole, can be read in two ways, or would send rows and passwords in clear without saying
            so.
    """
    scheme, _, rest = dsn.reveal().partition("://")
    if scheme not in _SCHEMES or not rest:
        raise ConfigError(f"{name}: is no connection string ({_FORM})")
    login, at, place = rest.partition("@")
    # INVARIANT: one `@`, and before it none of what could end a login elsewhere, so there is one way to read it.
    if not at or "@" in place or set(login) & set("/?#,[]") or "#" in place:
        raise ConfigError(
            f"{name}: must be {_FORM}, with one `@`; in user, password and database, write `@` as %40, `/` as %2F, "
            "`,` as %2C, `?` as %3F, `#` as %23, `[` as %5B, `]` as %5D"
        )
    if _UNPRINTABLE(rest):
        raise ConfigError(f"{name}: holds a space or a control character; write a space as %20")
    front, _, query = place.partition("?")
    hosts, _, database = front.partition("/")
    user, _, password = login.partition(":")
    asked = _asked(query, name)
    host, port = _host_and_port(hosts, asked, name)
    address = Address(
        name=name,
        host=host,
        port=port,
        user=_decoded(user, name),
        password=Secret(_decoded(password, name)) if password else None,
        database=_decoded(database, name),
        sslmode=asked.get("sslmode"),
        sslrootcert=asked.get("sslrootcert"),
        sslcert=asked.get("sslcert"),
        sslkey=asked.get("sslkey"),
    )
    if not (address.host and address.user and address.database) or "/" in database:
        raise ConfigError(
            f"{name}: must name one host, user and database ({_FORM}); nothing of it is taken from the environment"
        )
    _check_encryption(address)
    return address


def _asked(query: str, name: str) -> dict[str, str]:
    """The parameters behind the `?`, each known and said once."""
    asked: dict[str, str] = {}
    for each in query.split("&") if query else ():
        key, _, value = each.partition("=")
        if key not in _PARAMETERS or key in asked or not value:
            raise ConfigError(f"{name}: behind the `?`, there may be {', '.join(_PARAMETERS)}, each once and not empty")
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


def _host_and_port(hosts: str, asked: dict[str, str], name: str) -> tuple[str, int]:
    """`host`, `host:port`, `[::1]:port`, or a socket's folder as `host=/run/postgresql` behind the `?`."""
    if hosts.startswith("["):
        host, closed, port = hosts[1:].partition("]")
        colon, port = port[:1], port[1:]
        if not closed or colon not in ("", ":"):
            raise ConfigError(f"{name}: the host begins with `[` and doesn't end as [::1] or [::1]:5432 do")
    else:
        host, colon, port = hosts.partition(":")
    host = _decoded(host, name)
    if (host and "host" in asked) or (colon and "port" in asked):
        raise ConfigError(f"{name}: names host or port twice; before the `/` and behind the `?`")
    host = host or asked.get("host", "")
    if host and not _is_one_host(host):
        raise ConfigError(f"{name}: must name one host: a name, an address, or a socket's folder")
    port = port if colon else asked.get("port", str(_PORT))
    if _DIGITS(port) is None or not 0 < int(port) <= _LAST_PORT:
        raise ConfigError(f"{name}: the port must be a number from 1 to {_LAST_PORT}")
    return host, int(port)


def _is_one_host(host: str) -> bool:
    if host.startswith("/"):
        return "," not in host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _NAME_OF_HOST(host) is not None
    return True


def _check_encryption(address: Address) -> None:
    name, mode = address.name, address.sslmode
    if mode in ("verify-ca", "verify-full") and address.sslrootcert is None:
        raise ConfigError(
            f"{name}: `sslmode={mode}` needs `sslrootcert=/path/to/ca.pem`, or `sslrootcert={_SYSTEM}` for whom this "
            "machine trusts"
        )
    if (mode is None and _is_here(address.host)) or mode in _MODES - {"disable"}:
        return
    if mode != "disable":
        said = "nothing" if mode is None else "neither `disable`, `require`, `verify-ca` nor `verify-full`"
        raise ConfigError(
            f"{name}: says {said} of encryption, so it could go in clear; add "
            "`sslmode=verify-full&sslrootcert=/path/to/ca.pem`, or `sslmode=disable` where the network itself encrypts"
        )
    if not _is_here(address.host):
        _log.warning("%s: rows travel to another machine in clear, because it says `sslmode=disable`", name)


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
