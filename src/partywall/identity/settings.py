"""What identity needs to know, as plain frozen values that refuse to describe anything unsafe.

Promises: settings that load can be used. No issuer without an audience, no symmetric algorithm, no key set fetched in
clear text from another machine, no key for a tenant or group that doesn't exist, no header with two meanings.

Doesn't promise: to know the document. The platform room reads it and builds these; what is wrong here is a `ValueError`
whose message says what and why.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from partywall.tenancy import GroupName, TenantId

__all__ = [
    "CREDENTIAL_HEADERS",
    "DEFAULT_ALGORITHMS",
    "DEFAULT_TYP",
    "ROLE_HEADERS",
    "SUPPORTED_ALGORITHMS",
    "TENANT_HEADERS",
    "USER_HEADERS",
    "IdentitySettings",
    "IssuerSettings",
    "KeyEntry",
]

CREDENTIAL_HEADERS: Final = (b"authorization", b"x-api-key", b"api-key")
"""Where official clients put their credential; the document's `key_header` comes on top."""
TENANT_HEADERS: Final = (b"x-org-id", b"x-organization-id", b"x-tenant-id", b"x-tenant", b"x-scope-orgid")
USER_HEADERS: Final = (b"x-user-id", b"x-user")
ROLE_HEADERS: Final = (b"x-user-role", b"x-role")

SUPPORTED_ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Asymmetric only. HS* beside published keys is the classic confusion: the public key becomes the HMAC secret."""
DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
DEFAULT_TYP: Final = ("JWT", "at+jwt")
MAX_LEEWAY_SECONDS: Final = 300.0
DIGEST_BYTES: Final = 32
_DIGEST_OF_NOTHING: Final = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """The owner of one API key."""

    tenant: TenantId
    group: GroupName


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One trusted issuer of JWTs, and what it may say.

    A claim name is an exact top-level name (`https://example.com/tenant`) or, when there is none of that name, a path
    with dots (`app_metadata.org_id`).

    `user_claim` or `role_claim` of None says that the issuer does not speak for users or roles: the headers do, as with
    API keys, so whoever holds a token picks them. Set the claims when tokens are held by end users.

    `tenants` of None lets the issuer speak for every tenant of the document; a set confines it to those.

    Raises:
        ValueError: the values can't be used safely.
    """

    issuer: str
    audiences: tuple[str, ...]
    tenant_claim: str
    jwks_url: str | None = None
    jwks_file: Path | None = None
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    typ: tuple[str, ...] = DEFAULT_TYP
    require_typ: bool = True
    user_claim: str | None = "sub"
    role_claim: str | None = None
    group_claim: str | None = "group"
    leeway_seconds: float = 30.0
    jwks_refresh_seconds: float = 300.0
    jwks_max_age_seconds: float = 3600.0
    tenants: frozenset[TenantId] | None = None

    def __post_init__(self) -> None:
        where = f"issuer `{self.issuer}`"
        if not self.issuer or not self.tenant_claim:
            raise ValueError(f"{where}: `issuer` and `tenant_claim` can't be empty")
        if not self.audiences or not all(self.audiences):
            raise ValueError(
                f"{where}: name at least one audience; without it a token made for another service fits here"
            )
        if not self.typ or not all(self.typ):
            raise ValueError(f"{where}: name at least one `typ`")
        if "" in (self.user_claim, self.role_claim, self.group_claim):
            raise ValueError(f"{where}: a claim name can't be empty; leave it out instead")
        _check_algorithms(where, self.algorithms)
        _check_times(where, self.leeway_seconds, self.jwks_refresh_seconds, self.jwks_max_age_seconds)
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError(f"{where}: give exactly one of `jwks_url` and `jwks_file`")
        if self.jwks_url is not None:
            _check_url(where, self.jwks_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """Every credential that is known, and the headers that are read.

    `keys` maps the 32-byte SHA-256 of an API key to its owner. Header names are lower-case.

    Raises:
        ValueError: a key without a tenant, a header with two meanings, two issuers of one name.
    """

    keys: Mapping[bytes, KeyEntry]
    groups_by_tenant: Mapping[TenantId, tuple[GroupName, ...]]
    issuers: tuple[IssuerSettings, ...] = ()
    key_header: bytes | None = None
    tenant_headers: tuple[bytes, ...] = TENANT_HEADERS
    user_headers: tuple[bytes, ...] = USER_HEADERS
    role_headers: tuple[bytes, ...] = ROLE_HEADERS

    def __post_init__(self) -> None:
        for digest, entry in self.keys.items():
            self._check_key(digest, entry)
        for issuer in self.issuers:
            self._check_tenants(issuer)
        if len({issuer.issuer for issuer in self.issuers}) != len(self.issuers):
            raise ValueError("two issuers have the same `issuer`; a token could be verified by either one's keys")
        self._check_headers()

    @property
    def credential_headers(self) -> tuple[bytes, ...]:
        """Every place of a credential, the configured one first."""
        if self.key_header is None:
            return CREDENTIAL_HEADERS
        return (self.key_header, *(name for name in CREDENTIAL_HEADERS if name != self.key_header))

    def _check_key(self, digest: bytes, entry: KeyEntry) -> None:
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"an API key hash has {DIGEST_BYTES} bytes, this one {len(digest)}")
        if digest == _DIGEST_OF_NOTHING:
            raise ValueError("an API key hash is that of the empty key; an empty credential is nobody")
        if entry.group not in self.groups_by_tenant.get(entry.tenant, ()):
            raise ValueError(
                f"an API key belongs to group `{entry.group}`, which tenant `{entry.tenant}` does not have"
            )

    def _check_tenants(self, issuer: IssuerSettings) -> None:
        unknown = sorted((issuer.tenants or frozenset()) - self.groups_by_tenant.keys())
        if unknown:
            raise ValueError(f"issuer `{issuer.issuer}` may speak for unknown tenants: `{'`, `'.join(unknown)}`")

    def _check_headers(self) -> None:
        meanings = (self.credential_headers, self.tenant_headers, self.user_headers, self.role_headers)
        names = [name for group in meanings for name in group]
        if len(set(names)) != len(names):
            raise ValueError("a header is listed twice among credential, tenant, user and role headers")
        # INVARIANT: header names are compared lower-cased, so one written otherwise would never be seen.
        wrong = [name for name in names if not name or name != name.lower() or not name.isascii()]
        if wrong:
            raise ValueError(f"header name {wrong[0]!r} must be lower-case ASCII")


