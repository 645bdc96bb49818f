"""`decide`: what may happen with one request, and why.

Promises: no rules refuse; a rule that fails refuses. `decide` explains and never raises for a refusal; `require` raises
it. A `Decision` has no truth value, so that nobody can forget to ask for the reason.

The checks, in order: agreement of what the request says about the tenant with the credential; the chain's policies at
the stage before the request; the targets that the tenant may use for the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import filterfalse
from typing import Final, NoReturn

from partywall.config.routing import Stage
from partywall.errors import (
    Denied,
    MissingIdentity,
    ModelDenied,
    PartywallError,
    RegionDenied,
    TenantMismatch,
    ToolDenied,
)
from partywall.policy.chains import EffectivePolicy, Facts
from partywall.policy.routes import RouteRule
from partywall.policy.rules import GroupRule, Rules
from partywall.policy.targets import TargetRule, TenantRule
from partywall.policy.tools import ToolTest
from partywall.tenancy import CredentialKind, TenantScope
from partywall.trail import PolicyResult, Verdict

__all__ = ["Decision", "decide", "permitted_target", "require", "visible_targets"]

_MAX_CHOICES: Final = 8192
_PRE_REQUEST: Final = Stage.PRE_REQUEST
_PRE_RESPONSE: Final = Stage.PRE_RESPONSE
_STRENGTH: Final = {Verdict.ALLOW: 0, Verdict.REDACT: 1, Verdict.ESCALATE: 2, Verdict.BLOCK: 3}


def _allowed(kind: str, reason: str) -> tuple[PolicyResult]:
    """What a policy says of most requests: made once, shared by all."""
    return (PolicyResult(kind, _PRE_REQUEST, Verdict.ALLOW, reason),)


_AGREES: Final = _allowed("agreement", "the request names no other tenant")
_IDENTIFIED: Final = _allowed("rbac", "identity headers present")
_TOOLS_PERMITTED: Final = _allowed("rbac", "identity headers present, tools permitted")
_MAY_USE: Final = _allowed("model-access", "the target is the tenant's to use, for data like this")


@dataclass(slots=True)
class Decision:
    """What was decided, policy by policy. `refusal` is None for an allowed request."""

    results: tuple[PolicyResult, ...] = ()
    verdict: Verdict = Verdict.ALLOW
    """Block when refused, else the strongest that a policy said."""
    refusal: PartywallError | None = None
    targets: tuple[TargetRule, ...] = ()
    """The targets to try, in order; the first is the choice, the rest are fall-backs."""
    tools: ToolTest | None = None
    """Which of the request's tools may go upstream; None when tools aren't restricted."""
    filters_tools: bool = False
    """Whether some of them may not."""
    answer_tools: ToolTest | None = None
    """Which tools the answer may call; None when tools aren't restricted."""
    scans_request: bool = False
    """Whether the request is to be scanned for personal data before it leaves."""
    scans_answer: bool = False
    """Whether the answer is."""

    def note(self, kind: str, stage: Stage, verdict: Verdict, reason: str) -> None:
        """Add what one policy said."""
        self.results += (PolicyResult(kind, stage, verdict, reason),)
        if _STRENGTH[verdict] > _STRENGTH[self.verdict]:
            self.verdict = verdict

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
    if scope.credential_kind is CredentialKind.OPERATOR:
        # It was made without any credential of the tenant's; no rule says what it could ask a model for.
        decision.refuse("agreement", _PRE_REQUEST, Denied("an operator's scope makes no requests"))
        return decision
    group = rules.group(scope)
    if not _agrees(rules, scope, facts, decision):
        return decision
    plan = rules.plan(group, route)
    if plan.looks_at_models and facts.model is not None:
        facts = replace(facts, model_names=_names(rules, scope, route, facts.model))
    if plan.rbac is not None:
        _rbac(rules, scope, facts, plan.rbac, decision)
    if plan.pii is not None:
        decision.scans_request = plan.pii.applies(_PRE_REQUEST, scope.tenant, facts)
        decision.scans_answer = plan.pii.applies(_PRE_RESPONSE, scope.tenant, facts)
    if decision.refusal is None and facts.model is not None:
        routing = plan.data_routing
        applies = routing is not None and routing.applies(_PRE_REQUEST, scope.tenant, facts)
        _choose_targets(rules, scope, group, route, facts.api, facts.model, decision, routing_applies=applies)
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


