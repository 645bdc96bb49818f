"""The one place of unwrapped keys: how long, how often, who is asked, and what is left in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import pytest
from tests.keys.rings import ALPHA, BETA, BOTH, Changes, Hands, Watched, keys_dir, ring_in, scope_of, until, watch

from partywall.errors import BrokenSeal, KeyDestroyed, KeyUnavailable, SealBroken
from partywall.keys import KeyRing, Store
from partywall.keys.key_store import FileKeyStore
from partywall.keys.wrapped import WrappedKey
from partywall.tenancy import TenantId

A, B = scope_of(ALPHA), scope_of(BETA)


@asynccontextmanager
async def watched(
    folder: Path, patch: pytest.MonkeyPatch, hands: Hands, **changes: Unpack[Changes]
) -> AsyncIterator[tuple[KeyRing, Watched]]:
    """A ring whose only root is watched. Both tenants have keys, and neither's is held."""
    async with ring_in(folder) as ring:
        for tenant in BOTH:
            await ring.ensure(tenant, who="test")
    roots = watch(patch)
    async with ring_in(folder, hands=hands, **changes) as ring:
        yield ring, roots[0]


async def use(ring: KeyRing, tenant: TenantId = ALPHA) -> bytes:
    return await ring.store(Store.MEMORY).seal(scope_of(tenant), "note", "n1", b"hello")


def material(ring: KeyRing, tenant: TenantId, number: int = 1) -> bytearray:
    return ring._holding.tenants[tenant].unwrapped[number].material


# -- How long and how often ------------------------------------------------------------------------------------------


def test_a_key_is_unwrapped_once_for_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands, hold_seconds=60) as (ring, root):
            sealed = [await use(ring)]
            for _ in range(599):
                hands.move(0.1)
                sealed.append(await use(ring))
            assert root.unwrapped == [ALPHA]
            hands.move(0.101)
            sealed.append(await use(ring))
            assert root.unwrapped == [ALPHA, ALPHA]
            for each in sealed:
                assert await ring.store(Store.MEMORY).open(A, "note", "n1", each) == b"hello"

    asyncio.run(main())


def test_a_key_is_used_so_many_times_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with watched(tmp_path, monkeypatch, Hands(), hold_uses=4) as (ring, root):
            memory = ring.store(Store.MEMORY)
            for _ in range(2):
                sealed = await use(ring)
                await memory.open(A, "note", "n1", sealed)
            assert len(root.unwrapped) == 1
            await use(ring)
            assert len(root.unwrapped) == 2
            await asyncio.gather(*[use(ring) for _ in range(11)])
            assert len(root.unwrapped) == 4  # 3 left of the second, then 4 and 4

    asyncio.run(main())


def test_an_expired_key_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands, hold_seconds=5) as (ring, _root):
            await use(ring)
            old = material(ring, ALPHA)
            assert any(old)
            hands.move(5)
            await use(ring)
            assert old == bytes(32)
            assert any(material(ring, ALPHA))

    asyncio.run(main())


def test_nothing_that_came_from_a_key_outlives_it(tmp_path: Path) -> None:
    async def main() -> None:
        hands = Hands()
        async with ring_in(tmp_path, hands=hands, hold_seconds=5) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await use(ring)
            await memory.open(A, "note", "n1", sealed)
            await memory.index(A, "note", b"x")
            hands.move(2)
            await ring.life.rotate(ALPHA, who="test")
            await memory.open(A, "note", "n1", sealed)
            await memory.index(A, "note", b"x")
            await use(ring)
            held = ring._holding.tenants[ALPHA].stores["memory"]
            assert (len(held.opening), len(held.index), held.sealing is None) == (1, 1, False)
            hands.move(3)  # the first version's time is over, the second's is not
            ring._holding.sweep()
            assert (len(held.opening), len(held.index), held.sealing is None) == (0, 0, False)
            hands.move(2)
            ring._holding.sweep()
            assert held.sealing is None

    asyncio.run(main())


