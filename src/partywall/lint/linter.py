"""`lint`: one document, every rule, one report.

Promises: a document that can be read gets a report, whatever is wrong with it; findings come in the document's order,
each once. What can't be read raises, as it does for `serve`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from partywall.config.document import Document
from partywall.config.loading import decode, load_bytes, read
from partywall.config.masking import masked_path
from partywall.config.places import Place, PlaceIndex
from partywall.lint.findings import Finding, Level, Report
from partywall.lint.registry import RULES
from partywall.lint.rule import Hit, Rule
from partywall.lint.secrets import masked
from partywall.lint.subject import Subject

__all__ = ["lint", "lint_bytes"]

_ORDER = {level: number for number, level in enumerate(Level)}


def lint(path: Path) -> Report:
    """Judge the document at `path`. Raises `DocumentInvalid` (a `ConfigError`) when it can't be read or isn't valid."""
    return lint_bytes(read(path), path)


def lint_bytes(data: bytes, source: Path) -> Report:
    """Judge `data`, which the report calls `source`. Raises `DocumentInvalid`."""
    loaded = load_bytes(Document, data, source)
    text = decode(data, source)
    hits = dict.fromkeys(_hits(Subject(loaded.document, text)))
    findings = _placed(hits, text) if hits else []
    return Report(str(source), loaded.digest, tuple(sorted(findings, key=_in_order)))


def _hits(subject: Subject) -> Iterator[tuple[Rule, Hit]]:
    for rule in RULES:
        for hit in rule.check(subject):
            yield rule, hit


def _placed(hits: dict[tuple[Rule, Hit], None], text: str) -> list[Finding]:
    # Positions cost as much as parsing once more, so a clean document isn't asked for any.
    index = PlaceIndex(text)
    return [_finding(rule, hit, index) for rule, hit in hits]


def _finding(rule: Rule, hit: Hit, index: PlaceIndex) -> Finding:
    place = hit.place if hit.place is not None else index.place(hit.path)
    # Names are shown in messages, and somebody may have pasted a key where a name belongs.
    return Finding(rule.id, rule.level, masked_path(hit.path), masked(hit.message), place, index.snippet(place))


def _in_order(finding: Finding) -> tuple[Place, int, str, str]:
    place = finding.place if finding.place is not None else Place(0, 0)
    start = Place(place.line, place.column)
    return start, _ORDER[finding.level], finding.rule, finding.message
