"""Root keys: what wraps tenants' keys, in a file, in OpenBao or Vault, or in AWS KMS. They hold no tenant key."""

from partywall.keys.roots.aws_kms import AwsKmsRoot
from partywall.keys.roots.base import Root
from partywall.keys.roots.file import FileRoot
from partywall.keys.roots.opening import open_root
from partywall.keys.roots.settings import (
    AppRoleAuth,
    AwsCredentials,
    AwsKmsRootSettings,
    FileRootSettings,
    KubernetesAuth,
    RootSettings,
    TokenAuth,
    VaultAuth,
    VaultRootSettings,
)
from partywall.keys.roots.vault import VaultRoot

__all__ = [
    "AppRoleAuth",
    "AwsCredentials",
    "AwsKmsRoot",
    "AwsKmsRootSettings",
    "FileRoot",
    "FileRootSettings",
    "KubernetesAuth",
    "Root",
    "RootSettings",
    "TokenAuth",
    "VaultAuth",
    "VaultRoot",
    "VaultRootSettings",
    "open_root",
]
