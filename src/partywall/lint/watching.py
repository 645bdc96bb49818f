"""Rules about what should notice when a wall falls: leak detection, decision records, workers that must forget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from partywall.config.base import Section
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject

__all__ = ["RULES"]

_NOT_BUILT: Final = frozenset({"not-built"})
_SWITCHES: Final = (
    ("cross_tenant_output_scan", "fingerprint_check"),
    ("context_validation", "validate_all_context_items"),
    ("statistical_monitoring", "track_namespace_distribution"),
)


def _switched_off(subject: Subject) -> Iterator[Hit]:
    detection = subject.document.leakage_detection
    if detection is None:
        return
    if not detection.enabled:
        yield Hit(("leakage_detection", "enabled"), "none of what this section describes runs")
    for section, key in _SWITCHES:
        settings: Section | None = getattr(detection, section)
        if settings is not None and not getattr(settings, key):
            yield Hit(("leakage_detection", section, key), f"`{section}` is described, and its one check is off")


def _tolerated(subject: Subject) -> Iterator[Hit]:
    detection = subject.document.leakage_detection
    monitoring = None if detection is None else detection.statistical_monitoring
    if monitoring is not None and monitoring.alert_threshold > 0:
        path = ("leakage_detection", "statistical_monitoring", "alert_threshold")
        yield Hit(path, f"{monitoring.alert_threshold} foreign items pass before anybody is told")


def _mutable(subject: Subject) -> Iterator[Hit]:
    audit = subject.document.policy.audit_logger
    if audit is not None and not audit.immutable:
        yield Hit(("policy", "audit-logger", "immutable"), "records may be changed once they are complete")


def _shared_workers(subject: Subject) -> Iterator[Hit]:
    workers = subject.document.workers
    if workers is not None and workers.isolation == "reset_between_tenants":
        yield Hit(("workers", "isolation"), "one process serves one tenant after the other, and must forget in between")


RULES = (
    Rule(
        id="detection-switched-off",
        level=Level.WARNING,
        title="Leak detection that is described and switched off",
        why="When a wall falls, this is what would say so. Described and off, it is counted on and silent.",
        mend="Switch it on, or remove the section.",
        bad=example("""\
leakage_detection: {enabled: false}
"""),
        good=example("""\
leakage_detection: {enabled: true}
"""),
        check=_switched_off,
    ),
    Rule(
        id="leaks-tolerated",
        level=Level.WARNING,
        title="Foreign items pass before anybody is told",
        why="One item of another tenant's is a wall that fell. There is no number of them that is normal.",
        mend="Leave `alert_threshold` at 0.",
        bad=example("""\
leakage_detection:
  statistical_monitoring: {alert_threshold: 5}
"""),
        good=example("""\
leakage_detection:
  statistical_monitoring: {alert_threshold: 0}
"""),
        check=_tolerated,
    ),
    Rule(
        id="records-mutable",
        level=Level.WARNING,
        title="Decision records that may be changed",
        why="A record that can be changed afterwards proves nothing to a customer.",
        mend="Leave `immutable` on.",
        bad=example("""\
policy:
  audit-logger: {immutable: false}
  rbac: {roles: {analyst: {allowed_tools: [search]}}}
"""),
        good=example("""\
policy:
  audit-logger: {immutable: true}
  rbac: {roles: {analyst: {allowed_tools: [search]}}}
"""),
        also=frozenset({"not-built"}),
        check=_mutable,
    ),
    Rule(
        id="workers-shared",
        level=Level.WARNING,
        title="Model workers that go from tenant to tenant",
        why="Slots, host caches and adapters have carried one tenant's tokens to the next (llama.cpp #27148, vLLM "
        "#47724). A process for each tenant has nothing to forget.",
        mend="Use `isolation: process_per_tenant`.",
        bad=example("""\
workers: {targets: [alpha-llm], isolation: reset_between_tenants}
"""),
        good=example("""\
workers: {targets: [alpha-llm], isolation: process_per_tenant}
"""),
        check=_shared_workers,
        also=_NOT_BUILT,
    ),
)
