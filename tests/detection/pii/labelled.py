"""The labelled set: read, and measured against. `labelling.py` beside it made it, and says from what."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from partywall.detection.pii import Detector

__all__ = ["LABELLED", "Label", "Score", "read", "scores"]

LABELLED: Final = Path(__file__).with_name("labelled.jsonl")


class Label(NamedTuple):
    """A text; what stands in it and where, or nothing that belongs to the family."""

    family: str
    entity: str
    text: str
    start: int
    end: int

    @property
    def is_positive(self) -> bool:
        return self.end > 0


@dataclass(slots=True)
class Score:
    """Counts of one entity (or family) and what follows from them."""

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0

    @property
    def precision(self) -> float:
        return self.hits / (self.hits + self.false_alarms) if self.hits else 0.0

    @property
    def recall(self) -> float:
        return self.hits / (self.hits + self.misses) if self.hits else 0.0

    @property
    def f2(self) -> float:
        """Recall counts four times as much as precision."""
        both = 4 * self.precision + self.recall
        return 5 * self.precision * self.recall / both if both else 0.0


def read() -> list[Label]:
    return [Label(**json.loads(line)) for line in LABELLED.read_text(encoding="utf-8").splitlines()]


def scores(detector: Detector, labels: Iterable[Label]) -> dict[str, Score]:
    """By `family/entity`: a hit is the exact span under the exact name; anything else found in the family is false."""
    families = {each.name: each.family for each in detector.entities}
    found: dict[str, Score] = defaultdict(Score)
    for label in labels:
        score = found[f"{label.family}/{label.entity}"]
        findings = detector.find(label.text)
        is_hit = (label.entity, label.start, label.end) in findings
        score.hits += is_hit
        score.misses += label.is_positive and not is_hit
        score.false_alarms += sum(families[each.entity] == label.family for each in findings) - is_hit
    return dict(found)
