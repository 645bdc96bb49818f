"""Headers in, `TenantScope` out: the one place where a tenant comes into being.

Promises: a scope is made in the last statement of `_scope`, after every credential in sight was verified and every
header agreed; each way out before that is an exception, and no identity object exists on it. What a request *says*
about its tenant can agree with the credential or be refused; it never chooses.

A scope that rests on API keys alone is kept, under the SHA-256 of every byte that it was made from, and serves the next
request with the same bytes: it is frozen, holds nothing of a request, and is gone with the settings it was made under.
Tokens expire, so nothing that rests on one is kept here.

Doesn't promise: authorisation. Whom a request is for is settled here; what it may do is the policy room's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Final

from partywall.errors import InvalidCredential, MissingIdentity, PartywallError
from partywall.identity.api_keys import ApiKeys
from partywall.identity.compact import looks_like_jwt
from partywall.identity.evidence import Credential, Proof, prove
from partywall.identity.headers import Claimed, Header, HeaderReader, Headers, bearer_or_bare
from partywall.identity.key_source import Clock
from partywall.identity.settings import IdentitySettings
from partywall.identity.tokens import TokenVerifier
from partywall.tenancy import TenantScope
from partywall.tenancy._mint import mint

__all__ = ["Authenticator"]

_BETWEEN: Final = b"\0"
_MAX_KEPT: Final = 4096
"""Scopes kept. Only what verified is, so that guesses fill nothing."""


class Authenticator:
    """Verifies the credentials of requests against one set of settings. New settings need a new Authenticator.

    Belongs to one event loop when the settings name issuers. `clock` is monotonic, in seconds.
    """

    __slots__ = ("_api_keys", "_kept", "_key_header", "_reader", "_tokens")

    def __init__(self, settings: IdentitySettings, *, clock: Clock = time.monotonic) -> None:
        self._reader = HeaderReader(settings)
        self._api_keys = ApiKeys(settings.keys)
        self._tokens = TokenVerifier(settings, clock)
        self._key_header = settings.key_header
        self._kept: dict[bytes, TenantScope] = {}

    def known(self, headers: Mapping[bytes, bytes]) -> TenantScope | None:
        """The scope that the same headers gave before, if it is kept. None says nothing: `authenticate` decides.

        `headers` have names in lower case, and each came once.
        """
        digest = _digest([(name, headers[name]) for name in self._reader.names if name in headers])
        return None if digest is None else self._kept.get(digest)

    async def authenticate(self, headers: Headers) -> TenantScope:
        """The scope of the tenant whose credential `headers` carry.

        Raises:
            MissingIdentity: there is no credential, or an empty one.
            InvalidCredential: one is unknown, expired, ambiguous, or fails verification.
            TenantMismatch: two credentials, or a credential and a tenant header, name different tenants.
            Denied: a user or role header says what the token doesn't.
            BadRequest: a user or role header is malformed, or two disagree.
            IdentityUnavailable: the keys that would verify a token can't be had.
        """
        pairs = self._reader.relevant(headers)
        claimed = self._reader.claims(pairs)
        proof = await self._prove(claimed.credentials)
        try:
            scope = _scope(proof, claimed)
        except PartywallError as error:
            # Says in whose record the refusal belongs, and nothing more.
            error.recorded_for = proof.tenant
            raise
        if proof.keys_shown == len(claimed.credentials):  # no token, and nothing that could become one
            self._keep(pairs, scope)
        return scope

    def _keep(self, pairs: list[Header], scope: TenantScope) -> None:
        """Keep `scope` for `known`, which looks in the order of the reader's names, and finds none that came twice."""
        headers = dict(pairs)
        digest = _digest([(name, headers[name]) for name in self._reader.names if name in headers])
        if digest is not None and len(headers) == len(pairs):
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[digest] = scope

    async def aclose(self) -> None:
        """Stop fetching keys. Tokens may then fail with IdentityUnavailable."""
        await self._tokens.aclose()

    async def _prove(self, credentials: Mapping[bytes, bytes]) -> Proof:
        """Verify what must hold, and what else is recognised.

        With the configured header present, it is the authority. Otherwise every place must hold.
        """
        if not credentials:
            raise MissingIdentity("the request carries no credential header")
        authority = self._key_header
        if authority is None or authority not in credentials:
            found = [await self._verify(place, value) for place, value in credentials.items()]
            return prove(found, first_decides=False)
        found = [await self._verify(authority, credentials[authority])]
        for place, value in credentials.items():
            if place != authority:
                found += await self._recognised(place, value)
        return prove(found, first_decides=True)

    async def _recognised(self, place: bytes, value: bytes) -> tuple[Credential, ...]:
        """The credential in a place beside the authority, if anybody knows it.

        Official clients always fill `Authorization`, with anything, so an unknown value says nothing there.
        """
        try:
            return (await self._verify(place, value),)
        except (InvalidCredential, MissingIdentity):
            return ()

    async def _verify(self, place: bytes, value: bytes) -> Credential:
        secret = bearer_or_bare(value)
        if not secret:
            raise MissingIdentity(f"header `{place.decode()}` is empty")
        digest = hashlib.sha256(secret).digest()
        known = self._api_keys.find(digest) or self._tokens.held(digest)
        if known is not None:
            return known
        if looks_like_jwt(secret):
            return await self._tokens.verify(secret, digest)
        raise InvalidCredential(f"header `{place.decode()}` holds no key that is known")


def _digest(pairs: list[Header]) -> bytes | None:
    """The SHA-256 of the pairs, with a NUL between any two parts, so that no two lists of pairs write the same bytes.

    None for parts with a NUL in them, which HTTP doesn't allow.
    """
    parts = [part for pair in pairs for part in pair]
    joined = _BETWEEN.join(parts)
    return hashlib.sha256(joined).digest() if joined.count(_BETWEEN) == len(parts) - 1 else None


def _scope(proof: Proof, claimed: Claimed) -> TenantScope:
    proof.require_tenant(claimed.tenants)
    group, user, role = proof.group(), proof.user(claimed.user), proof.role(claimed.role)
    # INVARIANT: everything above has verified or raised; nothing below can fail.
    return mint(
        tenant=proof.tenant,
        group=group,
        credential_kind=proof.kind,
        credential_id=proof.credential_id,
        user=user,
        role=role,
    )
