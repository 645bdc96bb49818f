"""What an engine for vectors must be able to do. Everything is made by tenant and index; nothing reaches across.

Promises (of every adapter; tests/stores/test_vectors.py holds them to it): what is put again takes its own place. What
isn't there is dropped without complaint, and nothing is near in it. Each call raises StoreUnavailable when the engine
can't be had, or answers something else than it should.

Doesn't promise: that what an engine names is the caller's. `beside` finds that out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from partywall.tenancy import TenantId

__all__ = ["Found", "Point", "Room", "VectorEngine", "Whose"]


class Whose(NamedTuple):
    """A tenant, and what the engine knows it as."""

    tenant: TenantId
    """Whose connections are used. It is never sent."""
    name: str


class Room(NamedTuple):
    """Vectors that are compared with each other: one tenant's, of one index, of the same dimensions."""

    whose: Whose
    within: str
    """The index."""
    dimensions: int


class Point(NamedTuple):
    """A vector to be put. `id` is a keyed hash of all that names it; `at` says when it came, in microseconds."""

    id: str
    group: str
    number: int
    at: int
    vector: Sequence[float]


class Found(NamedTuple):
    """A vector that an engine calls near: the same, with what the engine says that the product of the two is."""

    id: str
    group: str
    number: int
    at: int
    score: float


class VectorEngine(Protocol):
    """An engine outside."""

    @property
    def name(self) -> str:
        """What the document calls it."""

    async def check(self) -> None:
        """Find out whether it may be served from.

        Raises:
            ConfigError: its version or its settings say no.
        """

    async def put(self, room: Room, points: Sequence[Point]) -> None:
        """Put vectors. What was put before a failure stays."""

    async def remove(self, room: Room, ids: Sequence[str]) -> None:
        """Drop these vectors."""

    async def drop_group(self, whose: Whose, index: str, group: str) -> None:
        """Drop all vectors of a group in an index, of whatever dimensions."""

    async def drop_index(self, whose: Whose, index: str) -> None:
        """Drop an index."""

    async def nearest(
        self, room: Room, vector: Sequence[float], *, limit: int, groups: Sequence[str] | None
    ) -> Sequence[Found]:
        """The vectors with the largest products, in any order; of these groups only if any are given."""

    async def count(self, whose: Whose) -> int:
        """How many vectors the tenant has."""

    async def drop_all(self, whose: Whose) -> None:
        """Drop everything of the tenant."""

    async def aclose(self) -> None:
        """Close every connection."""
