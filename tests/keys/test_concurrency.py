"""Rotation and destruction under load, from several tasks and from a second process; deaths and cancellations anywhere.

Nothing is lost: what was sealed and acknowledged opens. Nothing leaks: no key stays behind in memory, and none is used.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.keys.rings import ALPHA, BETA, BOTH, keys_dir, ring_in, scope_of
from tests.keys.worker import started

from partywall.errors import KeyDestroyed, KeyUnavailable
from partywall.keys import KeyRing, Store, read_uses
from partywall.keys.key_store import FileKeyStore
from partywall.keys.wrapped import TenantKeys
from partywall.keys.wrapping import Wrapping
from partywall.tenancy import TenantId

A, B = scope_of(ALPHA), scope_of(BETA)
T = TypeVar("T")
Record = tuple[TenantId, str, bytes]


def keys_of(folder: Path, tenant: TenantId) -> TenantKeys:
    keys = FileKeyStore(keys_dir(folder)).load(tenant)
    assert keys is not None
    return keys


async def all_open(folder: Path, records: list[Record]) -> None:
    """In a new process's keyring, each for its own tenant and for no other."""
    async with ring_in(folder) as ring:
        memory = ring.store(Store.MEMORY)
        for tenant, record, sealed in records:
            assert await memory.open(scope_of(tenant), "note", record, sealed) == record.encode()


def acknowledged(lines: list[str]) -> list[Record]:
    """The worker's records. The last line may be cut by its death, and was not acknowledged then."""
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [(TenantId(each["tenant"]), each["record"], bytes.fromhex(each["sealed"])) for each in found]


# -- Load ------------------------------------------------------------------------------------------------------------


async def seal_and_open(ring: KeyRing, name: str, until: float, records: list[Record]) -> None:
    """A busy user of both tenants' keys, who keeps some of the records."""
    memory, count = ring.store(Store.MEMORY), 0
    while time.monotonic() < until:
        for tenant in BOTH:
            record = f"{name}-{count}"
            sealed = await memory.seal(scope_of(tenant), "note", record, record.encode())
            assert await memory.open(scope_of(tenant), "note", record, sealed) == record.encode()
            if count % 50 == 0:
                records.append((tenant, record, sealed))
            count += 1
        await asyncio.sleep(0)


def test_rotation_by_two_processes_under_load_loses_nothing(tmp_path: Path) -> None:
    records: list[Record] = []
    rotations = dict.fromkeys(BOTH, 0)

    async def rotate(ring: KeyRing, until: float) -> None:
        while time.monotonic() < until:
            for tenant in BOTH:
                await ring.life.rotate(tenant, who="test")
                rotations[tenant] += 1

    async def main() -> list[str]:
        async with ring_in(tmp_path) as ring:
            for tenant in BOTH:
                await ring.ensure(tenant, who="test")
            with started("rotate", tmp_path) as worker:
                assert worker.stdout is not None
                first = await asyncio.to_thread(worker.stdout.readline)
                until = time.monotonic() + 2
                async with asyncio.TaskGroup() as tasks:
                    for n in range(4):
                        tasks.create_task(seal_and_open(ring, f"t{n}", until, records))
                    for _ in range(2):
                        tasks.create_task(rotate(ring, until))
                rest, _ = await asyncio.to_thread(worker.communicate)
                assert worker.returncode == 0
        return [first, *rest.splitlines(keepends=True)]

    theirs = acknowledged(asyncio.run(main()))
    asyncio.run(all_open(tmp_path, records + theirs))
    for tenant in BOTH:
        by_worker = sum(1 for record in theirs if record[0] == tenant)
        assert rotations[tenant] > 2
        assert by_worker > 2
        assert len(keys_of(tmp_path, tenant).versions) == 1 + rotations[tenant] + by_worker


