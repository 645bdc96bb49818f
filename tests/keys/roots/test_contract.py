"""What every root promises, each on its real engine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.keys.roots.conftest import SUBJECTS
from tests.keys.roots.subjects import ALPHA, BETA, Subject, opened, patient, random_key, run, warmed

from partywall.errors import BrokenSeal, KeyUnavailable, SealBroken
from partywall.keys.roots import Root

PLACE = b"alpha's key, version 1"
OTHER = b"alpha's key, version 2"
GRACE_SECONDS = 1.0
"""By how much a call may be late on a busy machine."""


async def assert_broken(root: Root, wrapped: bytes, place: bytes = PLACE) -> None:
    with pytest.raises(SealBroken) as caught:
        await root.unwrap(ALPHA, wrapped, place)
    assert caught.value.reason is BrokenSeal.WRAPPED_KEY
    assert "`alpha`" in str(caught.value)


# -- What opens, and what doesn't -------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [b"", b"\0", PLACE, b"x" * 1000], ids=["empty", "nul", "usual", "long"])
def test_a_key_comes_back_for_its_tenant_and_context(subject: Subject, context: bytes) -> None:
    async def scenario(root: Root) -> None:
        for tenant in (ALPHA, BETA):
            key = random_key()
            wrapped = await root.wrap(tenant, key, context)
            assert key not in wrapped
            assert await root.wrap(tenant, key, context) != wrapped
            assert await root.unwrap(tenant, wrapped, context) == key

    run(patient(subject.settings), scenario)


def test_another_tenant_s_key_does_not_open(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        for context in (b"", PLACE):
            wrapped = await root.wrap(BETA, random_key(), context)
            for tried in (context, PLACE, b"", b"beta", b"beta\0" + context):
                await assert_broken(root, wrapped, tried)

    run(patient(subject.settings), scenario)


def test_another_context_does_not_open(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, random_key(), PLACE)
        for tried in (b"", OTHER, PLACE + b"\0", PLACE[:-1], b"\0" + PLACE):
            await assert_broken(root, wrapped, tried)

    run(patient(subject.settings), scenario)


def test_no_bit_of_a_wrapped_key_may_change(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(ALPHA, key, PLACE)
        for position in range(len(wrapped)):
            changed = bytearray(wrapped)
            changed[position] ^= 1 << position % 8
            await assert_broken(root, bytes(changed))
        for bit in range(8 * 12):  # format, version and key id, bit by bit
            changed = bytearray(wrapped)
            changed[bit // 8] ^= 1 << bit % 8
            await assert_broken(root, bytes(changed))
        assert await root.unwrap(ALPHA, wrapped, PLACE) == key

    run(patient(subject.settings), scenario)


def test_a_wrapped_key_may_not_be_cut_or_lengthened(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, random_key(), PLACE)
        for length in range(len(wrapped)):
            await assert_broken(root, wrapped[:length])
        for more in (b"\0", b"=", wrapped, b"x" * 10_000):
            await assert_broken(root, wrapped + more)
            await assert_broken(root, more + wrapped)

    run(patient(subject.settings), scenario)


# -- Life -------------------------------------------------------------------------------------------------------------


def test_after_a_rotation_old_keys_open_and_new_ones_use_the_new_version(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        key, others = random_key(), random_key()
        first = await root.wrap(ALPHA, key, PLACE)
        beta = await root.wrap(BETA, others, PLACE)
        before = subject.version(ALPHA)
        await root.rotate(ALPHA)
        await root.rotate(ALPHA)
        assert subject.version(ALPHA) == before + 2
        second = await root.wrap(ALPHA, key, PLACE)
        assert await root.unwrap(ALPHA, first, PLACE) == key
        assert await root.unwrap(ALPHA, second, PLACE) == key
        assert await root.unwrap(BETA, beta, PLACE) == others
        if root.name != "aws_kms":  # a KMS ciphertext doesn't say which material made it
            assert int.from_bytes(first[1:5], "big") == before
            assert int.from_bytes(second[1:5], "big") == before + 2

    run(patient(subject.settings), scenario)


def test_preparing_again_changes_nothing(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(ALPHA, key, PLACE)
        before = subject.version(ALPHA)
        for _ in range(3):
            await root.prepare(ALPHA)
        assert subject.version(ALPHA) == before
        assert await root.unwrap(ALPHA, wrapped, PLACE) == key

    run(patient(subject.settings), scenario)


def test_two_roots_on_one_engine_open_each_other_s_keys(subject: Subject) -> None:
    """Replicas of a gateway, and a restart."""

    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(ALPHA, key, PLACE)
        async with opened(patient(subject.settings)) as another:
            assert await another.unwrap(ALPHA, wrapped, PLACE) == key
            await another.rotate(ALPHA)
            again = await another.wrap(ALPHA, key, PLACE)
        assert await root.unwrap(ALPHA, again, PLACE) == key

    run(patient(subject.settings), scenario)


def test_a_root_that_works_passes_its_check(subject: Subject) -> None:
    async def main() -> None:
        async with opened(patient(subject.settings)) as root:
            await root.check()

    asyncio.run(main())


# -- When the engine is in trouble ------------------------------------------------------------------------------------

FAULTS = {
    "file": ["missing", "open to others", "damaged"],
    "vault": ["down", "slow", "dripping", "cut", "refusing"],
    "vault-shared": ["down", "refusing"],
    "kms": ["down", "slow", "dripping", "cut", "refusing", "disabled"],
}
MATRIX = [(kind, fault) for kind in SUBJECTS for fault in FAULTS[kind]]


@pytest.mark.parametrize(("subject", "fault"), MATRIX, indirect=["subject"], ids=str)
def test_trouble_is_told_in_time_and_over_when_it_is_over(subject: Subject, fault: str) -> None:
    trouble, says = subject.faults[fault]

    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(ALPHA, key, PLACE)
        with trouble():
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(KeyUnavailable) as caught:
                    await root.unwrap(ALPHA, wrapped, PLACE)
                assert time.monotonic() - began < subject.settings.timeout_seconds + GRACE_SECONDS
                assert says in str(caught.value)
            if (root.name, fault) != ("vault", "refusing") or subject.one_key:
                # Where each tenant has its key, a policy that allows none of them looks like one that names them.
                with pytest.raises(KeyUnavailable):
                    await root.check()
        assert await root.unwrap(ALPHA, wrapped, PLACE) == key
        await root.check()

    run(subject.settings, scenario)


@pytest.mark.parametrize(("subject", "fault"), MATRIX, indirect=["subject"], ids=str)
def test_trouble_from_the_first_moment_is_over_when_it_is_over(subject: Subject, fault: str) -> None:
    """The gateway starts while the engine doesn't serve."""
    trouble, _ = subject.faults[fault]

    async def main() -> None:
        async with opened(subject.settings) as root:
            with trouble(), pytest.raises(KeyUnavailable):
                await root.prepare(ALPHA)
            await warmed(lambda: root.prepare(ALPHA))
            await root.check()

    asyncio.run(main())


