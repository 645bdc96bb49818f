"""What remains of a destroyed key: a receipt that names it without holding it.

Promises: a receipt says whose key it was, which versions, the SHA-256 of each wrapped form, what the root says of its
own part, when and by whom. Whoever finds an old wrapped key in a backup can tell by its hash that it was destroyed.

Doesn't promise: that no copy exists elsewhere. While the root lives, a wrapped key in a forgotten backup still unwraps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from partywall.keys.strict import Fields
from partywall.tenancy import TenantId

__all__ = ["Receipt"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The destruction of one tenant's key, in all its versions."""

    tenant: TenantId
    versions: tuple[int, ...]
    wrapped_sha256: tuple[str, ...]
    """In the order of `versions`; hex digits."""
    roots: tuple[str, ...]
    """The names of the roots that had wrapped them."""
    root: str
    """What each root that had wrapped a version says of its own part, in its own words."""
    root_confirmed: bool
    """False while a root could not be asked: destroy again when it is back."""
    time: float
    """Unix seconds."""
    who: str
    key_store: str
    """The kind of place where the wrapped keys were."""

    def as_dict(self) -> dict[str, object]:
        """For JSON; the time as Unix seconds and, for people, in UTC."""
        return {
            "tenant": self.tenant,
            "versions": list(self.versions),
            "wrapped_sha256": list(self.wrapped_sha256),
            "roots": list(self.roots),
            "root": self.root,
            "root_confirmed": self.root_confirmed,
            "time": self.time,
            "utc": datetime.fromtimestamp(self.time, UTC).isoformat(timespec="seconds"),
            "who": self.who,
            "key_store": self.key_store,
        }

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self.as_dict(), separators=(",", ":"))

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Receipt:
        """Read what `as_dict` wrote.

        Raises:
            ValueError: anything else.
        """
        fields = Fields(value)
        receipt = cls(
            tenant=TenantId(fields.text("tenant")),
            versions=tuple(fields.numbers("versions")),
            wrapped_sha256=tuple(fields.texts("wrapped_sha256")),
            roots=tuple(fields.texts("roots")),
            root=fields.text("root"),
            root_confirmed=fields.truth("root_confirmed"),
            time=fields.seconds("time"),
            who=fields.text("who"),
            key_store=fields.text("key_store"),
        )
        fields.text("utc")
        fields.end()
        if len(receipt.versions) != len(receipt.wrapped_sha256):
            raise ValueError("a receipt has one hash for each version")
        return receipt
