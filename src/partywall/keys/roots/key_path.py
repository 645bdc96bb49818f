"""Which transit key is a tenant's: `key_path_template`, read strictly.

Promises: two tenants have two keys, whatever their ids, when the template holds `{tenant_id}`; every path stays inside
the mount that the template names, and inside its keys.

Doesn't promise: that such a mount or key exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from partywall.errors import ConfigError
from partywall.tenancy import TenantId

__all__ = ["KeyPath", "TransitKey"]

_PLACEHOLDER: Final = "{tenant_id}"
# The letters that transit allows in a name. A mount may hold slashes; a part of dots alone would climb out of it.
_MOUNT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)
_END: Final = ".0"
"""Follows a name that would end in `-`, which transit refuses. No tenant id holds a dot, so it can't meet another."""


class TransitKey(NamedTuple):
    """A transit key: where its engine is mounted, and its name there."""

    mount: str
    name: str

    def __str__(self) -> str:
        return f"{self.mount}/keys/{self.name}"


@dataclass(frozen=True)
class KeyPath:
    """A template, split at `/keys/`."""

    mount: str
    name: str

    @classmethod
    def parse(cls, template: str) -> KeyPath:
        """Read `<mount>/keys/<name>`, with `{tenant_id}` at most once.

        Raises:
            ConfigError: any other form.
        """
        mount, found, name = template.rpartition("/keys/")
        sample = (part.replace(_PLACEHOLDER, "x") for part in (mount, name))
        if not found or template.count(_PLACEHOLDER) > 1 or not _is_path(*sample):
            raise ConfigError(
                f"`key_path_template` is written `<mount>/keys/<name>`, as in `transit/keys/tenant-{_PLACEHOLDER}`: "
                f"letters, digits, `_`, `.`, `-`, and `{_PLACEHOLDER}` at most once; not `{template[:120]}`"
            )
        return cls(mount, name)

    @property
    def per_tenant(self) -> bool:
        """Whether each tenant has a key of its own."""
        return self.per_tenant_mount or _PLACEHOLDER in self.name

    @property
    def per_tenant_mount(self) -> bool:
        """Whether each tenant has an engine of its own."""
        return _PLACEHOLDER in self.mount

    def key(self, tenant: TenantId) -> TransitKey:
        """The key of `tenant`."""
        name = self.name.replace(_PLACEHOLDER, tenant)
        return TransitKey(self.mount.replace(_PLACEHOLDER, tenant), name + _END if name.endswith("-") else name)


def _is_path(mount: str, name: str) -> bool:
    return _MOUNT.fullmatch(mount) is not None and _NAME.fullmatch(name) is not None
