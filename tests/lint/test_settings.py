"""Rules about regions, roles, addresses, issuers, headers and stored data."""

from __future__ import annotations

import pytest

from .documents import TWO_GROUPS, found, messages

EU_US = """\
providers:
  targets: [{id: eu-llm, provider: parrot, region: eu}, {id: us-llm, provider: parrot, region: us}]
  fallback: {}
"""


# -- Regions ---


def test_a_target_in_the_pool_that_is_in_nobodys_region_is_a_fall_back_for_all() -> None:
    text = EU_US + TWO_GROUPS + "residency: {allowed_regions: [eu]}\n"
    assert found(text) == {"fallback-leaves-region", "fallback-pool-crosses-regions"}
    assert messages("fallback-leaves-region", text) == [
        "`us-llm` lies outside the regions of each tenant that reaches it, such as `alpha` and `beta`"
    ]


def test_a_pool_for_tenants_of_different_regions_is_a_warning_only() -> None:
    text = EU_US + TWO_GROUPS + "tenants: {alpha: {regions: [eu]}, beta: {regions: [us]}}\n"
    assert messages("fallback-pool-crosses-regions", text) == [
        "`alpha` names no fall-backs of its own, and the pool reaches from `eu` to `us-llm`",
        "`beta` names no fall-backs of its own, and the pool reaches from `us` to `eu-llm`",
    ]
    assert found(text) == {"fallback-pool-crosses-regions"}


def test_without_fall_backs_nothing_leaves_the_region() -> None:
    text = EU_US + TWO_GROUPS + "tenants: {alpha: {regions: [eu]}, beta: {regions: [us]}}\n"
    assert found(text.replace("  fallback: {}\n", "")) == set()
    assert found(text.replace("fallback: {}", "fallback: {max_fallback_attempts: 0}")) == set()


def test_empty_regions_are_nowhere() -> None:
    text = EU_US + TWO_GROUPS + "tenants: {alpha: {regions: []}, beta: {}}\n"
    assert "no region" in messages("no-target-in-region", text)[0]


def test_zero_retention_by_any_way_of_saying_it() -> None:
    for way in ("zdr: true", "data_policy: {zero_data_retention: true}", "data_policy: {retention_days: 0}"):
        text = f"""\
providers: {{targets: [{{id: alpha-llm, provider: parrot, {way}}}, {{id: beta-llm, provider: parrot}}]}}
tenants: {{alpha: {{require_zero_data_retention: true}}, beta: {{}}}}
"""
        assert found(text) == set()


def test_a_pool_in_which_only_some_tenants_forbid_retention_is_left_to_policy() -> None:
    text = """\
providers: {targets: [{id: a, provider: parrot, zdr: true}, {id: b, provider: parrot}]}
"""
    mixed = text + TWO_GROUPS + "tenants: {alpha: {require_zero_data_retention: true}, beta: {}}\n"
    assert found(mixed) == set()
    both = mixed.replace("beta: {}", "beta: {require_zero_data_retention: true}")
    assert found(both) == {"upstream-keeps-data"}


# -- Roles ---


def role(rest: str) -> str:
    return f"policy: {{rbac: {{roles: {{one: {{{rest}}}}}}}}}\n"


@pytest.mark.parametrize(
    ("rest", "rules"),
    [
        ("allowed_tools: ['*']", {"role-allows-everything"}),
        ("allowed_tools: [read, '**']", {"role-allows-everything"}),
        ("allowed_tools: ['*'], denied_tools: [drop_table]", {"role-denies-by-list"}),
        ("allowed_tools: ['*'], denied_tools: ['*']", set()),
        ("allowed_tools: ['*_read', 'read_*']", set()),
        ("allowed_tools: []", set()),
        # Saying twice what is denied anyway is no fault.
        ("allowed_tools: ['read_*'], denied_tools: ['delete_*']", set()),
        ("allowed_tools: ['read_*'], denied_tools: [read_salary]", set()),
        ("allowed_tools: [read_salary], denied_tools: ['read_*']", {"tool-allowed-and-denied"}),
        ("allowed_tools: ['read_*'], denied_tools: [read-salary]", {"denial-misses"}),
        ("allowed_tools: ['Read_*'], denied_tools: ['read_*']", {"denial-misses"}),
    ],
)
def test_roles(rest: str, rules: set[str]) -> None:
    assert found(role(rest)) == rules


