"""Chains, and how the global, group and route levels add up.

Promises: a narrower level adds and tightens, never removes. A kind that several levels name runs once, whenever any of
its entries applies, at every stage that any of them asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from partywall.config.kinds import PolicyKind
from partywall.config.routing import ChainEntry, Condition, Stage
from partywall.policy.globs import Matcher, matcher

__all__ = ["DEFAULT_STAGES", "EffectiveChain", "EffectivePolicy", "Facts", "merge"]

DEFAULT_STAGES: Final[Mapping[PolicyKind, frozenset[Stage]]] = {
    PolicyKind.RBAC: frozenset({Stage.PRE_REQUEST, Stage.PRE_RESPONSE}),
    PolicyKind.AUDIT_LOGGER: frozenset({Stage.POST_RESPONSE}),
    PolicyKind.DATA_ROUTING_POLICY: frozenset({Stage.PRE_REQUEST}),
    PolicyKind.PII_DETECTOR: frozenset({Stage.PRE_REQUEST, Stage.PRE_RESPONSE}),
}
"""When a kind runs unless its entry says otherwise. A kind that isn't listed runs at every stage."""
_EVERY_STAGE: Final = frozenset(Stage)


@dataclass(slots=True)
class Facts:
    """What policy may know of a request. Header names are lower-case; everything here came from the client."""

    method: str
    path: str
    api: str
    model: str | None
    headers: Mapping[bytes, bytes]
    tools: tuple[str, ...] = ()
    forced_tool: str | None = None
    model_names: tuple[str, ...] = ()
    """The requested model and every other name of the targets that it may lead to; set by policy."""
    chooses_tools: bool = False
    """The request narrows down which of its tools may be called."""
    tenant_hints: tuple[str, ...] = ()


class _Compiled:
    """One `when`, ready to be asked."""

    __slots__ = ("gateway_matches", "headers", "model", "path", "tenant")

    def __init__(self, when: Condition, gateway: str) -> None:
        self.path = when.path
        self.headers = tuple((name.lower().encode(), value.encode()) for name, value in (when.header or {}).items())
        self.model: Matcher | None = None if when.model is None else matcher(when.model)
        self.tenant = None if when.tenant is None else frozenset(when.tenant)
        self.gateway_matches = when.gateway is None or gateway in when.gateway

    def matches(self, tenant: str, facts: Facts) -> bool:
        return (
            self.gateway_matches
            and (self.tenant is None or tenant in self.tenant)
            and (self.path is None or facts.path.startswith(self.path))
            and (self.model is None or any(map(self.model, facts.model_names)))
            and all(facts.headers.get(name) == value for name, value in self.headers)
        )


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """One kind of a merged chain. No conditions means always."""

    kind: PolicyKind
    stages: frozenset[Stage]
    conditions: tuple[_Compiled, ...]
    always: frozenset[Stage]
    """The stages at which it runs on every request: all of its own, or none when there are conditions."""

    @property
    def looks_at_models(self) -> bool:
        """Whether a condition depends on the model."""
        return any(condition.model is not None for condition in self.conditions)

    def applies(self, stage: Stage, tenant: str, facts: Facts) -> bool:
        """Whether this policy runs for this request at this stage."""
        return stage in self.always or (
            stage in self.stages and any(condition.matches(tenant, facts) for condition in self.conditions)
        )


EffectiveChain = tuple[EffectivePolicy, ...]


def merge(levels: Iterable[tuple[ChainEntry, ...]], gateway: str) -> EffectiveChain:
    """Add up chains, the widest level first. The order is that of first mention."""
    entries: dict[PolicyKind, list[ChainEntry]] = {}
    for chain in levels:
        for entry in chain:
            entries.setdefault(entry.kind, []).append(entry)
    return tuple(_effective(kind, mentions, gateway) for kind, mentions in entries.items())


def _effective(kind: PolicyKind, mentions: list[ChainEntry], gateway: str) -> EffectivePolicy:
    stages: set[Stage] = set()
    for entry in mentions:
        stages |= {entry.stage} if entry.stage is not None else DEFAULT_STAGES.get(kind, _EVERY_STAGE)
    # INVARIANT: one unconditional mention makes the policy unconditional; a narrower `when` never loosens it.
    conditions = [entry.when for entry in mentions if entry.when is not None]
    if len(conditions) < len(mentions):
        conditions = []
    compiled = tuple(_Compiled(when, gateway) for when in conditions)
    return EffectivePolicy(kind, frozenset(stages), compiled, frozenset(() if compiled else stages))
