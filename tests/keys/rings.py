"""Keyrings for tests: two tenants, a real root key file, clocks that stand still when they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypedDict, Unpack

import pytest

from partywall.errors import KeyUnavailable
from partywall.keys import BusinessHours, FileRoot, FileRootSettings, KeyAlarm, KeyRing, KeyRingSettings, NamedRoot
from partywall.keys import wrapping as wrapping_module
from partywall.keys.clocks import Clocks
from partywall.keys.roots import Root, RootSettings, open_root
from partywall.tenancy import CredentialId, CredentialKind, TenantId, TenantScope
from partywall.tenancy._mint import mint

__all__ = [
    "ALPHA",
    "BETA",
    "BOTH",
    "Hands",
    "Watched",
    "keys_dir",
    "ring_in",
    "scope_of",
    "settings_in",
    "until",
    "watch",
]

ALPHA: Final = TenantId("alpha")
BETA: Final = TenantId("beta")
BOTH: Final = (ALPHA, BETA)
REPOSITORY: Final = Path(__file__).parents[2]
"""Where child processes are started, so that they find these helpers."""


def scope_of(tenant: TenantId, credential: str = "key:0123456789ab") -> TenantScope:
    """A scope as the authenticator would make it."""
    return mint(
        tenant=tenant,
        group=None,
        credential_kind=CredentialKind.API_KEY,
        credential_id=CredentialId(credential),
    )


class Changes(TypedDict, total=False):
    """Settings that a test wants to be different."""

    tenant_roots: dict[TenantId, NamedRoot]
    former_roots: tuple[NamedRoot, ...]
    shred_ledger: Path | None
    hold_seconds: float
    hold_uses: int
    max_tenants: int
    auto_rotate_days: int | None
    min_decryption_version: int
    log_uses: bool
    expected_services: frozenset[str] | None
    business_hours: BusinessHours | None


def keys_dir(folder: Path) -> Path:
    return folder / "keys"


def settings_in(folder: Path, **changes: Unpack[Changes]) -> KeyRingSettings:
    """A keyring's settings below `folder`, whose root key file is made when it is missing."""
    root = folder / "root.key"
    if not root.exists():
        FileRoot.create(root)
    return KeyRingSettings(keys_dir=keys_dir(folder), root=NamedRoot.platforms(FileRootSettings(root)), **changes)


class Hands:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = 1_800_000_000.0

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now, lambda: self.wall)


@asynccontextmanager
async def ring_in(
    folder: Path,
    *,
    service: str = "test",
    alarms: list[KeyAlarm] | None = None,
    hands: Hands | None = None,
    **changes: Unpack[Changes],
) -> AsyncIterator[KeyRing]:
    """An open keyring over the keys below `folder`."""
    heard: list[KeyAlarm] = [] if alarms is None else alarms
    clocks = None if hands is None else hands.clocks()
    async with KeyRing.open(settings_in(folder, **changes), service, heard.append, clocks=clocks) as ring:
        yield ring


async def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for what the ring does by itself."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


class Watched:
    """A real root that counts, and can be made to hang or to be down."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self.down = False
        self.wrapped: list[TenantId] = []
        self.unwrapped: list[TenantId] = []
        self.destroyed: list[TenantId] = []

    @property
    def name(self) -> str:
        return self._root.name

    async def prepare(self, tenant: TenantId) -> None:
        await self._root.prepare(tenant)

    async def wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        self.wrapped.append(tenant)
        self._check()
        return await self._root.wrap(tenant, key, context)

    async def unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        self.unwrapped.append(tenant)
        self._check()
        return await self._root.unwrap(tenant, wrapped, context)

    async def rotate(self, tenant: TenantId) -> None:
        await self._root.rotate(tenant)

    async def destroy(self, tenant: TenantId) -> str:
        self.destroyed.append(tenant)
        self._check()
        return await self._root.destroy(tenant)

    async def check(self) -> None:
        self._check()
        await self._root.check()

    async def aclose(self) -> None:
        await self._root.aclose()

    def _check(self) -> None:
        if self.down:
            raise KeyUnavailable("the root is down")


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """From now on, every root that a keyring opens is watched; in the order of opening."""
    opened: list[Watched] = []

    def open_watched(settings: RootSettings) -> Root:
        opened.append(Watched(open_root(settings)))
        return opened[-1]

    monkeypatch.setattr(wrapping_module, "open_root", open_watched)
    return opened
