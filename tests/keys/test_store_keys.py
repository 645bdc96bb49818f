"""Sealing and opening through the keyring: for one tenant, store, purpose and record, and nothing else."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.keys.rings import ALPHA, BETA, Hands, keys_dir, ring_in, scope_of

from partywall.errors import BrokenSeal, KeyDestroyed, KeyUnavailable, KeyVersionRefused, SealBroken
from partywall.keys import KeyAlarm, KeyAlarmKind, KeyRing, Operation, Store, StoreKeys, read_uses
from partywall.keys.envelope import read_header
from partywall.tenancy import TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)


async def refused(keys: StoreKeys, scope: TenantScope, purpose: str, record: str, sealed: bytes) -> BrokenSeal:
    """Why it doesn't open, by the fast way and by the slow one."""
    reasons = []
    for _ in range(2):
        with pytest.raises(SealBroken) as caught:
            await keys.open(scope, purpose, record, sealed)
        reasons.append(caught.value.reason)
    assert len(set(reasons)) == 1
    return reasons[0]


def test_a_record_opens_for_what_it_was_sealed_for_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory, cache = ring.store(Store.MEMORY), ring.store(Store.CACHE)
            sealed = await memory.seal(A, "note", "n1", b"hello")
            for _ in range(2):
                await memory.seal(B, "note", "n1", b"of beta")
                assert await memory.open(A, "note", "n1", sealed) == b"hello"
                assert await refused(memory, B, "note", "n1", sealed) is BrokenSeal.WRONG_KEY
                assert await refused(cache, A, "note", "n1", sealed) is BrokenSeal.WRONG_KEY
                assert await refused(memory, A, "title", "n1", sealed) is BrokenSeal.NOT_AUTHENTIC
                assert await refused(memory, A, "note", "n2", sealed) is BrokenSeal.NOT_AUTHENTIC
                assert await refused(memory, A, "note", "n1", sealed[:-1]) is BrokenSeal.NOT_AUTHENTIC
                assert await refused(memory, A, "note", "n1", sealed[:60]) is BrokenSeal.TRUNCATED
                assert await refused(memory, A, "note", "n1", b"\2" + sealed[1:]) is BrokenSeal.UNKNOWN_VERSION

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 1024, 100_000])
def test_what_is_sealed_opens_by_another_process_too(tmp_path: Path, size: int) -> None:
    async def main() -> None:
        plaintext = os.urandom(size)
        async with ring_in(tmp_path) as one:
            sealed = await one.store(Store.DOCUMENTS).seal(A, "page", "p", plaintext)
            assert await one.store(Store.DOCUMENTS).open(A, "page", "p", sealed) == plaintext
            async with ring_in(tmp_path) as two:
                assert await two.store(Store.DOCUMENTS).open(A, "page", "p", sealed) == plaintext

    asyncio.run(main())


def test_a_held_key_is_used_without_suspending(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, hands=Hands()) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"hello")
            await memory.open(A, "note", "n1", sealed)
            await memory.index(A, "email", b"a@example.org")
            for coroutine in (
                memory.seal(A, "note", "n1", b"hello"),
                memory.open(A, "note", "n1", sealed),
                memory.index(A, "email", b"b@example.org"),
            ):
                with pytest.raises(StopIteration):
                    coroutine.send(None)

    asyncio.run(main())


def test_no_counter_comes_twice(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, hold_uses=50) as one, ring_in(tmp_path) as two:
            names = []
            for ring in (one, two):
                for store in (Store.MEMORY, Store.CACHE):
                    for scope in (A, B):
                        sealed = await asyncio.gather(
                            *[ring.store(store).seal(scope, "note", "n", b"x") for _ in range(70)]
                        )
                        headers = [read_header(each) for each in sealed]
                        names += [(header.epoch, header.counter) for header in headers]
            assert len(set(names)) == len(names) == 560
            assert len({epoch for epoch, _ in names}) == 8 + 4  # one each; two where 50 uses were not enough

    asyncio.run(main())