def test_an_idle_key_is_overwritten_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ring's own clockwork, with nobody asking."""

    async def main() -> None:
        async with ring_in(tmp_path, hold_seconds=0.2) as ring:
            await use(ring)
            await use(ring, BETA)
            held = [material(ring, tenant) for tenant in BOTH]
            await until(lambda: not any(any(key) for key in held))
            await until(lambda: not ring._holding.tenants)

    asyncio.run(main())


def test_closing_overwrites_everything(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            await use(ring)
            await use(ring, BETA)
            held = [material(ring, tenant) for tenant in BOTH]
        assert held == [bytes(32)] * 2
        with pytest.raises(KeyUnavailable, match="closed"):
            await use(ring)

    asyncio.run(main())


# -- Looking ---------------------------------------------------------------------------------------------------------


def test_one_look_in_a_quarter_of_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[TenantId] = []
    look = FileKeyStore.stamp

    def counted(self: FileKeyStore, tenant: TenantId) -> object:
        looks.append(tenant)
        return look(self, tenant)

    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands, hold_seconds=60) as (ring, _root):
            await use(ring)
            await use(ring, BETA)
            monkeypatch.setattr(FileKeyStore, "stamp", counted)
            for _ in range(200):
                hands.move(0.01)
                for _ in range(20):
                    await use(ring)
            assert 7 <= looks.count(ALPHA) <= 8 + 3  # two seconds by hand, and the clockwork's own
            assert BETA not in looks or looks.count(BETA) <= 3

    asyncio.run(main())


def test_a_change_by_another_process_shows_within_a_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands) as (ring, _root), ring_in(tmp_path) as other:
            await use(ring)
            old = material(ring, ALPHA)
            await other.life.destroy(ALPHA, who="test")
            hands.move(0.2499)
            await use(ring)
            hands.move(0.0002)
            with pytest.raises(KeyUnavailable):
                await use(ring)
            assert old == bytes(32)
            await use(ring, BETA)

    asyncio.run(main())


def test_a_destruction_that_was_cut_short_shows_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process died between the ledger and the tombstone; the key file is as it was."""

    def die(*_: object) -> None:
        raise OSError("planted")

    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands) as (ring, _root), ring_in(tmp_path) as other:
            await use(ring)
            with monkeypatch.context() as patch:
                patch.setattr(FileKeyStore, "_write", die)
                with pytest.raises(KeyUnavailable, match="planted"):
                    await other.life.destroy(ALPHA, who="test")
            hands.move(0.25)
            with pytest.raises(KeyDestroyed):
                await use(ring)
            await use(ring, BETA)

    asyncio.run(main())


def test_a_key_that_nobody_uses_goes_when_it_is_destroyed(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring, ring_in(tmp_path) as other:
            await use(ring)
            await use(ring, BETA)
            held = [material(ring, tenant) for tenant in BOTH]
            await other.life.destroy(ALPHA, who="test")
            await until(lambda: not any(held[0]))
            assert any(held[1])

    asyncio.run(main())


def test_a_version_made_elsewhere_just_now_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed by another process with a key made since our last look: it is ours, and must open at once."""

    async def main() -> None:
        hands = Hands()
        async with ring_in(tmp_path, hands=hands) as ring, ring_in(tmp_path) as other:
            memory = ring.store(Store.MEMORY)
            first = await use(other)
            assert await memory.open(A, "note", "n1", first) == b"hello"
            await other.life.rotate(ALPHA, who="test")
            second = await use(other)
            assert await memory.open(A, "note", "n1", second) == b"hello"
            with pytest.raises(SealBroken) as caught:
                await memory.open(A, "note", "n1", second[:1] + b"\0\0\0\x09" + second[5:])
            assert caught.value.reason is BrokenSeal.UNKNOWN_KEY

    asyncio.run(main())