def _check_algorithms(where: str, algorithms: Iterable[str]) -> None:
    unfit = sorted(set(algorithms) - SUPPORTED_ALGORITHMS)
    if unfit or not algorithms:
        raise ValueError(
            f"{where}: algorithms {unfit} can't be allowed; choose among {', '.join(sorted(SUPPORTED_ALGORITHMS))}. "
            "`none` signs nothing, and with HS* anyone who knows the verification key can make tokens"
        )


def _check_times(where: str, leeway: float, refresh: float, max_age: float) -> None:
    # `not (a <= b)` and not `a > b`: NaN compares false with everything, and must not slip through.
    if not 0 <= leeway <= MAX_LEEWAY_SECONDS:
        raise ValueError(f"{where}: `leeway_seconds` must lie between 0 and {MAX_LEEWAY_SECONDS:g}")
    if not 0 < refresh <= max_age < float("inf"):
        raise ValueError(f"{where}: `jwks_refresh_seconds` must be more than 0 and not above `jwks_max_age_seconds`")


def _check_url(where: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{where}: `jwks_url` is no URL: {error}") from None
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError(f"{where}: `jwks_url` needs a host, and can't carry a user, a password or a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError(
            f"{where}: `jwks_url` must be https (http only on this machine); who can change the keys on their way "
            "can sign in as anyone"
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its literal address, or is called `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
