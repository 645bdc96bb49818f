"""Rules about callers' keys and about secrets in clear text: what they catch, and what they leave alone."""

from __future__ import annotations

import pytest

from partywall.lint import render_json, render_sarif, render_text

from .documents import digest, found, judged, messages

SECRET = "sk-live-abcdef1234567890abcdef"


def one_key(key: str, name: str = "alpha") -> str:
    return f"""\
consumer_groups:
  groups:
    - {{name: {name}, api_keys: [{digest(key)}], upstream: alpha-llm}}
    - {{name: beta, api_keys: [BETA_KEY], upstream: beta-llm}}
"""


@pytest.mark.parametrize("key", ["", "test", "secret", "changeme", "sk-1234", "EMPTY", "ollama"])
def test_words_that_anybody_tries(key: str) -> None:
    assert found(one_key(key)) == {"weak-key"}


@pytest.mark.parametrize("key", ["alpha", "alpha-key", "sk-alpha", "pw_alpha"])
def test_keys_made_from_the_name(key: str) -> None:
    assert found(one_key(key)) == {"guessable-key"}


def test_a_random_key_is_clean() -> None:
    assert found(one_key("pw_3mJ0x3q0H2i4mF4n8bJmN0yWJYbB6vJ5W0n2o9h1k7c")) == set()


def test_a_weak_operator_key() -> None:
    assert found(f"server: {{admin: {{api_keys: [{digest('admin')}]}}}}\n") == {"weak-key"}


def test_an_operator_key_that_a_group_has_in_clear_text() -> None:
    text = f"""\
consumer_groups:
  groups:
    - {{name: alpha, api_key: an-operator-of-note, upstream: alpha-llm}}
    - {{name: beta, api_keys: [BETA_KEY], upstream: beta-llm}}
server: {{admin: {{api_keys: [{digest("an-operator-of-note")}]}}}}
"""
    assert found(text) == {"operator-key-is-tenant-key", "secret-in-clear"}


def test_tokens_alone_let_callers_in() -> None:
    text = """\
consumer_groups:
  groups: [{name: alpha, upstream: alpha-llm}, {name: beta, upstream: beta-llm}]
server:
  jwt: [{issuer: "https://a.example", audience: pw, jwks_url: "https://a.example/k", role_claim: role}]
"""
    assert found(text) == set()
    restricted = text.replace("role_claim: role", "role_claim: role, tenants: [alpha]")
    assert messages("tenant-without-credential", restricted) == [
        "the tenant `beta` has no key, and no issuer speaks for it; nobody can act for it"
    ]


PLACES_OF_SECRETS = {
    "target": f'providers: {{targets: [{{id: alpha-llm, provider: x, base_url: "https://u:{SECRET}@h.example"}},'
    " {id: beta-llm, provider: parrot}]}\n",
    "reference": f"providers: {{targets: [{{id: alpha-llm, provider: openai, secret_key_ref: {{env: {SECRET}}}}},"
    " {id: beta-llm, provider: parrot}]}\n",
    "description": f"pack: {{name: x, description: 'the key is {SECRET}'}}\n",
    "role": f"policy: {{rbac: {{roles: {{'{SECRET}': {{allowed_tools: ['*']}}}}}}}}\n",
    "header": f"routes: [{{name: a, path: /v1, match: prefix, headers: {{X-Pass: '{SECRET}'}}}}]\n",
    "authorization": "routes: [{name: a, path: /v1, match: prefix, headers: {Authorization: 'Bearer hunter2'}}]\n",
    "catalogued": f"policy: {{external-moderation: {{token: '{SECRET}'}}}}\n",
    "tool": f"policy: {{rbac: {{roles: {{a: {{allowed_tools: [x], denied_tools: ['{SECRET}*']}}}}}}}}\n",
    "comment": f"routes: []  # {SECRET}\n",
    "pem": 'pack: {name: x, description: "-----BEGIN RSA PRIVATE KEY-----"}\n',
    "jwt": "pack: {name: x, description: eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbHBoYSJ9.c2ln}\n",
    "aws": "pack: {name: x, description: AKIAIOSFODNN7EXAMPLE}\n",
}


@pytest.mark.parametrize("place", [name for name in PLACES_OF_SECRETS if name != "role"])
def test_a_secret_is_found_wherever_it_stands(place: str) -> None:
    assert "secret-in-clear" in found(PLACES_OF_SECRETS[place])


@pytest.mark.parametrize("place", PLACES_OF_SECRETS)
def test_no_report_repeats_a_secret(place: str) -> None:
    report = judged(PLACES_OF_SECRETS[place])
    for rendered in (render_text(report), render_json(report), render_sarif(report), repr(report)):
        assert SECRET not in rendered
        assert "hunter2" not in rendered


@pytest.mark.parametrize(
    "text",
    [
        # names and models that are long, mixed and numbered, and still names
        (
            "providers: {targets: [{id: alpha-llm, provider: vllm, model: DeepSeek-R1-Distill-Qwen-32B-Instruct-AWQ,"
            ' base_url: "https://a.example"}, {id: beta-llm, provider: parrot}]}\n'
        ),
        (
            "providers: {targets: [{id: alpha-llm, provider: 'openai:chat:ft:gpt-4o-2024-07-18:acme::9AbCdEfGhIjK',"
            " secret_key_ref: {env: OPENAI_API_KEY_ALPHA_PRODUCTION_2026}}, {id: beta-llm, provider: parrot}]}\n"
        ),
        # tenants that are UUIDs, with and without dashes
        (
            "consumer_groups: {groups: [{name: 3f2504e04f8941d39a0c0305e82c3301, api_keys: [ALPHA_KEY]},"
            " {name: 3f2504e0-4f89-41d3-9a0c-0305e82c3302, api_keys: [BETA_KEY]}]}\n"
        ),
        # Slovakia
        (
            "providers: {targets: [{id: alpha-llm, provider: parrot, region: sk-bratislava-cluster-1},"
            " {id: beta-llm, provider: parrot}]}\n"
        ),
        "pack: {name: x, description: 'see issue #42 at https://example.com/a?b=c#d'}\n",
        "pack: {name: x}  # sha256 of each key, as `partywall tenants mint-key` prints it\n",
        (
            "providers: {targets: [{id: alpha-llm, provider: openai, secret_key_ref: {vault: kv/data/alpha/openai}},"
            " {id: beta-llm, provider: parrot}]}\n"
        ),
    ],
)
def test_what_only_looks_like_a_secret(text: str) -> None:
    assert found(text) == set()


def test_a_hash_sign_in_quotes_begins_no_comment() -> None:
    report = judged(f"pack: {{name: x, description: 'a # {SECRET}'}}\n")
    assert [finding.path for finding in report.findings] == [("pack", "description")]