def permitted_target(rules: Rules, scope: TenantScope, target_id: str) -> TargetRule:
    """The target of that id, if texts of the scope's tenant may go there outside a request: to be embedded, say.

    What counts for the tenant's chats counts: whose the target is, its model, its region, what its vendor promised, by
    the strictest of the tenant's groups. An operator who acts on the tenant is held to the same.

    Raises:
        Denied: it may not, or there is none.
    """
    tenant = rules.tenant(scope.tenant)
    groups = [None, *(group for group in rules.groups() if group.tenant == scope.tenant)]
    routing_applies = any(rules.plan(group, None).data_routing is not None for group in groups)
    for target in rules.targets.available(scope.tenant, (target_id,), None):
        if tenant.models is not None and not tenant.models(target.listed_as):
            raise ModelDenied(f"`{scope.tenant}` may not use the model of `{target_id}`")
        if tenant.regions is not None and target.region not in tenant.regions:
            raise RegionDenied(f"`{target_id}` lies outside of {sorted(tenant.regions)}")
        if _promised(rules, tenant, target, routing_applies=routing_applies):
            return target
    raise ModelDenied(f"`{scope.tenant}` may not send texts to `{target_id}`")


# -- Agreement ---


def _agrees(rules: Rules, scope: TenantScope, facts: Facts, decision: Decision) -> bool:
    if facts.tenant_hints.count(scope.tenant) == len(facts.tenant_hints):
        decision.results += _AGREES
        return True
    error = TenantMismatch(f"the request's body or parameters name another tenant than `{scope.tenant}`")
    if rules.permissive:
        # The credential still chooses; only the refusal becomes an alert.
        decision.note("agreement", _PRE_REQUEST, Verdict.ESCALATE, str(error))
        return True
    decision.refuse("agreement", _PRE_REQUEST, error)
    return False


def _names(rules: Rules, scope: TenantScope, route: RouteRule | None, model: str) -> tuple[str, ...]:
    """What conditions on the model look at: a second name of one target must not slip past them, nor a fall-back."""
    reached = [
        target for target in rules.available(scope, route) if target.serves(model) or rules.fallback_attempts > 0
    ]
    return (model, *(name for target in reached for name in target.names()))


# -- Roles and tools ---


def _rbac(rules: Rules, scope: TenantScope, facts: Facts, policy: EffectivePolicy, decision: Decision) -> None:
    test = None if rules.tools is None else rules.tools.of(scope.role)
    always = policy.always
    if test is not None and (_PRE_RESPONSE in always or policy.applies(_PRE_RESPONSE, scope.tenant, facts)):
        decision.answer_tools = test
    if _PRE_REQUEST not in always and not policy.applies(_PRE_REQUEST, scope.tenant, facts):
        return
    missing = _missing_header(rules, scope, facts)
    if missing is not None:
        detail = f"the header `{missing}` is missing, and `policy.rbac.deny_if_missing` demands it"
        error = MissingIdentity(detail, public_message=f"The header {missing} is required.")
        decision.refuse("rbac", _PRE_REQUEST, error)
    elif test is None:
        decision.results += _IDENTIFIED
    else:
        _offered_tools(test, scope, facts, decision)


def _missing_header(rules: Rules, scope: TenantScope, facts: Facts) -> str | None:
    for name, header in rules.required_headers:
        if not facts.headers.get(header) and not _token_supplies(rules, scope, header):
            return name
    return None


