"""From the document's `encryption` to an open keyring.

Promises: what the document says about roots, logins, holding and rotation is what the keyring is told, and nothing
falls back to another root. Without `root_key_file`, the root key is made at the first start, in the data directory,
readable by its owner alone. One that the document names is never made in passing, nor one that is missing while keys
are there that it wrapped, nor any by a command that only looks. Nothing is served with a root key that opens nothing of
what it is said to have wrapped, nor with an empty folder of keys while the one that was served before holds some. What
the root file in the data directory wrapped before the platform moved to Vault or KMS, it unwraps until it is taken
away.

Doesn't promise: a change of roots without a restart (`Platform.reload` refuses it).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import time as clock_time
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from partywall.config import Document, load
from partywall.config.encryption import AwsKmsConfig, BusinessHours, Encryption, TenantRoot, VaultAuth, VaultConfig
from partywall.config.providers import SecretKeyRef
from partywall.config.secret_refs import SecretRef, SecretResolver
from partywall.errors import ConfigError, KeyUnavailable, PartywallError, SealBroken
from partywall.keys import (
    PLATFORM,
    AppRoleAuth,
    AwsKmsRootSettings,
    FileRoot,
    FileRootSettings,
    KeyAlarm,
    KeyRing,
    KeyRingSettings,
    KubernetesAuth,
    NamedRoot,
    RootSettings,
    TokenAuth,
    VaultRootSettings,
)
from partywall.keys import BusinessHours as Hours
from partywall.keys import VaultAuth as Login
from partywall.platform.remembered import remembered_keys_dir
from partywall.tenancy import Secret, TenantId

__all__ = ["Encrypted", "open_keys", "serving_keys"]

_ROOT_FILE: Final = "root.key"
_KEYS: Final = "keys"
_LEDGER: Final = "destroyed.jsonl"
_ROTATION_LOOK_SECONDS: Final = 3600.0
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encrypted:
    """What a document says about encryption, its tenants' own roots included."""

    section: Encryption
    tenant_roots: Mapping[TenantId, TenantRoot]

    @classmethod
    def of(cls, document: Document) -> Encrypted | None:
        """None for a document without `encryption`."""
        if document.encryption is None:
            return None
        tenants = document.tenants.items()
        own = {TenantId(name): settings.root_key for name, settings in tenants if settings.root_key is not None}
        return cls(document.encryption, own)

    @classmethod
    def load(cls, path: Path) -> Encrypted | None:
        """Of the document at `path`.

        Raises:
            ConfigError: it can't be read.
        """
        return cls.of(load(Document, path).document)

    @property
    def seals_records(self) -> bool:
        """Whether decision records are sealed."""
        return "audit_logs" in self.section.encrypted_per_tenant

    def keys_dir(self, *, base: Path, data_dir: Path) -> Path:
        """The folder of the wrapped keys and of the records of their use."""
        return base / self.section.keys_dir if self.section.keys_dir is not None else data_dir / _KEYS

    def shred_ledger(self, *, base: Path, data_dir: Path) -> Path:
        """Where the receipts of destroyed keys lie."""
        named = self.section.shred_ledger
        return self.keys_dir(base=base, data_dir=data_dir) / _LEDGER if named is None else base / named

    def root_told(self, tenant: TenantId, *, base: Path, data_dir: Path) -> str:
        """Which root wraps the tenant's keys, for an operator to recognise."""
        root = self.tenant_roots.get(tenant) or self.section
        if root.vault_config is not None:
            vault = root.vault_config
            return f"{vault.key_path_template} in Vault at {vault.address or os.environ.get('VAULT_ADDR')}"
        if root.aws_kms_config is not None:
            return f"AWS KMS key {root.aws_kms_config.key_id}"
        return str((base / (self.section.root_key_file or data_dir.absolute() / _ROOT_FILE)).absolute())

    def settings(self, *, base: Path, data_dir: Path) -> KeyRingSettings:
        """What the keyring is told. Relative paths start at `base`, the document's folder.

        Raises:
            ConfigError: it can't be used as it is written.
            CredentialUnavailable: a secret that it refers to isn't there.
        """
        section, alerts = self.section, self.section.key_access_alerts
        return KeyRingSettings(
            keys_dir=self.keys_dir(base=base, data_dir=data_dir),
            root=NamedRoot.platforms(root := _platform_root(section, base, data_dir)),
            former_roots=_former_roots(root, data_dir),
            shred_ledger=None if section.shred_ledger is None else base / section.shred_ledger,
            tenant_roots={
                tenant: NamedRoot.of_tenant(tenant, _root(root, base, tenant))
                for tenant, root in self.tenant_roots.items()
            },
            hold_seconds=section.hold_seconds,
            hold_uses=section.hold_uses,
            auto_rotate_days=section.rotation.auto_rotate_days,
            min_decryption_version=section.rotation.min_decryption_version,
            log_uses=section.key_access_logging,
            expected_services=None if alerts.expected_services is None else frozenset(alerts.expected_services),
            business_hours=None if alerts.business_hours is None else _hours(alerts.business_hours),
        )


