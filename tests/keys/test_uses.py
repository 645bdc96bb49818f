"""Each use of a key is in exactly one record, with who, what, where, when and which version."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.keys.rings import ALPHA, BETA, Hands, keys_dir, ring_in, scope_of, until

from partywall.errors import KeyDestroyed, KeyUnavailable, SealBroken
from partywall.keys import PLATFORM, AuditedUses, KeyAlarm, KeyAlarmKind, KeyUse, Operation, Store, read_uses
from partywall.keys import private_files as files
from partywall.tenancy import TenantId

A, B = scope_of(ALPHA), scope_of(BETA)
OTHER = scope_of(ALPHA, "jwt:another")


def audit(folder: Path, tenant: TenantId = ALPHA) -> AuditedUses:
    return read_uses(keys_dir(folder), tenant)


def counted(folder: Path, tenant: TenantId = ALPHA) -> Counter[tuple[str, str, str, int]]:
    counts: Counter[tuple[str, str, str, int]] = Counter()
    for use in audit(folder, tenant).uses:
        counts[use.operation, use.store, use.requestor, use.key_version] += use.count
    return counts


texts = st.text(max_size=20)
times = st.floats(0, 4e9)


@given(st.sampled_from(Operation), texts, texts, st.integers(1, 10**12), st.integers(0, 2**32), times, times)
def test_a_line_reads_back(
    operation: Operation, service: str, requestor: str, count: int, version: int, first: float, last: float
) -> None:
    use = KeyUse(operation, ALPHA, service, requestor, first, last, count, version, "memory", requestor)
    line = use.to_line()
    assert line.count(b"\n") == 1
    assert KeyUse.from_line(line) == use


@pytest.mark.parametrize("line", [b"", b"{}", b"null", b'{"operation":"seal"}'])
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        KeyUse.from_line(line)


def test_every_use_is_counted_by_who_what_where_and_which_version(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, service="gateway") as ring:
            memory, cache = ring.store(Store.MEMORY), ring.store(Store.CACHE)
            for _ in range(7):
                sealed = await memory.seal(A, "note", "n1", b"x")
            for _ in range(5):
                await memory.open(OTHER, "note", "n1", sealed)
            for _ in range(3):
                await cache.index(A, "email", b"x")
            await ring.life.rotate(ALPHA, who="an operator")
            for _ in range(2):
                await memory.seal(A, "note", "n1", b"x")
            await memory.seal(B, "note", "n1", b"x")
        me, other = A.credential_id, OTHER.credential_id
        assert counted(tmp_path) == {
            ("create", "", me, 1): 1,
            ("unwrap", "", me, 1): 1,
            ("seal", "memory", me, 1): 7,
            ("open", "memory", other, 1): 5,
            ("index", "cache", me, 1): 3,
            ("rotate", "", "an operator", 2): 1,
            ("unwrap", "", me, 2): 1,
            ("seal", "memory", me, 2): 2,
        }
        assert counted(tmp_path, BETA)["seal", "memory", B.credential_id, 1] == 1
        assert {use.service for use in audit(tmp_path).uses} == {"gateway"}
        assert audit(tmp_path).unreadable == 0

    asyncio.run(main())


def test_times_are_those_of_the_first_and_the_last_use(tmp_path: Path) -> None:
    async def main() -> None:
        hands = Hands()
        start = hands.wall
        async with ring_in(tmp_path, hands=hands) as ring:
            memory = ring.store(Store.MEMORY)
            for _ in range(4):
                await memory.seal(A, "note", "n1", b"x")
                hands.move(0.1)
        seals = [use for use in audit(tmp_path).uses if use.operation == "seal"]
        assert sum(use.count for use in seals) == 4
        assert min(use.first for use in seals) == pytest.approx(start)
        assert max(use.last for use in seals) == pytest.approx(start + 0.3)
        assert len(read_uses(keys_dir(tmp_path), ALPHA, since=start + 0.2).uses) >= 1
        assert (
            read_uses(keys_dir(tmp_path), ALPHA, since=start + 0.5).uses == ()
            or not read_uses(keys_dir(tmp_path), ALPHA, since=start + 0.5).uses
        )

    asyncio.run(main())


def test_counts_of_requestors_who_left_are_let_go(tmp_path: Path) -> None:
    """Each token is a requestor; there is no end of them."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            await memory.seal(A, "note", "n1", b"x")
            epoch = ring._holding.tenants[ALPHA].stores["memory"].sealing
            assert epoch is not None
            for n in range(3000):
                await memory.seal(scope_of(ALPHA, f"jwt:{n}"), "note", "n1", b"x")
            assert len(epoch.tallies) <= 1024
            await ring._uses._write()
            await memory.seal(A, "note", "n1", b"x")
            await ring._uses._write()
            assert sum(len(tallies._open) for tallies in ring._uses._tallies) == 1
            await ring._uses._write()
            assert sum(len(tallies._open) for tallies in ring._uses._tallies) == 0
            await memory.seal(A, "note", "n1", b"x")
        counts = counted(tmp_path)
        assert counts["seal", "memory", A.credential_id, 1] == 3
        assert sum(count for use, count in counts.items() if use[0] == "seal") == 3003

    asyncio.run(main())


