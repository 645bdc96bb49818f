"""Where a data directory's keys are, and opening them for a command.

Promises: no command makes a root key or a folder of keys in passing: what isn't there is said in one line. Every act is
recorded under `cli:` and the login name of the user whose process this is.

Doesn't promise: that the login name is a person. Whoever runs as that user has it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from partywall.errors import ConfigError
from partywall.keys import KeyAlarm, KeyRing, KeyStatus
from partywall.platform.encryption import Encrypted, open_keys
from partywall.platform.remembered import has_foreign_note, remembered_document
from partywall.tenancy import TenantId

__all__ = ["SERVICE", "KeyPlace", "document_of", "operator", "status_of", "told_document"]

SERVICE: Final = "cli"
"""What stands for the command line in the records of key uses."""

_DEFAULT: Final = Path("partywall.yaml")


def document_of(config: Path | None, data_dir: Path) -> Path:
    """The document that was named, or that the directory was last served with, or the one that `init` writes."""
    return config or remembered_document(data_dir) or _DEFAULT


def told_document(config: Path | None, data_dir: Path) -> Path:
    """As `document_of`.

    Raises:
        ConfigError: the directory was last served under another name or by nobody we know, so it can't be told.
    """
    if config is None and has_foreign_note(data_dir):
        raise ConfigError(
            f"{data_dir}: is a copy, was moved, or was last served by an older version, so its document is not "
            "known; name it with --config"
        )
    return document_of(config, data_dir)


def operator() -> str:
    """Who is at the command line, for the records."""
    try:
        return f"{SERVICE}:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container's user may have no name
        return f"{SERVICE}:{os.getuid()}"


@dataclass(frozen=True)
class KeyPlace:
    """What a document says of the keys of a data directory."""

    document: Path
    encrypted: Encrypted
    data_dir: Path

    @classmethod
    def find(cls, config: Path | None, data_dir: Path) -> KeyPlace:
        """Read the document.

        Raises:
            ConfigError: nobody says which it is, it can't be read, it has no `encryption`, or there are no keys yet.
        """
        document = told_document(config, data_dir)
        encrypted = Encrypted.load(document)
        if encrypted is None:
            raise ConfigError(f"{document}: has no `encryption`, so there are no keys; --config names another document")
        place = cls(document, encrypted, data_dir)
        if not place.keys_dir.is_dir():
            raise ConfigError(f"{place.keys_dir}: no keys yet; a tenant gets its key when a gateway first seals for it")
        return place

    @property
    def keys_dir(self) -> Path:
        """The folder of the wrapped keys."""
        return self.encrypted.keys_dir(base=self.document.parent, data_dir=self.data_dir)

    @property
    def shred_ledger(self) -> Path:
        """The file of the receipts."""
        return self.encrypted.shred_ledger(base=self.document.parent, data_dir=self.data_dir)

    def told(self, tenant: TenantId) -> dict[str, str]:
        """Whose keys these are, for an operator to recognise: absolute paths, and the tenant's root."""
        root = self.encrypted.root_told(tenant, base=self.document.parent, data_dir=self.data_dir)
        return {
            "document": str(self.document.absolute()),
            "keys_dir": str(self.keys_dir.absolute()),
            "root_key": root,
        }

    def shared_root(self, tenant: TenantId) -> str | None:
        """What tells apart the root keys that serve several tenants; None when this one has a root key of its own."""
        section = self.encrypted.section
        if tenant in self.encrypted.tenant_roots or section.vault_config is not None:
            return None  # in Vault, `key_path_template` names a key for each tenant
        return "aws_kms" if section.aws_kms_config is not None else "file"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[KeyRing]:
        """The keys, with alarms on standard error. No root is asked yet.

        Raises:
            ConfigError, CredentialUnavailable, KeyUnavailable: as `open_keys`.
        """
        base = self.document.parent
        async with open_keys(
            self.encrypted, base=base, data_dir=self.data_dir, service=SERVICE, on_alarm=_alarm
        ) as keys:
            yield keys


def _alarm(alarm: KeyAlarm) -> None:
    click.echo(f"alarm: {alarm}", err=True)


async def status_of(keys: KeyRing, tenant: TenantId) -> KeyStatus:
    """One tenant's key.

    Raises:
        ConfigError: it never had one.
    """
    for status in await keys.life.statuses():
        if status.tenant == tenant:
            return status
    raise ConfigError(f"`{tenant}` has no key; `partywall keys list` shows who has")
