"""Detection: quality on the labelled set, false alarms on benign text, size and speed, all in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from tests.detection.pii.labelled import Score, read, scores

from bench.benign import outputs
from bench.machine import ROOT
from bench.report import Part, Report
from bench.session import Session
from partywall.config.policy import PiiDetector
from partywall.detection.canaries import Canaries, Canary, make_canary
from partywall.detection.fingerprints import FingerprintTable, Printer
from partywall.detection.leaks import LeakScanner
from partywall.detection.pii import Detector, compile_pii
from partywall.tenancy import TenantId

__all__ = ["run"]

_ALPHA, _BETA = TenantId("alpha"), TenantId("beta")
_FINGERPRINTS: Final = 10_000_000
_CANARIES: Final = 3_000
_BENIGN_MEGABYTES: Final = 110.0
_KEY: Final = bytes(range(32))


def run(session: Session) -> Report:
    """Each part in turn; nothing is started and nothing leaves the process."""
    policy = compile_pii(PiiDetector.model_validate({"healthcare_mode": True}))
    session.say("labelled set")
    quality, found = _quality(policy.detector)
    session.say(f"a table of {_FINGERPRINTS:,} fingerprints")
    rng = np.random.default_rng(1)
    printer = Printer(_KEY)
    table, table_part, table_data = _table(rng)
    for page in sorted((ROOT / "docs").rglob("*.md")):
        table.add(_ALPHA, printer.of_text(page.read_text(encoding="utf-8")))
    canaries = Canaries(printer.grams, [Canary(make_canary(rng.bytes(16)), _ALPHA, "memory") for _ in range(_CANARIES)])
    scanner = LeakScanner(printer, table, canaries)
    session.say("benign text")
    alarms, alarm_data = _alarms(scanner)
    session.say("speed")
    speed, speed_data = _speed(policy.detector, scanner)
    return Report(
        name="detection",
        title="Detection: quality, false alarms, size and speed",
        parts=[quality, alarms, table_part, speed],
        data={"labelled": found, "benign": alarm_data, "table": table_data, "speed": speed_data},
    )


def _quality(detector: Detector) -> tuple[Part, object]:
    labels = read()
    measured = scores(detector, labels)
    rows = [[name, *_cells(score)] for name, score in sorted(measured.items())]
    note = (
        f"{len(labels):,} texts, made by `tests/detection/pii/labelling.py` from numbers that `python-stdnum` and "
        "`phonenumbers` accept; nobody's data. `random` counts numbers that no check filtered; a false alarm is a "
        "finding of the family that isn't the labelled span under the labelled name."
    )
    columns = ("family/entity", "found", "missed", "false alarms", "precision", "recall", "F2")
    return Part("Personal data, on the labelled set", columns, rows, [note]), {
        name: [score.hits, score.misses, score.false_alarms] for name, score in sorted(measured.items())
    }


def _cells(score: Score) -> list[str]:
    counts = [str(score.hits), str(score.misses), str(score.false_alarms)]
    if not score.hits + score.misses:
        return [*counts, "", "", ""]
    return [*counts, f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f2:.3f}"]


def _table(rng: np.random.Generator) -> tuple[FingerprintTable, Part, object]:
    table = FingerprintTable()
    started = time.process_time()
    for _ in range(10):
        table.add(_ALPHA, rng.integers(0, 2**64, _FINGERPRINTS // 10, np.uint64))
    build = time.process_time() - started
    document = rng.integers(0, 2**64, 400, np.uint64)
    add = _microseconds(lambda: table.add(_ALPHA, document), 5)
    text = next(outputs(0.001))
    asked = Printer(_KEY).of_text(text)
    others = iter(
        [asked ^ np.uint64(number) for number in rng.integers(0, 2**63, 7 * 300 + 1)]
    )  # never one that is warm
    look_up = _microseconds(lambda: table.foreign(_BETA, next(others)), 300)
    each = table.nbytes / len(table)
    rows = [
        [
            f"{len(table):,}",
            f"{each:.1f}",
            f"{build / len(table) * 1e6:.2f}",
            f"{add:.0f}",
            f"{look_up / len(text):.3f}",
        ]
    ]
    columns = (
        "fingerprints",
        "bytes each",
        "µs each to build",
        "µs to add 400 (a document)",
        "look-up, µs per position",
    )
    data = {"bytes_each": each, "build_seconds": build, "add_us": add, "lookup_us_per_position": look_up / len(text)}
    return table, Part("The table of fingerprints", columns, rows), data


def _alarms(scanner: LeakScanner) -> tuple[Part, object]:
    count = size = alarms = 0
    for answer in outputs(_BENIGN_MEGABYTES):
        count, size = count + 1, size + len(answer)
        alarms += bool(scanner.scan(_BETA, answer))
    columns = ("answers of 1 KB", "MB", "false alarms", "95 % upper bound, per 100,000 answers")
    bound = (alarms + 3) / max(1, count) * 100_000
    rows = [[f"{count:,}", f"{size / 1e6:.1f}", str(alarms), f"{bound:.1f}"]]
    note = (
        "Fingerprints of this repository's documentation as one tenant's, ten million random ones and 3,000 canaries, "
        "against licences, manuals and packages of other people (`bench/benign.py`). The bound is the rule of three."
    )
    return Part("False alarms of fingerprints and canaries", columns, rows, [note]), [count, size, alarms]


def _speed(detector: Detector, scanner: LeakScanner) -> tuple[Part, object]:
    prose = "".join(answer for answer in outputs(0.2))
    kilobyte, large = prose[:1_024], prose[:65_536]
    bare = LeakScanner(Printer(_KEY), FingerprintTable())
    hostile = {"digits": "1 " * 8_192, "ids": "12345678901 " * 1_365, "addresses": "a.b@c.de " * 1_820}
    subjects: dict[str, tuple[Callable[[str], object], str]] = {
        "personal data": (detector.find, "prose"),
        "passages and canaries": (lambda text: scanner.scan(_BETA, text), "prose"),
        "the same, with empty tables": (lambda text: bare.scan(_BETA, text), "prose"),
    }
    rows = [
        [name, what, f"{_rate(call, kilobyte):.1f}", f"{_rate(call, large):.1f}"]
        for name, (call, what) in subjects.items()
    ]
    rows += [
        ["personal data", f"hostile: {name}", "", f"{_rate(detector.find, text):.2f}"] for name, text in hostile.items()
    ]
    everything = 2 * _microseconds(lambda: (detector.find(kilobyte), scanner.scan(_BETA, kilobyte)), 300)
    notes = [f"Everything on, 1 KB prompt and 1 KB answer: **{everything:.0f} µs** of CPU (target: 150)."]
    columns = ("scanner", "text", "MB/s at 1 KB", "MB/s at 64 KB")
    return Part("Speed, one core", columns, rows, notes), {"everything_us": everything, "rows": rows}


def _rate(call: Callable[[str], object], text: str) -> float:
    return len(text) / _microseconds(lambda: call(text), max(3, 200_000 // len(text)))


def _microseconds(call: Callable[[], object], times: int, rounds: int = 7) -> float:
    """CPU of one call: the best of some rounds, since what disturbs only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(times):
            call()
        best = min(best, (time.process_time() - started) / times)
    return best * 1e6
