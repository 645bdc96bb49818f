"""Verified claims to tenant, group, user and roles.

Promises: a claim that is configured and present has the one type and form it must have, or the token is refused; the
tenant is one of the document, and one that this issuer may speak for.

Doesn't promise: to know whether the claims are true. Call this only with what a signature has just vouched for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from partywall.errors import InvalidCredential, InvalidTenantId
from partywall.identity.headers import MAX_NAME_BYTES
from partywall.identity.settings import IssuerSettings
from partywall.tenancy import CredentialId, GroupName, Role, TenantId, UserId, parse_tenant_id

__all__ = ["Groups", "Identity", "read_claims"]

Groups = Mapping[TenantId, tuple[GroupName, ...]]

MAX_JTI_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the claims name. `group` is None when the tenant has several and the token chooses none."""

    tenant: TenantId
    group: GroupName | None
    user: UserId | None
    roles: tuple[Role, ...]


def read_claims(claims: Mapping[str, object], issuer: IssuerSettings, groups_by_tenant: Groups) -> Identity:
    """Whom verified `claims` name.

    Raises:
        InvalidCredential: no tenant, one unknown or not this issuer's, or a claim of the wrong form.
    """
    tenant = _tenant(claims, issuer)
    if tenant not in groups_by_tenant:
        raise InvalidCredential(f"issuer `{issuer.issuer}`: tenant `{tenant}` is not in the document")
    if issuer.tenants is not None and tenant not in issuer.tenants:
        raise InvalidCredential(f"issuer `{issuer.issuer}` may not speak for tenant `{tenant}`")
    users = _texts(claims, issuer.user_claim, issuer)
    if len(users) > 1:
        raise InvalidCredential(f"issuer `{issuer.issuer}`: claim `{issuer.user_claim}` names several users")
    return Identity(
        tenant=tenant,
        group=_group(claims, issuer, tenant, groups_by_tenant[tenant]),
        user=UserId(users[0]) if users else None,
        roles=tuple(Role(text) for text in _texts(claims, issuer.role_claim, issuer)),
    )


def find_claim(claims: Mapping[str, object], name: str) -> object:
    """The claim called exactly `name`, else the one at the dotted path `name`, else None.

    The exact name wins: `https://example.com/tenant` is a name with dots in it.
    """
    if name in claims:
        return claims[name]
    value: object = claims
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def credential_id(claims: Mapping[str, object], digest: bytes) -> CredentialId:
    """`jwt:` and the token's `jti`; without a printable one, the start of the token's SHA-256."""
    jti = claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= MAX_JTI_CHARACTERS and jti.isascii() and jti.isprintable():
        return CredentialId(f"jwt:{jti}")
    return CredentialId(f"jwt:{digest.hex()[:12]}")


def _tenant(claims: Mapping[str, object], issuer: IssuerSettings) -> TenantId:
    text = find_claim(claims, issuer.tenant_claim)
    if not isinstance(text, str):
        raise InvalidCredential(f"issuer `{issuer.issuer}`: claim `{issuer.tenant_claim}` is absent or no string")
    try:
        return parse_tenant_id(text)
    except InvalidTenantId:
        raise InvalidCredential(f"issuer `{issuer.issuer}`: claim `{issuer.tenant_claim}` is no tenant id") from None


def _group(
    claims: Mapping[str, object], issuer: IssuerSettings, tenant: TenantId, groups: tuple[GroupName, ...]
) -> GroupName | None:
    chosen = None if issuer.group_claim is None else find_claim(claims, issuer.group_claim)
    if chosen is None:
        return groups[0] if len(groups) == 1 else None
    for group in groups:
        if group == chosen:
            return group
    raise InvalidCredential(f"issuer `{issuer.issuer}`: claim `{issuer.group_claim}` names no group of `{tenant}`")


def _texts(claims: Mapping[str, object], name: str | None, issuer: IssuerSettings) -> tuple[str, ...]:
    """A claim of one string or a list of them; an absent one is the empty tuple."""
    value = None if name is None else find_claim(claims, name)
    if value is None:
        return ()
    texts = tuple(value) if isinstance(value, list) else (value,)
    if not all(isinstance(text, str) and text.isprintable() and 0 < len(text) <= MAX_NAME_BYTES for text in texts):
        raise InvalidCredential(
            f"issuer `{issuer.issuer}`: claim `{name}` must hold printable text of 1 to {MAX_NAME_BYTES} characters"
        )
    return texts
