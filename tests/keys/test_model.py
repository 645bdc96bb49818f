"""The keyring against twenty lines that say what it must do, whatever happens in whatever order.

Two tenants, two processes (keyrings over one folder), real files, a clock moved by hand.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.keys.rings import BOTH, Hands, ring_in, scope_of

from partywall.errors import ConfigError, KeyDestroyed, KeyUnavailable, KeyVersionRefused, SealBroken
from partywall.keys import KeyRing, Store
from partywall.tenancy import TenantId

T = TypeVar("T")


class Sealed(NamedTuple):
    tenant: TenantId
    version: int
    record_id: str
    plaintext: bytes
    sealed: bytes


@dataclass
class Tenant:
    """The whole truth about one tenant."""

    versions: int = 0
    minimum: int = 1
    destroyed: bool = False


@dataclass
class Model:
    tenants: dict[TenantId, Tenant] = field(default_factory=lambda: {tenant: Tenant() for tenant in BOTH})
    records: list[Sealed] = field(default_factory=list)

    def refusal(self, who: TenantId, record: Sealed) -> type[Exception] | None:
        """What opening must end in; None when it must open."""
        tenant = self.tenants[who]
        if tenant.destroyed:
            return KeyDestroyed
        if record.version > tenant.versions:
            return SealBroken
        if record.version < tenant.minimum:
            return KeyVersionRefused
        return None if record.tenant == who else SealBroken


tenants = st.sampled_from(BOTH)
processes = st.sampled_from([0, 1])


class Keys(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="partywall-model-"))
        self.runner = asyncio.Runner()
        self.hands = Hands()
        self.model = Model()
        self.rings: list[KeyRing] = []
        self.stacks: list[AsyncExitStack] = []

    def run(self, work: Coroutine[object, object, T]) -> T:
        async def as_coroutine() -> T:
            return await work

        return self.runner.run(as_coroutine())

    async def open_ring(self) -> tuple[KeyRing, AsyncExitStack]:
        stack = AsyncExitStack()
        ring = await stack.enter_async_context(ring_in(self.folder, hands=self.hands, hold_seconds=60, hold_uses=7))
        return ring, stack

    @initialize()
    def start(self) -> None:
        for _ in range(2):
            ring, stack = self.run(self.open_ring())
            self.rings.append(ring)
            self.stacks.append(stack)

    def teardown(self) -> None:
        try:
            for record in self.model.records:
                for tenant in BOTH:
                    self.check(0, tenant, record)
        finally:
            for stack in self.stacks:
                self.run(stack.aclose())
            self.runner.close()
            shutil.rmtree(self.folder)

    def check(self, process: int, who: TenantId, record: Sealed) -> None:
        opening = self.rings[process].store(Store.MEMORY).open(scope_of(who), "note", record.record_id, record.sealed)
        refusal = self.model.refusal(who, record)
        if refusal is None:
            assert self.run(opening) == record.plaintext
        else:
            with pytest.raises(refusal) as caught:
                self.run(opening)
            assert caught.type is refusal

    def shows_elsewhere(self) -> None:
        """What one process did shows in the other after a quarter of a second."""
        self.hands.move(0.25)

    # -- What may happen ---------------------------------------------------------------------------------------------

    @rule(process=processes, tenant=tenants, plaintext=st.binary(max_size=20))
    def seal(self, process: int, tenant: TenantId, plaintext: bytes) -> None:
        memory = self.rings[process].store(Store.MEMORY)
        record_id = f"n{len(self.model.records)}"
        sealing = memory.seal(scope_of(tenant), "note", record_id, plaintext)
        if self.model.tenants[tenant].destroyed:
            with pytest.raises(KeyDestroyed):
                self.run(sealing)
            return
        sealed = self.run(sealing)
        self.model.tenants[tenant].versions = max(1, self.model.tenants[tenant].versions)
        version = self.model.tenants[tenant].versions
        assert int.from_bytes(sealed[1:5], "big") == version
        self.model.records.append(Sealed(tenant, version, record_id, plaintext, sealed))

    @precondition(lambda self: self.model.records)
    @rule(process=processes, who=tenants, data=st.data())
    def open(self, process: int, who: TenantId, data: st.DataObject) -> None:
        self.check(process, who, data.draw(st.sampled_from(self.model.records)))

    def act(self, process: int, tenant: TenantId, work: Coroutine[object, object, object]) -> bool:
        """Do something to a key that exists; whether it existed."""
        truth = self.model.tenants[tenant]
        if truth.versions and not truth.destroyed:
            self.run(work)
            return True
        with pytest.raises(KeyDestroyed if truth.destroyed else KeyUnavailable):
            self.run(work)
        return False

    @rule(process=processes, tenant=tenants)
    def rotate(self, process: int, tenant: TenantId) -> None:
        if self.act(process, tenant, self.rings[process].life.rotate(tenant, who="model")):
            self.model.tenants[tenant].versions += 1
        self.shows_elsewhere()

    @rule(process=processes, tenant=tenants, root=st.booleans())
    def rewrap(self, process: int, tenant: TenantId, root: bool) -> None:
        if root:
            self.run(self.rings[process].life.rotate_root(tenant, who="model"))
        self.act(process, tenant, self.rings[process].life.rewrap(tenant, who="model"))
        self.shows_elsewhere()

    @rule(process=processes, tenant=tenants, minimum=st.integers(1, 4))
    def set_minimum(self, process: int, tenant: TenantId, minimum: int) -> None:
        truth = self.model.tenants[tenant]
        setting = self.rings[process].life.set_min_decryption_version(tenant, minimum, who="model")
        if truth.versions and not truth.destroyed and minimum > truth.versions:
            with pytest.raises(ConfigError):
                self.run(setting)
        elif self.act(process, tenant, setting):
            truth.minimum = minimum
        self.shows_elsewhere()

    @precondition(lambda self: len(self.model.records) > 3)
    @rule(process=processes, tenant=tenants)
    def destroy(self, process: int, tenant: TenantId) -> None:
        truth = self.model.tenants[tenant]
        destroying = self.rings[process].life.destroy(tenant, who="model")
        if truth.versions:
            receipt = self.run(destroying)
            assert receipt.versions[: truth.versions] == tuple(range(1, truth.versions + 1))
            truth.destroyed = True
        else:
            with pytest.raises(KeyUnavailable):
                self.run(destroying)
        self.shows_elsewhere()

    @rule(process=processes)
    def new_process(self, process: int) -> None:
        self.run(self.stacks[process].aclose())
        self.rings[process], self.stacks[process] = self.run(self.open_ring())

    @rule(seconds=st.sampled_from([0.1, 1.0, 59.9, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.hands.move(seconds)

    @invariant()
    def nothing_is_held_of_the_destroyed_that_could_be_used(self) -> None:
        for ring in self.rings:
            for tenant, truth in self.model.tenants.items():
                held = ring._holding.tenants.get(tenant)
                if truth.destroyed and held is not None:
                    assert not held.unwrapped or held.good_until <= self.hands.now


TestKeys = Keys.TestCase
TestKeys.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
