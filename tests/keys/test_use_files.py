"""Files of uses: whole lines from several writers, bounded in size, nothing lost and nothing counted twice."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA

from partywall.errors import InvalidTenantId, KeyUnavailable
from partywall.keys import KeyUse, Operation, read_uses
from partywall.keys import private_files as files
from partywall.keys.use_files import UseFiles
from partywall.tenancy import TenantId

NOON = 1_800_000_000.0
HOUR = 3600.0


def use(requestor: str = "key:1", at: float = NOON, count: int = 1, tenant: TenantId = ALPHA) -> KeyUse:
    return KeyUse(Operation.OPEN, tenant, "gateway", requestor, at, at, count, 1, "memory")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    files.make_folder(tmp_path / "keys")
    return tmp_path / "keys"


def totals(place: Path, tenant: TenantId = ALPHA) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in read_uses(place, tenant).uses:
        counts[each.requestor] += each.count
    return counts


def test_what_is_written_is_read_for_that_tenant(place: Path) -> None:
    uses = UseFiles(place)
    uses.write(ALPHA, [use(at=NOON + 1), use("key:2", at=NOON)])
    uses.write(BETA, [use(tenant=BETA)])
    assert list(read_uses(place, ALPHA).uses) == [use("key:2", at=NOON), use(at=NOON + 1)]
    assert list(read_uses(place, ALPHA, since=NOON + 1).uses) == [use(at=NOON + 1)]
    assert list(read_uses(place, BETA).uses) == [use(tenant=BETA)]
    assert read_uses(place, TenantId("gamma")) == ((), 0)
    assert oct((place / ALPHA / "uses.jsonl").stat().st_mode & 0o777) == "0o600"
    with pytest.raises(InvalidTenantId):
        read_uses(place, TenantId("../alpha"))


def test_files_that_are_refused_are_an_error(place: Path) -> None:
    UseFiles(place).write(ALPHA, [use()])
    (place / ALPHA / "uses.jsonl").chmod(0o644)
    with pytest.raises(KeyUnavailable, match="chmod 600"):
        read_uses(place, ALPHA)
    with pytest.raises(OSError, match="chmod 600"):
        UseFiles(place).write(ALPHA, [use()])


def test_lines_that_are_none_are_counted(place: Path) -> None:
    UseFiles(place).write(ALPHA, [use()])
    with (place / ALPHA / "uses.jsonl").open("ab") as file:
        file.write(use().to_line()[:-20])
    UseFiles(place).write(ALPHA, [use()])
    found = read_uses(place, ALPHA)
    assert (len(found.uses), found.unreadable) == (2, 1)


def test_a_full_file_is_folded_into_hours(place: Path) -> None:
    uses = UseFiles(place, full_bytes=5000)
    for n in range(100):
        uses.write(ALPHA, [use(f"key:{n % 2}", at=NOON + n * 72)])
    assert totals(place) == {"key:0": 50, "key:1": 50}
    assert (place / ALPHA / "uses.jsonl").stat().st_size <= 5000
    folded = [line for line in (place / ALPHA / "uses.1.jsonl").read_text().splitlines() if "holds" not in line]
    assert len(folded) == 4, "two hours, two requestors"
    found = read_uses(place, ALPHA).uses
    assert (min(each.first for each in found), max(each.last for each in found)) == (NOON, NOON + 99 * 72)


def test_old_archives_go_in_the_end(place: Path) -> None:
    uses = UseFiles(place, full_bytes=2000)
    for n in range(800):
        uses.write(ALPHA, [use(at=NOON + n * HOUR)])  # nothing can be folded
    sizes = {path.name: path.stat().st_size for path in (place / ALPHA).iterdir()}
    assert set(sizes) == {"uses.jsonl", "uses.lock", *(f"uses.{n}.jsonl" for n in range(1, 9))}
    assert max(sizes.values()) <= 2000 * 2 + 500
    kept = [each.first for each in read_uses(place, ALPHA).uses]
    assert kept == [NOON + n * HOUR for n in range(800 - len(kept), 800)], "the newest, without a gap"
    assert 60 < len(kept) < 200


@pytest.mark.parametrize("nth", range(1, 26))
def test_dying_anywhere_while_folding_loses_nothing(place: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    uses = UseFiles(place, full_bytes=2000)
    written = 0
    for _ in range(14):
        uses.write(ALPHA, [use(at=NOON + written)])
        written += 1
    calls = 0

    def dying(function: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= nth:
                raise OSError("planted")
            assert callable(function)
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(files, "append", _unsynced_append)
        for _ in range(14):
            uses.write(ALPHA, [use(at=NOON + written)])
            written += 1
            assert totals(place) == {"key:1": written}
    for _ in range(14):
        uses.write(ALPHA, [use(at=NOON + written)])
        written += 1
        assert totals(place) == {"key:1": written}


def _unsynced_append(path: Path, data: bytes, *, sync: bool) -> int:
    with path.open("ab") as file:
        file.write(data)
    path.chmod(0o600)
    return path.stat().st_size


def test_writers_at_once_lose_nothing(place: Path) -> None:
    def write(name: int) -> None:
        uses = UseFiles(place, full_bytes=3000)
        for n in range(50):
            uses.write(ALPHA, [use(f"key:{name}", at=NOON + n), use("key:all", at=NOON + n)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert totals(place) == {"key:all": 200, **{f"key:{n}": 50 for n in range(4)}}
    assert read_uses(place, ALPHA).unreadable == 0
