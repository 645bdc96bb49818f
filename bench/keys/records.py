"""What sealing its decision records costs the gateway: the same requests, with and without, in turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from bench.children import ChildFailed, answers
from bench.gateways.partywall import Partywall, serve
from bench.machine import free_port
from bench.measure import CHAT, Sample, measure, requests_for
from bench.session import Serving, Session

__all__ = ["Gateway", "Sealed", "measure_records"]

_ENCRYPTION: Final = {"encryption": {"key_strategy": "per_tenant", "encrypted_per_tenant": ["audit_logs"]}}
_WORK: Final = replace(CHAT, seconds=1.0)
"""Short, so that both of a pair meet the same weather; there are many of them instead."""
_PAIRS_PER_ROUND: Final = 8
_START_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One of the two, and its measurements in order."""

    serving: Serving
    samples: list[Sample] = field(default_factory=list)

    @property
    def best_us(self) -> float:
        """CPU per request when it was disturbed least."""
        return min(sample.cpu_us for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Both, measured in pairs."""

    clear: Gateway
    sealed: Gateway

    @property
    def ratio(self) -> float:
        """Of the best to the best."""
        return self.sealed.best_us / self.clear.best_us

    @property
    def pairs(self) -> list[float]:
        """Sealed to clear, pair by pair."""
        both = zip(self.sealed.samples, self.clear.samples, strict=True)
        return [sealed.cpu_us / clear.cpu_us for sealed, clear in both]

    @property
    def middle(self) -> float:
        return median(self.pairs)

    def data(self) -> dict[str, object]:
        """The figures for programs."""
        return {
            "clear_cpu_us": [round(sample.cpu_us, 2) for sample in self.clear.samples],
            "sealed_cpu_us": [round(sample.cpu_us, 2) for sample in self.sealed.samples],
            "ratio": round(self.ratio, 4),
        }


def measure_records(session: Session) -> Sealed:
    """Start both gateways and measure them in turns.

    Raises:
        Unavailable, ChildFailed, RequestFailed, TimeoutError: as in the section `gateways`.
    """
    Partywall().prepare()
    both = Sealed(_start(session, "clear", {}), _start(session, "sealed", _ENCRYPTION))
    requests = requests_for(both.clear.serving, _WORK)
    for number in range(_PAIRS_PER_ROUND * session.rounds):
        pair = (both.clear, both.sealed) if number % 2 == 0 else (both.sealed, both.clear)
        for gateway in pair:
            gateway.samples.append(measure(gateway.serving, _WORK, requests))
        session.say(f"records · pair {number + 1}: sealed {both.pairs[-1]:.3f} of clear")
    if not (session.folder("records-sealed") / "data" / "keys" / "alpha" / "keys.json").exists():
        raise ChildFailed("no tenant's key was made, so nothing was sealed and there is nothing to compare")
    return both


def _start(session: Session, name: str, more: Mapping[str, object]) -> Gateway:
    folder, port = session.folder(f"records-{name}"), free_port()
    launch = serve(("alpha", "beta"), port, session.upstream.port, folder, more=more)
    serving = session.start(launch, port, folder)
    serving.child.wait_until(lambda: answers(port, "GET", "/readyz")[0] == 200, seconds=_START_SECONDS)
    return Gateway(serving)
