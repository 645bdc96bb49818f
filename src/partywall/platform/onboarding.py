"""Making a tenant ready: its key, and the place of what it will store.

Promises: what is made is recorded first, in the tenant's own records, under the operator's name. Doing it again makes
what is missing and nothing else. A tenant whose key was destroyed stays gone: its id never gets another key.

Doesn't promise: to let anybody in. That takes a group of the tenant's in the document.
"""

from __future__ import annotations

from dataclasses import dataclass

from partywall.errors import KeyDestroyed, KeyUnavailable
from partywall.identity import acting_for
from partywall.keys import KeyRing, KeyStatus
from partywall.platform.platform import Platform
from partywall.platform.storage import provision_tenant
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["Onboarded", "onboard"]


@dataclass(frozen=True, slots=True)
class Onboarded:
    """What a tenant has now."""

    key_version: int | None
    """The version of its key that seals; None where the document has no `encryption`."""
    made_key: bool
    """Whether the key was missing before."""


async def onboard(platform: Platform, tenant: str, *, who: str, why: str) -> Onboarded:
    """Make what `tenant` needs before its first request, whether or not the document names it yet.

    Raises:
        InvalidTenantId, ConfigError: the id, `who` or `why` says nothing; or its place can't be made.
        CredentialUnavailable, StoreUnavailable: the database server can't be reached by its owner.
        KeyDestroyed: its key was destroyed.
        KeyUnavailable, TrailUnavailable: it can't be made or recorded. Do it again.
    """
    name = parse_tenant_id(tenant)
    before = None if platform.keys is None else await _status(platform.keys, name)
    async with acting_for(platform.trail, name, who=who, action="tenants create", why=why):
        await provision_tenant(platform.source.path, name, platform.data_dir)
        if platform.keys is None:
            return Onboarded(None, made_key=False)
        await platform.keys.ensure(name, who=who)
        now = await _status(platform.keys, name)
        if now is None:
            raise KeyUnavailable(f"the key of `{name}` was made and is gone")
        return Onboarded(now.versions[-1].number, made_key=before is None)


async def _status(keys: KeyRing, tenant: TenantId) -> KeyStatus | None:
    """The tenant's key, if it ever had one that can be read."""
    for status in await keys.life.statuses():
        if status.tenant == tenant:
            if status.receipt is not None:
                raise KeyDestroyed(
                    f"the key of `{tenant}` was destroyed, and the same id never gets another; choose one"
                )
            if status.unreadable is not None:
                raise KeyUnavailable(status.unreadable)
            return status
    return None
