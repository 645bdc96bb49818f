"""Runs the scenario against a gateway of its own, and reads what the gateway recorded.

Promises: a row is as expected when what came back is, word for word, what the scenario says; an unexpected exception is
a row that failed, not an end of the run. When all rows are through, the decisions on disk are held against the ids
that the clients were given: each among its own tenant's, and nothing else beside them. Then `sealed` shows what
they are without their keys.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import anthropic
import openai

from partywall.demo.callers import MODELS, Callers
from partywall.demo.gateway import DemoFailed, running_gateway
from partywall.demo.outcome import Outcome
from partywall.demo.scenario import SCENARIO, Row
from partywall.demo.sealed import sealed_rows
from partywall.platform.encryption import Encrypted
from partywall.platform.opening import RecordOpener, record_opener
from partywall.tenancy import TenantId
from partywall.trail import DecisionRecord, TrailReader

__all__ = ["Outcome", "Report", "run_demo"]

_DOCUMENT: Final = "two-organisations.yaml"
_RECORDS: Final = "Records"
_SERVICE: Final = "demo"
_CLASSES: Final = {401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError"}
"""The exception that both vendors' clients raise for a status."""

ApiError = (openai.APIError, anthropic.APIError)
OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """Every outcome, and every decision by tenant; under None those without a verified tenant."""

    outcomes: tuple[Outcome, ...]
    decisions: Mapping[str | None, tuple[DecisionRecord, ...]]

    @property
    def as_expected(self) -> int:
        """How many outcomes are as expected."""
        return sum(outcome.as_expected for outcome in self.outcomes)


def run_demo(data_dir: Path | None, on_progress: OnProgress) -> Report:
    """Run everything; `on_progress` is told what comes next. The data goes to `data_dir`, or is thrown away.

    Raises:
        DemoFailed: the gateway didn't start or didn't stop.
    """
    with _directory(data_dir) as directory, as_file(files("partywall.demo") / _DOCUMENT) as document:
        on_progress("starting the gateway")
        with running_gateway(document, directory) as url, Callers(url) as callers:
            outcomes = [_tried(row, callers, on_progress) for row in SCENARIO]
        # The gateway has ended, so every decision is complete.
        on_progress("opening what was recorded")
        with _opener(document, directory) as opener:
            decisions = _decisions(TrailReader(directory, opener=opener))
            outcomes += _recorded(outcomes, decisions)
            outcomes += sealed_rows(directory, opener, decisions)
    return Report(tuple(outcomes), decisions)


@contextmanager
def _opener(document: Path, data_dir: Path) -> Iterator[RecordOpener]:
    encrypted = Encrypted.load(document)
    if encrypted is None:
        raise DemoFailed(f"{document}: seals nothing")
    # What doesn't open is what some rows are about; they show it, so no alarm needs to.
    opening = partial(record_opener, service=_SERVICE, requestor=_SERVICE, on_alarm=lambda _: None)
    with opening(encrypted, base=document.parent, data_dir=data_dir) as opener:
        yield opener


@contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="partywall-demo-") as temporary:
        yield Path(temporary)


def _tried(row: Row, callers: Callers, on_progress: OnProgress) -> Outcome:
    on_progress(f"{row.who}: {row.what}")
    before = len(callers.decision_ids)
    try:
        got = row.attempt(callers)
    except ApiError as error:
        got = _told(error)
    except Exception as error:  # noqa: BLE001  # a row that fails in an unforeseen way is a row that failed
        got = f"{type(error).__name__}: {error}"
    return Outcome(row.theme, row.who, row.what, row.expected, got, tuple(callers.decision_ids[before:]))


def _told(error: openai.APIError | anthropic.APIError) -> str:
    """A refusal in a few words: status and code, and the exception's class when it isn't the one that belongs."""
    status, code = getattr(error, "status_code", 200), _code(error.body)
    if status == 200:
        return f"{code} in stream"
    name = type(error).__name__
    return f"{status} {code}" if name == _CLASSES.get(status) else f"{status} {code} as {name}"


def _code(body: object) -> str:
    """Our code in an error's body; OpenAI's client keeps the inner object of it, Anthropic's the whole."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) else "without a code"


# -- What was recorded ---------------------------------------------------------------------------------------------


def _decisions(reader: TrailReader) -> dict[str | None, tuple[DecisionRecord, ...]]:
    found: dict[str | None, tuple[DecisionRecord, ...]] = {
        tenant: tuple(reader.of_tenant(TenantId(tenant)).events()) for tenant in MODELS
    }
    return found | {None: tuple(reader.of_platform().events())}


def _recorded(
    outcomes: Iterable[Outcome], decisions: Mapping[str | None, tuple[DecisionRecord, ...]]
) -> Iterator[Outcome]:
    """A row for each file of decisions: it holds those of its tenant's rows, and nothing beside them."""
    wanted: dict[str | None, set[str]] = {owner: set() for owner in decisions}
    for row, outcome in zip(SCENARIO, outcomes, strict=True):
        wanted[row.recorded_for].update(outcome.decisions)
    for owner, records in decisions.items():
        held = {record.id for record in records}
        own = len(held & wanted[owner])
        got = f"{own} decisions" if own == len(held) else f"{own} decisions, {len(held) - own} others"
        expected = f"{len(wanted[owner])} decisions"
        yield Outcome(_RECORDS, owner or "nobody", "on record", expected, got, ())
