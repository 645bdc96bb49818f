"""Every tenant's data under its own key, and gone when that key is gone.

Promises: a record opens for the tenant, store, purpose and record id it was sealed for, and for nothing else; callers
choose no algorithm, nonce or label. A tenant's key is random, so destroying it destroys the data; the wrapped keys lie
apart from the data they protect. Every use is recorded. When a key can't be had, the use is refused.

Doesn't promise: to erase what CPython and OpenSSL copied inside the process, nor to stop hostile code in it.

Layers: `roots` wrap tenant keys · `key_store` keeps them wrapped · `holding` is the one place of unwrapped ones ·
`sealer` seals and opens with them · `life` rotates, rewraps and destroys · `uses` records · `keyring` opens it all.
"""

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
    "TokenAuth",
    "VaultAuth",
    "VaultRootSettings",
    "read_uses",
    "reseal_all",
]
