"""One measurement: a workload against a gateway that is up, as CPU, rate and latency.

Promises: the gateway is warm before the clock starts; the number of requests is fixed before the first round and the
same in each; CPU is that of the gateway's whole process tree, over the requests and what trails behind them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

import uvloop

from bench.load import Load
from bench.mock import EVENTS
from bench.proc import cpu_seconds
from bench.session import Serving
from bench.wire import ANSWER_MARK, EVENT_MARK, MODEL, chat_body, render_request

__all__ = ["BIG", "CHAT", "LATENCY", "MODELS", "STREAM", "Sample", "Workload", "measure", "requests_for"]

_TIMEOUT_SECONDS = 90.0
_SETTLE_SECONDS = 0.15  # records that are written behind the answer belong to the request too
_WARM_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Workload:
    """What is sent, over how many connections, and how long a measurement should last about."""

    name: str
    unit: str
    body: bytes
    mark: bytes
    mark_count: int = 1
    method: str = "POST"
    path: str = "/v1/chat/completions"
    connections: int = 32
    seconds: float = 2.0
    most_requests: int = 60_000
    units_per_request: int = 1


CHAT = Workload("1 KB chat", "request", chat_body(1024), ANSWER_MARK)
BIG = Workload("16 KB chat", "request", chat_body(16 * 1024), ANSWER_MARK)
STREAM = Workload(
    "stream", "event", chat_body(1024, stream=True), EVENT_MARK, mark_count=EVENTS - 2, units_per_request=EVENTS
)
LATENCY = Workload("one connection", "request", chat_body(1024), ANSWER_MARK, connections=1, seconds=0.7)
MODELS = Workload("models", "request", b"", MODEL.encode(), method="GET", path="/v1/models", seconds=1.5)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement. `busy` is the share of its core that the gateway used."""

    cpu_us: float
    per_second: float
    p50_ms: float
    busy: float


def _load(serving: Serving, work: Workload) -> Load:
    requests = [
        render_request(work.method, work.path, serving.port, caller, work.body)
        for caller in islice(cycle(serving.launch.callers), work.connections)
    ]
    return Load(serving.port, requests, mark=work.mark, mark_count=work.mark_count)


def requests_for(serving: Serving, work: Workload) -> int:
    """How many requests make `work` last about as long as it should: found once, then used in every round.

    Raises:
        RequestFailed, TimeoutError: as `Load.run`.
    """

    async def calibrate() -> int:
        async with _load(serving, work) as load:
            await load.run(work.connections, timeout_seconds=_TIMEOUT_SECONDS)
            sample = await load.run(work.connections * 2, timeout_seconds=_TIMEOUT_SECONDS)
            if sample.seconds < 0.2:  # quick: look longer
                sample = await load.run(int(sample.per_second * 0.3), timeout_seconds=_TIMEOUT_SECONDS)
        wanted = min(int(sample.per_second * work.seconds), work.most_requests)
        return max(1, round(wanted / work.connections)) * work.connections

    return uvloop.run(calibrate())


def measure(serving: Serving, work: Workload, requests: int) -> Sample:
    """Warm up, then run `requests` of `work`.

    Raises:
        RequestFailed, TimeoutError: as `Load.run`.
    """
    warm = min(requests, max(work.connections, int(requests * _WARM_SHARE)))

    async def run() -> Sample:
        async with _load(serving, work) as load:
            await load.run(warm, timeout_seconds=_TIMEOUT_SECONDS)
            await asyncio.sleep(_SETTLE_SECONDS)
            before = cpu_seconds(serving.child.pid)
            outcome = await load.run(requests, timeout_seconds=_TIMEOUT_SECONDS)
            await asyncio.sleep(_SETTLE_SECONDS)
            used = cpu_seconds(serving.child.pid) - before
        return Sample(
            cpu_us=used * 1e6 / (requests * work.units_per_request),
            per_second=outcome.per_second * work.units_per_request,
            p50_ms=median(outcome.latencies) * 1000,
            busy=used / outcome.seconds,
        )

    return uvloop.run(run())
