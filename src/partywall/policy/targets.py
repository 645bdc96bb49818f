"""Which targets a tenant may use, and which of them serves a model.

Promises: a target that some tenants' groups name as upstream, or that lists `tenants`, is theirs alone; only a target
that nobody claims is shared. A model outside what the tenant may use looks the same whether another tenant has it or
nobody does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from partywall.config.document import Document
from partywall.config.providers import Target
from partywall.policy.globs import Matcher, matcher
from partywall.tenancy import TenantId

__all__ = ["TargetRule", "TargetTable", "TenantRule", "tenant_rules"]


@dataclass(frozen=True, slots=True)
class TargetRule:
    """What policy knows of one target."""

    id: str
    vendor: str
    model: str | None
    region: str | None
    zero_data_retention: bool
    no_training: bool
    retention_days: int | None
    owners: frozenset[str] | None
    """The tenants that may use it; None when nobody claims it."""

    def open_to(self, tenant: str) -> bool:
        """Whether `tenant` may use this target."""
        return self.owners is None or tenant in self.owners

    def serves(self, model: str) -> bool:
        """Whether a request for `model` may go here: by target id, by model, by `vendor/model`, or any model at all."""
        if model == self.id:
            return True
        return self.model is None or model in (self.model, f"{self.vendor}/{self.model}")

    def names(self) -> tuple[str, ...]:
        """Every name under which a request can ask for this target."""
        return (self.id,) if self.model is None else (self.id, self.model, f"{self.vendor}/{self.model}")

    def model_for(self, requested: str) -> str:
        """The model name that is sent upstream."""
        return self.model if self.model is not None else requested

    @property
    def listed_as(self) -> str:
        """What `/v1/models` calls it."""
        return self.model if self.model is not None else self.id


@dataclass(frozen=True, slots=True)
class TenantRule:
    """What is particular to one tenant."""

    models: Matcher | None
    regions: frozenset[str] | None
    require_zero_data_retention: bool


class TargetTable:
    """Every target, and whose it is."""

    __slots__ = ("_by_id", "_order", "_owned", "_shared")

    def __init__(self, document: Document) -> None:
        owners = _owners(document)
        rules = [_rule(target, owners.get(target.id)) for target in document.providers.targets]
        self._by_id = {rule.id: rule for rule in rules}
        self._order = {rule.id: number for number, rule in enumerate(rules)}
        self._shared = tuple(rule for rule in rules if rule.owners is None)
        self._owned: dict[str, list[TargetRule]] = {}
        for rule in rules:
            for tenant in rule.owners or ():
                self._owned.setdefault(tenant, []).append(rule)

    def __iter__(self) -> Iterator[TargetRule]:
        return iter(self._by_id.values())

    def available(
        self, tenant: TenantId, group_upstream: tuple[str, ...] | None, route_upstream: tuple[str, ...] | None
    ) -> tuple[TargetRule, ...]:
        """The targets that a request may reach, in order: what the group and the route both allow, and no other's."""
        if group_upstream is not None:
            names = group_upstream if route_upstream is None else [n for n in route_upstream if n in group_upstream]
        elif route_upstream is not None:
            names = route_upstream
        else:
            return self._everything_of(tenant)
        rules = (self._by_id.get(name) for name in names)
        return tuple(rule for rule in rules if rule is not None and rule.open_to(tenant))

    def _everything_of(self, tenant: TenantId) -> tuple[TargetRule, ...]:
        owned = self._owned.get(tenant)
        if not owned:
            return self._shared
        return tuple(sorted((*owned, *self._shared), key=lambda rule: self._order[rule.id]))


def tenant_rules(document: Document) -> tuple[TenantRule, dict[str, TenantRule]]:
    """The rule of a tenant without settings of its own, and the rules of those that have them."""
    default_regions = document.residency.allowed_regions
    default = TenantRule(
        None, None if default_regions is None else frozenset(default_regions), require_zero_data_retention=False
    )
    own: dict[str, TenantRule] = {}
    for tenant, settings in document.tenants.items():
        regions = settings.regions if settings.regions is not None else default_regions
        if settings.allowed_models is None and regions == default_regions and not settings.require_zero_data_retention:
            continue
        own[tenant] = TenantRule(
            models=None if settings.allowed_models is None else matcher(settings.allowed_models),
            regions=None if regions is None else frozenset(regions),
            require_zero_data_retention=settings.require_zero_data_retention,
        )
    return default, own


def _owners(document: Document) -> dict[str, frozenset[str]]:
    claims: dict[str, set[str]] = {}
    for group in document.consumer_groups.groups:
        for name in group.upstream or ():
            claims.setdefault(name, set()).add(group.tenant_id)
    owners = {name: frozenset(tenants) for name, tenants in claims.items()}
    for target in document.providers.targets:
        if target.tenants is not None:
            owners[target.id] = frozenset(target.tenants)
    return owners


def _rule(target: Target, owners: frozenset[str] | None) -> TargetRule:
    return TargetRule(
        id=target.id,
        vendor=target.vendor,
        model=target.upstream_model,
        region=target.region,
        zero_data_retention=target.zero_data_retention,
        no_training=target.no_training,
        retention_days=target.data_policy.retention_days,
        owners=owners,
    )