def test_a_lookalike_scope_chooses_no_tenant(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            fake = cast("TenantScope", SimpleNamespace(tenant=ALPHA, credential_id="key:0123456789ab"))
            sealed = await memory.seal(A, "note", "n1", b"hello")
            for nobody in (fake, cast("TenantScope", None), cast("TenantScope", ALPHA)):
                for act in (
                    lambda nobody=nobody: memory.seal(nobody, "note", "n1", b""),
                    lambda nobody=nobody: memory.open(nobody, "note", "n1", sealed),
                    lambda nobody=nobody: memory.index(nobody, "note", b""),
                    lambda nobody=nobody: memory.key_version(nobody),
                    lambda nobody=nobody: memory.needs_reseal(nobody, sealed),
                ):
                    with pytest.raises(TypeError, match="TenantScope"):
                        act()

    asyncio.run(main())


def test_what_has_no_purpose_or_id_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            for purpose, record in (("", "n1"), ("note", ""), ("note", "\ud800")):
                for _ in range(2):
                    with pytest.raises(ValueError, match=r"."):
                        await memory.seal(A, purpose, record, b"x")

    asyncio.run(main())


# -- Index -----------------------------------------------------------------------------------------------------------


def test_equal_values_are_equal_for_one_tenant_store_and_purpose(tmp_path: Path) -> None:
    async def hashes(ring: KeyRing) -> list[bytes]:
        return [
            await ring.store(store).index(scope, purpose, value)
            for scope in (A, B)
            for store in (Store.MEMORY, Store.CACHE)
            for purpose in ("email", "name")
            for value in (b"a@example.org", b"b@example.org")
        ]

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            before = await hashes(ring)
            assert len(set(before)) == 16
            assert {len(each) for each in before} == {32}
            await ring.life.rotate(ALPHA, who="test")
            await ring.life.set_min_decryption_version(ALPHA, 2, who="test")
            assert await hashes(ring) == before, "a rotation leaves them"
            async with ring_in(tmp_path) as other:
                assert await hashes(other) == before
            await ring.life.destroy(ALPHA, who="test")
            with pytest.raises(KeyDestroyed):
                await ring.store(Store.MEMORY).index(A, "email", b"a@example.org")

    asyncio.run(main())


def test_hashed_together_is_hashed_one_by_one_and_counted_so(tmp_path: Path) -> None:
    """Also where the key may be used less often than there are values: it is unwrapped anew between them."""

    async def main() -> None:
        values = [b"%d" % number for number in range(7)]
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            alone = {scope: [await memory.index(scope, "email", value) for value in values] for scope in (A, B)}
        async with ring_in(tmp_path, service="other", hold_uses=3) as ring:
            memory = ring.store(Store.MEMORY)
            for scope in (A, B):
                assert await memory.index_many(scope, "email", values) == alone[scope]
                assert await memory.index_many(scope, "email", []) == []
            with pytest.raises(TypeError, match="TenantScope"):
                memory.index_many("alpha", "email", values)  # type: ignore[arg-type,unused-coroutine]  # what is refused
        assert set(alone[A]).isdisjoint(alone[B])
        for tenant in (ALPHA, BETA):
            uses = [each for each in read_uses(keys_dir(tmp_path), tenant).uses if each.service == "other"]
            assert sum(each.count for each in uses if each.operation is Operation.INDEX) == len(values)
            assert sum(each.count for each in uses if each.operation is Operation.UNWRAP) == 3

    asyncio.run(main())


def test_many_purposes_and_epochs_stay_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as writer, ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = []
            for n in range(100):
                await memory.index(A, f"purpose {n}", b"x")
                sealed.append(await writer.store(Store.MEMORY).seal(A, "note", "n1", b"x"))
                writer._holding.overwrite(ALPHA)  # so that the next is of another epoch
            for each in sealed * 2:
                assert await memory.open(A, "note", "n1", each) == b"x"
            held = ring._holding.tenants[ALPHA].stores["memory"]
            assert (len(held.opening), len(held.index)) == (64, 64)

    asyncio.run(main())


def test_forged_headers_displace_no_real_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"hello")
            await memory.open(A, "note", "n1", sealed)
            for _ in range(100):
                forged = sealed[:5] + os.urandom(16) + sealed[21:]
                assert await refused(memory, A, "note", "n1", forged) is BrokenSeal.WRONG_KEY
            assert list(ring._holding.tenants[ALPHA].stores["memory"].opening) == [sealed[:21]]

    asyncio.run(main())


# -- Versions --------------------------------------------------------------------------------------------------------