def test_uses_are_written_within_about_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            for _ in range(3):
                await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
            await until(lambda: counted(tmp_path)["seal", "memory", A.credential_id, 1] == 3)
            await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
            await until(lambda: counted(tmp_path)["seal", "memory", A.credential_id, 1] == 4)

    asyncio.run(main())


def test_an_unwrapping_is_on_paper_before_the_key_is_used(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
            assert [use.operation for use in audit(tmp_path).uses] == ["create", "unwrap"]

    asyncio.run(main())


def test_refusals_are_recorded_with_their_reason(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            assert ring._timer is not None
            ring._timer.cancel()  # they don't wait for the second to be over
            sealed = await memory.seal(A, "note", "n1", b"x")
            await memory.seal(B, "note", "n1", b"x")
            for _ in range(3):
                with pytest.raises(SealBroken):
                    await memory.open(B, "note", "n1", sealed)
            await ring.life.destroy(BETA, who="x")
            with pytest.raises(KeyDestroyed):
                await memory.seal(B, "note", "n1", b"x")
            await until(lambda: len([u for u in audit(tmp_path, BETA).uses if u.operation == "refused"]) >= 2)
        refusals: Counter[str] = Counter()
        for use in audit(tmp_path, BETA).uses:
            if use.operation == "refused":
                assert (use.requestor, use.store) == (B.credential_id, "memory")
                refusals[use.detail] += use.count
        assert refusals == {"open: wrong_key": 3, "seal: key_unavailable": 1}
        assert "refused" not in {use.operation for use in audit(tmp_path).uses}

    asyncio.run(main())


def test_with_logging_off_what_changes_a_key_is_recorded_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, log_uses=False) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"x")
            await memory.open(A, "note", "n1", sealed)
            with pytest.raises(SealBroken):
                await memory.open(A, "note", "n2", sealed)
            await ring.life.rotate(ALPHA, who="x")
        assert {use.operation for use in audit(tmp_path).uses} == {"create", "rotate", "refused"}

    asyncio.run(main())


def test_the_platforms_uses_are_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, service="gateway") as ring:
            await ring.platform_store(Store.TRAIL).seal("start", "r", b"x")
        assert counted(tmp_path, PLATFORM)["seal", "trail", "service:gateway", 1] == 1

    asyncio.run(main())


# -- No record, no key -----------------------------------------------------------------------------------------------


