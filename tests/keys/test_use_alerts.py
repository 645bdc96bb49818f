"""Alarms: for what nobody expects, once an hour, and never in the way."""

from __future__ import annotations

import asyncio
import logging
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.keys.rings import ALPHA, BETA, Hands, ring_in, scope_of, settings_in

from partywall.errors import SealBroken
from partywall.keys import BusinessHours, KeyAlarm, KeyAlarmKind, KeyRing, Store

A, B = scope_of(ALPHA), scope_of(BETA)
HOURS = BusinessHours(frozenset(range(5)), time(8), time(18), ZoneInfo("UTC"))


def kinds(alarms: list[KeyAlarm]) -> list[tuple[str, str]]:
    return [(alarm.kind.value, alarm.tenant) for alarm in alarms]


@pytest.mark.parametrize("log_uses", [True, False])
@pytest.mark.parametrize(
    ("expected", "alarmed"),
    [
        (None, []),
        (frozenset({"test", "gateway"}), []),
        (frozenset({"gateway"}), [ALPHA, BETA]),
        (frozenset[str](), [ALPHA, BETA]),
    ],
)
def test_a_service_that_nobody_expects(
    tmp_path: Path, expected: frozenset[str] | None, alarmed: list[str], log_uses: bool
) -> None:
    async def main() -> None:
        alarms: list[KeyAlarm] = []
        async with ring_in(tmp_path, alarms=alarms, expected_services=expected, log_uses=log_uses) as ring:
            for scope in (A, B):
                await ring.store(Store.MEMORY).seal(scope, "note", "n1", b"x")
        assert kinds(alarms) == [("unexpected_service", tenant) for tenant in alarmed]
        assert all(alarm.service == "test" for alarm in alarms)

    asyncio.run(main())


def test_a_use_outside_business_hours(tmp_path: Path) -> None:
    """A Friday afternoon that becomes evening; the key was unwrapped in time."""

    async def main() -> None:
        alarms: list[KeyAlarm] = []
        hands = Hands()  # 08:00 on a Friday
        async with ring_in(tmp_path, alarms=alarms, hands=hands, business_hours=HOURS, hold_seconds=3600) as ring:
            hands.move(9.5 * 3600)
            for scope in (A, B):
                await ring.store(Store.MEMORY).seal(scope, "note", "n1", b"x")
            await ring._uses._write()
            assert kinds(alarms) == []
            hands.move(1800)
            await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
        assert kinds(alarms) == [("outside_business_hours", ALPHA)]
        assert alarms[0].time == hands.wall
        assert A.credential_id in alarms[0].detail

    asyncio.run(main())


def test_the_same_is_said_once_an_hour(tmp_path: Path) -> None:
    async def main() -> None:
        alarms: list[KeyAlarm] = []
        hands = Hands()
        async with ring_in(tmp_path, alarms=alarms, hands=hands) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"x")

            async def fail() -> None:
                with pytest.raises(SealBroken):
                    await memory.open(A, "note", "n2", sealed)

            for _ in range(59):
                await fail()
                hands.move(61)
            assert len(alarms) == 1
            hands.move(1)
            await fail()
            assert len(alarms) == 2
            with pytest.raises(SealBroken):
                await memory.open(B, "note", "n1", sealed)
            assert kinds(alarms) == [("seal_broken", ALPHA)] * 2 + [("seal_broken", BETA)]

    asyncio.run(main())


def test_a_clock_that_was_put_back_silences_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        alarms: list[KeyAlarm] = []
        hands = Hands()
        async with ring_in(tmp_path, alarms=alarms, hands=hands) as ring:
            for _ in range(2):
                ring._uses.seal_broken(ALPHA, "x")
                hands.wall -= 86_400
        assert len(alarms) == 2

    asyncio.run(main())


def test_a_receiver_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: KeyAlarm) -> None:
        raise RuntimeError("the pager is broken")

    async def main() -> None:
        async with KeyRing.open(settings_in(tmp_path), "test", fail) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = await memory.seal(A, "note", "n1", b"x")
            with pytest.raises(SealBroken):
                await memory.open(A, "note", "n2", sealed)
            assert await memory.open(A, "note", "n1", sealed) == b"x"

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "the pager is broken" in caplog.text


def test_what_was_said_long_ago_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        hands = Hands()
        async with ring_in(tmp_path, hands=hands) as ring:
            alerts = ring._uses._alerts
            for n in range(5000):
                alerts.sound(KeyAlarmKind.SEAL_BROKEN, scope_of(ALPHA).tenant, "x", at=hands.wall)
                alerts.sound(KeyAlarmKind.SEAL_BROKEN, type(ALPHA)(f"t{n}"), "x", at=hands.wall)
                hands.move(10)
            assert len(alerts._last) <= 4097

    asyncio.run(main())
