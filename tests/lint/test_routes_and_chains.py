"""Rules about routes, groups, chains, conditions and stages."""

from __future__ import annotations

import pytest

from partywall.lint import RULES
from partywall.lint.examples import example

from .documents import TWO_GROUPS, found, judged, messages

ROUTED = "routes: [{{name: r, path: {path}, match: {match}, methods: {methods}}}]\n"


@pytest.mark.parametrize(
    ("path", "match", "methods", "served"),
    [
        ("/v1", "prefix", "null", True),
        ("/", "prefix", "null", True),
        ("/team-a", "prefix", "[POST]", True),
        ("/v1/models/parrot-1", "exact", "[GET]", True),
        ("/v1/chat", "prefix", "[POST]", True),
        ("/v1/chat/completions", "exact", "[GET]", False),
        ("/v1/chat", "exact", "null", False),
        ("/v1/batches", "exact", "null", False),
        ("/team-a/v1/chat/completions", "exact", "null", False),
        ("/v1-team", "prefix", "null", False),
        ("/v1/model", "prefix", "null", False),
    ],
)
def test_a_route_that_leads_nowhere(path: str, match: str, methods: str, *, served: bool) -> None:
    broken = found(ROUTED.format(path=path, match=match, methods=methods))
    assert broken == (set() if served else {"route-leads-nowhere"})


def test_a_group_that_comes_nowhere_is_told_whose_targets_the_routes_lead_to() -> None:
    text = "routes: [{name: chat, path: /v1, match: prefix, upstream: alpha-llm}]\n"
    assert messages("group-without-route", text) == [
        "the group `beta` can use no route: none leads to a target of its own, but to those of `alpha`"
    ]


def test_a_group_without_a_target_at_all() -> None:
    text = """\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [alpha-llm, beta-llm]}
    - {name: beta, api_keys: [BETA_KEY]}
"""
    assert messages("group-without-route", text) == ["the group `beta` can use no target"]
    assert found("providers: {targets: []}\n" + TWO_GROUPS) == {"group-without-route"}


def test_a_misspelt_upstream_is_one_fault_and_not_three() -> None:
    text = """\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alfa-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
providers: {targets: [{id: beta-llm, provider: parrot}]}
"""
    assert found(text) == {"unknown-upstream"}


@pytest.mark.parametrize("listed", ["[]", "[gpt-4o]", "[parrot]"])
def test_lists_that_let_no_model_through(listed: str) -> None:
    text = f"""\
providers: {{targets: [{{id: a, provider: 'parrot:chat:parrot-1'}}, {{id: b, provider: parrot, tenants: [beta]}}]}}
consumer_groups:
  groups:
    - {{name: alpha, api_keys: [ALPHA_KEY], allowed_models: {listed}}}
    - {{name: beta, api_keys: [BETA_KEY], allowed_models: [whatever]}}
"""
    assert found(text) == {"no-model-allowed"}
    assert found(text.replace(listed, "[parrot/parrot-*]")) == set()
    assert found(text.replace(listed, "a")) == set()


def test_two_lists_that_meet_in_no_model() -> None:
    text = """\
providers: {targets: [{id: a, provider: parrot, model: one}, {id: b, provider: parrot, model: two}]}
consumer_groups: {groups: [{name: alpha, api_keys: [ALPHA_KEY], allowed_models: one},
  {name: beta, api_keys: [BETA_KEY]}]}
tenants: {alpha: {allowed_models: two}, beta: {}}
"""
    assert found(text) == {"no-model-allowed"}


# -- Chains ---


def test_a_route_without_chain_that_only_groups_with_chains_can_use_is_no_gap() -> None:
    text = """\
policies: {chain: []}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm, chain: [rbac, audit-logger]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
routes:
  - {name: a, path: /alpha, match: prefix, upstream: alpha-llm}
  - {name: b, path: /beta, match: prefix, upstream: beta-llm, chain: [rbac]}
"""
    assert found(text) == set()
    assert messages("route-without-chain", text.replace(", chain: [rbac]}", "}")) == [
        "no policy runs on `b` for `beta`"
    ]


def test_routes_without_any_chain_are_errors_even_when_no_other_has_one() -> None:
    text = "policies: {}\npolicy: {}\nroutes: [{name: all, path: /v1, match: prefix}]\n"
    assert found(text) == {"route-without-chain"}


