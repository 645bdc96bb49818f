"""partywall with 10, 1,000 and 10,000 tenants in its document: start, memory, and the look-up of a key.

The look-up is measured as CPU per `GET /v1/models`, which does little else but find out who is calling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.children import ChildFailed, answers
from bench.gateways.base import Unavailable
from bench.gateways.partywall import Partywall, serve
from bench.load import RequestFailed
from bench.machine import free_port
from bench.measure import MODELS, Sample, measure, requests_for
from bench.proc import resident_mb
from bench.report import TIMES, Report
from bench.session import Serving, Session

__all__ = ["run"]

_SIZES = (10, 1_000, 10_000)
_CALLERS = 10  # as many keys are used at each size, spread over the whole document
_START_SECONDS = 60.0
_METHOD = (
    "Start is from the start of the process to the first 200 of `/readyz`. Memory is of the whole process tree. "
    f"{_CALLERS} keys spread over the document are in use at each size."
)
_COLUMNS = (
    "tenants in the document",
    "document MB",
    "start to `/readyz`, s",
    "RSS MB after start",
    "RSS MB after load",
    "CPU µs per `GET /v1/models`",
)


@dataclass(slots=True)
class _Sized:
    """The gateway with a document of one size."""

    tenants: int
    document_mb: float
    start_seconds: float
    serving: Serving
    rss_after_start: float
    rss_after_load: float = 0.0
    samples: list[Sample] = field(default_factory=list)

    def cpu_us(self) -> float:
        return median(sample.cpu_us for sample in self.samples)


def run(session: Session) -> Report:
    """Start one gateway per size, then measure them in rounds of rotating order."""
    try:
        Partywall().prepare()
        sizes = [_start(session, tenants) for tenants in _SIZES]
        requests = requests_for(sizes[0].serving, MODELS)
        for number in range(session.rounds):
            shift = number % len(sizes)
            for sized in sizes[shift:] + sizes[:shift]:
                _one_round(session, sized, requests)
    except (Unavailable, ChildFailed, RequestFailed, TimeoutError, OSError) as error:
        reason = f"Not measured: {session.reason(error)}"
        session.say(reason)
        return _report([], [reason])
    return _report(sizes, [_METHOD])


def _start(session: Session, tenants: int) -> _Sized:
    folder, port = session.folder(f"partywall-{tenants}"), free_port()
    names = [f"tenant-{number:05d}" for number in range(tenants)]
    launch = serve(names, port, session.upstream.port, folder, callers=names[:: tenants // _CALLERS])
    serving = session.start(launch, port, folder)
    seconds = serving.child.wait_until(lambda: answers(port, "GET", "/readyz")[0] == 200, seconds=_START_SECONDS)
    sized = _Sized(
        tenants=tenants,
        document_mb=_size_mb(folder / "partywall.yaml"),
        start_seconds=seconds,
        serving=serving,
        rss_after_start=resident_mb(serving.child.pid),
    )
    session.say(f"{tenants:,} tenants: ready after {seconds:.2f} s, {sized.rss_after_start:.0f} MB")
    return sized


def _size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6


def _one_round(session: Session, sized: _Sized, requests: int) -> None:
    sample = measure(sized.serving, MODELS, requests)
    sized.samples.append(sample)
    sized.rss_after_load = resident_mb(sized.serving.child.pid)
    session.say(f"{sized.tenants:,} tenants: {sample.cpu_us:.1f} µs CPU per request")


def _report(sizes: list[_Sized], notes: list[str]) -> Report:
    return Report(
        name="memory",
        title="Many tenants: start, memory and the look-up of a key",
        columns=_COLUMNS,
        rows=[_row(sized, sizes[0]) for sized in sizes],
        notes=notes,
        data={"sizes": [_data(sized) for sized in sizes]},
    )


def _row(sized: _Sized, smallest: _Sized) -> list[str]:
    return [
        f"{sized.tenants:,}",
        f"{sized.document_mb:.2f}",
        f"{sized.start_seconds:.2f}",
        f"{sized.rss_after_start:.0f}",
        f"{sized.rss_after_load:.0f}",
        f"{sized.cpu_us() / smallest.cpu_us():.2f}{TIMES} ({sized.cpu_us():.0f})",
    ]


def _data(sized: _Sized) -> dict[str, object]:
    return {
        "tenants": sized.tenants,
        "start_seconds": round(sized.start_seconds, 3),
        "rss_mb_after_start": round(sized.rss_after_start, 1),
        "rss_mb_after_load": round(sized.rss_after_load, 1),
        "cpu_us": [round(sample.cpu_us, 2) for sample in sized.samples],
    }
