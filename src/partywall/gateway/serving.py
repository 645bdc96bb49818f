"""What one document means to the gateway: the platform's snapshot and the targets ready to be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from partywall.config.providers import FallbackTrigger
from partywall.gateway.breakers import Breakers
from partywall.platform import Snapshot, Standing
from partywall.upstream.targets import Upstream, compile_targets

__all__ = ["Serving", "compile_serving"]


@dataclass(frozen=True, slots=True)
class Serving:
    """A request keeps the one that it began with."""

    snapshot: Snapshot
    upstreams: Mapping[str, Upstream]
    breakers: Breakers
    triggers: frozenset[FallbackTrigger]
    standing: Standing


def compile_serving(snapshot: Snapshot, standing: Standing) -> Serving:
    """Make a snapshot ready to serve whoever isn't suspended.

    Raises:
        ConfigError: a target can't be called as it is written.
    """
    settings = snapshot.server.circuit_breaker
    fallback = snapshot.fallback
    return Serving(
        snapshot=snapshot,
        upstreams=compile_targets(snapshot.targets),
        breakers=Breakers(failures=settings.failures, open_seconds=settings.open_seconds),
        triggers=frozenset() if fallback is None else frozenset(fallback.triggers),
        standing=standing,
    )
