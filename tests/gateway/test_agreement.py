"""No combination of key, headers, query, body and claims reaches another tenant's upstream or credential.

The upstream is a real server that records which credential it saw. Whatever a client sends, a request is either refused
or arrives with the credential, the model and the salts of the tenant whose key it carried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support.documents import KEYS, TENANTS, UPSTREAM_SECRETS, base_document, write_document
from tests.support.inprocess import Session, session
from tests.support.upstream import Received, Upstream, upstream

NAMES = [*TENANTS, "ALPHA", "alph", "alphaa", "beta ", "", "*", "null", "alpha,beta"]
CREDENTIAL_HEADERS = ["authorization", "x-api-key", "api-key"]
TENANT_HEADERS = ["x-org-id", "x-tenant-id", "x-tenant", "x-organization-id", "x-scope-orgid"]
UPSTREAM_HEADERS = ["openai-organization", "openai-project", "x-goog-api-key", "x-litellm-api-key", "cookie", "host"]
BODY_TENANT_FIELDS = ["tenant", "tenant_id", "org_id", "organization", "orgId", "X-Org-ID"]
STEERING = {
    "cache_salt": "beta",
    "prompt_cache_key": "beta",
    "safety_identifier": "beta",
    "api_key": UPSTREAM_SECRETS["beta"],
    "api_base": "http://127.0.0.1:1/",
    "base_url": "http://127.0.0.1:1/",
    "custom_llm_provider": "openai",
    "fallbacks": [{"model": "beta-model"}],
    "lora": "beta",
    "id_slot": 1,
    "kv_transfer_params": {"a": 1},
}

presented = st.sampled_from([*KEYS.values(), "sk-nobody", "", f"Bearer {KEYS['beta']}", f"Bearer {KEYS['alpha']}"])
credentials = st.lists(st.tuples(st.sampled_from(CREDENTIAL_HEADERS), presented), min_size=1, max_size=3)
tenant_headers = st.lists(st.tuples(st.sampled_from(TENANT_HEADERS), st.sampled_from(NAMES)), max_size=2)
steering_headers = st.lists(
    st.tuples(st.sampled_from(UPSTREAM_HEADERS), st.sampled_from([*UPSTREAM_SECRETS.values(), "beta"])), max_size=2
)
body_fields = st.dictionaries(
    st.sampled_from(BODY_TENANT_FIELDS), st.sampled_from([*NAMES, None, 1, ["beta"]]), max_size=2
)
steering_fields = st.sets(st.sampled_from(sorted(STEERING)), max_size=3)
models = st.sampled_from(["alpha-model", "beta-model", "alpha-target", "beta-target", "openai/beta-model", "else"])


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def alive(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("agreement")
    document = write_document(folder / "partywall.yaml", base_document(base_url=server.url))
    with session(document, folder / "data") as running:
        yield running


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    credentials=credentials,
    tenants=tenant_headers,
    steering=steering_headers,
    query=st.dictionaries(
        st.sampled_from(["tenant", "org_id", "api-version", "user"]), st.sampled_from(NAMES), max_size=1
    ),
    model=models,
    fields=body_fields,
    metadata=st.none() | body_fields,
    extra=steering_fields,
)
def test_nothing_crosses(
    server: Upstream,
    alive: Session,
    credentials: list[tuple[str, str]],
    tenants: list[tuple[str, str]],
    steering: list[tuple[str, str]],
    query: dict[str, str],
    model: str,
    fields: dict[str, Any],
    metadata: dict[str, Any] | None,
    extra: set[str],
) -> None:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
    body |= {name: STEERING[name] for name in extra}
    if metadata is not None:
        body["metadata"] = metadata
    headers = [*credentials, *tenants, *steering, ("x-user-id", "ada")]
    server.received.clear()
    reply = alive.run(
        alive.client.call("POST", "/v1/chat/completions", headers=headers, body=body, query=urlencode(query))
    )
    keys = {value.removeprefix("Bearer ") for _, value in credentials} & set(KEYS.values())
    assert reply.status in (200, 400, 401, 403, 404), reply.body
    event(f"status {reply.status}")
    if reply.status != 200:
        assert server.received == []
        return
    (arrived,) = server.received
    (key,) = keys  # two tenants' keys at once never pass
    tenant = next(name for name, value in KEYS.items() if value == key)
    assert_own(arrived, tenant)
    named = [value for name, value in query.items() if name in ("tenant", "org_id")]
    said = [*(value for _, value in tenants), *fields.values(), *(metadata or {}).values(), *named]
    assert all(value == tenant for value in said), said


def assert_own(arrived: Received, tenant: str) -> None:
    """`arrived` carries what is `tenant`'s and nothing that a client chose."""
    other = next(name for name in TENANTS if name != tenant)
    assert arrived.credential == UPSTREAM_SECRETS[tenant]
    assert arrived.json["model"] == f"{tenant}-model"
    everything = repr(sorted(arrived.headers.items())) + arrived.body.decode()
    assert UPSTREAM_SECRETS[other] not in everything
    assert KEYS[tenant] not in everything
    assert KEYS[other] not in everything
    assert set(arrived.json) <= {
        "model",
        "messages",
        "prompt_cache_key",
        "safety_identifier",
        "metadata",
        "store",
        "user",
    }
    assert arrived.json["prompt_cache_key"] not in ("beta", "alpha")
    assert set(arrived.headers) <= {
        "host",
        "accept-encoding",
        "accept",
        "content-type",
        "content-length",
        "authorization",
    }


def test_a_plain_request_arrives_and_the_assertion_would_catch_a_crossing(server: Upstream, alive: Session) -> None:
    server.received.clear()
    headers = {"authorization": f"Bearer {KEYS['alpha']}", "x-user-id": "ada"}
    body = {"model": "alpha-model", "messages": [{"role": "user", "content": "hello"}]}
    assert alive.run(alive.client.post("/v1/chat/completions", headers, body)).status == 200
    assert_own(server.received[0], "alpha")
    with pytest.raises(AssertionError):
        assert_own(server.received[0], "beta")