def test_a_record_below_the_minimum_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            first = await memory.seal(A, "note", "n1", b"first")
            await memory.open(A, "note", "n1", first)
            await ring.life.rotate(ALPHA, who="test")
            second = await memory.seal(A, "note", "n1", b"second")
            assert await memory.open(A, "note", "n1", first) == b"first"
            await ring.life.set_min_decryption_version(ALPHA, 2, who="test")
            with pytest.raises(KeyVersionRefused):
                await memory.open(A, "note", "n1", first)
            assert await memory.open(A, "note", "n1", second) == b"second"
            await ring.life.set_min_decryption_version(ALPHA, 1, who="test")
            assert await memory.open(A, "note", "n1", first) == b"first"

    asyncio.run(main())


def test_the_settings_minimum_holds_for_everybody_and_spares_the_version_that_seals(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            old = {scope: await ring.store(Store.MEMORY).seal(scope, "note", "n1", b"x") for scope in (A, B)}
            await ring.life.rotate(ALPHA, who="test")
        async with ring_in(tmp_path, min_decryption_version=2) as ring:
            memory = ring.store(Store.MEMORY)
            with pytest.raises(KeyVersionRefused):
                await memory.open(A, "note", "n1", old[A])
            assert await memory.open(B, "note", "n1", old[B]) == b"x"

    asyncio.run(main())


def test_an_old_record_asks_to_be_sealed_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            first = {scope: await memory.seal(scope, "note", "n1", b"x") for scope in (A, B)}
            assert not memory.needs_reseal(A, first[A])
            await ring.life.rotate(ALPHA, who="test")
            await memory.open(A, "note", "n1", first[A])
            assert memory.needs_reseal(A, first[A])
            assert not memory.needs_reseal(A, await memory.seal(A, "note", "n1", b"x"))
            assert not memory.needs_reseal(B, first[B])
            assert [await memory.key_version(scope) for scope in (A, B)] == [2, 1]
            with pytest.raises(SealBroken):
                memory.needs_reseal(A, b"\1")

    asyncio.run(main())


# -- The platform itself ---------------------------------------------------------------------------------------------


def test_the_platforms_own_records_are_nobody_elses(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            own, tenants = ring.platform_store(Store.TRAIL), ring.store(Store.TRAIL)
            sealed = await own.seal("start", "r1", b"of the platform")
            assert await own.open("start", "r1", sealed) == b"of the platform"
            assert await own.index("start", b"v") == await own.index("start", b"v")
            await tenants.seal(A, "start", "r1", b"of alpha")
            assert await refused(tenants, A, "start", "r1", sealed) is BrokenSeal.WRONG_KEY
            with pytest.raises(SealBroken):
                await own.open("start", "r1", await tenants.seal(A, "start", "r1", b"of alpha"))

    asyncio.run(main())


# -- Alarms ----------------------------------------------------------------------------------------------------------


def test_what_does_not_open_raises_the_alarm_once(tmp_path: Path) -> None:
    async def main() -> None:
        alarms: list[KeyAlarm] = []
        async with ring_in(tmp_path, alarms=alarms) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"secret words")
            await memory.seal(B, "note", "n1", b"x")
            for _ in range(3):
                await refused(memory, B, "note", "n1", sealed)
        assert [(alarm.kind, alarm.tenant, alarm.service) for alarm in alarms] == [
            (KeyAlarmKind.SEAL_BROKEN, BETA, "test")
        ]
        assert "secret" not in str(alarms[0])

    asyncio.run(main())


def test_errors_name_no_content_and_tell_clients_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"secret words")
            await memory.seal(B, "note", "n1", b"x")
            with pytest.raises(SealBroken) as broken:
                await memory.open(B, "note", "n1", sealed)
            assert (broken.value.status, broken.value.code) == (500, "internal_error")
            assert "memory" in str(broken.value)
            assert BETA in str(broken.value)
            await ring.life.destroy(ALPHA, who="test")
            with pytest.raises(KeyDestroyed) as gone:
                await memory.open(A, "note", "n1", sealed)
            assert (gone.value.status, gone.value.code) == (503, "key_unavailable")
            assert gone.value.public_message == KeyUnavailable.public_message
            for error in (broken.value, gone.value):
                assert ALPHA not in error.public_message
                assert BETA not in error.public_message

    asyncio.run(main())
