from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trail.records import ALPHA, BETA, RBAC, end, file_of, new_record, open_trail, run_sql, stored

from partywall.errors import InvalidTenantId, TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail import Alarm, DecisionRecord, TrailReader, Verdict, View
from partywall.trail.placement import Placement
from partywall.trail.shelf import Query, Shelf


def write(data_dir: Path, *records: DecisionRecord) -> list[DecisionRecord]:
    async def main() -> None:
        async with open_trail(data_dir) as trail:
            for record in records:
                await trail.admit(record)

    asyncio.run(main())
    return list(records)


def with_verdict(record: DecisionRecord, verdict: Verdict) -> DecisionRecord:
    record.verdict = verdict
    return record


def test_a_tenants_view_shows_that_tenant_alone(tmp_path: Path) -> None:
    alpha, beta, nobody = write(tmp_path, new_record(ALPHA), new_record(BETA), new_record(None))
    reader = TrailReader(tmp_path)
    assert reader.tenants() == [ALPHA, BETA]
    assert list(reader.of_tenant(ALPHA).events()) == [alpha]
    assert list(reader.of_tenant(BETA).events()) == [beta]
    assert list(reader.of_platform().events()) == [nobody]
    assert list(reader.across_all_tenants().events()) == [alpha, beta, nobody]


def test_who_was_never_heard_of_has_nothing(tmp_path: Path) -> None:
    for data_dir in (tmp_path, tmp_path / "absent"):
        reader = TrailReader(data_dir)
        assert reader.tenants() == []
        assert list(reader.of_tenant(TenantId("gamma")).events()) == []
        assert list(reader.of_platform().events()) == []
        assert list(reader.across_all_tenants().events()) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "*", "ALPHA", "../platform"])
def test_what_is_no_tenant_id_has_no_view(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidTenantId):
        TrailReader(tmp_path).of_tenant(TenantId(name))


def test_events_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    records = write(tmp_path, *(new_record((ALPHA, BETA)[turn % 2], at=1000.0 + turn * 7 % 40) for turn in range(40)))
    found = list(TrailReader(tmp_path).across_all_tenants().events())
    assert [record.time for record in found] == sorted(record.time for record in records)
    assert {record.id for record in found} == {record.id for record in records}


def test_since_verdict_and_limit(tmp_path: Path) -> None:
    verdicts = list(Verdict)
    records = write(
        tmp_path, *(with_verdict(new_record(ALPHA, at=1000.0 + turn), verdicts[turn % 4]) for turn in range(600))
    )
    view = TrailReader(tmp_path).of_tenant(ALPHA)
    assert list(view.events()) == records
    assert list(view.events(since=1590.0)) == records[590:]
    assert list(view.events(verdict=Verdict.REDACT)) == records[2::4]
    assert list(view.events(limit=3)) == records[-3:]
    assert list(view.events(limit=0)) == []
    assert list(view.events(since=1100.0, verdict=Verdict.BLOCK, limit=2)) == records[1::4][-2:]
    assert list(view.events(since=5000.0)) == []