@pytest.mark.parametrize("subject", ["vault", "kms"], indirect=True)
def test_closing_does_not_wait_for_an_engine_that_hangs(subject: Subject) -> None:
    trouble, _ = subject.faults["dripping"]

    async def main() -> None:
        async with opened(subject.settings) as root:
            await warmed(lambda: root.prepare(ALPHA))
            wrapped = await root.wrap(ALPHA, random_key(), PLACE)
            with trouble():
                async with asyncio.TaskGroup() as tasks:
                    waiting = [tasks.create_task(root.unwrap(ALPHA, wrapped, PLACE)) for _ in range(5)]
                    await asyncio.sleep(0.05)
                    began = time.monotonic()
                    await root.aclose()
                    assert time.monotonic() - began < subject.settings.timeout_seconds + GRACE_SECONDS
                    for task in waiting:
                        task.cancel()
            with pytest.raises(KeyUnavailable, match="was closed"):
                await root.unwrap(ALPHA, wrapped, PLACE)

    asyncio.run(main())


# -- Concurrency and cancellation -------------------------------------------------------------------------------------


def test_many_at_once_each_get_their_own(subject: Subject) -> None:
    """A mixed-up answer would hand one tenant's key to another."""

    async def scenario(root: Root) -> None:
        keys = {(tenant, n): random_key() for n in range(20) for tenant in (ALPHA, BETA)}

        async def one(tenant_and_number: tuple[str, int], key: bytes) -> None:
            tenant = ALPHA if tenant_and_number[0] == ALPHA else BETA
            place = str(tenant_and_number[1]).encode()
            wrapped = await root.wrap(tenant, key, place)
            assert await root.unwrap(tenant, wrapped, place) == key

        async with asyncio.TaskGroup() as tasks:
            for which, key in keys.items():
                tasks.create_task(one(which, key))

    run(patient(subject.settings), scenario)


def test_cancelling_at_any_moment_leaves_the_root_usable(subject: Subject) -> None:
    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(ALPHA, key, PLACE)
        other = await root.wrap(BETA, key[::-1], PLACE)
        for steps in range(40):
            task = asyncio.create_task(root.unwrap(ALPHA, wrapped, PLACE))
            for _ in range(steps):
                await asyncio.sleep(0.0002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await root.unwrap(BETA, other, PLACE) == key[::-1]
        assert await root.unwrap(ALPHA, wrapped, PLACE) == key

    run(patient(subject.settings), scenario)


@pytest.mark.parametrize("subject", ["vault", "kms"], indirect=True)
def test_cancelled_calls_do_not_use_up_the_root(subject: Subject) -> None:
    """More calls are left behind in a hanging engine than a root makes at once; then the engine recovers."""
    trouble, _ = subject.faults["slow"]

    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(ALPHA, key, PLACE)
        with trouble():
            late = [asyncio.create_task(root.unwrap(ALPHA, wrapped, PLACE)) for _ in range(50)]
            await asyncio.sleep(0.1)
            for task in late[:25]:
                task.cancel()
            outcomes = await asyncio.gather(*late, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError, KeyUnavailable}
        assert await root.unwrap(ALPHA, wrapped, PLACE) == key

    run(subject.settings, scenario)


def test_every_root_is_in_the_contract(tmp_path: Path) -> None:
    assert set(FAULTS) == set(SUBJECTS)