def _log_alarm(alarm: KeyAlarm) -> None:
    _log.error("alarm: %s", alarm)


@asynccontextmanager
async def open_keys(
    encrypted: Encrypted,
    *,
    base: Path,
    data_dir: Path,
    service: str,
    on_alarm: Callable[[KeyAlarm], None] = _log_alarm,
) -> AsyncIterator[KeyRing]:
    """Every tenant's keys, as the document says; `service` stands in the records of their use. No root is asked yet.

    Raises:
        ConfigError: the document's `encryption` can't be used.
        CredentialUnavailable: the secret of a root's login isn't there.
        KeyUnavailable: the folder of the keys can't be used.
    """
    settings = await asyncio.to_thread(encrypted.settings, base=base, data_dir=data_dir)
    async with KeyRing.open(settings, service, on_alarm) as keys:
        yield keys


@asynccontextmanager
async def serving_keys(
    encrypted: Encrypted, *, base: Path, data_dir: Path, service: str, rotates: bool = True
) -> AsyncIterator[KeyRing]:
    """As `open_keys`, for a gateway: the root key is made at its first start, and keys are rotated as they come of age
    if it `rotates` them.

    Raises:
        ConfigError: the keys lie elsewhere, or another root wrapped them.
        KeyUnavailable: the platform's root can't be used. A tenant's own is asked when that tenant's key is.
    """
    await asyncio.to_thread(_refuse_moved_keys, encrypted, base, data_dir)
    await asyncio.to_thread(_make_own_root, encrypted, base, data_dir)
    async with open_keys(encrypted, base=base, data_dir=data_dir, service=service) as keys:
        await keys.check()
        try:
            await keys.life.prove_root()
        except (KeyUnavailable, SealBroken) as error:
            root = encrypted.root_told(PLATFORM, base=base, data_dir=data_dir)
            where = encrypted.keys_dir(base=base, data_dir=data_dir)
            raise ConfigError(
                f"the root key ({root}) doesn't open the keys in `{where}`; "
                f"put back the root key that belongs to these keys, or the keys that belong to it: {error}"
            ) from error
        if not rotates:
            yield keys
            return
        rotating = asyncio.create_task(_rotate_when_due(keys))
        try:
            yield keys
        finally:
            rotating.cancel()
            await asyncio.wait([rotating])


async def _rotate_when_due(keys: KeyRing) -> None:
    while True:
        try:
            done = await keys.life.rotate_due(time.time())
            for tenant, failure in done.failed.items():
                _log.error("the key of `%s` is due for rotation and could not be rotated: %s", tenant, failure)
        except PartywallError as error:
            _log.error("no key could be rotated: %s", error)
        await asyncio.sleep(_ROTATION_LOOK_SECONDS)


def _platform_root(encryption: Encryption, base: Path, data_dir: Path) -> RootSettings:
    if encryption.vault_config is not None:
        return _vault(encryption.vault_config, base, tenant=None)
    if encryption.aws_kms_config is not None:
        return _aws_kms(encryption.aws_kms_config, tenant=None)
    if encryption.root_key_file is not None:
        return FileRootSettings(base / encryption.root_key_file)
    return FileRootSettings(data_dir / _ROOT_FILE)


def _former_roots(root: RootSettings, data_dir: Path) -> tuple[NamedRoot, ...]:
    """The root key in the data directory, for as long as it lies there after the platform has moved to a service."""
    path = data_dir / _ROOT_FILE
    if isinstance(root, FileRootSettings) or not path.exists():
        return ()
    return (NamedRoot.platforms(FileRootSettings(path)),)


