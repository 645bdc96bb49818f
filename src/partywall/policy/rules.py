"""`Rules`: a document, compiled into what decides about requests.

Promises: `decide` explains and `require` raises; nothing here waits, reads a file or remembers a request. A document is
compiled once and never changed; a reload makes new rules.

Doesn't promise: to know who is calling. The scope comes from `identity`, verified.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from partywall.config.document import Document
from partywall.config.kinds import PolicyKind
from partywall.config.routing import ChainEntry, Group
from partywall.policy.chains import EffectiveChain, EffectivePolicy, merge
from partywall.policy.globs import Matcher, matcher
from partywall.policy.routes import RouteRule, RouteTable
from partywall.policy.targets import TargetRule, TargetTable, TenantRule, tenant_rules
from partywall.policy.tools import ToolRules
from partywall.tenancy import TenantId, TenantScope

__all__ = ["GroupRule", "Rules"]


@dataclass(frozen=True, slots=True)
class GroupRule:
    """What policy knows of one consumer group."""

    name: str
    tenant: str
    upstream: tuple[str, ...] | None
    models: Matcher | None
    chain: tuple[ChainEntry, ...]


ChoiceKey = tuple[str | None, TenantId, int, str, bool, bool]
"""Group, tenant, route, model, whether another model would do, and whether `data-routing-policy` applies."""


class Plan(NamedTuple):
    """The effective chain of one (group, route), and in it the policies that this build runs."""

    chain: EffectiveChain
    rbac: EffectivePolicy | None
    data_routing: EffectivePolicy | None
    pii: EffectivePolicy | None
    looks_at_models: bool
    """Whether a condition in it depends on the model."""


class Rules:
    """Everything that decides, compiled from one document."""

    __slots__ = (
        "_gateway",
        "_global_chain",
        "_groups",
        "_plans",
        "_tenant_default",
        "_tenants",
        "choices",
        "data_routing",
        "fallback_attempts",
        "identity_headers",
        "permissive",
        "required_headers",
        "routes",
        "targets",
        "tools",
    )

    def __init__(self, document: Document) -> None:
        self._gateway = document.server.name
        self._global_chain = document.policies.chain
        self._groups = {group.name: _group(group) for group in document.consumer_groups.groups}
        self._plans: dict[tuple[int, int], Plan] = {}
        self.choices: dict[ChoiceKey, tuple[TargetRule, ...]] = {}
        """Targets chosen before, for the same question. Only what was allowed: nobody can fill it with noise."""
        self._tenant_default, self._tenants = tenant_rules(document)
        self.routes = RouteTable(document.routes)
        self.targets = TargetTable(document)
        rbac = document.policy.settings_of_rbac()
        self.tools = None if rbac.roles is None else ToolRules(rbac.roles)
        self.required_headers = tuple((name, name.lower().encode()) for name in rbac.deny_if_missing)
        self.identity_headers = _identity_headers(document)
        self.data_routing = document.policy.settings_of_data_routing()
        fallback = document.providers.fallback
        self.fallback_attempts = 0 if fallback is None else fallback.max_fallback_attempts
        self.permissive = document.multi_tenant.isolation_model != "strict"

    def group(self, scope: TenantScope) -> GroupRule | None:
        """The rule of the scope's group; None for an operator's scope."""
        return self._groups.get(scope.group) if scope.group is not None else None

    def groups(self) -> Iterator[GroupRule]:
        """Every group, in document order."""
        yield from self._groups.values()

    def tenant(self, tenant: TenantId) -> TenantRule:
        """The rule of a tenant."""
        return self._tenants.get(tenant, self._tenant_default)

    def chain(self, group: GroupRule | None, route: RouteRule | None) -> EffectiveChain:
        """The effective chain of a group on a route: global, group and route added up."""
        return self.plan(group, route).chain

    def plan(self, group: GroupRule | None, route: RouteRule | None) -> Plan:
        """The effective chain, ready to run."""
        own: tuple[ChainEntry, ...] = group.chain if group is not None else ()
        # `own` lives as long as these rules do, so its id names it; an empty tuple is one object for all groups.
        key = (id(own), route.index if route is not None else -1)
        plan = self._plans.get(key)
        if plan is None:
            levels = (self._global_chain, own, route.chain if route is not None else ())
            plan = self._plans[key] = _plan(merge(levels, self._gateway))
        return plan

    def available(self, scope: TenantScope, route: RouteRule | None) -> tuple[TargetRule, ...]:
        """The targets that this scope may reach on this route, in order; none for a scope without a group."""
        group = self.group(scope)
        if group is None:
            return ()
        return self.targets.available(scope.tenant, group.upstream, None if route is None else route.upstream)


def _plan(chain: EffectiveChain) -> Plan:
    kinds = {policy.kind: policy for policy in chain}
    looks_at_models = any(policy.looks_at_models for policy in chain)
    return Plan(
        chain,
        kinds.get(PolicyKind.RBAC),
        kinds.get(PolicyKind.DATA_ROUTING_POLICY),
        kinds.get(PolicyKind.PII_DETECTOR),
        looks_at_models,
    )


def _group(group: Group) -> GroupRule:
    return GroupRule(
        name=group.name,
        tenant=group.tenant_id,
        upstream=group.upstream,
        models=None if group.allowed_models is None else matcher(group.allowed_models),
        chain=group.chain,
    )


def _identity_headers(document: Document) -> Mapping[bytes, str]:
    """Each identity header, and which attribute of a scope stands for it when a token supplies it."""
    headers = document.server.identity_headers
    return {
        **{name.lower().encode(): "tenant" for name in headers.tenant},
        **{name.lower().encode(): "user" for name in headers.user},
        **{name.lower().encode(): "role" for name in headers.role},
    }
