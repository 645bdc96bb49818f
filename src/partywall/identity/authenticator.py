"""Headers in, `TenantScope` out: the one place where a tenant comes into being.

Promises: a scope is made in the last statement of `authenticate`, after every credential in sight was verified and
every header agreed; each way out before that is an exception, and no identity object exists on it. What a request
*says* about its tenant can agree with the credential or be refused; it never chooses.

Doesn't promise: authorisation. Whom a request is for is settled here; what it may do is the policy room's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping

from partywall.errors import InvalidCredential, MissingIdentity, PartywallError
from partywall.identity.api_keys import ApiKeys
from partywall.identity.compact import looks_like_jwt
from partywall.identity.evidence import Credential, Proof, prove
from partywall.identity.headers import Claimed, HeaderReader, Headers, bearer_or_bare
from partywall.identity.key_source import Clock
from partywall.identity.settings import IdentitySettings
from partywall.identity.tokens import TokenVerifier
from partywall.tenancy import TenantScope
from partywall.tenancy._mint import mint

__all__ = ["Authenticator"]


class Authenticator:
    """Verifies the credentials of requests against one set of settings. New settings need a new Authenticator.

    Belongs to one event loop when the settings name issuers. `clock` is monotonic, in seconds.
    """

    __slots__ = ("_api_keys", "_key_header", "_reader", "_tokens")

    def __init__(self, settings: IdentitySettings, *, clock: Clock = time.monotonic) -> None:
        self._reader = HeaderReader(settings)
        self._api_keys = ApiKeys(settings.keys)
        self._tokens = TokenVerifier(settings, clock)
        self._key_header = settings.key_header

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
        claimed = self._reader.read(headers)
        proof = await self._prove(claimed.credentials)
        try:
            return _scope(proof, claimed)
        except PartywallError as error:
            # Says in whose record the refusal belongs, and nothing more.
            error.recorded_for = proof.tenant
            raise

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
