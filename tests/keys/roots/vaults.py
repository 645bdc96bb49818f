"""Settings of Vault roots for tests."""

from __future__ import annotations

from dataclasses import dataclass

from tests.keys.roots.subjects import new_name, transit_policy
from tests.support.engines.openbao import Bao

from partywall.keys.roots import TokenAuth, VaultAuth, VaultRootSettings
from partywall.tenancy import Secret, TenantId

__all__ = ["Mount", "settings_for"]


@dataclass(frozen=True)
class Mount:
    """A transit engine of a test's own, and a policy of the same name that allows all a root needs there."""

    bao: Bao
    name: str

    @classmethod
    def new(cls, bao: Bao) -> Mount:
        mount = cls(bao, new_name("mount"))
        bao.post(f"sys/mounts/{mount.name}", {"type": "transit"})
        mount.allow()
        return mount

    def allow(self, key: str = "*", *, decrypt: bool = True) -> None:
        """Write the policy."""
        self.bao.write_policy(self.name, transit_policy(self.name, key, decrypt=decrypt))

    def settings(self, auth: VaultAuth | None = None, template: str = "tenant-{tenant_id}") -> VaultRootSettings:
        """A root on this mount; by default with a fresh token of the policy."""
        auth = auth or TokenAuth(Secret(self.bao.new_token(self.name)))
        return settings_for(self.bao.address, auth, f"{self.name}/keys/{template}")


def settings_for(address: str, auth: VaultAuth, path: str, tenant: TenantId | None = None) -> VaultRootSettings:
    """A root with a patient time-out."""
    return VaultRootSettings(address, auth, path, timeout_seconds=10.0, tenant=tenant)