def test_nobody_opens_for_a_tenant_that_never_sealed(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            sealed = await use(ring)
            with pytest.raises(SealBroken) as caught:
                await ring.store(Store.MEMORY).open(B, "note", "n1", sealed)
            assert caught.value.reason is BrokenSeal.UNKNOWN_KEY
            assert not (keys_dir(tmp_path) / BETA / "keys.json").exists()

    asyncio.run(main())


# -- The root --------------------------------------------------------------------------------------------------------


def test_first_uses_at_once_ask_the_root_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with watched(tmp_path, monkeypatch, Hands()) as (ring, root):
            await asyncio.gather(*[use(ring, tenant) for tenant in BOTH * 50])
            assert sorted(root.unwrapped) == [ALPHA, BETA]

    asyncio.run(main())


def test_a_new_tenants_first_uses_make_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        roots = watch(monkeypatch)
        async with ring_in(tmp_path) as ring:
            sealed = await asyncio.gather(*[use(ring) for _ in range(50)])
            assert roots[0].wrapped == [ALPHA]
            assert {each[:5] for each in sealed} == {b"\1\0\0\0\1"}

    asyncio.run(main())


def test_two_processes_first_uses_make_one_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as one, ring_in(tmp_path) as two:
            sealed = await asyncio.gather(*[use(ring) for ring in (one, two) * 20])
            for each in sealed:
                for ring in (one, two):
                    assert await ring.store(Store.MEMORY).open(A, "note", "n1", each) == b"hello"

    asyncio.run(main())


def test_a_waiter_that_gives_up_takes_nobody_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with watched(tmp_path, monkeypatch, Hands()) as (ring, root):
            gate = asyncio.Event()
            unwrap = root.unwrap

            async def slow(tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
                await gate.wait()
                return await unwrap(tenant, wrapped, context)

            monkeypatch.setattr(root, "unwrap", slow)
            waiters = [asyncio.ensure_future(use(ring)) for _ in range(10)]
            await asyncio.sleep(0.05)
            for waiter in waiters[:5]:  # the one who began it, too
                waiter.cancel()
            await asyncio.sleep(0)
            gate.set()
            done = await asyncio.gather(*waiters, return_exceptions=True)
            assert [type(each) for each in done] == [asyncio.CancelledError] * 5 + [bytes] * 5
            assert root.unwrapped == [ALPHA]
            assert ring._holding.tenants[ALPHA].busy == 0

    asyncio.run(main())


def test_while_the_root_is_down_a_held_key_works_for_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands, hold_seconds=10) as (ring, root):
            sealed = await use(ring)
            root.down = True
            for _ in range(99):
                hands.move(0.1)
                assert await ring.store(Store.MEMORY).open(A, "note", "n1", sealed) == b"hello"
                await use(ring)
            hands.move(0.1)
            with pytest.raises(KeyUnavailable, match="the root is down"):
                await use(ring)
            with pytest.raises(KeyUnavailable, match="the root is down"):
                await ring.store(Store.MEMORY).open(A, "note", "n1", sealed)
            root.down = False
            hands.move(0.5)
            assert await ring.store(Store.MEMORY).open(A, "note", "n1", sealed) == b"hello"

    asyncio.run(main())


def test_a_root_that_failed_is_left_alone_for_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands) as (ring, root):
            root.down = True
            for _ in range(10):
                done = await asyncio.gather(*[use(ring) for _ in range(20)], return_exceptions=True)
                assert {type(each) for each in done} == {KeyUnavailable}
                hands.move(0.0499)
            assert root.unwrapped == [ALPHA]
            hands.move(0.01)
            root.down = False
            await use(ring)
            assert root.unwrapped == [ALPHA, ALPHA]
            root.down = True
            with pytest.raises(KeyUnavailable):
                await use(ring, BETA)
            await use(ring)

    asyncio.run(main())


