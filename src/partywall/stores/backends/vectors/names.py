"""What an engine sees in place of names: keyed hashes of one tenant's, which nobody else can make, guess or read.

Promises: two tenants have no name in common, and all have the same length, so that none is the beginning of another
(R2). A vector's id is a hash of its index, group and number: what an engine answers is known again as this tenant's and
this index's, or it isn't.

Doesn't promise: that what is known again still counts. Its rows say that.
"""

from __future__ import annotations

import hmac
import uuid
from typing import Final

from partywall.stores.backends.vectors.engine import Found, Room, Whose
from partywall.tenancy import TenantId

__all__ = ["TenantNames"]

_DIGITS: Final = 30
"""Hexadecimal ones of a name: 120 bits. Two names and their letters fit into 64 characters."""


class TenantNames:
    """One tenant's, from a secret that is this tenant's alone."""

    __slots__ = ("_secret", "whose")

    def __init__(self, tenant: TenantId, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("names are made with 32 secret bytes")
        self._secret = secret
        self.whose: Final = Whose(tenant, "t" + self._hash(b"tenant").hex()[:_DIGITS])

    def index(self, index: bytes) -> str:
        """Of an index."""
        return "i" + self._hash(b"index", index).hex()[:_DIGITS]

    def room(self, index: bytes, dimensions: int) -> Room:
        """Where vectors of an index are that have so many dimensions."""
        return Room(self.whose, self.index(index), dimensions)

    def point(self, index: bytes, group: bytes, number: int) -> str:
        """Of a vector."""
        return str(uuid.UUID(bytes=self._hash(b"point", index, group, number.to_bytes(8, "big"))[:16]))

    def group_of(self, index: bytes, found: Found) -> bytes:
        """The group of a vector that is known again; nothing for one that isn't this tenant's and this index's."""
        try:
            group = bytes.fromhex(found.group)
            own = self.point(index, group, found.number)
        except (ValueError, OverflowError):
            return b""
        return group if hmac.compare_digest(own.encode(), found.id.encode()) else b""

    def _hash(self, *parts: bytes) -> bytes:
        joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, b"partywall/vectors/v1" + joined, "sha256")