def test_what_cant_be_recorded_is_refused(tmp_path: Path) -> None:
    """One tenant's file is taken away from us: its held key stops, nobody else's does, and it all comes back."""

    async def main() -> None:
        alarms: list[KeyAlarm] = []
        async with ring_in(tmp_path, alarms=alarms) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = {scope: await memory.seal(scope, "note", "n1", b"x") for scope in (A, B)}
            log = keys_dir(tmp_path) / ALPHA / "uses.jsonl"
            log.chmod(0o644)
            await until(lambda: ALPHA in ring._uses.faults)
            for coroutine in (memory.open(A, "note", "n1", sealed[A]), memory.seal(A, "note", "n1", b"x")):
                with pytest.raises(KeyUnavailable, match="can't be written"):
                    await coroutine
            for act in (ring.life.rotate(ALPHA, who="x"), ring.life.rewrap(ALPHA, who="x")):
                with pytest.raises(KeyUnavailable, match="can't be written"):
                    await act
            with pytest.raises(KeyUnavailable, match="can't be written"):
                await ring.life.destroy(ALPHA, who="x")
            assert await memory.open(B, "note", "n1", sealed[B]) == b"x"
            assert [(alarm.kind, alarm.tenant) for alarm in alarms] == [(KeyAlarmKind.NOT_RECORDED, ALPHA)]
            log.chmod(0o600)
            await until(lambda: ALPHA not in ring._uses.faults)
            assert await memory.open(A, "note", "n1", sealed[A]) == b"x"
            await ring.life.rotate(ALPHA, who="x")
        counts = counted(tmp_path)
        assert counts["seal", "memory", A.credential_id, 1] == 1, "what could not be written was kept"
        assert counts["open", "memory", A.credential_id, 1] == 1
        refused = Counter(use.detail for use in audit(tmp_path).uses if use.operation == "refused")
        assert set(refused) == {
            "open: key_unavailable",
            "seal: key_unavailable",
            "rotate could not be recorded",
            "rewrap could not be recorded",
            "destroy could not be recorded",
        }

    asyncio.run(main())


def test_the_very_next_use_is_refused(tmp_path: Path) -> None:
    """The clock stands still, so no look at the key store is due."""

    async def main() -> None:
        async with ring_in(tmp_path, hands=Hands()) as ring:
            memory = ring.store(Store.MEMORY)
            assert ring._timer is not None
            ring._timer.cancel()
            for scope in (A, B):
                await memory.seal(scope, "note", "n1", b"x")
            (keys_dir(tmp_path) / ALPHA / "uses.jsonl").chmod(0o644)
            await memory.seal(A, "note", "n1", b"x")
            await ring._uses._write()
            with pytest.raises(KeyUnavailable, match="can't be written"):
                await memory.seal(A, "note", "n1", b"x")
            await memory.seal(B, "note", "n1", b"x")

    asyncio.run(main())


def test_an_unwrapping_that_cant_be_recorded_gives_no_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            for scope in (A, B):
                await ring.store(Store.MEMORY).seal(scope, "note", "n1", b"x")
        (keys_dir(tmp_path) / ALPHA / "uses.jsonl").unlink()
        (keys_dir(tmp_path) / ALPHA / "uses.jsonl").mkdir()
        async with ring_in(tmp_path) as ring:
            with pytest.raises(KeyUnavailable):
                await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
            assert not ring._holding.tenants[ALPHA].unwrapped
            await ring.store(Store.MEMORY).seal(B, "note", "n1", b"x")

    asyncio.run(main())


def test_many_requestors_while_nothing_can_be_written_stay_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError("no space left on device")

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            uses = ring._uses
            with monkeypatch.context() as patch:
                patch.setattr(files, "append", full)
                for n in range(10_500):
                    uses._keep([uses.use(Operation.REFUSED, ALPHA, f"jwt:{n}")])
                await uses._write()
                assert len(uses._waiting[ALPHA]) == 10_001
        counts = counted(tmp_path)
        assert sum(counts.values()) == 10_500
        assert counts["refused", "", "(many)", 0] == 500

    asyncio.run(main())