def test_destruction_under_load_stops_one_tenant_alone(tmp_path: Path) -> None:
    """Several tasks, rotations in between; nothing succeeds afterwards, in this process not even once."""

    async def main() -> None:
        destroyed = asyncio.Event()
        refused = 0

        async def use(ring: KeyRing, tenant: TenantId) -> int:
            nonlocal refused
            memory, count = ring.store(Store.MEMORY), 0
            for _ in range(400):
                before = destroyed.is_set()
                try:
                    sealed = await memory.seal(scope_of(tenant), "note", "n", b"x")
                    await memory.open(scope_of(tenant), "note", "n", sealed)
                    assert not (before and tenant == ALPHA), "a success after the receipt"
                    count += 1
                except KeyDestroyed:
                    refused += 1
                    assert tenant == ALPHA
                await asyncio.sleep(0.001)
            return count

        async def rotate(ring: KeyRing) -> None:
            while True:
                try:
                    await ring.life.rotate(ALPHA, who="test")
                except KeyDestroyed:
                    return

        async with ring_in(tmp_path) as ring:
            for tenant in BOTH:
                await ring.ensure(tenant, who="test")
            async with asyncio.TaskGroup() as tasks:
                users = [tasks.create_task(use(ring, tenant)) for tenant in BOTH * 3]
                for _ in range(2):
                    tasks.create_task(rotate(ring))
                await asyncio.sleep(0.2)
                await ring.life.destroy(ALPHA, who="test")
                destroyed.set()
            assert refused > 10
            assert all(user.result() == 400 for user in users[1::2])
            assert not ring._holding.tenants[ALPHA].unwrapped

    asyncio.run(main())


# -- Death -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_killing_a_process_that_rotates_loses_nothing(tmp_path: Path, seed: int) -> None:
    async def prepare() -> None:
        async with ring_in(tmp_path) as ring:
            for tenant in BOTH:
                await ring.ensure(tenant, who="test")

    asyncio.run(prepare())
    with started("rotate", tmp_path) as worker:
        assert worker.stdout is not None
        lines = [worker.stdout.readline()]
        time.sleep(random.Random(seed).uniform(0.0, 0.4))
        worker.kill()
        lines += worker.stdout.readlines()
    records = acknowledged(lines)
    asyncio.run(all_open(tmp_path, records))
    for tenant in BOTH:
        made = keys_of(tmp_path, tenant).current - 1
        known = sum(1 for record in records if record[0] == tenant)
        assert known <= made <= known + 1, "one rotation may have been done and not acknowledged"

    async def go_on() -> None:
        async with ring_in(tmp_path) as ring:
            for tenant in BOTH:
                await ring.life.rotate(tenant, who="test")

    asyncio.run(go_on())


# -- Cancellation ----------------------------------------------------------------------------------------------------


class Suspended:
    """Runs a coroutine, and cancels it, as its task would be, when it suspends for the nth time."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], nth: int) -> None:
        self._coroutine = coroutine
        self._left = nth
        self.cancelled = False

    def __await__(self) -> Generator[object, object, object]:
        sent: object = None
        thrown: BaseException | None = None
        while True:
            try:
                waited = self._coroutine.send(sent) if thrown is None else self._coroutine.throw(thrown)
            except StopIteration as done:
                return done.value
            self._left -= 1
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                self.cancelled = True
            sent = thrown = None
            try:
                sent = yield waited
            except BaseException as error:  # noqa: BLE001 - it goes where it was meant to go
                thrown = error


async def at_every_await(make: Callable[[], Coroutine[Any, Any, object]], check: Callable[[], Awaitable[None]]) -> int:
    """Cancel what `make` makes at its first suspension, then at its second, and so on; how many there are."""
    nth = 1
    while True:
        driven = Suspended(make(), nth)

        async def run(driven: Suspended = driven) -> None:
            await driven

        outcome = (await asyncio.gather(asyncio.ensure_future(run()), return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        await check()
        if not driven.cancelled:
            return nth - 1
        nth += 1


@pytest.fixture
def unwrapped(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """Every key that a root gives to this process."""
    seen: list[bytearray] = []
    original = Wrapping._unwrap

    async def unwrap(*args: Any) -> bytearray:
        seen.append(await original(*args))
        return seen[-1]

    monkeypatch.setattr(Wrapping, "_unwrap", unwrap)
    return seen


def left_over(ring: KeyRing, unwrapped: list[bytearray]) -> int:
    """Keys that are neither held nor overwritten."""
    held = {id(key.material) for tenant in ring._holding.tenants.values() for key in tenant.unwrapped.values()}
    return sum(1 for key in unwrapped if any(key) and id(key) not in held)


ACTS: dict[str, Callable[[KeyRing, bytes], Coroutine[Any, Any, object]]] = {
    "seal": lambda ring, _: ring.store(Store.MEMORY).seal(A, "note", "n", b"x"),
    "open": lambda ring, sealed: ring.store(Store.MEMORY).open(A, "note", "n", sealed),
    "index": lambda ring, _: ring.store(Store.MEMORY).index(A, "note", b"x"),
    "ensure": lambda ring, _: ring.ensure(ALPHA, who="test"),
    "rotate": lambda ring, _: ring.life.rotate(ALPHA, who="test"),
    "rewrap": lambda ring, _: ring.life.rewrap(ALPHA, who="test"),
    "rotate_root": lambda ring, _: ring.life.rotate_root(ALPHA, who="test"),
    "minimum": lambda ring, _: ring.life.set_min_decryption_version(ALPHA, 1, who="test"),
    "rotate_due": lambda ring, _: ring.life.rotate_due(4e9),
    "statuses": lambda ring, _: ring.life.statuses(),
}


@pytest.mark.parametrize("act", ACTS)
def test_cancelled_at_every_await(tmp_path: Path, act: str, unwrapped: list[bytearray]) -> None:
    async def main() -> int:
        async with ring_in(tmp_path, auto_rotate_days=1) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = {scope: await memory.seal(scope, "note", "n", b"x") for scope in (A, B)}

            async def check() -> None:
                assert {held.busy for held in ring._holding.tenants.values()} <= {0}
                await asyncio.sleep(0.02)  # what was begun for others goes on to its end
                assert left_over(ring, unwrapped) == 0
                for scope in (A, B):
                    assert await memory.open(scope, "note", "n", sealed[scope]) == b"x"
                    await memory.seal(scope, "note", "n", b"x")
                ring._holding.overwrite(ALPHA)  # the next has to have its key first

            ring._holding.overwrite(ALPHA)
            return await at_every_await(lambda: ACTS[act](ring, sealed[A]), check)

    suspensions = asyncio.run(main())
    assert suspensions >= 1
    assert not any(any(key) for key in unwrapped)


def test_a_first_use_cancelled_at_every_await(tmp_path: Path, unwrapped: list[bytearray]) -> None:
    """Each try is by a tenant that is new, and in the end it has one key."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory, count = ring.store(Store.MEMORY), 0

            def make() -> Coroutine[Any, Any, object]:
                nonlocal count
                count += 1
                return memory.seal(scope_of(TenantId(f"t{count}")), "note", "n", b"x")

            async def check() -> None:
                scope = scope_of(TenantId(f"t{count}"))
                sealed = await memory.seal(scope, "note", "n", b"x")
                assert await memory.open(scope, "note", "n", sealed) == b"x"
                assert len(keys_of(tmp_path, scope.tenant).versions) == 1
                assert left_over(ring, unwrapped) == 0

            assert await at_every_await(make, check) >= 2

    asyncio.run(main())
    assert not any(any(key) for key in unwrapped)


