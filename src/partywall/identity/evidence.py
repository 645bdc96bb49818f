"""Verified credentials of one request to the one answer that they give together.

Promises: credentials of two tenants prove nothing; a user or role header is believed only where the tenant vouches for
it (an API key was shown, or the issuer doesn't speak for such things) and never against a token.

Doesn't promise: to have verified anything. Only verified credentials come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from partywall.errors import Denied, InvalidCredential, TenantMismatch
from partywall.identity.api_keys import ApiKey
from partywall.identity.headers import vouched_text
from partywall.identity.tokens import VerifiedToken
from partywall.tenancy import CredentialId, CredentialKind, GroupName, Role, TenantId, UserId

__all__ = ["Credential", "Proof", "prove"]

Credential: TypeAlias = ApiKey | VerifiedToken


class Proof:
    """What a request proved: one tenant, by an API key, a token, or both."""

    __slots__ = ("_key", "_token", "credential_id", "keys_shown", "kind", "tenant")

    def __init__(self, first: Credential, key: ApiKey | None, token: VerifiedToken | None, keys_shown: int) -> None:
        self.keys_shown = keys_shown
        """How many of the credentials were API keys."""
        self.tenant: TenantId = first.tenant
        self.kind = CredentialKind.JWT if key is None else CredentialKind.API_KEY
        self.credential_id: CredentialId = (key or first).credential_id
        self._key = key
        self._token = token

    def require_tenant(self, claimed: Sequence[bytes]) -> None:
        """Every tenant header must say this tenant, byte for byte.

        Raises:
            TenantMismatch: one doesn't; an empty one doesn't either.
        """
        if claimed:
            own = self.tenant.encode()
            for value in claimed:
                if value != own:
                    raise TenantMismatch(
                        f"`{self.credential_id}` belongs to `{own.decode()}`, a header says {value[:80]!r}"
                    )

    def group(self) -> GroupName:
        """The consumer group: the API key's, else the token's, else the tenant's only one.

        Raises:
            InvalidCredential: the tenant has several and nothing chooses.
        """
        if self._key is not None:
            return self._key.group
        group = None if self._token is None else self._token.identity.group
        if group is None:
            raise InvalidCredential(
                f"tenant `{self.tenant}` has no single group and the token chooses none; "
                "set the issuer's group claim in its tokens, or send an API key beside them"
            )
        return group

    def user(self, header: bytes | None) -> UserId | None:
        """The user: the token's, else the header's where the tenant vouches for it.

        Raises:
            Denied: header and token disagree, or nobody vouches for the header.
            BadRequest: the header is malformed.
        """
        if self._token is None:
            return None if header is None else UserId(vouched_text("user", header))
        named = self._token.identity.user
        users = () if named is None else (named,)
        text = self._agreed("user", header, users, issuer_speaks=self._token.names_users)
        return None if text is None else UserId(text)

    def role(self, header: bytes | None) -> Role | None:
        """The role: the token's, else the header's where the tenant vouches for it. A token with several roles needs
        the header to pick one.

        Raises:
            Denied: header and token disagree, nobody vouches for the header, or several roles and no choice.
            BadRequest: the header is malformed.
        """
        if self._token is None:
            return None if header is None else Role(vouched_text("role", header))
        text = self._agreed("role", header, self._token.identity.roles, issuer_speaks=self._token.names_roles)
        return None if text is None else Role(text)

    def _agreed(self, what: str, header: bytes | None, signed: Sequence[str], *, issuer_speaks: bool) -> str | None:
        text = None if header is None else vouched_text(what, header)
        if text is None and len(signed) > 1:
            raise Denied(f"the token of `{self.tenant}` has several {what}s; name one of them in the {what} header")
        if text is None:
            return signed[0] if signed else None
        if signed and text not in signed:
            raise Denied(f"the {what} header says {text!a}, the token of `{self.tenant}` doesn't")
        if not signed and issuer_speaks and self._key is None:
            # Whoever holds the token wrote the header. An end user would pick the administrator's role.
            raise Denied(
                f"the token of `{self.tenant}` names no {what}, and without an API key its {what} header is hearsay"
            )
        return text


def prove(found: Sequence[Credential], *, first_decides: bool) -> Proof:
    """Join verified credentials, at least one. The first is the configured header's when `first_decides`.

    Raises:
        TenantMismatch: they belong to different tenants.
        InvalidCredential: of one tenant, but ambiguous.
    """
    first = found[0]
    if len(found) == 1:
        return Proof(first, first, None, 1) if isinstance(first, ApiKey) else Proof(first, None, first, 0)
    for other in found:
        if other.tenant != first.tenant:
            raise TenantMismatch(
                f"`{first.credential_id}` belongs to `{first.tenant}`, `{other.credential_id}` to `{other.tenant}`"
            )
    keys = [item for item in found if isinstance(item, ApiKey)]
    tokens = [item for item in found if isinstance(item, VerifiedToken)]
    if not first_decides and any(key.group != keys[0].group for key in keys):
        raise InvalidCredential(f"API keys of two groups of `{first.tenant}`; send one")
    if any(token.identity != tokens[0].identity for token in tokens):
        raise InvalidCredential(f"tokens for different groups, users or roles of `{first.tenant}`; send one")
    return Proof(first, keys[0] if keys else None, tokens[0] if tokens else None, len(keys))