def test_the_verdict_is_the_one_it_ended_with(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = new_record()
            await trail.admit(record)
            record.verdict = Verdict.BLOCK
            await trail.admit(end(record))

    asyncio.run(main())
    view = TrailReader(tmp_path).of_tenant(ALPHA)
    assert list(view.events(verdict=Verdict.ALLOW)) == []
    assert len(list(view.events(verdict=Verdict.BLOCK))) == 1


TIMES = st.lists(st.tuples(st.sampled_from([ALPHA, BETA, None]), st.integers(0, 8)), max_size=25)


@settings(max_examples=25, deadline=None)
@given(TIMES, st.none() | st.integers(0, 8), st.none() | st.integers(0, 30))
def test_reading_agrees_with_sorting_a_list(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[TenantId | None, int]],
    since: int | None,
    limit: int | None,
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    records = write(data_dir, *(new_record(tenant, at=float(at)) for tenant, at in made))
    expected = sorted(
        (record for record in records if since is None or record.time >= since), key=lambda each: (each.time, each.id)
    )
    if limit is not None:
        expected = expected[len(expected) - limit :] if limit < len(expected) else expected
    view = TrailReader(data_dir).across_all_tenants()
    found = list(view.events(since=None if since is None else float(since), limit=limit))
    assert [record.time for record in found] == [record.time for record in expected]
    if limit is None:
        assert {record.id for record in found} == {record.id for record in expected}


@pytest.mark.parametrize("page_rows", [1, 2, 7, 100])
@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_join_without_a_gap_or_a_repetition(tmp_path: Path, page_rows: int, *, newest_first: bool) -> None:
    records = write(tmp_path, *(new_record(ALPHA, at=1000.0 + turn * 7 % 40) for turn in range(40)))
    records.sort(key=lambda record: record.time, reverse=newest_first)
    shelf = Shelf(Placement(tmp_path), ALPHA, lambda alarm: pytest.fail(str(alarm)))
    assert list(shelf.scan(Query(None, None, newest_first, page_rows))) == records
    since = [record for record in records if record.time >= 1011.0]
    assert list(shelf.scan(Query(1011.0, None, newest_first, page_rows))) == since


def test_records_of_one_millisecond_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    records = write(tmp_path, *(new_record(ALPHA, at=1000.0 + turn / 1e5) for turn in range(1, 40)))
    view = TrailReader(tmp_path).of_tenant(ALPHA)
    assert list(view.events()) == records
    assert list(view.events(limit=5)) == records[-5:]


@pytest.mark.parametrize("since", [-1e300, -5.0, 0.0, 0.5, float("-inf"), None])
def test_since_long_ago_is_since_ever(tmp_path: Path, since: float | None) -> None:
    records = write(tmp_path, new_record(ALPHA, at=1.0), new_record(ALPHA))
    assert list(TrailReader(tmp_path).of_tenant(ALPHA).events(since=since)) == records


@pytest.mark.parametrize("since", [1e13, 1e306, 1e308, float("inf"), float("nan")])
def test_since_a_day_to_come_is_nothing(tmp_path: Path, since: float) -> None:
    write(tmp_path, new_record(ALPHA))
    assert list(TrailReader(tmp_path).of_tenant(ALPHA).events(since=since)) == []


def test_a_file_begun_by_an_earlier_version_is_read_and_written_on(tmp_path: Path) -> None:
    path = file_of(tmp_path, ALPHA)
    path.parent.mkdir(mode=0o700, parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parent / "begun_by_an_earlier_version.sql").read_text())
    earlier = stored(tmp_path, ALPHA)
    assert [(record.path, record.outcome, record.tokens_out) for record in earlier] == [
        ("/v1/chat", "completed", 34),
        ("/v1/other", None, None),
        ("/v1/refused", "refused", 34),
    ]
    assert all(record.policies == (RBAC,) for record in earlier)

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(end(earlier[1], "client_gone"))
            later = new_record(ALPHA)
            await trail.admit(later)
            assert stored(tmp_path, ALPHA) == [*earlier, later]

    asyncio.run(main())


# -- The verification wall ---------------------------------------------------------------------------------------------


def plant(data_dir: Path, change: str) -> None:
    """Copy beta's row into alpha's file, with `change` applied to the copy."""
    betas = file_of(data_dir, BETA)
    run_sql(
        file_of(data_dir, ALPHA),
        f"ATTACH '{betas}' AS theirs",
        "CREATE TEMP TABLE planted AS SELECT * FROM theirs.decisions",
        f"UPDATE planted SET seq = 1000, {change}",  # noqa: S608 - the tests' own SQL
        "INSERT INTO main.decisions SELECT * FROM planted",
    )


PLANTS = [
    pytest.param("seq = 1000", "belongs to another tenant", id="as it is"),
    pytest.param("tenant = 'alpha'", "what the row holds belongs to another", id="with the column repainted"),
    pytest.param("tenant = NULL", "belongs to another tenant", id="as nobody's"),
    pytest.param("tenant = ''", "belongs to another tenant", id="as the empty tenant's"),
    pytest.param("tenant = 'ALPHA'", "belongs to another tenant", id="in another spelling"),
    pytest.param("tenant = 'alpha', admission = x'00'", "unexpected", id="unreadable"),
    pytest.param("tenant = 'alpha', admission = 7", ".+", id="a number"),
]


@pytest.mark.parametrize(("change", "reason"), PLANTS)
def test_a_foreign_row_is_dropped_and_reported(tmp_path: Path, change: str, reason: str) -> None:
    mine, _ = write(tmp_path, end(new_record(ALPHA)), end(new_record(BETA, path="/v1/betas-secret")))
    plant(tmp_path, change)
    alarms: list[Alarm] = []
    reader = TrailReader(tmp_path, on_alarm=alarms.append)
    assert list(reader.of_tenant(ALPHA).events()) == [mine]
    assert [(alarm.tenant, alarm.seq) for alarm in alarms] == [(ALPHA, 1000)]
    with pytest.raises(AssertionError, match="row 1000"):
        stored(tmp_path, ALPHA)
    assert "secret" not in str(alarms[0])
    assert re.search(reason, alarms[0].reason)
    # The others' files, and the merged view, show nothing of it either.
    assert [record.tenant for record in reader.across_all_tenants().events()] == [ALPHA, BETA]


CONTRADICTIONS = ["id = 'dec_x'", "id = ''", "id = x'ff'", "time = time + 1", "time = 'soon'", "verdict = 'block'"]


@pytest.mark.parametrize("change", CONTRADICTIONS)
def test_a_row_whose_columns_contradict_it_is_dropped_and_reported(tmp_path: Path, change: str) -> None:
    _, kept = write(tmp_path, new_record(ALPHA, at=1000.0), new_record(ALPHA, at=1001.0))
    run_sql(file_of(tmp_path, ALPHA), f"UPDATE decisions SET {change} WHERE seq = 1")  # noqa: S608 - as above
    alarms: list[Alarm] = []
    assert list(TrailReader(tmp_path, on_alarm=alarms.append).of_tenant(ALPHA).events()) == [kept]
    assert [(alarm.seq, alarm.reason) for alarm in alarms] == [(1, "the row's columns contradict what it holds")]


