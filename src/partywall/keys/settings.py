"""How a keyring is set up; compiled from the document by whoever opens it.

Promises: frozen, and checked as a whole before anything is opened. Nothing here is a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from partywall.errors import ConfigError
from partywall.keys.roots.settings import AwsKmsRootSettings, FileRootSettings, RootSettings, VaultRootSettings
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["BusinessHours", "KeyRingSettings", "NamedRoot"]

_LONGEST_HOLD_SECONDS: Final = 3600.0
_MOST_USES: Final = 2**32
"""A held key seals in one epoch, and an epoch has 2^32 nonces."""
_KINDS: Final = {FileRootSettings: "file", VaultRootSettings: "vault", AwsKmsRootSettings: "aws_kms"}


@dataclass(frozen=True)
class NamedRoot:
    """A root, and the name that stands beside each key it wrapped. A name never comes to mean another root."""

    name: str
    settings: RootSettings

    @classmethod
    def platforms(cls, settings: RootSettings) -> NamedRoot:
        """The platform's root under its usual name: `file`, `vault` or `aws_kms`."""
        return cls(_KINDS[type(settings)], settings)

    @classmethod
    def of_tenant(cls, tenant: TenantId, settings: RootSettings) -> NamedRoot:
        """A tenant's own root under its usual name, such as `acme:vault`."""
        return cls(f"{tenant}:{_KINDS[type(settings)]}", settings)


@dataclass(frozen=True)
class BusinessHours:
    """When keys are expected to be used."""

    days: frozenset[int]
    """Monday is 0."""
    start: time
    end: time
    """The first moment after; at or before `start`, it is on the next day."""
    timezone: ZoneInfo

    def __post_init__(self) -> None:
        if not self.days or not self.days <= set(range(7)):
            raise ConfigError("`business_hours` need days, from 0 for Monday to 6 for Sunday")

    def include(self, moment: float) -> bool:
        """Whether `moment`, in Unix seconds, lies inside."""
        local = datetime.fromtimestamp(moment, self.timezone)
        today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
        if self.start < self.end:
            return today in self.days and self.start <= local.time() < self.end
        return (today in self.days and local.time() >= self.start) or (
            yesterday in self.days and local.time() < self.end
        )


@dataclass(frozen=True)
class KeyRingSettings:
    """Everything a keyring is told."""

    keys_dir: Path
    """Wrapped keys and the records of their use. On a local disk, and apart from the data."""
    root: NamedRoot
    """The platform's."""
    tenant_roots: Mapping[TenantId, NamedRoot] = field(default_factory=dict)
    """Tenants with a root of their own. Keys that another root wrapped keep working until they are rewrapped."""
    former_roots: tuple[NamedRoot, ...] = ()
    """Still unwrap what they wrapped; wrap nothing new."""
    shred_ledger: Path | None = None
    """By default beside the keys. Elsewhere, restoring the keys can't restore it along with them."""
    hold_seconds: float = 60.0
    """How long an unwrapped key may be held."""
    hold_uses: int = 1_000_000
    """How often an unwrapped key may be used."""
    max_tenants: int = 1024
    """How many tenants' keys may be held at once."""
    auto_rotate_days: int | None = None
    min_decryption_version: int = 1
    """Records of older versions are refused. Never refuses the version that seals; a tenant's own may be higher."""
    log_uses: bool = True
    """Whether sealing, opening and unwrapping are recorded. Refusals and what changes a key always are."""
    expected_services: frozenset[str] | None = None
    """The services whose use is no surprise; None when nobody watches. None at all, when empty."""
    business_hours: BusinessHours | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tenant_roots", MappingProxyType(dict(self.tenant_roots)))
        self._check_numbers()
        roots = [self.root, *self.tenant_roots.values(), *self.former_roots]
        if len({root.name for root in roots}) != len(roots) or not all(root.name for root in roots):
            raise ConfigError("each root key has a name of its own; it stands beside the keys that this root wrapped")
        for tenant, root in self.tenant_roots.items():
            _check_own(parse_tenant_id(tenant), root.settings)
        if not isinstance(self.root.settings, FileRootSettings) and self.root.settings.tenant is not None:
            raise ConfigError(f"the platform's root can't be `{self.root.settings.tenant}`'s own")

    def _check_numbers(self) -> None:
        if not 0 < self.hold_seconds <= _LONGEST_HOLD_SECONDS:
            raise ConfigError(f"a key is held for at most {_LONGEST_HOLD_SECONDS:g} s, not `{self.hold_seconds}`")
        if not 0 < self.hold_uses <= _MOST_USES:
            raise ConfigError(f"a key is used 1 to {_MOST_USES} times before it is unwrapped anew")
        if self.max_tenants < 1:
            raise ConfigError("the keys of one tenant at least must be held")
        if self.auto_rotate_days is not None and self.auto_rotate_days < 1:
            raise ConfigError("`auto_rotate_days` is 1 or more; leave it out to rotate on demand only")
        if self.min_decryption_version < 1:
            raise ConfigError("`min_decryption_version` is 1 or more; 1 refuses nothing")


def _check_own(tenant: TenantId, settings: RootSettings) -> None:
    """A tenant's own root says so itself, or it would serve everybody who names it."""
    if not isinstance(settings, FileRootSettings) and settings.tenant != tenant:
        raise ConfigError(f"the root of `{tenant}` is set up for `{settings.tenant or 'everybody'}`")