def test_a_key_that_arrives_too_late_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tenant's key was destroyed while the root took its time, and nobody waits any more."""

    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands) as (ring, root), ring_in(tmp_path) as other:
            gate = asyncio.Event()
            unwrap, arrived = root.unwrap, bytearray()

            async def slow(tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
                key = await unwrap(tenant, wrapped, context)
                await gate.wait()
                arrived.extend(key)
                return key

            monkeypatch.setattr(root, "unwrap", slow)
            waiter = asyncio.ensure_future(use(ring))
            await asyncio.sleep(0.05)
            waiter.cancel()
            await other.life.destroy(ALPHA, who="test")
            hands.move(0.25)
            with pytest.raises(KeyUnavailable):
                await use(ring)
            gate.set()
            await until(lambda: bool(arrived) and not ring._holding._flights._tasks)
            assert not ring._holding.tenants[ALPHA].unwrapped

    asyncio.run(main())


def test_a_rewrapped_key_is_unwrapped_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it shows at once whether the new wrapping holds."""

    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands) as (ring, root), ring_in(tmp_path) as other:
            await use(ring)
            await use(ring, BETA)
            old = material(ring, ALPHA)
            await other.life.rewrap(ALPHA, who="test")
            hands.move(0.25)
            await use(ring)
            await use(ring, BETA)
            assert root.unwrapped == [ALPHA, BETA, ALPHA]
            assert old == bytes(32)

    asyncio.run(main())


def test_each_waiter_gets_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with watched(tmp_path, monkeypatch, Hands()) as (ring, root):
            root.down = True
            done = await asyncio.gather(*[use(ring) for _ in range(5)], return_exceptions=True)
            assert len({id(each) for each in done}) == 5

    asyncio.run(main())


def test_a_wrapped_key_that_was_changed_is_a_broken_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beta's wrapped key in alpha's document opens nothing, and beta goes on."""

    async def main() -> None:
        store = FileKeyStore(keys_dir(tmp_path))
        async with ring_in(tmp_path) as ring:
            sealed = await use(ring)
            await use(ring, BETA)
        alphas, betas = store.load(ALPHA), store.load(BETA)
        assert alphas is not None
        assert betas is not None
        swapped = type(alphas)(ALPHA, 1, 1, betas.versions)
        assert store.replace(alphas, swapped)
        async with ring_in(tmp_path) as ring:
            with pytest.raises(SealBroken) as caught:
                await ring.store(Store.MEMORY).open(A, "note", "n1", sealed)
            assert caught.value.reason is BrokenSeal.WRAPPED_KEY
            await use(ring, BETA)

    asyncio.run(main())


def test_a_version_in_the_place_of_another_is_a_broken_seal(tmp_path: Path) -> None:
    """What the second version wrapped is no first version, though both are alpha's."""

    async def main() -> None:
        store = FileKeyStore(keys_dir(tmp_path))
        async with ring_in(tmp_path) as ring:
            sealed = await use(ring)
            await ring.life.rotate(ALPHA, who="test")
        keys = store.load(ALPHA)
        assert keys is not None
        one, two = keys.versions
        swapped = (
            WrappedKey.new(1, created=one.created, root=one.root, wrapped=two.wrapped),
            WrappedKey.new(2, created=two.created, root=two.root, wrapped=one.wrapped),
        )
        assert store.replace(keys, replace(keys, versions=swapped))
        async with ring_in(tmp_path) as ring:
            for act in (use(ring), ring.store(Store.MEMORY).open(A, "note", "n1", sealed)):
                with pytest.raises(SealBroken) as caught:
                    await act
                assert caught.value.reason is BrokenSeal.WRAPPED_KEY

    asyncio.run(main())


# -- Room ------------------------------------------------------------------------------------------------------------


def test_the_one_unused_for_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gamma = TenantId("gamma")

    async def main() -> None:
        hands = Hands()
        async with watched(tmp_path, monkeypatch, hands, max_tenants=2) as (ring, root):
            await use(ring)
            await use(ring, BETA)
            held = [material(ring, tenant) for tenant in BOTH]
            hands.move(0.01)
            await use(ring)
            await use(ring, gamma)
            assert set(ring._holding.tenants) == {ALPHA, gamma}
            assert held[1] == bytes(32)
            assert any(held[0])
            await use(ring, BETA)
            assert root.unwrapped.count(BETA) == 2

    asyncio.run(main())


def test_more_tenants_at_once_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody displaces somebody who waits, so all get on."""

    async def main() -> None:
        async with watched(tmp_path, monkeypatch, Hands(), max_tenants=1) as (ring, _root):
            async with asyncio.timeout(20):
                await asyncio.gather(*[use(ring, tenant) for tenant in BOTH * 20])

    asyncio.run(main())
