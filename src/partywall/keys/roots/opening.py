"""From settings to the root they describe."""

from __future__ import annotations

from partywall.keys.roots.aws_kms import AwsKmsRoot
from partywall.keys.roots.base import Root
from partywall.keys.roots.file import FileRoot
from partywall.keys.roots.settings import FileRootSettings, RootSettings, VaultRootSettings
from partywall.keys.roots.vault import VaultRoot

__all__ = ["open_root"]


def open_root(settings: RootSettings) -> Root:
    """The root that `settings` describe. Nothing is connected to yet; `Root.check` tries it.

    Raises:
        ConfigError: it needs an extra that isn't installed; the message names the command.
    """
    if isinstance(settings, FileRootSettings):
        return FileRoot(settings)
    if isinstance(settings, VaultRootSettings):
        return VaultRoot(settings)
    return AwsKmsRoot(settings)