def test_rbac_for_one_group_only() -> None:
    text = """\
policies: {chain: [audit-logger]}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm, chain: [rbac]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""
    assert messages("rbac-gap", text) == ["`rbac` doesn't run for `beta`"]
    # Without settings nothing is promised that the other group would miss.
    assert found(text + "policy: {}\n") == {"rbac-without-roles"}


def test_settings_of_the_audit_logger_need_no_chain() -> None:
    text = "policies: {chain: [rbac]}\npolicy: {audit-logger: {retention_days: 9}, rbac: {roles: {}}}\n"
    assert found(text) == {"chain-without-audit-logger"}


# -- Conditions ---


def chain(entry: str) -> str:
    return f"policies: {{chain: [{entry}, audit-logger]}}\n"


@pytest.mark.parametrize(
    ("when", "dodged"),
    [
        ("{header: {X-Any: a}}", "leaving out the header `X-Any`"),
        ("{header: {X-Any: a}, tenant: alpha}", "leaving out the header `X-Any`"),
        ("{model: 'gpt-*'}", "calling the model by another of its names, or asking for another"),
        ("{path: /v1/chat}", "asking at `/v1/completions`, `/v1/messages` and `/v1/responses`"),
        ("{path: /v1}", None),
        ("{path: /}", None),
        ("{model: '*'}", None),
        ("{tenant: [alpha, beta]}", None),
        ("{gateway: partywall}", None),
    ],
)
def test_ways_around_a_condition(when: str, dodged: str | None) -> None:
    said = messages("dodgeable-policy", chain(f"{{rbac: {{when: {when}}}}}"))
    assert said == ([] if dodged is None else [f"a client steps around `rbac` by {dodged}"])


def test_a_path_that_every_route_leads_to_cannot_be_avoided() -> None:
    text = chain("{rbac: {when: {path: /v1/chat}}}")
    assert found(text + "routes: [{name: chat, path: /v1/chat/completions}]\n") == set()
    assert found(text + "routes: [{name: all, path: /v1, match: prefix}]\n") == {"dodgeable-policy"}


def test_a_policy_that_runs_in_any_case_cannot_be_avoided() -> None:
    conditional = "{rbac: {when: {header: {X-A: b}}}}"
    assert found(chain(f"rbac, {conditional}")) == set()
    groups = TWO_GROUPS.replace("_KEY]", "_KEY], chain: [rbac]")
    shared = "providers: {targets: [{id: shared, provider: parrot}]}\n"
    assert found(chain(conditional) + groups + shared) == set()
    one = groups.replace("ALPHA_KEY], chain: [rbac]", "ALPHA_KEY]")
    assert found(chain(conditional) + one + shared) == {"dodgeable-policy"}


def test_the_record_is_written_whatever_a_condition_says() -> None:
    assert found("policies: {chain: [rbac, {audit-logger: {when: {header: {X-A: b}}}}]}\n") == set()


@pytest.mark.parametrize("when", ["{model: []}", "{tenant: []}", "{gateway: []}", "{path: /team}", "{path: /v1/chats}"])
def test_conditions_that_no_request_meets(when: str) -> None:
    assert "condition-never-met" in found(chain(f"rbac, {{data-routing-policy: {{when: {when}}}}}"))


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/v1/models/gpt", "/v1/mod"])
def test_paths_that_requests_have(path: str) -> None:
    assert "condition-never-met" not in found(chain(f"rbac, {{data-routing-policy: {{when: {{path: {path}}}}}}}"))


@pytest.mark.parametrize(
    ("entries", "rules"),
    [
        ("{rbac: {stage: post-response}}", {"policy-at-idle-stage"}),
        ("{rbac: {stage: pre-response}}", {"answers-unchecked"}),
        ("{rbac: {stage: post-response}}, {rbac: {stage: pre-request}}", {"answers-unchecked"}),
        ("rbac, {rbac: {stage: pre-request}}", set()),
        ("rbac, {data-routing-policy: {stage: pre-request}}", set()),
        ("rbac, {data-routing-policy: {stage: pre-response}}", {"policy-at-idle-stage"}),
        ("rbac, {pii-detector: {stage: pre-request}}", {"answers-unchecked"}),
        ("rbac, pii-detector, {pii-detector: {stage: pre-request}}", set()),
    ],
)
def test_stages(entries: str, rules: set[str]) -> None:
    assert found(chain(entries)) == rules


def test_a_stage_in_a_group_is_judged_with_the_global_chain() -> None:
    groups = TWO_GROUPS.replace("ALPHA_KEY]", "ALPHA_KEY], chain: [{rbac: {stage: pre-request}}]")
    shared = "providers: {targets: [{id: shared, provider: parrot}]}\n"
    assert found(groups + shared) == set()


def test_a_route_avoided_by_its_header_counts_only_when_something_is_missed() -> None:
    bad = next(rule.bad for rule in RULES if rule.id == "route-dodged-by-header")
    assert bad.count("data-routing-policy") == 1
    globally = bad.replace("chain: [rbac, audit-logger]", "chain: [rbac, audit-logger, data-routing-policy]")
    assert globally != bad
    routes = globally[globally.index("routes:") : globally.index("pack:")]
    assert found(routes + "policies: {chain: [rbac, audit-logger, data-routing-policy]}\n") == set()


def test_one_document_can_break_many_rules() -> None:
    assert example() in example("")
    report = judged("policies: {chain: []}\nmulti_tenant: {isolation_model: none}\npolicy: {}\n")
    assert {finding.rule for finding in report.findings} == {"no-chain", "isolation-off"}
    assert report.has_errors
