"""`decide`: what may happen with one request, and why.

Promises: no rules refuse; a rule that fails refuses. `decide` explains and never raises for a refusal; `require` raises
it. A `Decision` has no truth value, so that nobody can forget to ask for the reason.

The checks, in order: agreement of what the request says about the tenant with the credential; the chain's policies at
the stage before the request; the targets that the tenant may use for the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from partywall.config.kinds import PolicyKind
from partywall.config.routing import Stage
from partywall.errors import (
    MissingIdentity,
    ModelDenied,
    PartywallError,
    RegionDenied,
    TenantMismatch,
    ToolDenied,
)
from partywall.policy.chains import EffectiveChain, Facts
from partywall.policy.routes import RouteRule
from partywall.policy.rules import GroupRule, Rules
from partywall.policy.targets import TargetRule
from partywall.policy.tools import ToolTest
from partywall.tenancy import CredentialKind, TenantScope
from partywall.trail import PolicyResult, Verdict

__all__ = ["Decision", "decide", "require", "visible_targets"]

_NO_MODEL_REASON = "no target that this tenant may use serves the model"


@dataclass(slots=True)
class Decision:
    """What was decided, policy by policy. `refusal` is None for an allowed request."""

    results: list[PolicyResult] = field(default_factory=list)
    refusal: PartywallError | None = None
    targets: tuple[TargetRule, ...] = ()
    """The targets to try, in order; the first is the choice, the rest are fall-backs."""
    tools: ToolTest | None = None
    """Which of the request's tools may go upstream; None when tools aren't restricted."""
    filters_tools: bool = False
    """Whether some of them may not."""
    answer_tools: ToolTest | None = None
    """Which tools the answer may call; None when tools aren't restricted."""

    @property
    def verdict(self) -> Verdict:
        """Block when refused, else the strongest that a policy said."""
        if self.refusal is not None:
            return Verdict.BLOCK
        said = {result.verdict for result in self.results}
        return next((v for v in (Verdict.ESCALATE, Verdict.REDACT) if v in said), Verdict.ALLOW)

    def note(self, kind: str, stage: Stage, verdict: Verdict, reason: str) -> None:
        """Add what one policy said."""
        self.results.append(PolicyResult(kind, stage, verdict, reason))

    def refuse(self, kind: str, stage: Stage, error: PartywallError) -> None:
        """Add a refusal. The first one stands."""
        self.note(kind, stage, Verdict.BLOCK, str(error))
        if self.refusal is None:
            self.refusal = error

    def __bool__(self) -> NoReturn:
        raise TypeError("a Decision has no truth value; look at `.refusal`, or call require(decision)")


def require(decision: Decision) -> None:
    """Raise the refusal of `decision`, if it is one."""
    if decision.refusal is not None:
        raise decision.refusal


def decide(rules: Rules, scope: TenantScope, route: RouteRule | None, facts: Facts) -> Decision:
    """Decide about one request before it goes anywhere."""
    decision = Decision()
    group = rules.group(scope)
    if not _agrees(rules, scope, facts, decision):
        return decision
    chain = rules.chain(group, route)
    _run_chain(rules, scope, facts, chain, decision)
    if decision.refusal is None and facts.model is not None:
        _choose_targets(rules, scope, group, route, facts, decision, chain)
    return decision


def visible_targets(rules: Rules, scope: TenantScope, route: RouteRule | None) -> list[TargetRule]:
    """The targets whose models `/v1/models` may show to this scope."""
    group, tenant = rules.group(scope), rules.tenant(scope.tenant)
    return [
        target
        for target in rules.available(scope, route)
        if (group is None or group.models is None or group.models(target.listed_as))
        and (tenant.models is None or tenant.models(target.listed_as))
        and (tenant.regions is None or target.region in tenant.regions)
        and (target.zero_data_retention or not tenant.require_zero_data_retention)
    ]


# -- Agreement ---


def _agrees(rules: Rules, scope: TenantScope, facts: Facts, decision: Decision) -> bool:
    if all(hint == scope.tenant for hint in facts.tenant_hints):
        decision.note("agreement", Stage.PRE_REQUEST, Verdict.ALLOW, "the request names no other tenant")
        return True
    error = TenantMismatch(f"the request's body or parameters name another tenant than `{scope.tenant}`")
    if rules.permissive:
        # The credential still chooses; only the refusal becomes an alert.
        decision.note("agreement", Stage.PRE_REQUEST, Verdict.ESCALATE, str(error))
        return True
    decision.refuse("agreement", Stage.PRE_REQUEST, error)
    return False


# -- The chain, before the request ---


def _run_chain(rules: Rules, scope: TenantScope, facts: Facts, chain: EffectiveChain, decision: Decision) -> None:
    for policy in chain:
        if policy.kind is not PolicyKind.RBAC:
            continue
        if policy.applies(Stage.PRE_REQUEST, scope.tenant, facts):
            _rbac(rules, scope, facts, decision)
        if rules.tools is not None and policy.applies(Stage.PRE_RESPONSE, scope.tenant, facts):
            decision.answer_tools = rules.tools.of(scope.role)


