"""`encryption`: under whose keys records are sealed, where the root of those keys is, and how long they live."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from partywall.config.base import HttpUrl, PerTenant, Seconds, Section
from partywall.config.providers import SecretKeyRef

__all__ = ["AwsKmsConfig", "Encryption", "TenantRoot", "VaultConfig"]

Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class RotationPolicy(Section):
    """When keys are rotated."""

    auto_rotate_days: int = Field(default=90, ge=1, le=3650, description="Days after which a tenant's key is rotated.")
    min_decryption_version: int = Field(
        default=1, ge=1, description="Records sealed under an older version don't open."
    )


class AppRole(Section):
    """A login with Vault's AppRole."""

    role_id: str = Field(min_length=1, description="The role's id.")
    secret_id_ref: SecretKeyRef = Field(description="Where its secret id is kept.")
    mount: str = Field(default="approle", min_length=1, description="Where the method is mounted.")


class KubernetesLogin(Section):
    """A login with the pod's service account."""

    role: str = Field(min_length=1, description="The role in Vault.")
    mount: str = Field(default="kubernetes", min_length=1, description="Where the method is mounted.")
    token_file: str = Field(
        default="/var/run/secrets/kubernetes.io/serviceaccount/token", description="The service account's token."
    )


class VaultAuth(Section):
    """How partywall logs in to OpenBao/Vault. Exactly one."""

    token_ref: SecretKeyRef | None = Field(default=None, description="Where a token is kept.")
    approle: AppRole | None = Field(default=None, description="AppRole.")
    kubernetes: KubernetesLogin | None = Field(default=None, description="The pod's service account.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(way is not None for way in (self.token_ref, self.approle, self.kubernetes)) != 1:
            raise ValueError("exactly one of `token_ref`, `approle`, `kubernetes` must be given")
        return self


class VaultConfig(Section):
    """A root key in the transit engine of OpenBao or Vault."""

    address: HttpUrl | None = Field(default=None, description="Its address; `VAULT_ADDR` when left out.")
    namespace: str | None = Field(default=None, min_length=1, description="The namespace.")
    auth: VaultAuth | None = Field(default=None, description="How to log in; the token in `VAULT_TOKEN` when left out.")
    ca_file: str | None = Field(default=None, description="Certificates to trust, in place of the system's.")
    timeout_seconds: Seconds = Field(default=2, description="Until a call is given up.")
    key_path_template: PerTenant = Field(
        default="transit/keys/tenant-{tenant_id}", description="Path of a tenant's key."
    )
    rotation_policy: RotationPolicy = Field(default=RotationPolicy(), description="When keys are rotated.")


class AwsKmsConfig(Section):
    """A root key in AWS KMS; credentials come by AWS's own chain."""

    key_id: str = Field(min_length=1, description="Id, ARN or alias of the key.")
    region: str = Field(min_length=1, description="Its region.")
    endpoint_url: HttpUrl | None = Field(default=None, description="Another endpoint than the region's.")
    timeout_seconds: Seconds = Field(default=2, description="Until a call is given up.")


class TenantRoot(Section):
    """A tenant's own root key (BYOK). Exactly one. Once the tenant withdraws it, its records don't open here."""

    vault_config: VaultConfig | None = Field(default=None, description="In its own OpenBao/Vault, mount or namespace.")
    aws_kms_config: AwsKmsConfig | None = Field(default=None, description="In its own AWS account.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.vault_config is None) == (self.aws_kms_config is None):
            raise ValueError("exactly one of `vault_config` and `aws_kms_config` must be given")
        return self


class BusinessHours(Section):
    """When the use of keys surprises nobody."""

    days: tuple[Day, ...] = Field(default=("mon", "tue", "wed", "thu", "fri"), min_length=1, description="Days.")
    start: Clock = Field(default="08:00", description="From, in `timezone`.")
    end: Clock = Field(default="18:00", description="To, in `timezone`.")
    timezone: str = Field(default="UTC", min_length=1, description="An IANA time zone.")


class KeyAlerts(Section):
    """Uses of keys that somebody should hear of."""

    expected_services: tuple[str, ...] | None = Field(
        default=None, description="Services (`server.name`, `cli`) that use keys; another one's use is an alert."
    )
    business_hours: BusinessHours | None = Field(default=None, description="A use outside them is an alert.")


EncryptedData = Literal[
    "conversation_logs", "rag_document_store", "agent_memory", "user_preferences", "audit_logs", "credentials", "cache"
]


class Encryption(Section):
    """Every tenant's records under its own key."""

    key_strategy: Literal["per_tenant"] = Field(default="per_tenant", description="One random key per tenant.")
    root_key_file: str | None = Field(
        default=None,
        description="File of the root key, which `partywall init` makes; in the data directory when left out.",
    )
    vault_config: VaultConfig | None = Field(default=None, description="The root key in OpenBao/Vault instead.")
    aws_kms_config: AwsKmsConfig | None = Field(default=None, description="The root key in AWS KMS instead.")
    keys_dir: str | None = Field(
        default=None,
        description="Folder of the wrapped keys, backed up apart from data; `keys` in the data directory when left out.",
    )
    shred_ledger: str | None = Field(
        default=None,
        description="File that remembers destroyed keys; among the keys when left out. Kept apart, no restored backup revives one.",
    )
    rotation_policy: RotationPolicy | None = Field(
        default=None, description="When keys are rotated; `vault_config` may say it in its own place."
    )
    hold_seconds: Seconds = Field(
        default=60, le=3600, description="How long an unwrapped key is used before its root is asked again."
    )
    hold_uses: int = Field(default=1_000_000, ge=100, le=2**32, description="How often, at most.")
    encrypted_per_tenant: tuple[EncryptedData, ...] = Field(default=(), description="What is sealed.")
    key_access_logging: bool = Field(default=True, description="Each use of a key is recorded.")
    key_access_alerts: KeyAlerts = Field(default=KeyAlerts(), description="Uses that somebody should hear of.")

    @model_validator(mode="after")
    def _one_root(self) -> Self:
        given = [
            name for name in ("root_key_file", "vault_config", "aws_kms_config") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"one root key only, not both {' and '.join(f'`{name}`' for name in given)}")
        vault = self.vault_config
        if self.rotation_policy is not None and vault is not None and "rotation_policy" in vault.model_fields_set:
            raise ValueError("`rotation_policy` stands here and in `vault_config`; state it once")
        return self

    @property
    def rotation(self) -> RotationPolicy:
        """The rotation policy, wherever it stands."""
        if self.rotation_policy is not None:
            return self.rotation_policy
        return RotationPolicy() if self.vault_config is None else self.vault_config.rotation_policy
