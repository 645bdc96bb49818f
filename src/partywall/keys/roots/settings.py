"""Where a root is and how it is reached; compiled from the document by whoever opens it.

Promises: frozen; checked as a whole before anything is opened; every secret is a `Secret`. Nothing is taken from the
environment: not an address, not a token, not a proxy. (AWS credentials are, when none are given here; see
`AwsKmsRootSettings`.) Keys and tokens travel over TLS or to this machine alone.

Doesn't promise: that the root exists. `Root.check` finds out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from partywall.errors import ConfigError
from partywall.keys.roots.key_path import KeyPath
from partywall.tenancy import Secret, TenantId

__all__ = [
    "AppRoleAuth",
    "AwsCredentials",
    "AwsKmsRootSettings",
    "FileRootSettings",
    "KubernetesAuth",
    "RootSettings",
    "TokenAuth",
    "VaultAuth",
    "VaultRootSettings",
]

_TIMEOUT_SECONDS: Final = 2.0
_SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_DELETION_DAYS: Final = range(7, 31)


@dataclass(frozen=True)
class FileRootSettings:
    """A root key in a file of this machine, for all tenants."""

    path: Path
    timeout_seconds: float = _TIMEOUT_SECONDS
    """For the file may lie on a network disk that hangs."""

    def __post_init__(self) -> None:
        _check_timeout(self.timeout_seconds)


@dataclass(frozen=True)
class TokenAuth:
    """A token that somebody else looks after: given here, or in a file that is read again when it is refused."""

    token: Secret | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if (self.token is None) == (self.file is None):
            raise ConfigError("a Vault token is given as `token` or as `file`, one of the two")


@dataclass(frozen=True)
class AppRoleAuth:
    """A role id, and the secret id that goes with it (None where the role is bound in other ways)."""

    role_id: str
    secret_id: Secret | None
    mount: str = "approle"


@dataclass(frozen=True)
class KubernetesAuth:
    """The pod's service-account token, read anew for each login because Kubernetes replaces it."""

    role: str
    jwt_file: Path = _SERVICE_ACCOUNT_TOKEN
    mount: str = "kubernetes"


VaultAuth = TokenAuth | AppRoleAuth | KubernetesAuth


@dataclass(frozen=True)
class VaultRootSettings:
    """A transit engine of OpenBao or Vault."""

    address: str
    auth: VaultAuth
    key_path_template: str = "transit/keys/tenant-{tenant_id}"
    """Without `{tenant_id}`, one key serves every tenant of this root, and tells them apart by associated data."""
    namespace: str | None = None
    ca_file: Path | None = None
    """The certificates to trust; by default those that `certifi` ships."""
    timeout_seconds: float = _TIMEOUT_SECONDS
    """For a whole operation, a login included."""
    tenant: TenantId | None = None
    """Whose own root this is; None for the platform's."""
    unsafe_plain_http: bool = False
    """Let keys and the token cross a network in clear, where something below (a service mesh) encrypts them."""

    def __post_init__(self) -> None:
        KeyPath.parse(self.key_path_template)
        _check_address("address", self.address, plain=self.unsafe_plain_http)
        _check_timeout(self.timeout_seconds)


@dataclass(frozen=True)
class AwsCredentials:
    """An access key; with `session_token` when it is a temporary one."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


@dataclass(frozen=True)
class AwsKmsRootSettings:
    """One symmetric KMS key."""

    key_id: str
    """A key id, a key ARN, `alias/…` or an alias ARN. Don't point an alias at another key: rotate the one it has."""
    region: str
    endpoint_url: str | None = None
    credentials: AwsCredentials | None = None
    """None: the usual chain of boto3 (environment, profile, web identity, instance role), which is the process's one
    identity. A tenant's own key in its own account either grants that identity use of it, or comes with its own."""
    timeout_seconds: float = _TIMEOUT_SECONDS
    tenant: TenantId | None = None
    """Whose own root this is; None for the platform's, which is never deleted."""
    deletion_window_days: int = 7
    """How long AWS keeps a key that `destroy` scheduled for deletion. It is unusable from the first moment."""

    def __post_init__(self) -> None:
        if not self.key_id or not self.region:
            raise ConfigError("an AWS KMS root needs `key_id` and `region`")
        if self.endpoint_url is not None:
            _check_address("endpoint_url", self.endpoint_url, plain=False)
        if self.deletion_window_days not in _DELETION_DAYS:
            raise ConfigError(f"AWS deletes a key after 7 to 30 days, not `{self.deletion_window_days}`")
        _check_timeout(self.timeout_seconds)


RootSettings = FileRootSettings | VaultRootSettings | AwsKmsRootSettings


def _check_timeout(seconds: float) -> None:
    if not 0 < seconds <= 60:
        raise ConfigError(f"`timeout_seconds` of a root lies between 0 and 60, not at `{seconds}`")


def _check_address(name: str, address: str, *, plain: bool) -> None:
    """Refuse what isn't a bare `https://host[:port]`, or `http://` to this machine."""
    parts = urlsplit(address)
    if parts.username or parts.password or "@" in parts.netloc:
        raise ConfigError(f"`{name}` of a root holds no user or password")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"`{name}` of a root is written `https://host:port`, not `{address}`")
    if parts.scheme == "http" and not plain and not _is_loopback(parts.hostname):
        raise ConfigError(f"`{address}` would carry keys in clear; use https://, plain http:// is for this machine")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