def test_a_holder_of_a_token_chooses_a_role_only_where_there_are_roles_and_a_header() -> None:
    issuer = "server: {{jwt: [{{issuer: a, audience: pw, jwks_file: k}}]{rest}}}\n"
    assert found(issuer.format(rest="")) == {"role-chosen-by-client"}
    assert found(issuer.format(rest=", identity_headers: {role: []}")) == {"role-without-source"}
    assert found(issuer.format(rest="") + "policy: {rbac: {}}\n") == {"rbac-without-roles"}


# -- Addresses ---


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("https://llm.example.com/v1", set()),
        ("http://127.0.0.1:8000", set()),
        ("http://localhost:8000", set()),
        ("http://[::1]:8000", set()),
        ("http://llm.example.com", {"upstream-in-clear"}),
        ("http://8.8.8.8", {"upstream-in-clear"}),
        ("http://10.0.0.4", {"upstream-in-clear-inside"}),
        ("http://vllm:8000", {"upstream-in-clear-inside"}),
        ("http://[::ffff:10.0.0.4]", {"upstream-in-clear-inside"}),
        ("http://169.254.169.254", {"metadata-upstream"}),
        ("https://[::ffff:169.254.169.254]", {"metadata-upstream"}),
        ("http://metadata.google.internal", {"metadata-upstream"}),
        ("http://168.63.129.16", {"metadata-upstream"}),
        ("http://[broken", set()),
    ],
)
def test_addresses(url: str, rules: set[str]) -> None:
    text = f"""\
providers: {{targets: [{{id: alpha-llm, provider: vllm, base_url: "{url}"}}, {{id: beta-llm, provider: parrot}}]}}
"""
    assert found(text) == rules


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ('base_url: "https://llm.example.com"', {"private-network-upstream"}),
        ("secret_key_ref: {env: K}", {"private-network-upstream"}),
        ('base_url: "https://vllm.models.svc"', set()),
        ('base_url: "https://10.0.0.4"', set()),
    ],
)
def test_private_networks(target: str, rules: set[str]) -> None:
    text = f"""\
providers:
  targets:
    - {{id: alpha-llm, provider: openai, {target}, allow_private_network: true}}
    - {{id: beta-llm, provider: parrot}}
"""
    assert found(text) == rules


# -- Issuers and headers ---


def issuers(*entries: str) -> str:
    lines = (f"    - {{issuer: 'https://{entry}', audience: pw, role_claim: role}}\n" for entry in entries)
    return "server:\n  jwt:\n" + "".join(lines)


def test_one_issuer_may_speak_for_everybody_and_several_may_not() -> None:
    one = "a.example', jwks_url: 'https://a.example/keys"
    other = "b.example', jwks_file: 'keys.json"
    assert found(issuers(one)) == set()
    assert found(issuers(one, other)) == {"issuer-for-every-tenant"}
    assert len(messages("issuer-for-every-tenant", issuers(one, other))) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/k", "http://localhost/k", "https://id.example/k"])
def test_keys_of_this_machine_may_come_without_tls(url: str) -> None:
    assert found(issuers(f"a.example', jwks_url: '{url}")) == set()


@pytest.mark.parametrize(
    ("claim", "bad"),
    [
        ("user_metadata.tenant", True),
        ("preferred_username", True),
        ("email", True),
        ("org_id", False),
        ("app_metadata.tenant", False),
        ("https://example.com/tenant", False),
    ],
)
def test_claims_that_users_write(claim: str, *, bad: bool) -> None:
    platform = f"multi_tenant: {{tenant_id_claim: '{claim}'}}\n" + issuers("a.example', jwks_file: 'k")
    own = issuers(f"a.example', jwks_file: 'k', tenant_claim: '{claim}")
    assert found(platform) == found(own) == ({"claim-that-users-edit"} if bad else set())


