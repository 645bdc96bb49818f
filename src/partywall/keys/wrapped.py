"""A tenant's keys as they are kept: wrapped, versioned, in one strictly read document.

    {"format": 1, "tenant": "alpha", "current": 2, "min_decryption_version": 1,
     "versions": [{"number": 1, "created": 1767225600.0, "root": "file", "state": "live",
                   "wrapped_sha256": "…", "wrapped": "<base64>"}, …],
     "destroyed": null}

`current` is the version that seals. A version below the minimum may be `destroyed`, and then has no `wrapped`. Once the
document's own `destroyed` holds a receipt, none has.

Promises: what isn't exactly of this form is refused; so is a document of another tenant (one folder copied over another
can't give a tenant somebody else's key). Nothing in it is secret without its root.

Doesn't promise: to notice an older document put in the place of a newer one. The ledger of destroyed keys does, for
those; a version that is missing shows when a record of it is opened.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from partywall.keys.receipt import Receipt
from partywall.keys.strict import Fields, parse
from partywall.tenancy import TenantId

__all__ = ["FORMAT", "KeyState", "TenantKeys", "WrappedKey"]

FORMAT: Final = 1
_MOST_VERSIONS: Final = 2**32 - 1
"""The envelope has 32 bits for the number."""


class KeyState(StrEnum):
    """What can be done with a version of a key."""

    LIVE = "live"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One version of a tenant's key, as its root wrapped it."""

    number: int
    created: float
    """Unix seconds."""
    root: str
    """The name of the root that wrapped it, and alone unwraps it."""
    wrapped: bytes
    """Empty once destroyed."""
    wrapped_sha256: str
    """Hex digits; stays when the bytes are gone."""
    state: KeyState = KeyState.LIVE

    @classmethod
    def new(cls, number: int, *, created: float, root: str, wrapped: bytes) -> WrappedKey:
        """A live version."""
        return cls(number, created, root, wrapped, hashlib.sha256(wrapped).hexdigest())

    def destroyed(self) -> WrappedKey:
        """What remains of it."""
        return replace(self, wrapped=b"", state=KeyState.DESTROYED)

    def as_dict(self) -> dict[str, object]:
        value: dict[str, object] = {
            "number": self.number,
            "created": self.created,
            "root": self.root,
            "state": self.state.value,
            "wrapped_sha256": self.wrapped_sha256,
        }
        if self.state is KeyState.LIVE:
            value["wrapped"] = base64.b64encode(self.wrapped).decode()
        return value

    @classmethod
    def from_dict(cls, value: object) -> WrappedKey:
        """Read what `as_dict` wrote.

        Raises:
            ValueError: anything else.
        """
        fields = Fields(value)
        state = KeyState(fields.text("state"))
        version = cls(
            number=fields.number("number"),
            created=fields.seconds("created"),
            root=fields.text("root"),
            wrapped=fields.octets("wrapped") if state is KeyState.LIVE else b"",
            wrapped_sha256=fields.text("wrapped_sha256"),
            state=state,
        )
        fields.end()
        if state is KeyState.LIVE and hashlib.sha256(version.wrapped).hexdigest() != version.wrapped_sha256:
            raise ValueError(f"version {version.number} doesn't have the hash that it should")
        return version


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """All of one tenant's wrapped keys."""

    tenant: TenantId
    current: int
    min_decryption_version: int
    versions: tuple[WrappedKey, ...]
    """In the order of their numbers: 1, 2, 3 and so on."""
    destroyed: Receipt | None = None

    @classmethod
    def first(cls, tenant: TenantId, version: WrappedKey) -> TenantKeys:
        """The keys of a tenant that had none."""
        return cls(tenant, version.number, 1, (version,))

    def version(self, number: int) -> WrappedKey | None:
        """The live version of that number, or None."""
        found = self.versions[number - 1] if 0 < number <= len(self.versions) else None
        return found if found is not None and found.state is KeyState.LIVE else None

    @property
    def live(self) -> tuple[WrappedKey, ...]:
        """The versions that exist, the one that seals at the end."""
        return tuple(version for version in self.versions if version.state is KeyState.LIVE)

    def lowest(self, wanted: int) -> int:
        """The lowest version that may open, if the settings want `wanted`. The current one always may."""
        return min(max(self.min_decryption_version, wanted), self.current)

    def with_next(self, version: WrappedKey) -> TenantKeys:
        """With one version more, which seals from now on."""
        return replace(self, current=version.number, versions=(*self.versions, version))

    def gone(self, receipt: Receipt) -> TenantKeys:
        """The tombstone."""
        return replace(self, versions=tuple(version.destroyed() for version in self.versions), destroyed=receipt)

    def encode(self) -> bytes:
        """As UTF-8 JSON, for people to look at as well."""
        value = {
            "format": FORMAT,
            "tenant": self.tenant,
            "current": self.current,
            "min_decryption_version": self.min_decryption_version,
            "versions": [version.as_dict() for version in self.versions],
            "destroyed": None if self.destroyed is None else self.destroyed.as_dict(),
        }
        return json.dumps(value, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, tenant: TenantId, data: bytes) -> TenantKeys:
        """Read what `encode` wrote for this tenant.

        Raises:
            ValueError: anything else.
        """
        fields = Fields(parse(data))
        if (written := fields.number("format")) != FORMAT:
            raise ValueError(f"its format is {written}; this partywall knows {FORMAT}")
        if fields.text("tenant") != tenant:
            raise ValueError("it belongs to another tenant")
        keys = cls(
            tenant=tenant,
            current=fields.number("current"),
            min_decryption_version=fields.number("min_decryption_version"),
            versions=tuple(WrappedKey.from_dict(item) for item in fields.many("versions")),
            destroyed=fields.optional("destroyed", Receipt.from_dict),
        )
        fields.end()
        keys._check()
        return keys

    def _check(self) -> None:
        numbers = [version.number for version in self.versions]
        if not numbers or numbers != list(range(1, len(numbers) + 1)) or len(numbers) > _MOST_VERSIONS:
            raise ValueError("its versions are not numbered 1, 2, 3 and so on")
        if self.current != numbers[-1]:
            raise ValueError("its current version is not the last one")
        if not 1 <= self.min_decryption_version <= self.current:
            raise ValueError("its min_decryption_version is no version")
        if self.destroyed is None and any(
            version.state is not KeyState.LIVE for version in self.versions[self.min_decryption_version - 1 :]
        ):
            raise ValueError("a version that may be needed is destroyed")
        if self.destroyed is not None and self.live:
            raise ValueError("it is destroyed, and some of its versions are not")
        if self.destroyed is not None and self.destroyed.tenant != self.tenant:
            raise ValueError("its receipt belongs to another tenant")