def test_a_completion_swapped_between_two_rows_is_reported(tmp_path: Path) -> None:
    write(tmp_path, end(new_record(ALPHA)), end(new_record(ALPHA)))
    swapped = "UPDATE decisions SET completion = (SELECT completion FROM decisions WHERE seq = 2) WHERE seq = 1"
    run_sql(file_of(tmp_path, ALPHA), swapped)
    alarms: list[Alarm] = []
    assert len(list(TrailReader(tmp_path, on_alarm=alarms.append).of_tenant(ALPHA).events())) == 1
    assert alarms == [Alarm(ALPHA, 1, "the completion belongs to another record")]


def test_alarms_are_logged_unless_somebody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, new_record(ALPHA), new_record(BETA))
    plant(tmp_path, "seq = 1000")
    with caplog.at_level(logging.ERROR):
        assert len(list(TrailReader(tmp_path).of_tenant(ALPHA).events())) == 1
    assert "decisions of tenant `alpha`, row 1000: the row belongs to another tenant" in caplog.text


def test_an_unreadable_file_hides_nobody_elses_events(tmp_path: Path) -> None:
    _, theirs = write(tmp_path, new_record(ALPHA), new_record(BETA))
    file_of(tmp_path, ALPHA).write_bytes(b"garbage " * 1000)
    alarms: list[Alarm] = []
    reader = TrailReader(tmp_path, on_alarm=alarms.append)
    assert list(reader.across_all_tenants().events()) == [theirs]
    assert [(alarm.tenant, alarm.seq) for alarm in alarms] == [(ALPHA, None)]
    # An empty answer would look like "nothing happened".
    with pytest.raises(TrailUnavailable, match="can't read"):
        list(reader.of_tenant(ALPHA).events())


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path, new_record(ALPHA))
    run_sql(file_of(tmp_path, ALPHA), "PRAGMA user_version = 2")
    with pytest.raises(TrailUnavailable, match="newer partywall"):
        list(TrailReader(tmp_path).of_tenant(ALPHA).events())


# -- Following ---------------------------------------------------------------------------------------------------------

VIEWS: list[Callable[[TrailReader], View]] = [
    lambda reader: reader.of_tenant(ALPHA),
    lambda reader: reader.across_all_tenants(),
]


@pytest.mark.parametrize("view", VIEWS)
def test_following_shows_each_decision_once_when_it_has_ended(
    tmp_path: Path, view: Callable[[TrailReader], View]
) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(end(new_record(ALPHA)))
            follower = view(TrailReader(tmp_path)).follower()
            assert follower.poll() == []
            running, refused = new_record(ALPHA), end(new_record(ALPHA), "refused")
            await trail.admit(running)
            await trail.admit(refused)
            assert follower.poll() == [refused]
            await trail.admit(end(running))
            assert follower.poll() == [running]
            assert follower.poll() == []

    asyncio.run(main())


def test_following_starts_with_a_tenant_that_appears_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            follower = TrailReader(tmp_path).across_all_tenants().follower()
            first = end(new_record(BETA))
            await trail.admit(first)
            assert follower.poll() == [first]

    asyncio.run(main())


def test_following_shows_a_long_request_when_patience_is_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            follower = TrailReader(tmp_path).of_tenant(ALPHA).follower(patience_seconds=0.05)
            running = new_record(ALPHA)
            await trail.admit(running)
            assert follower.poll() == []
            await asyncio.sleep(0.1)
            assert follower.poll() == [running]
            await trail.admit(end(running))
            assert follower.poll() == []

    asyncio.run(main())


def test_following_one_verdict_of_many_events(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            follower = TrailReader(tmp_path).of_tenant(ALPHA).follower(verdict=Verdict.BLOCK)
            records = [with_verdict(end(new_record(ALPHA)), list(Verdict)[turn % 4]) for turn in range(700)]
            await asyncio.gather(*(trail.admit(record) for record in records))
            assert sorted(record.id for record in follower.poll()) == sorted(record.id for record in records[1::4])

    asyncio.run(main())


def test_follow_yields_for_ever(tmp_path: Path) -> None:
    write(tmp_path, new_record(ALPHA))
    following = TrailReader(tmp_path).of_tenant(TenantId("alpha")).follow(poll_seconds=0.001)

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            reading = asyncio.create_task(asyncio.to_thread(next, following))
            deadline = time.monotonic() + 20
            while not reading.done() and time.monotonic() < deadline:
                await trail.admit(end(new_record(ALPHA)))
                await asyncio.sleep(0.01)
            assert isinstance(await reading, DecisionRecord)

    asyncio.run(main())
