"""The report as SARIF 2.1.0, which code-scanning services take in.

Promises: validates against the standard's schema; a finding keeps its fingerprint when lines above it come and go.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import quote

import orjson

from partywall.config.problems import dotted
from partywall.lint.findings import Finding, Report
from partywall.lint.registry import RULES
from partywall.lint.rule import Rule

__all__ = ["render_sarif"]

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT: Final = "partywallFinding/v1"
_NUMBER_OF: Final = {rule.id: number for number, rule in enumerate(RULES)}

Json = dict[str, object]


def render_sarif(report: Report, *, source: str | None = None) -> str:
    """The report as a SARIF log, with a final line break."""
    uri = _uri(report.source if source is None else source)
    run: Json = {
        "tool": {"driver": _driver()},
        "columnKind": "unicodeCodePoints",
        "artifacts": [{"location": {"uri": uri}, "hashes": {"sha-256": report.digest}}],
        "results": [
            _result(finding, fingerprint, uri)
            for finding, fingerprint in zip(report.findings, _fingerprints(report.findings), strict=True)
        ],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _driver() -> Json:
    driver: Json = {"name": "partywall lint", "rules": [_rule(rule) for rule in RULES]}
    try:
        driver["semanticVersion"] = version("partywall")
    except PackageNotFoundError:
        return driver  # run from a checkout that isn't installed; the version is optional
    return driver


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "defaultConfiguration": {"level": rule.level.value},
        "help": {"text": f"{rule.why}\n\n{rule.mend}", "markdown": _help(rule)},
        "properties": {"tags": ["security", "tenant-isolation"], "precision": "high"},
    }


def _help(rule: Rule) -> str:
    return (
        f"{rule.why}\n\n**Mend:** {rule.mend}\n\nBad:\n\n```yaml\n{rule.bad}```\n\nGood:\n\n```yaml\n{rule.good}```\n"
    )


def _result(finding: Finding, fingerprint: str, uri: str) -> Json:
    physical: Json = {"artifactLocation": {"uri": uri, "index": 0}}
    place = finding.place
    if place is not None:
        region = {"startLine": place.line, "startColumn": place.column}
        if place.end_line is not None and place.end_column is not None:
            region |= {"endLine": place.end_line, "endColumn": place.end_column}
        physical["region"] = region
    location: Json = {"physicalLocation": physical}
    if finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": dotted(finding.path)}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": _NUMBER_OF[finding.rule],
        "level": finding.level.value,
        "message": {"text": finding.message},
        "locations": [location],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
    }


def _fingerprints(findings: Iterable[Finding]) -> list[str]:
    """What tells a finding from others in this file and in its next version: no line, and no index in a list."""
    seen: Counter[str] = Counter()
    prints: list[str] = []
    for finding in findings:
        names = [step for step in finding.path if isinstance(step, str)]
        digest = hashlib.sha256(orjson.dumps([finding.rule, names, finding.message])).hexdigest()[:32]
        seen[digest] += 1
        prints.append(f"{digest}:{seen[digest]}")
    return prints


def _uri(source: str) -> str:
    path = PurePath(source)
    return Path(source).as_uri() if path.is_absolute() else quote(path.as_posix())
