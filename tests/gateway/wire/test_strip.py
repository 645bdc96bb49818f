"""`strip_request` and `tenant_hints`: what a client may not choose is gone; what it says of its tenant is heard."""

from __future__ import annotations

import pytest

from partywall.gateway.wire import WIRES, Api, Wire
from partywall.gateway.wire.shapes import JsonObject, squash
from partywall.gateway.wire.strip_list import DOCUMENTED, STRIP_LIST, STRIP_PREFIXES, TENANT_FIELDS

_BODIED = [WIRES[api] for api in Api if api is not Api.MODELS]
_WITH_BODY = pytest.mark.parametrize("wire", _BODIED, ids=lambda wire: wire.api)

FORBIDDEN = [
    "cache_salt", "prompt_cache_key", "safety_identifier", "extra_body", "extra_headers", "extra_query", "api_key",
    "api_base", "base_url", "api_version", "user_api_key", "user_api_key_hash", "litellm_metadata", "litellm_params",
    "custom_llm_provider", "fallbacks", "model_list", "provider", "models", "route", "kv_transfer_params",
    "ec_transfer_params", "vllm_xargs", "lora", "lora_name", "lora_path", "lora_request", "adapter", "adapter_id",
    "bootstrap_host", "bootstrap_port", "bootstrap_room", "rid", "extra_key", "id_slot", "cache_prompt",
    "n_cache_reuse", "slot", "slot_id", "request_id", "priority", "session_id", "session_params", "data_parallel_rank",
    "routed_dp_rank", "disagg_prefill_dp_rank", "disaggregated_params", "custom_logit_processor", "custom_params",
    "custom_labels", "logits_processors", "ngram_corpus_id", "agent_hierarchy", "conversation_params", "diagnostics",
    "prompt_cache_isolation_key", "fallback_credit_token", "keep_alive", "nvext", "aws_secret_access_key",
    "vertex_credentials", "azure_ad_token", "user_config", "cache", "billing_policy", "workspace_id", "user_profile_id",
]  # fmt: skip


@pytest.mark.parametrize("field", FORBIDDEN)
def test_a_forbidden_field_is_removed_and_reported(field: str) -> None:
    for wire in _BODIED:
        body: JsonObject = {"model": "m", field: "tenant-beta", "user": "u-1"}
        assert wire.strip_request(body) == [field]
        assert field not in body
        assert body["user"] == "u-1"


@pytest.mark.parametrize(
    "field", ["cacheSalt", "CACHE_SALT", "cache-salt", "cache_\u017falt", "kvTransferParams", "apiBase"]
)
def test_no_spelling_slips_past(field: str) -> None:
    for wire in _BODIED:
        body: JsonObject = {"model": "m", field: "x"}
        assert wire.strip_request(body) == [field]
        assert field not in body


@_WITH_BODY
@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_the_value_makes_no_difference(wire: Wire, value: object) -> None:
    body: JsonObject = {"model": "m", "cache_salt": value}
    assert wire.strip_request(body) == ["cache_salt"]


def test_names_are_sorted_and_short_for_the_record() -> None:
    body: JsonObject = {"model": "m", "rid": 1, "cache_salt": 1, "lora" + "x" * 10_000: 1}
    names = WIRES[Api.CHAT].strip_request(body)
    assert names == sorted(names)
    assert max(map(len, names)) == 128
    assert body == {"model": "m"}


def test_a_name_for_the_record_is_printable() -> None:
    assert WIRES[Api.CHAT].strip_request({"model": "m", "lora\x1b[2J": 1}) == ["'lora\\x1b[2J'"]


@_WITH_BODY
def test_everything_else_stays(wire: Wire) -> None:
    body: JsonObject = {
        "model": "m",
        "top_k": 4,
        "mm_processor_kwargs": {"x": 1},
        "service_tier": "flex",
        "x-unknown": {"cache_salt": "inside something unknown"},
        "metadata": {"user_id": "u", "cache_salt": "a label"},
        "store_of_words": True,
    }
    before = dict(body)
    assert wire.strip_request(body) == []
    assert body == before | ({"store": False} if wire.api is Api.RESPONSES else {})


@_WITH_BODY
def test_metadata_of_litellm(wire: Wire) -> None:
    body: JsonObject = {"metadata": {"user_api_key_team_id": "beta", "User-API-Key": "x", "topic": "refunds"}}
    assert wire.strip_request(body) == ["metadata.User-API-Key", "metadata.user_api_key_team_id"]
    assert body["metadata"] == {"topic": "refunds"}


@pytest.mark.parametrize(
    ("sent", "left", "stripped"),
    [
        ({}, {"store": False}, []),
        ({"store": False}, {"store": False}, []),
        ({"store": None}, {"store": False}, []),
        ({"store": True}, {"store": False}, ["store"]),
        ({"store": "yes"}, {"store": False}, ["store"]),
    ],
)
def test_responses_are_never_stored(sent: JsonObject, left: JsonObject, stripped: list[str]) -> None:
    body = dict(sent)
    assert WIRES[Api.RESPONSES].strip_request(body) == stripped
    assert body == left


