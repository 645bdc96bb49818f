"""What lint thinks a group can reach is what policy lets it reach, on random documents."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from partywall.config.document import Document
from partywall.lint.reach import Reach
from partywall.policy.rules import Rules
from partywall.tenancy import TenantId

TARGETS = ("one", "two", "three", "four")
TENANTS = ("alpha", "beta", "gamma")
upstreams = st.none() | st.lists(st.sampled_from((*TARGETS, "missing")), max_size=3, unique=True)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    targets: list[dict[str, Any]] = [
        {"id": name, "provider": "parrot", "tenants": draw(st.none() | st.lists(st.sampled_from(TENANTS), max_size=2))}
        for name in draw(st.lists(st.sampled_from(TARGETS), unique=True))
    ]
    groups = [
        {"name": f"g{number}", "tenant": draw(st.sampled_from(TENANTS)), "upstream": draw(upstreams)}
        for number in range(draw(st.integers(0, 4)))
    ]
    routes = [
        {"name": f"r{number}", "path": f"/r{number}", "upstream": draw(upstreams)}
        for number in range(draw(st.integers(0, 3)))
    ]
    return Document.model_validate(
        {
            "pack": {"name": "random"},
            "providers": {"targets": targets},
            "consumer_groups": {"groups": groups},
            "routes": routes,
        }
    )


@given(documents())
def test_reach_agrees_with_policy(document: Document) -> None:
    groups, rules = document.consumer_groups.groups, Rules(document)
    reach = Reach(groups, rules)
    routes = [*rules.routes] or [None]
    got: dict[tuple[int, int], set[str]] = {}
    for index, group in enumerate(groups):
        for route in routes:
            upstream = None if route is None else route.upstream
            available = rules.targets.available(TenantId(group.tenant_id), group.upstream, upstream)
            got[index, -1 if route is None else route.index] = {target.id for target in available}

    for index in range(len(groups)):
        assert reach.has_route(index) == any(targets for (group, _), targets in got.items() if group == index)
    for subset in (range(len(groups)), range(1)):
        usable = {route.index for route in reach.open_routes(index for index in subset if index < len(groups))}
        expected = {route for (group, route), targets in got.items() if group in subset and targets and route >= 0}
        assert usable == expected
    for target in document.providers.targets:
        reachable = any(target.id in targets for targets in got.values())
        assert (bool(reach.tenants(target.id)) and reach.is_led_to(target.id)) == reachable


@given(documents())
def test_tenants_of_a_target_are_those_whose_groups_may_use_it(document: Document) -> None:
    groups, rules = document.consumer_groups.groups, Rules(document)
    reach = Reach(groups, rules)
    for target in document.providers.targets:
        expected = {
            group.tenant_id
            for group in groups
            if target.id in {one.id for one in rules.targets.available(TenantId(group.tenant_id), group.upstream, None)}
        }
        assert reach.tenants(target.id) == expected