def _refuse_moved_keys(encrypted: Encrypted, base: Path, data_dir: Path) -> None:
    """Refuse an empty folder of keys where another one was served: in it, destroyed tenants would get new keys.

    Raises:
        ConfigError: that is so, or nobody can tell.
    """
    present = encrypted.keys_dir(base=base, data_dir=data_dir)
    try:
        if _holds_keys(present):
            return
        for former in filter(None, (remembered_keys_dir(data_dir), data_dir / _KEYS)):
            if former.resolve() != present.resolve() and _holds_keys(former):
                raise ConfigError(
                    f"the keys lie in `{former}`, and the document says `{present}`, which has none; "
                    "move the folder there, or set `encryption.keys_dir` back"
                )
    except OSError as error:
        raise ConfigError(f"nobody can tell whether keys lie in `{error.filename}`: {error.strerror}") from error


def _holds_keys(keys_dir: Path) -> bool:
    """Whether anybody has a key there, or had one. A `lost+found` or its like is none."""
    try:
        return any(path.name == _LEDGER or (path / "keys.json").exists() for path in keys_dir.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _make_own_root(encrypted: Encrypted, base: Path, data_dir: Path) -> None:
    """Make the root key in the data directory, where the document names none.

    Raises:
        ConfigError: it can't be made; or it is gone, and another one would open nothing.
    """
    section, path = encrypted.section, data_dir / _ROOT_FILE
    if section.vault_config or section.aws_kms_config or section.root_key_file or path.exists():
        return
    keys_dir = encrypted.keys_dir(base=base, data_dir=data_dir)
    if keys_dir.is_dir() and any(keys_dir.iterdir()):
        raise ConfigError(
            f"the root key file `{path}` is gone, and `{keys_dir}` holds what it wrapped; put it back from its copy"
        )
    try:
        FileRoot.create(path)
    except ConfigError:
        if not path.exists():  # or else another process was first; its key stands
            raise
    else:
        _log.warning("made the root key `%s`; keep a copy of it, and not beside copies of the data", path)


def _root(root: TenantRoot, base: Path, tenant: TenantId) -> RootSettings:
    if root.vault_config is not None:
        return _vault(root.vault_config, base, tenant=tenant)
    if root.aws_kms_config is not None:
        return _aws_kms(root.aws_kms_config, tenant=tenant)
    raise ConfigError(f"tenants.{tenant}.root_key names no root")


def _vault(config: VaultConfig, base: Path, *, tenant: TenantId | None) -> VaultRootSettings:
    address = config.address or os.environ.get("VAULT_ADDR")
    if not address:
        raise ConfigError("vault_config: no `address`, and VAULT_ADDR is not set")
    return VaultRootSettings(
        address=address,
        auth=_login(config.auth, base),
        key_path_template=config.key_path_template,
        namespace=config.namespace,
        ca_file=None if config.ca_file is None else base / config.ca_file,
        timeout_seconds=config.timeout_seconds,
        tenant=tenant,
    )


def _login(auth: VaultAuth | None, base: Path) -> Login:
    if auth is None:
        return TokenAuth(token=_secret(SecretKeyRef(env="VAULT_TOKEN")))
    if auth.approle is not None:
        return AppRoleAuth(auth.approle.role_id, _secret(auth.approle.secret_id_ref), auth.approle.mount)
    if auth.kubernetes is not None:
        return KubernetesAuth(auth.kubernetes.role, base / auth.kubernetes.token_file, auth.kubernetes.mount)
    if auth.token_ref is not None and auth.token_ref.file is not None:
        return TokenAuth(file=base / auth.token_ref.file)
    return TokenAuth(token=_secret(auth.token_ref or SecretKeyRef(env="VAULT_TOKEN")))


def _secret(ref: SecretKeyRef) -> Secret:
    return SecretResolver().resolve(SecretRef.of(ref))


def _aws_kms(config: AwsKmsConfig, *, tenant: TenantId | None) -> AwsKmsRootSettings:
    return AwsKmsRootSettings(
        key_id=config.key_id,
        region=config.region,
        endpoint_url=config.endpoint_url,
        timeout_seconds=config.timeout_seconds,
        tenant=tenant,
    )


def _hours(hours: BusinessHours) -> Hours:
    try:
        zone = ZoneInfo(hours.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"encryption.key_access_alerts.business_hours: no time zone `{hours.timezone}`") from error
    days = frozenset(_DAYS.index(day) for day in hours.days)
    return Hours(days, clock_time.fromisoformat(hours.start), clock_time.fromisoformat(hours.end), zone)
