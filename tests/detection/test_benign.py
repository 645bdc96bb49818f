"""Benign text of other origin raises no alarm. `python -m bench detection` does it with twenty times as much."""

from __future__ import annotations

import random
from pathlib import Path

from bench.benign import outputs

from partywall.detection.canaries import Canaries, Canary, make_canary
from partywall.detection.fingerprints import FingerprintTable, Printer
from partywall.detection.leaks import LeakScanner
from partywall.tenancy import TenantId

ALPHA, BETA = TenantId("alpha"), TenantId("beta")
DOCS = Path(__file__).parents[2] / "docs"
MEGABYTES = 5.5


def test_five_megabytes_of_other_peoples_text_raise_no_alarm() -> None:
    printer, table, rng = Printer(bytes(range(32))), FingerprintTable(), random.Random(1)
    for page in DOCS.rglob("*.md"):
        table.add(ALPHA, printer.of_text(page.read_text(encoding="utf-8")))
    canaries = [Canary(make_canary(rng.randbytes(16)), ALPHA, "memory") for _ in range(1_000)]
    scanner = LeakScanner(printer, table, Canaries(printer.grams, canaries))
    count = size = alarms = 0
    for answer in outputs(MEGABYTES):
        count, size = count + 1, size + len(answer)
        alarms += bool(scanner.scan(BETA, answer))
    print(f"{alarms} false alarms in {count:,} outputs, {size / 1e6:.1f} MB")  # noqa: T201  # `pytest -s` shows the share
    assert size >= 5_000_000
    assert alarms <= count / 100_000
    positive = (
        f"{next(outputs(0.001))} {canaries[7].text} {(DOCS / 'threats.md').read_text(encoding='utf-8')[3_000:3_200]}"
    )
    assert len(scanner.scan(BETA, positive)) == 2