def test_the_platforms_claim_is_nobodys_business_when_issuers_have_their_own() -> None:
    text = "multi_tenant: {tenant_id_claim: email}\n"
    assert found(text + issuers("a.example', jwks_file: 'k', tenant_claim: 'org_id")) == set()
    assert found(text) == set()


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("consumer_groups: {key_header: X-User-ID, groups: [G]}\n", True),
        ("consumer_groups: {key_header: X-API-Key, groups: [G]}\n", False),
        ("server: {identity_headers: {user: [Authorization]}}\n", True),
        ("server: {identity_headers: {user: [X-User, x-user]}}\n", True),
        ("server: {identity_headers: {tenant: [X-Who], role: [X-WHO]}}\n", True),
        ("server: {identity_headers: {tenant: [X-Org], user: [X-Who], role: [X-Role]}}\n", False),
    ],
)
def test_headers_with_two_meanings(text: str, *, bad: bool) -> None:
    groups = (
        "{name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}, "
        "{name: beta, api_keys: [BETA_KEY], upstream: beta-llm}"
    )
    assert found(text.replace("G]", f"{groups}]")) == ({"header-with-two-meanings"} if bad else set())


def test_a_second_source_of_tenants() -> None:
    both = issuers("a.example', jwks_file: 'k")
    for source in ("jwt_claim", "api_key"):
        assert found(f"multi_tenant: {{tenant_id_source: {source}}}\n{both}") == {"second-tenant-source"}
    tokens_only = TWO_GROUPS.replace(", api_keys: [ALPHA_KEY]", "").replace(", api_keys: [BETA_KEY]", "")
    shared = "providers: {targets: [{id: shared, provider: parrot}]}\n"
    assert found(f"multi_tenant: {{tenant_id_source: jwt_claim}}\n{both}{tokens_only}{shared}") == set()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("acme-1", "acme_1", True),
        ("acme-0", "acme-o", True),
        ("t-10", "t-1o", True),
        ("a-1", "a1", False),
        ("t-11", "t-1-1", False),
    ],
)
def test_ids_that_look_alike(one: str, other: str, *, alike: bool) -> None:
    text = f"""\
consumer_groups:
  groups:
    - {{name: {one}, api_keys: [ALPHA_KEY], upstream: alpha-llm}}
    - {{name: {other}, api_keys: [BETA_KEY], upstream: beta-llm}}
"""
    assert found(text) == ({"confusable-tenants"} if alike else set())


# -- Stored data ---


@pytest.mark.parametrize(
    ("template", "rules"),
    [
        ("tenant:{tenant_id}:conv:{session_id}", set()),
        ("{session_id}/{tenant_id}/", set()),
        ("{tenant_id}:{user_id}_{session_id}:", set()),
        ("t_{tenant_id}:", set()),
        ("{tenant_id}{session_id}:", {"ambiguous-template"}),
        ("{tenant_id}-{session_id}:", {"ambiguous-template"}),
        ("{user_id}_{tenant_id}:", {"ambiguous-template"}),
        ("{session_id}_{tenant_id}", {"ambiguous-template", "prefix-without-end"}),
        ("t_{tenant_id}", {"prefix-without-end"}),
    ],
)
def test_templates(template: str, rules: set[str]) -> None:
    text = f'multi_tenant: {{conversation_isolation: {{storage_key_prefix: "{template}"}}}}\n'
    assert found(text) == rules


def test_a_namespace_is_a_whole_name_and_may_end_with_the_id() -> None:
    assert found('rag: {namespace_config: {namespace_format: "t_{tenant_id}"}}\n') == set()
    vault = "encryption: {encrypted_per_tenant: [cache], vault_config: {key_path_template: 'keys/{tenant_id}'}}\n"
    assert found(vault) == set()


def test_each_switch_of_leak_detection() -> None:
    text = """\
leakage_detection:
  cross_tenant_output_scan: {fingerprint_check: false}
  context_validation: {validate_all_context_items: false}
  statistical_monitoring: {track_namespace_distribution: false}
"""
    assert len(messages("detection-switched-off", text)) == 3


def test_shared_stores() -> None:
    text = "storage: {backend: postgres, dsn_ref: {env: D}, cache: valkey, cache_url_ref: {env: V}}\n"
    assert len(messages("shared-store-unsealed", text)) == 2
    assert found("storage: {backend: sqlite}\n") == set()
