"""CPU per request of each gateway, beside nginx: rounds in which the order rotates, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from bench.children import ChildFailed, answers
from bench.gateways import DEFAULT, LARGE, Gateway, Unavailable
from bench.load import RequestFailed
from bench.machine import free_port
from bench.measure import BIG, CHAT, LATENCY, STREAM, Sample, Workload, measure, requests_for
from bench.proc import resident_mb
from bench.report import TIMES, Report
from bench.session import Serving, Session

__all__ = ["compare", "run"]

_WORKLOADS = (CHAT, BIG, STREAM, LATENCY)
_FAILURES = (Unavailable, ChildFailed, RequestFailed, TimeoutError, OSError)


@dataclass(slots=True)
class _Entry:
    """A contender on its way through the run. Once `failure` is set it is measured no more."""

    gateway: Gateway
    version: str = ""
    serving: Serving | None = None
    failure: str | None = None
    requests: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    resident_mb: float = 0.0

    def figures(self, work: Workload, what: str) -> list[float]:
        """One figure of every round, in order."""
        return [float(getattr(sample, what)) for sample in self.samples[work.name]]

    def middle(self, work: Workload, what: str) -> float:
        """The median of one figure over the rounds."""
        return median(self.figures(work, what))


def run(session: Session) -> Report:
    """The gateways beside each other."""
    contenders = DEFAULT + (LARGE if session.everything else ())
    return compare(session, contenders, "gateways", "Gateways: the cost of a request")


def compare(session: Session, contenders: Sequence[Gateway], name: str, title: str) -> Report:
    """Prepare, start, measure, tell. The first is the yardstick."""
    ceiling = _harness_alone(session)
    entries = [_Entry(gateway) for gateway in contenders]
    for entry in entries:
        _attempt(session, entry, "start", _bring_up)
    for number in range(session.rounds):
        shift = number % len(entries)
        for entry in entries[shift:] + entries[:shift]:
            _attempt(session, entry, f"round {number + 1} of {session.rounds}", _one_round)
    return _report(entries, ceiling, name, title)


def _harness_alone(session: Session) -> Sample:
    """The load generator straight at the mock upstream: what the harness itself can do."""
    return measure(session.upstream, CHAT, requests_for(session.upstream, CHAT))


def _attempt(session: Session, entry: _Entry, stage: str, action: Callable[[Session, _Entry, str], None]) -> None:
    """Do `action`, or write down why this contender is out. The others go on."""
    if entry.failure is not None:
        return
    try:
        action(session, entry, stage)
    except _FAILURES as error:
        what = "could not be installed" if isinstance(error, Unavailable) else f"failed ({stage})"
        entry.failure = f"{what}: {session.reason(error)}"
        session.say(f"{entry.gateway.name}: {entry.failure}")


def _bring_up(session: Session, entry: _Entry, stage: str) -> None:
    gateway = entry.gateway
    session.say(f"{stage} · {gateway.name}")
    gateway.prepare()
    entry.version = gateway.version()
    port, folder = free_port(), session.folder(type(gateway).__name__.lower())
    entry.serving = session.start(gateway.launch(port, session.upstream.port, folder), port, folder)
    _wait_until_it_answers(entry.serving, gateway.start_seconds)
    for work in _WORKLOADS:
        entry.requests[work.name] = requests_for(entry.serving, work)


def _wait_until_it_answers(serving: Serving, seconds: float) -> None:
    caller = {**serving.launch.callers[0], "Content-Type": "application/json"}
    status, body = 0, b""

    def ready() -> bool:
        nonlocal status, body
        status, body = answers(serving.port, CHAT.method, CHAT.path, body=CHAT.body, headers=caller)
        return status == 200

    try:
        serving.child.wait_until(ready, seconds=seconds, pause=0.1)
    except ChildFailed as error:
        raise ChildFailed(f"{error}; last answer: HTTP {status} {body[:200]!r}" if status else str(error)) from None


def _one_round(session: Session, entry: _Entry, stage: str) -> None:
    assert entry.serving is not None  # brought up, or out
    for work in _WORKLOADS:
        sample = measure(entry.serving, work, entry.requests[work.name])
        entry.samples.setdefault(work.name, []).append(sample)
        session.say(
            f"{stage} · {entry.gateway.name} · {work.name}: {sample.cpu_us:,.1f} µs CPU per {work.unit}, "
            f"p50 {sample.p50_ms:.2f} ms, core {sample.busy:.0%} busy"
        )
    entry.resident_mb = resident_mb(entry.serving.child.pid)


# -- the table --------------------------------------------------------------------------------------------------------

_METHOD = (
    "CPU is user + system time of the gateway's whole process tree on one core, one worker, 32 kept-alive "
    "connections; the mock upstream and the load share another core. Medians of the rounds; the order of the "
    f"gateways rotates from round to round. {TIMES} is against nginx in the same round."
)
_COLUMNS = (
    "gateway",
    "CPU µs per request",
    "requests/s",
    "its core busy",
    "16 KB body, CPU µs",
    "CPU µs per SSE event",
    "p50 ms, 1 connection",
    "RSS MB",
)


def _report(entries: Sequence[_Entry], ceiling: Sample, name: str, title: str) -> Report:
    yardstick = entries[0] if entries[0].failure is None else None
    limit = (
        f"The load and the mock without a gateway: {ceiling.per_second:,.0f} requests/s, that is "
        f"{1e6 / ceiling.per_second:.1f} µs of their core per request; requests/s near that is the harness's limit."
    )
    return Report(
        name=name,
        title=title,
        columns=_COLUMNS,
        rows=[_row(entry, yardstick) for entry in entries],
        notes=[_METHOD, limit, *(_about(entry, yardstick) for entry in entries)],
        data={
            "harness_requests_per_second": round(ceiling.per_second),
            "gateways": [_data(entry, yardstick) for entry in entries],
        },
    )


def _row(entry: _Entry, yardstick: _Entry | None) -> list[str]:
    if entry.failure is not None:
        return [entry.gateway.name, entry.failure, *[""] * (len(_COLUMNS) - 2)]

    def both(work: Workload, what: str, digits: int) -> str:
        absolute = f"{entry.middle(work, what):,.{digits}f}"
        return absolute if yardstick is None else f"{_figure(_ratio(entry, yardstick, work, what))}{TIMES} ({absolute})"

    return [
        f"{entry.gateway.name} {entry.version}",
        both(CHAT, "cpu_us", 0),
        f"{entry.middle(CHAT, 'per_second'):,.0f}",
        f"{entry.middle(CHAT, 'busy'):.0%}",
        both(BIG, "cpu_us", 0),
        both(STREAM, "cpu_us", 0),
        both(LATENCY, "p50_ms", 2),
        f"{entry.resident_mb:.0f}",
    ]


def _ratios(entry: _Entry, yardstick: _Entry, work: Workload, what: str) -> list[float]:
    """Round by round, because both were measured within seconds of each other in each."""
    pairs = zip(entry.figures(work, what), yardstick.figures(work, what), strict=True)
    return [mine / theirs for mine, theirs in pairs]


def _ratio(entry: _Entry, yardstick: _Entry, work: Workload, what: str) -> float:
    return median(_ratios(entry, yardstick, work, what))


def _figure(ratio: float) -> str:
    return f"{ratio:,.1f}" if ratio < 20 else f"{ratio:,.0f}"


def _about(entry: _Entry, yardstick: _Entry | None) -> str:
    text = f"{entry.gateway.name}: {entry.gateway.does}."
    if entry.failure is None and yardstick is not None and entry is not yardstick:
        ratios = _ratios(entry, yardstick, CHAT, "cpu_us")
        text += f" CPU per request over the rounds: {_figure(min(ratios))} to {_figure(max(ratios))}{TIMES}."
    return text


def _data(entry: _Entry, yardstick: _Entry | None) -> dict[str, object]:
    measured = entry.failure is None
    return {
        "name": entry.gateway.name,
        "version": entry.version,
        "failure": entry.failure,
        "cpu_ratio": _ratio(entry, yardstick, CHAT, "cpu_us") if measured and yardstick else None,
        "rss_mb": round(entry.resident_mb, 1),
        "requests_per_round": entry.requests,
        "rounds": {name: [asdict(sample) for sample in samples] for name, samples in entry.samples.items()},
    }
