"""Stores for tests: two tenants, real keys, any backend, any walls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.keys.rings import ring_in
from tests.stores.engines import ENGINES, beside_in
from tests.stores.memory_backend import MemoryBackend
from tests.stores.places import POSTGRES, settings_in

from partywall.keys import KeyRing, Store
from partywall.stores import Retrieval, Stores, WallAlarm
from partywall.stores.backends.base import Backend
from partywall.stores.backends.postgres.backend import PostgresBackend
from partywall.stores.backends.sqlite import SqliteBackend
from partywall.stores.walls import Cryptography, Placement, Verification, Walls
from partywall.tenancy import CredentialId, CredentialKind, TenantId, TenantScope, UserId
from partywall.tenancy._mint import mint

__all__ = ["ALPHA", "BACKENDS", "BETA", "NOW", "House", "WallsOf", "backend_in", "house_in", "scope_of"]

ALPHA: Final = TenantId("alpha")
BETA: Final = TenantId("beta")
NOW: Final = 1_800_000_000.0
BACKENDS: Final = ("sqlite", "memory", *POSTGRES)

_DIMENSIONS: Final = 256
"""Of what `Documents` embeds with."""

WallsOf = Callable[["House", Store], Walls]


def scope_of(tenant: TenantId | str, user: str | None = "ann") -> TenantScope:
    """A scope as the authenticator would make it. Both tenants have users of the same names."""
    return mint(
        tenant=TenantId(tenant),
        group=None,
        credential_kind=CredentialKind.API_KEY,
        credential_id=CredentialId("key:0123456789ab"),
        user=None if user is None else UserId(user),
    )


@dataclass
class House:
    """Open stores, and what can be seen of them from behind."""

    backend: Backend
    ring: KeyRing
    alarms: list[WallAlarm] = field(default_factory=list)
    now: float = NOW
    looking: bool = False
    """Whether a fallen placement shows yet: what was planted before lies where it should."""
    stores: Stores = field(init=False)

    def clock(self) -> float:
        return self.now

    def walls(self, store: Store) -> Walls:
        """The walls as they are shipped."""
        keys = self.ring.store(store)
        return Walls(Placement(self.backend, store.value), Cryptography(keys), Verification(), self.alarms.append)


def backend_in(folder: Path, kind: str, *, max_open_files: int = 64, dimensions: int = 2) -> Backend:
    """An empty backend, or the one whose files are there. `dimensions` are for an engine that knows one kind only."""
    if kind in ENGINES:
        return beside_in(folder, kind, dimensions)
    if kind == "memory":
        return MemoryBackend()
    if kind in POSTGRES:
        return PostgresBackend(settings_in(folder, kind))
    return SqliteBackend(folder / "data", durable=False, max_open_files=max_open_files)


@asynccontextmanager
async def house_in(
    folder: Path,
    kind: str = "sqlite",
    walls_of: WallsOf | None = None,
    retrieval: Retrieval = Retrieval(),  # noqa: B008 - it is frozen
) -> AsyncIterator[House]:
    """Stores below `folder`, with the shipped walls or with others."""
    async with ring_in(folder) as ring:
        house = House(backend_in(folder, kind, dimensions=_DIMENSIONS), ring)
        house.stores = Stores(lambda store: (walls_of or House.walls)(house, store), house.clock, retrieval)
        try:
            yield house
        finally:
            await house.backend.aclose()
