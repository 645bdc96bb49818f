"""Keys: what sealing and roots cost, how soon a revocation bites, and what sealed decision records cost the gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from bench.children import ChildFailed
from bench.gateways.base import Unavailable
from bench.keys import tables
from bench.keys.engines import RootKind, start_roots
from bench.keys.records import measure_records
from bench.keys.revocation import measure_revocation
from bench.keys.sealing import measure_sealing
from bench.keys.unwrapping import CALLS, measure_unwrapping
from bench.load import RequestFailed
from bench.report import Part, Report
from bench.session import Session
from partywall.errors import PartywallError

__all__ = ["run"]

_FAILURES = (Unavailable, ChildFailed, RequestFailed, TimeoutError, OSError, RuntimeError, PartywallError)
_Measured = tuple[Part, object]
"""A part of the section, and its figures for programs."""


def run(session: Session) -> Report:
    """Measure each part; one that can't be measured says why, and the others go on."""
    sealing = _attempt(session, tables.SEALING, _sealing)
    kinds, missing = start_roots(session)
    found = {
        "sealing": sealing,
        "unwrapping": _attempt(session, tables.UNWRAPPING, lambda each: _unwrapping(each, kinds, missing)),
        "revocation": _attempt(session, tables.REVOCATION, lambda each: _revocation(each, kinds, missing)),
        "records": _attempt(session, tables.RECORDS, _records),
    }
    return Report(
        name="keys",
        title="Keys: sealing, roots and revocation",
        parts=[part for part, _ in found.values()],
        data={name: data for name, (_, data) in found.items()},
    )


def _attempt(session: Session, title: str, measured: Callable[[Session], _Measured]) -> _Measured:
    try:
        return measured(session)
    except* _FAILURES as group:  # a task group raises a group
        reason = "; ".join(session.reason(error) for error in group.exceptions)
    session.say(f"{title}: not measured: {reason}")
    return Part(title, ["not measured"], [[reason]]), {"failure": reason}


def _sealing(session: Session) -> _Measured:
    session.say("sealing and opening, alternated")
    found = measure_sealing(session.folder("sealing") / "ring")
    return tables.sealing(found), found


def _unwrapping(session: Session, kinds: Sequence[RootKind], missing: Sequence[str]) -> _Measured:
    session.say(f"unwrapping · {CALLS} calls of each root")
    found = measure_unwrapping(kinds, session.folder("unwrapping"))
    return tables.unwrapping(found, missing), [asdict(each) for each in found]


def _revocation(session: Session, kinds: Sequence[RootKind], missing: Sequence[str]) -> _Measured:
    found = measure_revocation(session, kinds)
    for fault in (fault for each in found for fault in each.faults()):
        session.say(f"NOT as promised: {fault}")
    return tables.revocation(found, missing), [each.data() for each in found]


def _records(session: Session) -> _Measured:
    found = measure_records(session)
    return tables.records(found), found.data()
