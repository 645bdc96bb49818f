"""Moving sealed halves: all of them, page by page, and never over something that was written meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.keys.rings import ring_in
from tests.trail.records import ALPHA, BETA, end, file_of, new_record, run_sql

from partywall.errors import TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail import Trail
from partywall.trail.resealing import SealedHalf, SealedHalves, sealed_halves
from partywall.trail.sealing import ADMISSION, COMPLETION

ROWS = 450
"""More than two pages."""


def write(folder: Path, *, ended: int = ROWS, running: int = 1) -> None:
    """So many records of alpha's, and one of beta's."""

    async def main() -> None:
        async with ring_in(folder) as ring:
            trail = Trail.open(folder, seals=ring.records("trail"))
            records = [end(new_record()) for _ in range(ended)] + [new_record() for _ in range(running)]
            await asyncio.gather(*(trail.admit(record) for record in [*records, end(new_record(BETA))]))
            await trail.aclose()

    asyncio.run(main())


def everything(halves: SealedHalves) -> Iterator[SealedHalf]:
    after: int | None = 0
    while after is not None:
        page = halves.page(after)
        yield from page.halves
        after = page.after


def stored(folder: Path, tenant: TenantId) -> list[tuple[object, ...]]:
    return run_sql(file_of(folder, tenant), "SELECT * FROM decisions ORDER BY seq")


def test_every_half_is_on_one_page(tmp_path: Path) -> None:
    write(tmp_path)
    rows = stored(tmp_path, ALPHA)
    with sealed_halves(tmp_path, ALPHA) as halves:
        found = list(everything(halves))
        assert halves.count() == len(found) == len(set(found)) == 2 * ROWS + 1
    wanted = [
        SealedHalf(str(row[1]), half, sealed) for row in rows for half, sealed in _both(row) if sealed is not None
    ]
    assert found == wanted
    with sealed_halves(tmp_path, BETA) as halves:
        assert halves.count() == len(list(everything(halves))) == 2


def _both(row: tuple[object, ...]) -> Iterator[tuple[str, bytes | None]]:
    for half, sealed in ((ADMISSION, row[5]), (COMPLETION, row[6])):
        assert sealed is None or isinstance(sealed, bytes)
        yield half, sealed


def test_a_half_is_replaced_and_nothing_else_is_touched(tmp_path: Path) -> None:
    write(tmp_path, ended=3)
    before, betas = stored(tmp_path, ALPHA), stored(tmp_path, BETA)
    with sealed_halves(tmp_path, ALPHA) as halves:
        one = halves.page(0).halves[3]
        assert one.half == COMPLETION
        assert halves.replace(one, b"\x01new")
        halves.settle()
    expected = [row if row[1] != one.record_id else (*row[:6], b"\x01new") for row in before]
    assert stored(tmp_path, ALPHA) == expected
    assert stored(tmp_path, BETA) == betas


@pytest.mark.parametrize("half", [ADMISSION, COMPLETION])
def test_what_was_written_meanwhile_stays(tmp_path: Path, half: str) -> None:
    write(tmp_path, ended=2)
    with sealed_halves(tmp_path, ALPHA) as halves:
        one = next(each for each in halves.page(0).halves if each.half == half)
        with closing(sqlite3.connect(file_of(tmp_path, ALPHA), isolation_level=None)) as file:
            file.execute("UPDATE decisions SET admission = ?1, completion = ?1 WHERE id = ?2", (b"\x01", one.record_id))
        now = stored(tmp_path, ALPHA)
        assert not halves.replace(one, b"\x01new")
    assert stored(tmp_path, ALPHA) == now


def test_where_nothing_was_recorded_there_is_nothing(tmp_path: Path) -> None:
    with sealed_halves(tmp_path, ALPHA) as halves:
        assert (halves.count(), halves.page(0)) == (0, ([], None))
        halves.settle()
    assert not (tmp_path / "tenants").exists()


def test_what_is_no_file_of_decisions_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ended=1)
    run_sql(file_of(tmp_path, ALPHA), "PRAGMA user_version = 99")
    with pytest.raises(TrailUnavailable, match="newer partywall"), sealed_halves(tmp_path, ALPHA):
        pytest.fail("it was opened")
    file_of(tmp_path, ALPHA).write_bytes(b"rubbish" * 1000)
    broken = pytest.raises(TrailUnavailable, match="decisions of tenant `alpha` can't be sealed anew")
    with broken, sealed_halves(tmp_path, ALPHA) as halves:
        halves.page(0)
    with sealed_halves(tmp_path, BETA) as halves:
        assert halves.count() == 2
