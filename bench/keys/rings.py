"""Keyrings of a run: two tenants, and for each a root of its own where that is what is measured.

Promises: what a keyring is told travels as JSON, so that another process can open the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

import orjson

from partywall.keys import (
    AwsCredentials,
    AwsKmsRootSettings,
    FileRoot,
    FileRootSettings,
    KeyRingSettings,
    NamedRoot,
    RootSettings,
    TokenAuth,
    VaultRootSettings,
)
from partywall.tenancy import CredentialId, CredentialKind, Secret, TenantId, TenantScope
from partywall.tenancy._mint import mint

__all__ = ["ALPHA", "BETA", "Place", "Setting", "scope_of"]

ALPHA: Final = TenantId("alpha")
"""Whose key is used, and revoked."""
BETA: Final = TenantId("beta")
"""The neighbour."""
_TIMEOUT_SECONDS: Final = 5.0
_REGION: Final = "eu-central-1"


def scope_of(tenant: TenantId) -> TenantScope:
    """A scope as the authenticator would make it."""
    credential = CredentialId("key:0123456789ab")
    return mint(tenant=tenant, group=None, credential_kind=CredentialKind.API_KEY, credential_id=credential)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tenant's own root key is. The credentials open nothing but an engine on loopback, for this run."""

    kind: Literal["file", "vault", "aws_kms"]
    key: str
    """The file's path, the transit key's path, or the KMS key's id."""
    address: str = ""
    credential: str = ""
    secret: str = field(default="", repr=False)

    def settings(self, tenant: TenantId) -> RootSettings:
        if self.kind == "file":
            return FileRootSettings(Path(self.key), _TIMEOUT_SECONDS)
        if self.kind == "vault":
            auth = TokenAuth(Secret(self.secret))
            return VaultRootSettings(self.address, auth, self.key, timeout_seconds=_TIMEOUT_SECONDS, tenant=tenant)
        credentials = AwsCredentials(self.credential, Secret(self.secret))
        return AwsKmsRootSettings(
            self.key, _REGION, self.address, credentials, timeout_seconds=_TIMEOUT_SECONDS, tenant=tenant
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """The keys below `folder`, with the platform's root in a file, and tenants' own roots."""

    folder: str
    own: Mapping[str, Place] = field(default_factory=dict)

    @classmethod
    def in_files(cls, folder: Path, own: Mapping[TenantId, Place] | None = None) -> Self:
        """A fresh one; makes the platform's root key."""
        folder.mkdir(parents=True, exist_ok=True)
        FileRoot.create(folder / "root.key")
        return cls(str(folder), {str(tenant): place for tenant, place in (own or {}).items()})

    def key_ring(self, *, hold_seconds: float, hold_uses: int = 2**32) -> KeyRingSettings:
        folder = Path(self.folder)
        tenants = {TenantId(name): place for name, place in self.own.items()}
        return KeyRingSettings(
            keys_dir=folder / "keys",
            root=NamedRoot.platforms(FileRootSettings(folder / "root.key")),
            tenant_roots={name: NamedRoot.of_tenant(name, place.settings(name)) for name, place in tenants.items()},
            hold_seconds=hold_seconds,
            hold_uses=hold_uses,
        )

    def to_line(self) -> bytes:
        return orjson.dumps(asdict(self)) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        document = orjson.loads(line)
        return cls(document["folder"], {name: Place(**place) for name, place in document["own"].items()})