def _rbac(rules: Rules, scope: TenantScope, facts: Facts, decision: Decision) -> None:
    for name, header in rules.required_headers:
        if not facts.headers.get(header) and not _token_supplies(rules, scope, header):
            decision.refuse(
                "rbac",
                Stage.PRE_REQUEST,
                MissingIdentity(
                    f"the header `{name}` is missing, and `policy.rbac.deny_if_missing` demands it",
                    public_message=f"The header {name} is required.",
                ),
            )
            return
    if rules.tools is None:
        decision.note("rbac", Stage.PRE_REQUEST, Verdict.ALLOW, "identity headers present")
        return
    decision.tools = test = rules.tools.of(scope.role)
    if facts.forced_tool is not None and not test(facts.forced_tool):
        detail = f"the role `{scope.role}` may not use the tool `{facts.forced_tool}` that the request demands"
        decision.refuse("rbac", Stage.PRE_REQUEST, ToolDenied(detail))
        return
    denied = [tool for tool in facts.tools if not test(tool)]
    # A choice among tools may name further ones; the wire looks into it.
    decision.filters_tools = bool(denied) or facts.chooses_tools
    if denied:
        names = ", ".join(denied[:20])
        decision.note(
            "rbac", Stage.PRE_REQUEST, Verdict.REDACT, f"removed tools that `{scope.role}` may not use: {names}"
        )
    else:
        decision.note("rbac", Stage.PRE_REQUEST, Verdict.ALLOW, "identity headers and tools permitted")


def _token_supplies(rules: Rules, scope: TenantScope, header: bytes) -> bool:
    """Whether a verified token says what the header would have said."""
    attribute = rules.identity_headers.get(header)
    return (
        scope.credential_kind is CredentialKind.JWT and attribute is not None and getattr(scope, attribute) is not None
    )


# -- The targets ---


def _choose_targets(
    rules: Rules,
    scope: TenantScope,
    group: GroupRule | None,
    route: RouteRule | None,
    facts: Facts,
    decision: Decision,
    chain: EffectiveChain,
) -> None:
    assert facts.model is not None  # noqa: S101  # narrows the type; the caller has looked
    tenant = rules.tenant(scope.tenant)
    may_use = [
        target
        for target in rules.available(scope, route)
        if all(
            models is None or (models(facts.model) if target.serves(facts.model) else models(target.listed_as))
            for models in (group.models if group is not None else None, tenant.models)
        )
    ]
    serving = [target for target in may_use if target.serves(facts.model)]
    if not serving:
        decision.refuse("model-access", Stage.PRE_REQUEST, ModelDenied(_NO_MODEL_REASON))
        return
    others = [target for target in may_use if target not in serving] if _may_change_model(rules, facts) else []
    candidates = serving + others
    if tenant.regions is not None:
        candidates = [target for target in candidates if target.region in tenant.regions]
        if not candidates:
            error = RegionDenied(f"no target for the model lies in {sorted(tenant.regions)}")
            decision.refuse("residency", Stage.PRE_REQUEST, error)
            return
        decision.note("residency", Stage.PRE_REQUEST, Verdict.ALLOW, "the target lies in a permitted region")
    candidates = _data_routing(rules, scope, facts, candidates, decision, chain)
    if decision.refusal is None:
        decision.note("model-access", Stage.PRE_REQUEST, Verdict.ALLOW, "the tenant may use the target")
        decision.targets = tuple(candidates[: 1 + rules.fallback_attempts])


def _may_change_model(rules: Rules, facts: Facts) -> bool:
    # Vectors of another model live in another space: falling back would corrupt an index in silence.
    return rules.fallback_attempts > 0 and facts.api != "embeddings"


def _data_routing(
    rules: Rules,
    scope: TenantScope,
    facts: Facts,
    candidates: list[TargetRule],
    decision: Decision,
    chain: EffectiveChain,
) -> list[TargetRule]:
    asked = rules.data_routing
    applies = any(
        policy.kind is PolicyKind.DATA_ROUTING_POLICY and policy.applies(Stage.PRE_REQUEST, scope.tenant, facts)
        for policy in chain
    )
    zero = rules.tenant(scope.tenant).require_zero_data_retention or (applies and asked.require_zero_data_retention)
    no_training = applies and asked.require_no_training
    longest = asked.max_retention_days if applies else None
    if not (zero or no_training or longest is not None):
        return candidates
    kept = [
        target
        for target in candidates
        if (target.zero_data_retention or not zero)
        and (target.no_training or not no_training)
        and (longest is None or _retains_at_most(target, longest))
    ]
    if not kept:
        error = ModelDenied("no target for the model has promised what `data-routing-policy` or the tenant requires")
        decision.refuse(PolicyKind.DATA_ROUTING_POLICY, Stage.PRE_REQUEST, error)
    else:
        reason = "the target has promised what is required"
        decision.note(PolicyKind.DATA_ROUTING_POLICY, Stage.PRE_REQUEST, Verdict.ALLOW, reason)
    return kept


def _retains_at_most(target: TargetRule, days: int) -> bool:
    return target.zero_data_retention or (target.retention_days is not None and target.retention_days <= days)
