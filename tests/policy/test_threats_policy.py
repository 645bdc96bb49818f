"""Ways across that a document could leave open: an empty list read as everything, a fall-back to somebody else's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.documents import document, rules, scope

from partywall.config.document import Document
from partywall.policy import Facts, Rules, decide, visible_targets

TENANTS = ("alpha", "beta", "gamma")
TARGETS = ("a", "b", "c", "d")
REGIONS = ("eu", "us")


def facts(**given_facts: Any) -> Facts:
    asked = {"method": "POST", "path": "/v1/chat/completions", "api": "chat.completions", "model": "m", "headers": {}}
    return Facts(**(asked | given_facts))


# -- Empty means nothing ---

EMPTIED: dict[str, dict[str, Any]] = {
    "a group's targets": {"consumer_groups": {"groups": [{"name": "alpha", "upstream": []}]}},
    "a group's models": {"consumer_groups": {"groups": [{"name": "alpha", "allowed_models": []}]}},
    "a route's targets": {"routes": [{"name": "all", "path": "/v1/", "match": "prefix", "upstream": []}]},
    "a target's tenants": {"providers": {"targets": [{"id": "a", "provider": "parrot", "tenants": []}]}},
    "a tenant's models": {"tenants": {"alpha": {"allowed_models": []}}},
    "a tenant's regions": {"tenants": {"alpha": {"regions": []}}},
    "everybody's regions": {"residency": {"allowed_regions": []}},
}
FULL: dict[str, Any] = {
    "providers": {"targets": [{"id": "a", "provider": "parrot", "region": "eu"}]},
    "consumer_groups": {"groups": [{"name": "alpha"}]},
}


@pytest.mark.parametrize("what", EMPTIED)
def test_an_empty_list_lets_nothing_through(what: str) -> None:
    """LESSONS R4: elsewhere `[]` dropped the filter."""
    made = rules(**(FULL | EMPTIED[what]))
    route = made.routes.match("POST", "/v1/chat/completions", {})
    decision = decide(made, scope("alpha"), route, facts())
    assert decision.refusal is not None
    assert decision.targets == ()
    assert visible_targets(made, scope("alpha"), route) == []


def test_without_the_list_it_would_have_been_let_through() -> None:
    decision = decide(rules(**FULL), scope("alpha"), None, facts())
    assert decision.refusal is None


# -- Whatever the document says, a decision stays on the tenant's side ---


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Any mixture of claims, regions, fall-backs and retention among three tenants and four targets."""
    some_targets = st.none() | st.lists(st.sampled_from(TARGETS), unique=True, max_size=4)
    some_tenants = st.none() | st.lists(st.sampled_from(TENANTS), unique=True, max_size=3)
    region = st.none() | st.sampled_from(REGIONS)
    targets = [
        {
            "id": name,
            "provider": draw(st.sampled_from(["parrot", "parrot:chat:m", "parrot:chat:n"])),
            "tenants": draw(some_tenants),
            "region": draw(region),
            "zdr": draw(st.booleans()),
        }
        for name in TARGETS
    ]
    settings = {
        tenant: {
            "regions": draw(st.none() | st.lists(st.sampled_from(REGIONS), unique=True)),
            "require_zero_data_retention": draw(st.booleans()),
        }
        for tenant in TENANTS
    }
    return document(
        providers={"targets": targets, "fallback": draw(st.sampled_from([None, {}]))},
        consumer_groups={"groups": [{"name": tenant, "upstream": draw(some_targets)} for tenant in TENANTS]},
        tenants=settings,
        routes=[{"name": "all", "path": "/v1/", "match": "prefix", "upstream": draw(some_targets)}],
    )


def claimed_by(made: Document, target: str) -> set[str] | None:
    """Whose a target is, worked out anew from the document: its own list, else the groups that name it."""
    listed = next(found.tenants for found in made.providers.targets if found.id == target)
    if listed is not None:
        return set(listed)
    return {group.tenant_id for group in made.consumer_groups.groups if target in (group.upstream or ())} or None


asked = st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(["m", "n", *TARGETS])), min_size=1, max_size=6)


@given(made=documents(), requests=asked)
def test_no_decision_names_a_target_of_anothers_nor_leaves_the_region(
    made: Document, requests: list[tuple[str, str]]
) -> None:
    """One after the other by the same rules, so that nothing remembered for one tenant serves the next."""
    compiled = Rules(made)
    route = compiled.routes.match("POST", "/v1/chat/completions", {})
    for tenant, model in requests:
        decision = decide(compiled, scope(tenant), route, facts(model=model))
        assert (decision.refusal is None) == bool(decision.targets)
        assert len(decision.targets) <= (1 if made.providers.fallback is None else 4)
        settings = made.tenants[tenant]
        for target in (*decision.targets, *visible_targets(compiled, scope(tenant), route)):
            owners = claimed_by(made, target.id)
            assert owners is None or tenant in owners
            assert settings.regions is None or target.region in settings.regions
            assert target.zero_data_retention or not settings.require_zero_data_retention


# -- A control is reported only when it ran ---


@pytest.mark.parametrize(("path", "ran"), [("/v1/chat/completions", True), ("/v1/embeddings", False)])
def test_a_policy_whose_condition_is_not_met_is_not_reported(path: str, ran: bool) -> None:
    chain = [{"rbac": {"when": {"path": "/v1/chat/completions"}}}]
    made = rules(**FULL, policies={"chain": chain}, policy={"rbac": {"deny_if_missing": []}})
    decision = decide(made, scope("alpha"), None, facts(path=path))
    assert ("rbac" in {result.kind for result in decision.results}) is ran


def test_nothing_is_said_of_a_region_that_nobody_asked_for() -> None:
    said = {result.kind for result in decide(rules(**FULL), scope("alpha"), None, facts()).results}
    assert said == {"agreement", "model-access"}