def _token_supplies(rules: Rules, scope: TenantScope, header: bytes) -> bool:
    """Whether a verified token says what the header would have said."""
    if scope.credential_kind is not CredentialKind.JWT:
        return False
    attribute = rules.identity_headers.get(header)
    return attribute is not None and getattr(scope, attribute) is not None


def _offered_tools(test: ToolTest, scope: TenantScope, facts: Facts, decision: Decision) -> None:
    decision.tools = test
    if facts.forced_tool is not None and not test(facts.forced_tool):
        detail = f"the role `{scope.role}` may not use the tool `{facts.forced_tool}` that the request demands"
        decision.refuse("rbac", _PRE_REQUEST, ToolDenied(detail))
        return
    denied = list(filterfalse(test, facts.tools))
    # A choice among tools may name further ones; the wire looks into it.
    decision.filters_tools = bool(denied) or facts.chooses_tools
    if denied:
        reason = f"removed tools that `{scope.role}` may not use: {', '.join(denied[:20])}"
        decision.note("rbac", _PRE_REQUEST, Verdict.REDACT, reason)
    else:
        decision.results += _TOOLS_PERMITTED


# -- The targets ---


def _choose_targets(
    rules: Rules,
    scope: TenantScope,
    group: GroupRule | None,
    route: RouteRule | None,
    api: str,
    model: str,
    decision: Decision,
    *,
    routing_applies: bool,
) -> None:
    # Vectors of another model live in another space: falling back would corrupt an index in silence.
    other_models = rules.fallback_attempts > 0 and api != "embeddings"
    key = (
        scope.group,
        scope.tenant,
        -1 if route is None else route.index,
        model,
        other_models,
        routing_applies,
    )
    chosen = rules.choices.get(key)
    if chosen is None:
        try:
            chosen = _chosen(
                rules, scope, group, route, model, other_models=other_models, routing_applies=routing_applies
            )
        except Denied as error:
            decision.refuse("model-access", _PRE_REQUEST, error)
            return
        if len(rules.choices) >= _MAX_CHOICES:
            rules.choices.clear()
        rules.choices[key] = chosen
    decision.results += _MAY_USE
    decision.targets = chosen


def _chosen(
    rules: Rules,
    scope: TenantScope,
    group: GroupRule | None,
    route: RouteRule | None,
    model: str,
    *,
    other_models: bool,
    routing_applies: bool,
) -> tuple[TargetRule, ...]:
    tenant = rules.tenant(scope.tenant)
    limits = [models for models in (group.models if group is not None else None, tenant.models) if models is not None]
    may_use = [
        target
        for target in rules.available(scope, route)
        if all(models(model if target.serves(model) else target.listed_as) for models in limits)
    ]
    serving = [target for target in may_use if target.serves(model)]
    if not serving:
        raise ModelDenied("no target that this tenant may use serves the model")
    candidates = serving + [target for target in may_use if other_models and target not in serving]
    if tenant.regions is not None:
        candidates = [target for target in candidates if target.region in tenant.regions]
        if not candidates:
            raise RegionDenied(f"no target for the model lies in {sorted(tenant.regions)}")
    candidates = [target for target in candidates if _promised(rules, tenant, target, routing_applies=routing_applies)]
    if not candidates:
        raise ModelDenied("no target for the model has promised what `data-routing-policy` or the tenant requires")
    return tuple(candidates[: 1 + rules.fallback_attempts])


def _promised(rules: Rules, tenant: TenantRule, target: TargetRule, *, routing_applies: bool) -> bool:
    """Whether the target's vendor has promised what the tenant and, if it applies, `data-routing-policy` require."""
    asked = rules.data_routing
    if not target.zero_data_retention:
        if tenant.require_zero_data_retention or (routing_applies and asked.require_zero_data_retention):
            return False
        longest = asked.max_retention_days if routing_applies else None
        if longest is not None and (target.retention_days is None or target.retention_days > longest):
            return False
    return target.no_training or not (routing_applies and asked.require_no_training)
