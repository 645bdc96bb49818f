"""The section `keys` where it could lie quietly: which batch counts, what a trial says, what a table admits."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from bench.children import Child
from bench.gateways.base import Launch
from bench.keys import tables
from bench.keys.records import Gateway, Sealed
from bench.keys.revocation import Revocation, Seen, Trial
from bench.keys.rings import ALPHA, BETA, Place, Setting
from bench.keys.sealing import BARE, ENVELOPE, PURPOSE_KEYS, STORABLE, STORE_KEYS, Loop, best_of_many
from bench.keys.unwrapping import Latencies, Unwrapped
from bench.measure import Sample
from bench.report import TIMES, Part, Report, markdown
from bench.session import Serving

from partywall.keys import AwsKmsRootSettings, FileRootSettings, VaultRootSettings


def test_the_best_batch_counts_and_the_order_rotates() -> None:
    now, ran = 0, list[str]()
    costs = {"quick": iter([900, 300, 600]), "slow": iter([5_000, 4_000, 4_500])}

    def contender(name: str) -> Loop:
        async def loop(times: int) -> None:
            nonlocal now
            ran.append(name)
            now += next(costs[name]) * times

        return loop

    loops = {name: contender(name) for name in costs}
    best = asyncio.run(best_of_many(loops, times=7, rounds=3, clock=lambda: now))

    assert best == {"quick": 0.3, "slow": 4.0}
    assert ran == ["quick", "slow", "slow", "quick", "quick", "slow"]


def test_median_and_p95() -> None:
    latencies = Latencies([float(number) for number in range(1, 202)])

    assert (latencies.median, latencies.p95) == (101, 191)


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        (Place("file", "/tmp/own.key"), FileRootSettings),  # noqa: S108 - never opened
        (Place("vault", "transit/keys/own-1", "http://127.0.0.1:1", secret="t"), VaultRootSettings),
        (Place("aws_kms", "key-1", "http://127.0.0.1:1", "AKIA", "s"), AwsKmsRootSettings),
    ],
)
def test_another_process_is_told_of_the_same_keys(tmp_path: Path, place: Place, settings: type) -> None:
    setting = Setting.in_files(tmp_path / "ring", {ALPHA: place, BETA: place})
    again = Setting.from_line(setting.to_line())

    assert again == setting
    own = again.key_ring(hold_seconds=2).tenant_roots[ALPHA].settings
    assert isinstance(own, settings)
    assert "hidden!" not in repr(replace(place, secret="hidden!"))


# -- Revocation -------------------------------------------------------------------------------------------------------


def _seen(last_success: float, *, refused: int = 0, after_refusal: int = 0) -> Seen:
    return Seen(10, last_success, Counter({"KeyUnavailable": refused} if refused else {}), after_refusal)


GOOD = Trial.of(100.0, _seen(101.5, refused=3), _seen(104.0))


def _revocation(*trials: Trial) -> Revocation:
    return Revocation("file", "file removed", 2.0, 2.0, trials)


def test_a_success_after_a_refusal_is_noticed() -> None:
    seen = Seen()
    seen.succeed(1.0)
    seen.refused["KeyUnavailable"] += 1
    assert (seen.successes, seen.last_success, seen.after_refusal) == (1, 1.0, 0)

    seen.succeed(2.0)
    assert (seen.successes, seen.last_success, seen.after_refusal) == (2, 2.0, 1)


def test_seconds_run_from_the_revocation() -> None:
    assert GOOD.seconds == 1.5
    assert Trial.of(100.0, _seen(99.9, refused=1), _seen(104.0)).seconds == 0.0


def test_what_is_as_promised_has_no_faults() -> None:
    found = _revocation(GOOD, Trial.of(100.0, _seen(101.0, refused=1), _seen(104.0)))

    assert found.faults() == []
    assert (found.shortest, found.longest, found.neighbour_uses, found.neighbour_errors) == (1.0, 1.5, 20, 0)
    assert found.refused_with == ["KeyUnavailable"]
    assert "NOT" not in " ".join(tables.revocation([found], []).notes)


@pytest.mark.parametrize(
    ("trial", "fault"),
    [
        (Trial.of(100.0, _seen(101.5), _seen(104.0)), "the key was still used when the watch ended"),
        (Trial.of(100.0, _seen(101.5, refused=1, after_refusal=1), _seen(104.0)), "used again after a refusal"),
        (Trial.of(100.0, _seen(102.5, refused=1), _seen(104.0)), "last used after 2.50 s, 2 s are promised"),
        (Trial.of(100.0, _seen(101.5, refused=1), _seen(104.0, refused=2)), "the neighbour was refused 2 times"),
        (Trial.of(100.0, _seen(101.5, refused=1), Seen()), "the neighbour was not served"),
    ],
)
def test_the_table_says_first_what_is_not_as_promised(trial: Trial, fault: str) -> None:
    found = _revocation(GOOD, trial)
    notes = tables.revocation([found], []).notes

    assert [fault in text for text in found.faults()] == [True]
    assert notes[0].startswith("NOT as promised: file, file removed: ")
    assert fault in notes[0]
    assert ("no use succeeded after one" in " ".join(notes)) is not found.came_back


def test_the_neighbours_errors_are_printed() -> None:
    part = tables.revocation([_revocation(GOOD)], ["OpenBao transit could not be started: no wheel"])

    assert list(part.rows[0]) == ["file", "file removed", "2", "2", "1.50 to 1.50", "`KeyUnavailable`", "10, 0"]
    assert part.notes[0].startswith("The neighbour's errors throughout: 0, in 10 uses.")
    assert part.notes[-1] == "OpenBao transit could not be started: no wheel"


# -- The other tables -------------------------------------------------------------------------------------------------

MICROSECONDS = {BARE: 2.0, STORABLE: 3.0, ENVELOPE: 5.0, PURPOSE_KEYS: 4.0, STORE_KEYS: 6.0}


def _ascii(text: str) -> str:
    return text.replace(TIMES, "x")


def test_a_missed_aim_is_called_missed() -> None:
    part = tables.sealing({"1 KB": {**MICROSECONDS, STORE_KEYS: 6.3}, "64 KB": MICROSECONDS})

    assert [_ascii(row[1]) for row in part.rows] == [
        "1.00x (2.0)",
        "1.50x (3.0)",
        "2.50x (5.0)",
        "2.00x (4.0)",
        "3.15x (6.3)",
    ]
    assert "1 KB: the aim, `StoreKeys` within 2x of AES-256-GCM that draws its nonce, is NOT met (2.10x)" in _ascii(
        part.notes[1]
    )
    assert "against a fixed nonce, which nobody may use, it is 3.15x" in _ascii(part.notes[1])
    assert "is met (2.00x)" in _ascii(part.notes[2])


def test_a_root_that_is_missing_is_named() -> None:
    found = Unwrapped("file", Latencies([1.0, 1.0, 1.0]), Latencies([2.0, 2.0, 2.0]))
    part = tables.unwrapping([found], ["AWS KMS (moto) could not be started: no moto"])

    assert [list(row) for row in part.rows] == [["file", "1.00", "1.00", "2.00", "2.00"]]
    assert part.notes[-1] == "AWS KMS (moto) could not be started: no moto"
    assert any("no figures for AWS" in note for note in part.notes)


def _gateway(*cpu_us: float) -> Gateway:
    child = Child.__new__(Child)  # never started; only its samples are read
    return Gateway(Serving(0, child, Launch([])), [Sample(each, 1.0, 1.0, 1.0) for each in cpu_us])


def test_sealed_is_compared_with_clear_pair_by_pair_and_best_by_best() -> None:
    found = Sealed(_gateway(100.0, 120.0, 200.0), _gateway(110.0, 180.0, 200.0))

    assert found.pairs == [1.1, 1.5, 1.0]
    assert (found.middle, found.ratio) == (1.1, 1.1)
    assert [_ascii(cell) for cell in tables.records(found).rows[1][1:]] == ["1.10x (110)", "1.10x", "1.00 to 1.50x"]


def test_a_section_of_several_tables() -> None:
    part = Part("Roots", ["root", "ms"], [["file", "1"]], ["a note"])
    report = replace(Report("keys", "Keys", parts=[part, replace(part, title="Again", notes=[])]), notes=["of all"])

    assert [line for line in markdown(report, "Here.", "python -m bench keys").splitlines() if line] == [
        *("## Keys", "### Roots", "| root | ms  |", "|------|-----|", "| file | 1   |", "- a note"),
        *("### Again", "| root | ms  |", "|------|-----|", "| file | 1   |"),
        *("### Where and how", "- of all", "- Here. `python -m bench keys`"),
    ]
