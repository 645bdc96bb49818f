"""Which group comes to which target on which route.

Promises: the same answer as `policy.TargetTable.available` gives for each (group, route), without asking it for each:
ten thousand groups with a route each are a hundred million pairs. What a group may reach on a route is what it may
reach without one, less what the route doesn't name; `tests/lint/test_reach.py` holds that against policy itself.

Doesn't promise: that a request would get through. Models, regions and retention are rules' own questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from partywall.config.routing import Group
from partywall.policy.routes import RouteRule
from partywall.policy.rules import Rules
from partywall.policy.targets import TargetRule
from partywall.tenancy import TenantId

__all__ = ["Reach"]

Pool = tuple[TargetRule, ...]


class Reach:
    """Who comes where."""

    def __init__(self, groups: Sequence[Group], rules: Rules) -> None:
        self.routes = tuple(rules.routes)
        self._pools: list[Pool] = [
            rules.targets.available(TenantId(group.tenant_id), group.upstream, None) for group in groups
        ]
        self._leads_anywhere = not self.routes or any(route.upstream is None for route in self.routes)
        self._led_to = frozenset(name for route in self.routes for name in route.upstream or ())
        self._tenants_by_target = self._users(groups)

    def targets(self, group: int) -> Pool:
        """The targets that the group of this index may reach, whatever the route."""
        return self._pools[group]

    def tenants(self, target: str) -> frozenset[str]:
        """The tenants that may reach this target, whatever the route."""
        return self._tenants_by_target.get(target, frozenset())

    def has_route(self, group: int) -> bool:
        """Whether any route leads the group to a target that it may use."""
        pool = self._pools[group]
        return bool(pool) and (self._leads_anywhere or any(target.id in self._led_to for target in pool))

    def is_led_to(self, target: str) -> bool:
        """Whether any route leads to this target."""
        return self._leads_anywhere or target in self._led_to

    def open_routes(self, groups: Iterable[int]) -> list[RouteRule]:
        """The routes that lead at least one of these groups to a target that it may use."""
        pools = {id(self._pools[group]): self._pools[group] for group in groups}
        reached = {target.id for pool in pools.values() for target in pool}
        return [
            route
            for route in self.routes
            if (reached if route.upstream is None else not reached.isdisjoint(route.upstream))
        ]

    def _users(self, groups: Sequence[Group]) -> dict[str, frozenset[str]]:
        # Groups without an upstream of their own share one tuple, so their tenants are gathered once for all of it.
        sharers: dict[int, tuple[Pool, set[str]]] = {}
        for pool, group in zip(self._pools, groups, strict=True):
            sharers.setdefault(id(pool), (pool, set()))[1].add(group.tenant_id)
        users: dict[str, set[str]] = {}
        for pool, tenants in sharers.values():
            for target in pool:
                users.setdefault(target.id, set()).update(tenants)
        return {target: frozenset(tenants) for target, tenants in users.items()}
