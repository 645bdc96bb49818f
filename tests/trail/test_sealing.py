"""Records that are sealed on their way to the disk, by the real keyring; time and its roots are moved by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.keys.rings import Hands, ring_in, watch
from tests.trail.records import ALPHA, BETA, end, file_of, new_record, run_sql

from partywall.errors import TrailUnavailable
from partywall.keys import KeyRing
from partywall.tenancy import TenantId
from partywall.trail import Alarm, DecisionRecord, NothingToOpenWith, Seals, Trail, TrailReader
from partywall.trail.sealing import is_sealed

EVERYBODY = (ALPHA, BETA, None)
HOLD_SECONDS = 60.0


@asynccontextmanager
async def sealing(folder: Path, seals: Seals) -> AsyncIterator[Trail]:
    trail = Trail.open(folder / "data", seals=seals)
    try:
        yield trail
    finally:
        await trail.aclose()


def halves(folder: Path, tenant: TenantId | None) -> list[object]:
    rows = run_sql(file_of(folder / "data", tenant), "SELECT admission, completion FROM decisions ORDER BY seq")
    return [half for row in rows for half in row]


def opened(folder: Path, tenant: TenantId | None) -> list[DecisionRecord]:
    """What a reader with the keys finds; an alarm fails the test."""

    def fail(alarm: Alarm) -> None:
        raise AssertionError(str(alarm))

    def read() -> Iterator[DecisionRecord]:
        with asyncio.Runner() as runner:
            opening = ring_in(folder)
            keys = runner.run(opening.__aenter__()).records("reader")
            try:
                reader = TrailReader(
                    folder / "data", on_alarm=fail, opener=lambda *sealed: runner.run(keys.open(*sealed))
                )
                yield from (reader.of_platform() if tenant is None else reader.of_tenant(tenant)).events()
            finally:
                runner.run(opening.__aexit__(None, None, None))

    return list(read())


def test_no_half_reaches_the_disk_in_clear(tmp_path: Path) -> None:
    records = {tenant: new_record(tenant) for tenant in EVERYBODY}

    async def main() -> None:
        async with ring_in(tmp_path) as ring, sealing(tmp_path, ring.records("trail")) as trail:
            for record in records.values():
                await trail.admit(record)
                trail.complete(end(record))
            await trail.flush()
            for tenant, record in records.items():
                assert all(map(is_sealed, halves(tmp_path, tenant)))
                folder = file_of(tmp_path / "data", tenant).parent
                written = b"".join(path.read_bytes() for path in folder.iterdir())
                assert record.id.encode() in written
                for told in (record.user, record.model, record.reason, record.upstream, record.credential_id):
                    assert str(told).encode() not in written

    asyncio.run(main())
    for tenant, record in records.items():
        assert opened(tmp_path, tenant) == [record]


def test_a_reader_without_keys_reads_nothing_of_anybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring, sealing(tmp_path, ring.records("trail")) as trail:
            for tenant in (ALPHA, BETA):
                await trail.admit(end(new_record(tenant)))

    asyncio.run(main())
    alarms: list[Alarm] = []
    reader = TrailReader(tmp_path / "data", on_alarm=alarms.append)
    for view in (reader.of_tenant(ALPHA), reader.across_all_tenants()):
        with pytest.raises(NothingToOpenWith):
            list(view.events())
    assert alarms == []


@pytest.mark.parametrize("closes", [False, True], ids=["flush", "aclose"])
def test_a_completion_whose_key_expired_in_between_is_written(tmp_path: Path, closes: bool) -> None:
    hands = Hands()
    records = {tenant: new_record(tenant) for tenant in EVERYBODY}

    async def main() -> None:
        async with (
            ring_in(tmp_path, hands=hands, hold_seconds=HOLD_SECONDS) as ring,
            sealing(tmp_path, ring.records("trail")) as trail,
        ):
            for record in records.values():
                await trail.admit(record)
            hands.move(HOLD_SECONDS + 1)
            for record in records.values():
                trail.complete(end(record))
            if not closes:  # else what waits for its key is waited for when the trail closes
                await trail.flush()
                assert all(map(is_sealed, (half for tenant in EVERYBODY for half in halves(tmp_path, tenant))))

    asyncio.run(main())
    for tenant, record in records.items():
        assert opened(tmp_path, tenant) == [record]


def test_without_its_key_a_tenant_is_refused_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = watch(monkeypatch)

    async def main() -> None:
        async with ring_in(tmp_path) as ring, sealing(tmp_path, ring.records("trail")) as trail:
            await trail.admit(new_record(BETA))
            roots[0].down = True
            refused = new_record(ALPHA)
            with pytest.raises(TrailUnavailable, match="can't be sealed: the root is down"):
                await trail.admit(refused)
            assert not refused.admitted
            await trail.admit(new_record(BETA))  # whose key is held
            assert not file_of(tmp_path / "data", ALPHA).exists()
            assert trail.healthy

    asyncio.run(main())
    assert len(opened(tmp_path, BETA)) == 2


def test_a_completion_without_its_key_is_said_to_be_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands()
    alphas, betas = new_record(ALPHA), new_record(BETA)

    async def main() -> None:
        async with (
            ring_in(tmp_path, hands=hands, hold_seconds=HOLD_SECONDS) as ring,
            sealing(tmp_path, ring.records("trail")) as trail,
        ):
            for record in (alphas, betas):
                await trail.admit(record)
            await ring.life.destroy(ALPHA, who="test")
            with caplog.at_level(logging.ERROR):
                for record in (alphas, betas):
                    trail.complete(end(record))
                await trail.flush()

    asyncio.run(main())
    lost = [message for message in caplog.messages if "is lost" in message]
    assert len(lost) == 1
    assert alphas.id in lost[0]
    assert halves(tmp_path, ALPHA)[1] is None
    assert opened(tmp_path, BETA) == [betas]


class _Slippery:
    """A key that is gone each time it was had: no clock can be moved between those two moments from outside."""

    def __init__(self, ring: KeyRing, slips: int) -> None:
        self._keys = ring.records("trail")
        self._slips = slips
        self.asked = 0

    def try_seal(self, tenant: TenantId | None, half: str, record_id: str, plaintext: bytes) -> bytes | None:
        return self._keys.try_seal(tenant, half, record_id, plaintext) if self.asked > self._slips else None

    async def get_ready(self, tenant: TenantId | None) -> None:
        self.asked += 1
        await self._keys.get_ready(tenant)


@pytest.mark.parametrize(("slips", "written"), [(0, True), (2, True), (3, False), (99, False)])
def test_a_key_that_slips_away_is_asked_for_three_times(tmp_path: Path, slips: int, written: bool) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            seals = _Slippery(ring, slips)
            async with sealing(tmp_path, seals) as trail:
                if written:
                    await trail.admit(end(new_record(ALPHA)))
                else:
                    with pytest.raises(TrailUnavailable, match="gone as soon as it is had"):
                        await trail.admit(end(new_record(ALPHA)))
            assert seals.asked == min(slips + 1, 3)

    asyncio.run(main())
    assert len(opened(tmp_path, ALPHA)) == int(written)
