"""Decisions: agreement, roles and tools, targets. Always two tenants."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.documents import rules, scope

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
from partywall.policy import Decision, Facts, Rules, decide, permitted_target, require, visible_targets
from partywall.tenancy import CredentialKind, TenantScope
from partywall.trail import Verdict

GROUPS = {"groups": [{"name": "alpha", "upstream": "a"}, {"name": "beta", "upstream": "b"}]}
TARGETS = {"targets": [{"id": "a", "provider": "parrot"}, {"id": "b", "provider": "parrot"}]}
RBAC = {
    "policies": {"chain": ["rbac"]},
    "policy": {
        "rbac": {
            "deny_if_missing": ["X-User-ID", "X-Org-ID"],
            "roles": {"analyst": {"allowed_tools": ["search*"], "denied_tools": ["search_all"]}, "viewer": {}},
        }
    },
}
HEADERS = {b"x-user-id": b"ada", b"x-org-id": b"alpha"}


def facts(**given: Any) -> Facts:
    defaults: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "api": "chat.completions",
        "model": "m",
        "headers": HEADERS,
    }
    return Facts(**(defaults | given))


def decided(made: Rules, who: TenantScope, asked: Facts) -> Decision:
    match = made.routes.match(asked.method, asked.path, asked.headers)
    return decide(made, who, match, asked)


def refusal(made: Rules, who: TenantScope, asked: Facts) -> type[PartywallError] | None:
    error = decided(made, who, asked).refusal
    return None if error is None else type(error)


class TestAgreement:
    made = rules(consumer_groups=GROUPS, providers=TARGETS)

    def test_own_name_agrees(self) -> None:
        assert refusal(self.made, scope("alpha"), facts(tenant_hints=("alpha",))) is None

    @pytest.mark.parametrize("hint", ["beta", "ALPHA", "alpha ", "", "alph", "alphaa", "\u0430lpha"])
    def test_any_other_name_is_refused(self, hint: str) -> None:
        assert refusal(self.made, scope("alpha"), facts(tenant_hints=("alpha", hint))) is TenantMismatch

    def test_permissive_turns_the_refusal_into_an_alert_and_the_credential_still_chooses(self) -> None:
        made = rules(consumer_groups=GROUPS, providers=TARGETS, multi_tenant={"isolation_model": "permissive"})
        decision = decided(made, scope("alpha"), facts(tenant_hints=("beta",)))
        assert decision.refusal is None
        assert decision.verdict is Verdict.ESCALATE
        assert [target.id for target in decision.targets] == ["a"]


class TestRoles:
    made = rules(consumer_groups=GROUPS, providers=TARGETS, **RBAC)

    @pytest.mark.parametrize("missing", [b"x-user-id", b"x-org-id"])
    def test_a_demanded_header_is_missing(self, missing: bytes) -> None:
        headers = {name: value for name, value in HEADERS.items() if name != missing}
        assert refusal(self.made, scope("alpha", role="analyst"), facts(headers=headers)) is MissingIdentity

    def test_an_empty_header_is_a_missing_one(self) -> None:
        headers = {**HEADERS, b"x-user-id": b""}
        assert refusal(self.made, scope("alpha", role="analyst"), facts(headers=headers)) is MissingIdentity

    def test_a_token_supplies_what_the_headers_would(self) -> None:
        who = scope("alpha", role="analyst", user="ada", kind=CredentialKind.JWT)
        assert refusal(self.made, who, facts(headers={})) is None

    def test_an_api_key_supplies_no_user(self) -> None:
        assert refusal(self.made, scope("alpha", user="ada"), facts(headers={})) is MissingIdentity

    @pytest.mark.parametrize(
        ("role", "tool", "may"),
        [
            ("analyst", "search", True),
            ("analyst", "search_web", True),
            ("analyst", "search_all", False),
            ("analyst", "SEARCH", False),
            ("analyst", "execute", False),
            ("viewer", "search", False),
            ("nobody", "search", False),
            (None, "search", False),
        ],
    )
    def test_forced_tools(self, role: str | None, tool: str, may: bool) -> None:  # a table's column
        who = scope("alpha", role=role)
        assert refusal(self.made, who, facts(tools=(tool,), forced_tool=tool)) is (None if may else ToolDenied)

    def test_offered_tools_are_marked_for_removal_and_answers_are_watched(self) -> None:
        decision = decided(self.made, scope("alpha", role="analyst"), facts(tools=("search", "execute")))
        assert decision.refusal is None
        assert decision.verdict is Verdict.REDACT
        assert decision.tools is not None
        assert decision.answer_tools is not None
        assert (decision.tools("search"), decision.tools("execute")) == (True, False)
        assert (decision.answer_tools("search"), decision.answer_tools("execute")) == (True, False)

    def test_without_rbac_in_the_chain_its_settings_do_nothing(self) -> None:
        made = rules(consumer_groups=GROUPS, providers=TARGETS, policy=RBAC["policy"])
        assert decided(made, scope("alpha"), facts(headers={}, forced_tool="execute")).refusal is None


class TestTargets:
    def test_each_tenant_reaches_its_own(self) -> None:
        made = rules(consumer_groups=GROUPS, providers=TARGETS)
        for tenant, target in (("alpha", "a"), ("beta", "b")):
            assert [t.id for t in decided(made, scope(tenant), facts()).targets] == [target]

    def test_the_others_target_and_nobodys_look_the_same(self) -> None:
        targets = {"targets": [{"id": n, "provider": "parrot", "model": f"{n}-model"} for n in "ab"]}
        made = rules(consumer_groups=GROUPS, providers=targets)
        foreign = decided(made, scope("alpha"), facts(model="b-model")).refusal
        missing = decided(made, scope("alpha"), facts(model="no-model")).refusal
        assert isinstance(foreign, ModelDenied)
        assert isinstance(missing, ModelDenied)
        assert str(foreign) == str(missing)

    def test_a_route_cannot_lead_to_the_others_target(self) -> None:
        routes = [{"name": "chat", "path": "/v1/chat/completions", "upstream": "b"}]
        made = rules(consumer_groups=GROUPS, providers=TARGETS, routes=routes)
        assert refusal(made, scope("alpha"), facts()) is ModelDenied
        assert [t.id for t in decided(made, scope("beta"), facts()).targets] == ["b"]

    def test_unclaimed_targets_are_shared_and_claimed_ones_are_not(self) -> None:
        targets = {"targets": [{"id": "a", "provider": "parrot"}, {"id": "common", "provider": "parrot"}]}
        groups = {"groups": [{"name": "alpha", "upstream": "a"}, {"name": "beta"}]}
        made = rules(consumer_groups=groups, providers=targets)
        assert [t.id for t in decided(made, scope("beta"), facts()).targets] == ["common"]

    def test_explicit_tenants_beat_everything(self) -> None:
        targets = {"targets": [{"id": "a", "provider": "parrot", "tenants": ["beta"]}]}
        made = rules(consumer_groups={"groups": [{"name": "alpha", "upstream": "a"}]}, providers=targets)
        assert refusal(made, scope("alpha"), facts()) is ModelDenied

    @pytest.mark.parametrize(
        ("models", "may"), [(None, True), (["m"], True), (["m*"], True), ([], False), (["x"], False)]
    )
    def test_allowed_models(self, models: list[str] | None, may: bool) -> None:  # a table's column
        groups = {"groups": [{"name": "alpha", "upstream": "a", "allowed_models": models}]}
        made = rules(consumer_groups=groups, providers=TARGETS)
        assert refusal(made, scope("alpha"), facts()) is (None if may else ModelDenied)

    def test_regions(self) -> None:
        targets = {
            "targets": [{"id": "us", "provider": "parrot", "region": "us"}, {"id": "none", "provider": "parrot"}]
        }
        made = rules(
            consumer_groups={"groups": [{"name": "alpha"}, {"name": "beta"}]},
            providers=targets,
            tenants={"alpha": {"regions": ["eu"]}, "beta": {"regions": ["us"]}},
        )
        assert refusal(made, scope("alpha"), facts()) is RegionDenied
        assert [t.id for t in decided(made, scope("beta"), facts()).targets] == ["us"]

    def test_zero_retention_of_one_tenant(self) -> None:
        targets = {
            "targets": [{"id": "keeps", "provider": "parrot"}, {"id": "zero", "provider": "parrot", "zdr": True}]
        }
        made = rules(
            consumer_groups={"groups": [{"name": "alpha"}, {"name": "beta"}]},
            providers={**targets, "fallback": {}},
            tenants={"alpha": {"require_zero_data_retention": True}, "beta": {}},
        )
        assert [t.id for t in decided(made, scope("alpha"), facts()).targets] == ["zero"]
        assert [t.id for t in decided(made, scope("beta"), facts()).targets] == ["keeps", "zero"]

    def test_data_routing_policy(self) -> None:
        targets = {
            "targets": [
                {"id": "month", "provider": "parrot", "data_policy": {"retention_days": 30, "training_opt_out": True}},
                {"id": "trains", "provider": "parrot", "data_policy": {"retention_days": 0}},
            ]
        }
        made = rules(
            consumer_groups={"groups": [{"name": "alpha"}]},
            providers={**targets, "fallback": {}},
            policies={"chain": ["data-routing-policy"]},
            policy={"data-routing-policy": {"require_no_training": True, "max_retention_days": 7}},
        )
        assert refusal(made, scope("alpha"), facts()) is ModelDenied

    def test_no_fallback_unless_the_document_says_so_and_never_across_embeddings(self) -> None:
        targets = {"targets": [{"id": n, "provider": "parrot", "model": n} for n in ("m", "n")]}
        groups = {"groups": [{"name": "alpha", "upstream": ["m", "n"]}]}
        without = rules(consumer_groups=groups, providers=targets)
        having = rules(consumer_groups=groups, providers={**targets, "fallback": {}})
        assert [t.id for t in decided(without, scope("alpha"), facts()).targets] == ["m"]
        assert [t.id for t in decided(having, scope("alpha"), facts()).targets] == ["m", "n"]
        assert [t.id for t in decided(having, scope("alpha"), facts(api="embeddings")).targets] == ["m"]

    def test_visible_models_are_those_that_would_be_served(self) -> None:
        made = rules(
            consumer_groups={"groups": [{"name": "alpha"}, {"name": "beta", "allowed_models": ["two"]}]},
            providers={"targets": [{"id": n, "provider": "parrot", "model": n} for n in ("one", "two")]},
        )
        for tenant, names in (("alpha", ["one", "two"]), ("beta", ["two"])):
            who = scope(tenant)
            assert [t.listed_as for t in visible_targets(made, who, None)] == names
            for name in ("one", "two"):
                assert (refusal(made, who, facts(model=name)) is None) == (name in names)


def test_a_decision_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(Decision())


def test_the_verdict_is_the_strongest_that_was_said_and_a_refusal_stands() -> None:
    decision = Decision()
    for said, verdict in (
        (Verdict.ALLOW, Verdict.ALLOW),
        (Verdict.REDACT, Verdict.REDACT),
        (Verdict.ALLOW, Verdict.REDACT),
        (Verdict.ESCALATE, Verdict.ESCALATE),
        (Verdict.REDACT, Verdict.ESCALATE),
    ):
        decision.note("rbac", Stage.PRE_REQUEST, said, "")
        assert decision.verdict is verdict
    first = ModelDenied("first")
    decision.refuse("rbac", Stage.PRE_REQUEST, first)
    decision.refuse("rbac", Stage.PRE_REQUEST, ModelDenied("second"))
    decision.note("rbac", Stage.PRE_REQUEST, Verdict.ESCALATE, "")
    assert decision.verdict is Verdict.BLOCK
    assert decision.refusal is first
    assert len(decision.results) == 8


def test_what_one_request_was_told_is_not_in_the_next_ones_decision() -> None:
    made = rules(consumer_groups=GROUPS, providers=TARGETS, **RBAC)
    who = scope("alpha", role="analyst")
    before = decided(made, who, facts(tools=("search",)))
    said = before.results
    before.note("strip", Stage.PRE_REQUEST, Verdict.REDACT, "of this request alone")
    assert decided(made, who, facts(tools=("search",))).results == said
    assert decided(made, scope("beta", role="analyst"), facts(tools=("search",))).verdict is Verdict.ALLOW


def test_require_raises_the_refusal() -> None:
    made = rules(consumer_groups=GROUPS, providers=TARGETS)
    with pytest.raises(TenantMismatch):
        require(decided(made, scope("alpha"), facts(tenant_hints=("beta",))))


class TestOperators:
    """Nobody's credential is behind an operator's scope, so no rule can say what it may ask for."""

    def test_an_operators_scope_makes_no_request(self) -> None:
        made = rules(consumer_groups=GROUPS, providers=TARGETS)
        for tenant in ("alpha", "beta"):
            assert decided(made, scope(tenant), facts()).refusal is None
            decision = decided(made, scope(tenant, kind=CredentialKind.OPERATOR), facts())
            assert type(decision.refusal) is Denied
            assert decision.targets == ()

    def test_without_a_group_no_target_is_reached(self) -> None:
        made = rules(consumer_groups={"groups": [{"name": "alpha"}, {"name": "beta"}]}, providers=TARGETS)
        assert len(visible_targets(made, scope("alpha"), None)) == 2
        assert visible_targets(made, scope("alpha", "no-group"), None) == []

    def test_a_tenants_texts_may_go_where_the_tenant_may_and_nowhere_else(self) -> None:
        made = rules(consumer_groups=GROUPS, providers=TARGETS)
        for tenant, own, other in (("alpha", "a", "b"), ("beta", "b", "a")):
            operator = scope(tenant, kind=CredentialKind.OPERATOR)
            assert permitted_target(made, operator, own).id == own
            for foreign in (other, "nobodys"):
                with pytest.raises(ModelDenied):
                    permitted_target(made, operator, foreign)

    def test_what_any_of_its_groups_demands_is_demanded_of_a_tenants_texts(self) -> None:
        """They belong to the tenant, whoever of it brought them."""
        strict = {"name": "strict", "tenant": "alpha", "chain": ["data-routing-policy"]}
        groups = [{"name": "alpha"}, strict, {"name": "beta"}]
        made = rules(
            consumer_groups={"groups": groups},
            providers={"targets": [{"id": "trains", "provider": "parrot"}]},
            policy={"data-routing-policy": {"require_no_training": True}},
        )
        for who in (scope("beta"), scope("beta", kind=CredentialKind.OPERATOR)):
            assert permitted_target(made, who, "trains").id == "trains"
        for who in (scope("alpha"), scope("alpha", "strict"), scope("alpha", kind=CredentialKind.OPERATOR)):
            with pytest.raises(ModelDenied):
                permitted_target(made, who, "trains")

    def test_a_tenants_regions_hold_for_an_operator_too(self) -> None:
        made = rules(
            consumer_groups={"groups": [{"name": "alpha"}, {"name": "beta"}]},
            providers={"targets": [{"id": "us", "provider": "parrot", "region": "us"}]},
            tenants={"alpha": {"regions": ["eu"]}, "beta": {"regions": ["us"]}},
        )
        assert permitted_target(made, scope("beta", kind=CredentialKind.OPERATOR), "us").id == "us"
        with pytest.raises(RegionDenied):
            permitted_target(made, scope("alpha", kind=CredentialKind.OPERATOR), "us")
