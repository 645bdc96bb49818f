"""Every tenant's data under its own key, and gone when that key is gone.

Promises: a record opens for the tenant, store, purpose and record id it was sealed for, and for nothing else; callers
choose no algorithm, nonce or label. A tenant's key is random, so destroying it destroys the data; the wrapped keys lie
apart from the data they protect. Every use is recorded. When a key can't be had, the use is refused.

Doesn't promise: to erase what CPython and OpenSSL copied inside the process, nor to stop hostile code in it.

Layers: `roots` wrap tenant keys · `key_store` keeps them wrapped · `holding` is the one place of unwrapped ones ·
`sealer` seals and opens with them · `life` rotates, rewraps and destroys · `uses` records · `keyring` opens it all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from partywall.keys.blinding import blind
    from partywall.keys.key_store import PLATFORM, KeyStore
    from partywall.keys.keyring import KeyRing
    from partywall.keys.life import KeyStatus, KeyVersionStatus, Life, Rotations
    from partywall.keys.names import Store
    from partywall.keys.receipt import Receipt
    from partywall.keys.record_keys import RecordKeys
    from partywall.keys.reseal import Page, Resealable, ResealProgress, SealedRecord, reseal_all
    from partywall.keys.roots import (
        AppRoleAuth,
        AwsCredentials,
        AwsKmsRootSettings,
        FileRoot,
        FileRootSettings,
        KubernetesAuth,
        Root,
        RootSettings,
        TokenAuth,
        VaultAuth,
        VaultRootSettings,
    )
    from partywall.keys.settings import BusinessHours, KeyRingSettings, NamedRoot
    from partywall.keys.store_keys import PlatformKeys, StoreKeys
    from partywall.keys.tenant_box import (
        is_tenant_box,
        new_tenant_box_keys,
        open_by_tenant,
        seal_to_tenant,
        tenant_box_public_key,
    )
    from partywall.keys.tenant_keys import TenantStoreKeys
    from partywall.keys.use_alerts import KeyAlarm, KeyAlarmKind
    from partywall.keys.use_files import AuditedUses, read_uses
    from partywall.keys.uses import KeyUse, Operation

__all__ = [
    "PLATFORM",
    "AppRoleAuth",
    "AuditedUses",
    "AwsCredentials",
    "AwsKmsRootSettings",
    "BusinessHours",
    "FileRoot",
    "FileRootSettings",
    "KeyAlarm",
    "KeyAlarmKind",
    "KeyRing",
    "KeyRingSettings",
    "KeyStatus",
    "KeyStore",
    "KeyUse",
    "KeyVersionStatus",
    "KubernetesAuth",
    "Life",
    "NamedRoot",
    "Operation",
    "Page",
    "PlatformKeys",
    "Receipt",
    "RecordKeys",
    "ResealProgress",
    "Resealable",
    "Root",
    "RootSettings",
    "Rotations",
    "SealedRecord",
    "Store",
    "StoreKeys",
    "TenantStoreKeys",
    "TokenAuth",
    "VaultAuth",
    "VaultRootSettings",
    "blind",
    "is_tenant_box",
    "new_tenant_box_keys",
    "open_by_tenant",
    "read_uses",
    "reseal_all",
    "seal_to_tenant",
    "tenant_box_public_key",
]

_NAMES: Final = {
    "blinding": ("blind",),
    "key_store": (
        "PLATFORM",
        "KeyStore",
    ),
    "keyring": ("KeyRing",),
    "life": (
        "KeyStatus",
        "KeyVersionStatus",
        "Life",
        "Rotations",
    ),
    "names": ("Store",),
    "receipt": ("Receipt",),
    "record_keys": ("RecordKeys",),
    "reseal": (
        "Page",
        "Resealable",
        "ResealProgress",
        "SealedRecord",
        "reseal_all",
    ),
    "roots": (
        "AppRoleAuth",
        "AwsCredentials",
        "AwsKmsRootSettings",
        "FileRoot",
        "FileRootSettings",
        "KubernetesAuth",
        "Root",
        "RootSettings",
        "TokenAuth",
        "VaultAuth",
        "VaultRootSettings",
    ),
    "settings": (
        "BusinessHours",
        "KeyRingSettings",
        "NamedRoot",
    ),
    "store_keys": (
        "PlatformKeys",
        "StoreKeys",
    ),
    "tenant_box": (
        "is_tenant_box",
        "new_tenant_box_keys",
        "open_by_tenant",
        "seal_to_tenant",
        "tenant_box_public_key",
    ),
    "tenant_keys": ("TenantStoreKeys",),
    "use_alerts": (
        "KeyAlarm",
        "KeyAlarmKind",
    ),
    "use_files": (
        "AuditedUses",
        "read_uses",
    ),
    "uses": (
        "KeyUse",
        "Operation",
    ),
}
_HOMES: Final = {name: f"partywall.keys.{home}" for home, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name when it is asked for (PEP 562): a client with a tenant box needs nothing of a server."""
    if name not in _HOMES:
        raise AttributeError(f"module `partywall.keys` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOMES[name]), name)
