"""JWTs: which issuer, which key, is it true, whom does it name.

Promises, following RFC 8725: the issuer is chosen first, and only its keys, its algorithms and its own name can verify
the token, so equal `kid`s of two issuers never meet; the algorithm is bound to the key and not to the token; expiry,
issuer, audience and tenant are required. Every token that fails raises the same InvalidCredential.

Doesn't promise: revocation. A token is good until it expires or its key is withdrawn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import jwt
from jwt.exceptions import PyJWTError

from partywall.errors import InvalidCredential
from partywall.identity.claims import Identity, credential_id, read_claims
from partywall.identity.compact import check_header, parse_unverified
from partywall.identity.jwks import KeySet
from partywall.identity.key_source import Clock, KeySource
from partywall.identity.settings import IdentitySettings, IssuerSettings
from partywall.identity.token_cache import TokenCache
from partywall.tenancy import CredentialId, TenantId

__all__ = ["TokenVerifier", "VerifiedToken"]

CACHE_SECONDS: Final = 60.0
_REQUIRED: Final = ["exp", "iss", "aud"]
_TIMES: Final = ("exp", "nbf", "iat")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token that passed every check says, and how long that may be believed without asking again."""

    identity: Identity
    credential_id: CredentialId
    names_users: bool
    names_roles: bool
    issuer: _Issuer
    keys: KeySet
    fresh_until: float

    @property
    def tenant(self) -> TenantId:
        return self.identity.tenant


class _Issuer:
    """One issuer's settings with its keys."""

    __slots__ = ("keys", "settings")

    def __init__(self, settings: IssuerSettings, clock: Clock) -> None:
        self.settings = settings
        self.keys = KeySource(settings, clock)


class TokenVerifier:
    """Verifies tokens of the issuers in `settings`, and remembers each for up to a minute.

    The memory lives and dies with this object, so that new settings forget every token.
    """

    __slots__ = ("_cache", "_clock", "_groups_by_tenant", "_issuers")

    def __init__(self, settings: IdentitySettings, clock: Clock) -> None:
        self._clock = clock
        self._groups_by_tenant = dict(settings.groups_by_tenant)
        self._issuers = {issuer.issuer: _Issuer(issuer, clock) for issuer in settings.issuers}
        self._cache: TokenCache[VerifiedToken] = TokenCache()

    def held(self, digest: bytes) -> VerifiedToken | None:
        """The token whose whole SHA-256 is `digest`, if it was verified less than a minute ago."""
        held = self._cache.get(digest, self._clock())
        # A set of keys read since then may have withdrawn the one that verified this token.
        return held if held is not None and held.keys is held.issuer.keys.current else None

    async def verify(self, token: bytes, digest: bytes) -> VerifiedToken:
        """Verify `token`, whose SHA-256 is `digest`.

        Raises:
            InvalidCredential: it fails any check. The detail says which.
            IdentityUnavailable: the issuer's keys can't be had.
        """
        verified = await self._verify(token, digest)
        self._cache.put(digest, verified, self._clock())
        return verified

    async def aclose(self) -> None:
        """Stop fetching keys."""
        for issuer in self._issuers.values():
            await issuer.keys.aclose()

    async def _verify(self, token: bytes, digest: bytes) -> VerifiedToken:
        unverified = parse_unverified(token)
        issuer = self._issuers.get(unverified.unverified_issuer)
        if issuer is None:
            raise InvalidCredential(f"nobody here trusts issuer {unverified.unverified_issuer[:200]!a}")
        kid, algorithm = check_header(unverified.header, issuer.settings)
        key, keys = await issuer.keys.find(kid, algorithm)
        claims = _verified_claims(token, key, issuer.settings)
        return VerifiedToken(
            identity=read_claims(claims, issuer.settings, self._groups_by_tenant),
            credential_id=credential_id(claims, digest),
            names_users=issuer.settings.user_claim is not None,
            names_roles=issuer.settings.role_claim is not None,
            issuer=issuer,
            keys=keys,
            fresh_until=self._clock() + _seconds_left(claims),
        )


def _verified_claims(token: bytes, key: jwt.PyJWK, issuer: IssuerSettings) -> dict[str, object]:
    """The claims, after signature, times, issuer and audience held.

    INVARIANT: `key` is bound to one algorithm that this issuer is allowed; PyJWT verifies with that one and refuses a
    header that says another.
    """
    try:
        claims: dict[str, object] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            audience=issuer.audiences,
            issuer=issuer.issuer,
            leeway=issuer.leeway_seconds,
        )
    except PyJWTError as error:
        # `from None`: the chain would carry the token's text into logs.
        raise InvalidCredential(f"issuer `{issuer.issuer}`: {type(error).__name__}: {error}") from None
    for name in _TIMES:
        # PyJWT reads "1700000000" and true as times; RFC 7519 §2 has numbers, and other services will disagree.
        if name in claims and type(claims[name]) not in (int, float):
            raise InvalidCredential(f"issuer `{issuer.issuer}`: `{name}` is not a number")
    return claims


def _seconds_left(claims: dict[str, object]) -> float:
    """Seconds to `exp` without leeway, at most those that a token may be cached for."""
    now, expiry = time.time(), claims["exp"]
    # Compared before it is subtracted: an `exp` of 10**400 is a number that no float can hold.
    if not isinstance(expiry, int | float) or expiry >= now + CACHE_SECONDS:
        return CACHE_SECONDS
    return expiry - now
