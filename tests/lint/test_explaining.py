"""`--explain`: every (group, route), as policy has it."""

from __future__ import annotations

import json
from pathlib import Path

from partywall.config.document import Document
from partywall.config.loading import load_bytes
from partywall.lint import explain, render_explain_json, render_explain_text
from partywall.lint.examples import example
from partywall.policy.rules import Rules

TEXT = """\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, region: eu}
    - {id: alpha-far, provider: parrot, region: us}
    - {id: beta-llm, provider: parrot}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [alpha-llm, alpha-far], chain: [{rbac: {stage: pre-request}}]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
routes:
  - {name: chat, path: /v1/chat/completions, chain: [data-routing-policy], upstream: [alpha-llm, alpha-far]}
  - {name: rest, path: /v1, match: prefix}
policies:
  chain: [{rbac: {when: {header: {X-Agent: "1"}, tenant: beta}}}, audit-logger]
tenants: {alpha: {regions: [eu]}, beta: {}}
"""


def document(text: str = TEXT) -> Document:
    return load_bytes(Document, example(text).encode(), Path("partywall.yaml")).document


def test_every_group_on_every_route() -> None:
    pairs = explain(document())
    assert [(pair.group, pair.route) for pair in pairs] == [
        ("alpha", "chat"),
        ("alpha", "rest"),
        ("beta", "chat"),
        ("beta", "rest"),
    ]


def test_targets_and_those_held_back() -> None:
    upstreams = {(pair.group, pair.route): (pair.upstreams, pair.held_back) for pair in explain(document())}
    assert upstreams == {
        ("alpha", "chat"): (("alpha-llm",), ("alpha-far",)),
        ("alpha", "rest"): (("alpha-llm",), ("alpha-far",)),
        ("beta", "chat"): ((), ()),
        ("beta", "rest"): (("beta-llm",), ()),
    }


def test_each_policy_says_where_it_comes_from() -> None:
    alpha, _, beta, _ = explain(document())
    rbac = alpha.chain[0]
    assert (rbac.kind, rbac.conditional) == ("rbac", False)
    assert [(mention.level, mention.stage) for mention in rbac.mentions] == [("global", None), ("group", "pre-request")]
    assert beta.chain[0].conditional
    assert [policy.kind for policy in beta.chain] == ["rbac", "audit-logger", "data-routing-policy"]
    assert beta.chain[2].mentions[0].level == "route"


def test_chains_are_those_of_policy() -> None:
    loaded = document()
    rules = Rules(loaded)
    groups = {group.name: group for group in rules.groups()}
    routes = {route.name: route for route in rules.routes}
    for pair in explain(loaded):
        chain = rules.chain(groups[pair.group], routes[str(pair.route)])
        assert [policy.kind for policy in chain] == [policy.kind for policy in pair.chain]
        assert [sorted(policy.stages) for policy in chain] == [sorted(policy.stages) for policy in pair.chain]


def test_without_routes_there_is_one_way_for_each_group() -> None:
    pairs = explain(document(""))
    assert [(pair.group, pair.route, pair.upstreams) for pair in pairs] == [
        ("alpha", None, ("alpha-llm",)),
        ("beta", None, ("beta-llm",)),
    ]
    assert explain(document("consumer_groups: {groups: []}\n")) == []
    assert render_explain_text([]) == "no groups\n"


def test_text() -> None:
    text = render_explain_text(explain(document()))
    assert text.startswith(
        "group alpha (tenant alpha)\n"
        "  route chat (/v1/chat/completions)\n"
        "    upstream   alpha-llm\n"
        "    held back  alpha-far (region or retention)\n"
        "    chain      rbac: pre-request, pre-response; always (from group)\n"
        "               audit-logger: post-response; always (from global)\n"
        "               data-routing-policy: pre-request; always (from route)\n"
    )
    assert "rbac: pre-request, pre-response; when header = X-Agent: 1 and tenant = beta (from global)" in text
    assert "upstream   none: every request for a model is refused" in text


def test_a_chain_of_nothing_is_said() -> None:
    text = render_explain_text(explain(document("policies: {chain: []}\n")))
    assert "chain      none: no policy runs" in text


def test_json() -> None:
    answer = json.loads(render_explain_json(explain(document())))
    assert [pair["group"] for pair in answer["pairs"]] == ["alpha", "alpha", "beta", "beta"]
    assert answer["pairs"][2]["chain"][0]["mentions"] == [
        {"level": "global", "stage": None, "when": {"header": {"X-Agent": "1"}, "tenant": ["beta"]}}
    ]


def test_secrets_in_conditions_are_masked() -> None:
    headers = "{Authorization: 'Bearer hunter2', X-B: sk-live-abcdef1234567890}"
    explained = explain(document(f"policies: {{chain: [{{rbac: {{when: {{header: {headers}}}}}}}]}}\n"))
    for rendered in (render_explain_text(explained), render_explain_json(explained)):
        assert "hunter2" not in rendered
        assert "abcdef1234567890" not in rendered
