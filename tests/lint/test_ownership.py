"""Rules about whose credentials, targets and routes are whose."""

from __future__ import annotations

import pytest

from .documents import TWO_GROUPS, found, judged, messages


def two_targets(first: str, second: str) -> str:
    return f"""\
providers:
  targets:
    - {{id: alpha-llm, {first}}}
    - {{id: beta-llm, {second}}}
"""


OPENAI = "provider: openai, secret_key_ref: {env: KEY}"


@pytest.mark.parametrize(
    "form",
    [
        OPENAI,
        "provider: 'openai:chat:gpt-4o', secret_key_ref: {file: /run/key}",
        "provider: anthropic, secret_key_ref: {vault: kv/x}",
        "provider: parrot, secret_key_ref: {env: KEY}",
    ],
)
def test_one_credential_for_two_tenants(form: str) -> None:
    assert found(two_targets(form, form)) == {"shared-upstream-credential"}


def test_one_key_in_clear_text_for_two_tenants_is_both_faults() -> None:
    form = "provider: openai, api_key: a-key-that-both-have"
    text = two_targets(form, form)
    assert found(text) == {"shared-upstream-credential", "secret-in-clear"}
    paths = [finding.path for finding in judged(text).findings if finding.rule == "shared-upstream-credential"]
    assert paths == [("providers", "targets", 1, "api_key")]


def test_the_message_names_both_sides_and_not_the_credential() -> None:
    assert messages("shared-upstream-credential", two_targets(OPENAI, OPENAI)) == [
        "`beta-llm` of `beta` and `alpha-llm` of `alpha` have one credential"
    ]


def test_one_tenant_may_use_its_credential_twice() -> None:
    text = two_targets(OPENAI, "provider: parrot").replace(
        "    - {id: beta-llm", f"    - {{id: alpha-mini, {OPENAI}, tenants: [alpha]}}\n    - {{id: beta-llm"
    )
    assert found(text) == {"unused-target"}


def test_two_targets_on_one_engine_that_salts_its_cache_may_share_its_token() -> None:
    engine = 'provider: vllm, base_url: "https://vllm.example/v1", secret_key_ref: {env: KEY}'
    assert found(two_targets(engine, engine)) == set()
    other = engine.replace("vllm.example", "vllm-2.example")
    assert found(two_targets(engine, other)) == {"shared-upstream-credential"}


def test_a_target_that_two_groups_name_is_pooled() -> None:
    text = f"""\
providers: {{targets: [{{id: both, {OPENAI}}}]}}
consumer_groups:
  groups:
    - {{name: alpha, api_keys: [ALPHA_KEY], upstream: both}}
    - {{name: beta, api_keys: [BETA_KEY], upstream: both}}
"""
    assert found(text) == {"pooled-upstream"}
    assert found(text.replace("name: beta,", "name: more, tenant: alpha,")) == set()


@pytest.mark.parametrize("provider", ["parrot", "vllm", "sglang", "trt-llm", "llamacpp"])
def test_engines_that_divide_tenants_may_be_shared(provider: str) -> None:
    target = f'{{id: shared, provider: {provider}, base_url: "https://llm.example"}}'
    assert found(f"providers: {{targets: [{target}]}}\n{TWO_GROUPS}") == set()


def test_a_group_cannot_ask_for_a_target_of_anothers() -> None:
    text = two_targets("provider: parrot, tenants: [beta]", "provider: parrot")
    assert messages("upstream-of-another-tenant", text) == [
        "the group `alpha` of `alpha` names `alpha-llm`, which belongs to `beta`"
    ]
    nobody = two_targets("provider: parrot, tenants: []", "provider: parrot")
    assert "which belongs to nobody" in messages("upstream-of-another-tenant", nobody)[0]


def route(rest: str, upstream: str = "alpha-llm") -> str:
    return f"""\
routes:
  - {{name: everything, path: /v1, match: prefix}}
  - {{{rest}, upstream: {upstream}}}
"""


@pytest.mark.parametrize(
    "rest",
    [
        "name: r, path: /beta, match: prefix",
        "name: r, path: /teams/beta/chat, match: prefix",
        "name: r, path: /v1/chat/completions, headers: {X-Org-ID: beta}, priority: 1",
        "name: r, path: /v1/chat/completions, headers: {X-Customer: beta}, priority: 1",
        "name: beta-chat, path: /v1/chat/completions, priority: 1",
    ],
)
def test_a_route_meant_for_one_tenant_that_leads_to_another(rest: str) -> None:
    assert found(route(rest)) == {"route-to-another-tenant"}
    assert found(route(rest, "beta-llm")) == set()


@pytest.mark.parametrize(
    "rest",
    [
        "name: r, path: /v1/chat/completions, headers: {X-Mode: beta}, priority: 1",  # no header about tenants
        "name: alpha-and-beta, path: /v1/chat/completions, priority: 1",
        "name: r, path: /v1/chat/completions, priority: 1",
    ],
)
def test_a_route_for_both_may_lead_to_both(rest: str) -> None:
    assert found(route(rest, "[alpha-llm, beta-llm]")) == set()


def test_a_tenant_called_like_a_path_of_the_api_names_no_route() -> None:
    text = """\
consumer_groups:
  groups:
    - {name: chat, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
routes:
  - {name: chat, path: /v1/chat/completions, upstream: beta-llm}
  - {name: rest, path: /v1, match: prefix}
"""
    assert found(text) == set()


def test_a_target_named_for_a_tenant_is_claimed_or_told() -> None:
    secret = "providers: {targets: [{id: main, provider: openai, secret_key_ref: {env: OPENAI_KEY_ALPHA}}]}\n"
    assert found(secret + TWO_GROUPS) == {"open-target-named-for-tenant", "pooled-upstream"}
    claimed = secret.replace("provider: openai,", "provider: openai, tenants: [alpha, beta],")
    assert found(claimed + TWO_GROUPS) == {"pooled-upstream"}


def test_regions_vendors_and_short_ids_are_no_names_of_tenants() -> None:
    groups = TWO_GROUPS.replace("name: alpha", "name: eu").replace("name: beta", "name: vllm")
    target = '{id: vllm-eu-1, provider: vllm, region: eu, base_url: "https://llm.example"}'
    assert found(f"providers: {{targets: [{target}]}}\n{groups}") == set()


def test_a_tenant_may_have_one_tool_credential_at_two_servers() -> None:
    text = """\
tools:
  servers:
    - {name: a, url: "https://a.example", credentials: {alpha: {env: A}, beta: {env: B}}}
    - {name: b, url: "https://b.example", credentials: {alpha: {env: A}, beta: {file: A}}}
"""
    assert found(text) == set()


def test_unknown_tenants_are_found_in_every_place() -> None:
    text = """\
providers: {targets: [{id: alpha-llm, provider: parrot, tenants: [alpha, ghost]}, {id: beta-llm, provider: parrot}]}
policies: {chain: [rbac, audit-logger, {data-routing-policy: {when: {tenant: ghost}}}]}
server:
  jwt: [{issuer: i, audience: a, jwks_file: k, role_claim: r, tenants: [alpha, beta, ghost]}]
tools: {servers: [{name: a, url: "https://a.example", credentials: {ghost: {env: A}}}]}
limits: {tenants: {ghost: {concurrency: 1}}}
telemetry: {tenants: {ghost: "https://t.example"}}
"""
    assert len(messages("unknown-tenant", text)) == 6
    assert found(text) == {"unknown-tenant"}
    assert found(text + "tenants: {alpha: {}, beta: {}, ghost: {}}\n") == {"tenant-without-credential"}