def test_chats_are_stored_only_on_request_and_never() -> None:
    body: JsonObject = {"store": True}
    assert WIRES[Api.CHAT].strip_request(body) == ["store"]
    assert body == {"store": False}
    untouched: JsonObject = {}
    assert WIRES[Api.CHAT].strip_request(untouched) == []
    assert untouched == {}


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES])
@pytest.mark.parametrize(
    ("value", "kept"), [("24h", False), ("7d", False), (1, False), ("in_memory", True), (None, True)]
)
def test_prompts_are_kept_shorter_but_not_longer(api: Api, value: object, *, kept: bool) -> None:
    body: JsonObject = {"prompt_cache_retention": value, "store": False}
    assert WIRES[api].strip_request(body) == ([] if kept else ["prompt_cache_retention"])
    assert ("prompt_cache_retention" in body) is kept
    alone: JsonObject = {"prompt_cache_retention": value}
    WIRES[api].strip_request(alone)
    assert ("prompt_cache_retention" in alone) is kept


def test_arguments_of_the_prompts_template_are_switches_and_nothing_else() -> None:
    """With `tools` among them the model would be offered what no role was held against."""
    sent: JsonObject = {"enable_thinking": False, "tools": [{"name": "wipe"}], "documents": {}}
    for wire in _BODIED:
        body: JsonObject = {"model": "m", "store": False, "chat_template_kwargs": dict(sent)}
        stripped = wire.strip_request(body)
        assert stripped == ["chat_template_kwargs.documents", "chat_template_kwargs.tools"]
        assert body["chat_template_kwargs"] == {"enable_thinking": False}
        alone: JsonObject = {"chat_template_kwargs": dict(sent)}
        assert wire.strip_request(alone) == stripped


def test_no_comparison_with_somebody_s_prompt() -> None:
    body: JsonObject = {"prompt_cache_options": {"comparison_response_id": "resp_beta", "mode": "implicit"}}
    assert WIRES[Api.CHAT].strip_request(body) == ["prompt_cache_options.comparison_response_id"]
    assert body == {"prompt_cache_options": {"mode": "implicit"}}
    messages: JsonObject = {"diagnostics": {"previous_message_id": "msg_beta"}}
    assert WIRES[Api.MESSAGES].strip_request(messages) == ["diagnostics"]


@pytest.mark.parametrize("api", list(Api))
def test_no_documented_field_is_on_the_strip_list(api: Api) -> None:
    assert not {key for key in DOCUMENTED[api] if squash(key) in STRIP_LIST | TENANT_FIELDS}
    assert not {key for key in DOCUMENTED[api] if squash(key).startswith(STRIP_PREFIXES)}


# -- Tenant hints ---

HINTS = [
    "tenant",
    "tenant_id",
    "tenantId",
    "org_id",
    "orgId",
    "organization",
    "organization_id",
    "x-org-id",
    "x-tenant-id",
]
SPELLINGS = [*HINTS, "TENANT-ID", "X_Org_Id", "OrganizationID", "xOrgId"]


@_WITH_BODY
@pytest.mark.parametrize("field", SPELLINGS)
def test_a_hint_is_returned_and_removed(wire: Wire, field: str) -> None:
    body: JsonObject = {"model": "m", field: "beta", "metadata": {field: "alpha", "topic": "x"}}
    assert wire.tenant_hints(body) == ["beta", "alpha"]
    assert body == {"model": "m", "metadata": {"topic": "x"}}
    assert wire.tenant_hints(body) == []


@_WITH_BODY
@pytest.mark.parametrize("field", SPELLINGS)
def test_a_hint_among_metadata_alone_is_heard(wire: Wire, field: str) -> None:
    body: JsonObject = {"model": "m", "metadata": {field: "beta"}}
    assert wire.tenant_hints(body) == ["beta"]
    assert body == {"model": "m", "metadata": {}}


@_WITH_BODY
@pytest.mark.parametrize("field", ["tenants", "org", "project", "my_tenant_id", "user", "tenant_name"])
def test_other_fields_are_no_hints(wire: Wire, field: str) -> None:
    body: JsonObject = {"model": "m", field: "beta"}
    assert wire.tenant_hints(body) == []
    assert body == {"model": "m", field: "beta"}


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (42, "json:"),
        (None, "json:"),
        (True, "json:"),
        (["beta"], "json:"),
        ({"id": "beta"}, "json:"),
        ("", ""),
        ("x" * 1000, "x" * 128),
    ],
)
def test_a_value_that_is_no_string_can_t_agree(value: object, hint: str) -> None:
    """Tenants may well be called `42`, `null` and `true`; the colon is in no tenant's id, nor is an id that long."""
    assert WIRES[Api.CHAT].tenant_hints({"tenant": value}) == [hint]


@pytest.mark.parametrize("metadata", [None, "tenant", ["tenant"], 7])
def test_odd_metadata_holds_no_hint(metadata: object) -> None:
    assert WIRES[Api.CHAT].tenant_hints({"metadata": metadata}) == []


def test_two_hints_are_both_heard() -> None:
    assert WIRES[Api.MESSAGES].tenant_hints({"tenant_id": "alpha", "org_id": "beta"}) == ["alpha", "beta"]
