"""`TenantScope`: the one object that says on whose behalf code runs.

Promises: no public constructor; frozen; can't be copied, pickled or subclassed, and equals nothing but itself. It holds
who was verified and how, and no state of any request.

Doesn't promise: to be a wall. `object.__new__` defeats a capability type; hostile code inside the process is out of
scope. The walls are placement, the tenant's own keys and verification; this rail keeps honest code on the track.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NoReturn, final

from partywall.tenancy.ids import CredentialId, GroupName, Role, TenantId, UserId

__all__ = ["CredentialKind", "TenantScope"]


class CredentialKind(StrEnum):
    """How the tenant was established."""

    API_KEY = "api_key"
    JWT = "jwt"
    OPERATOR = "operator"
    """By nobody's credential: an operator acts on the tenant, and a record of the tenant's says so."""


_MINT_TOKEN: Final = object()
"""Held by `tenancy._mint` alone. Passing anything else to the constructor raises."""


@final
class TenantScope:
    """A verified tenant, and the user and role that the tenant vouches for.

    Required, first, by every operation that can touch tenant data. `Platform.authenticate` returns one; there is no
    other way to get one outside the audited operator commands.
    """

    __slots__ = ("credential_id", "credential_kind", "group", "role", "tenant", "user")

    tenant: TenantId
    group: GroupName | None
    credential_kind: CredentialKind
    credential_id: CredentialId
    user: UserId | None
    role: Role | None

    def __init__(
        self,
        token: object,
        tenant: TenantId,
        group: GroupName | None,
        credential_kind: CredentialKind,
        credential_id: CredentialId,
        user: UserId | None,
        role: Role | None,
    ) -> None:
        if token is not _MINT_TOKEN:
            raise TypeError("a TenantScope comes from a verified credential: call Platform.authenticate(headers)")
        put = object.__setattr__
        put(self, "tenant", tenant)
        put(self, "group", group)
        put(self, "credential_kind", credential_kind)
        put(self, "credential_id", credential_id)
        put(self, "user", user)
        put(self, "role", role)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a TenantScope is frozen; `{name}` can't be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a TenantScope is frozen; `{name}` can't be deleted")

    def __init_subclass__(cls, **kwargs: object) -> NoReturn:
        raise TypeError("TenantScope can't be subclassed")

    def __copy__(self) -> NoReturn:
        raise TypeError("a TenantScope can't be copied; pass it on")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a TenantScope can't be copied; pass it on")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a TenantScope does not leave the process; it would arrive unverified")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a TenantScope does not leave the process; it would arrive unverified")

    def __repr__(self) -> str:
        return f"TenantScope({self.tenant}, {self.credential_id})"