def test_a_destruction_cancelled_at_every_await_can_be_done_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            count = 0

            def tenant() -> TenantId:
                return TenantId(f"t{count}")

            async def destroy() -> None:
                await ring.life.destroy(tenant(), who="test")

            async def check() -> None:
                nonlocal count
                receipt = await ring.life.destroy(tenant(), who="test")
                assert receipt.root_confirmed
                assert receipt.versions == (1,)
                with pytest.raises(KeyDestroyed):
                    await ring.ensure(tenant(), who="test")
                await ring.ensure(BETA, who="test")
                count += 1
                await ring.ensure(tenant(), who="test")

            await ring.ensure(tenant(), who="test")
            assert await at_every_await(destroy, check) >= 3

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_closing_in_the_middle_leaves_no_key(tmp_path: Path, turns: int, unwrapped: list[bytearray]) -> None:
    """Whatever is under way: making a key, unwrapping it, recording that."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            await memory.seal(B, "note", "n", b"x")
            users = [asyncio.ensure_future(memory.seal(A, "note", "n", b"x")) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0.001)
        done = await asyncio.gather(*users, return_exceptions=True)
        for each in done:
            assert isinstance(each, bytes | KeyUnavailable)

    asyncio.run(main())
    assert not any(any(key) for key in unwrapped)


def test_closing_cancelled_at_every_await_leaves_no_key_and_loses_no_use(
    tmp_path: Path, unwrapped: list[bytearray]
) -> None:
    async def main() -> None:
        seals = 0

        async def session() -> None:
            nonlocal seals
            async with ring_in(tmp_path) as ring:
                for scope in (A, B):
                    await ring.store(Store.MEMORY).seal(scope, "note", "n", b"x")
                    seals += 1
                ring._uses.hurry()  # so that something is being written while we close
                await ring.store(Store.MEMORY).seal(A, "note", "n", b"x")
                seals += 1

        async def check() -> None:
            await asyncio.sleep(0.05)
            assert not any(any(key) for key in unwrapped)
            uses = [use for tenant in BOTH for use in read_uses(keys_dir(tmp_path), tenant).uses]
            assert sum(use.count for use in uses if use.operation == "seal") == seals

        assert await at_every_await(session, check) >= 3

    asyncio.run(main())
