"""Whose side of the upstream's caches a request stays on, after the wire and the provider have had their turns."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.gateway.wire import WIRES
from partywall.gateway.wire.strip_list import STRIP_LIST, STRIP_PREFIXES
from partywall.upstream.api import Api
from partywall.upstream.providers import Provider, Salts, resolve
from partywall.upstream.providers.base import Body


def salts_of(tenant: str) -> Salts:
    return Salts(
        cache=hashlib.sha256(f"cache:{tenant}".encode()).hexdigest(),
        user=hashlib.sha256(f"user:{tenant}".encode()).hexdigest(),
    )


ALPHA, BETA = salts_of("alpha"), salts_of("beta")

NAMES = ("openai", "anthropic", "azure", "vllm", "sglang", "tensorrt-llm", "ollama", "llama.cpp", "parrot", "acme")
PROVIDERS = [resolve(name, base_url="https://upstream.example/v1") for name in NAMES]
CASES = [(provider, api) for provider in PROVIDERS for api in sorted(provider.apis - {Api.MODELS})]
EACH_API = pytest.mark.parametrize(("provider", "api"), CASES, ids=lambda value: str(getattr(value, "name", value)))

OWN_FIELDS: dict[str, dict[str, Body]] = {
    "openai": {
        "chat.completions": {"prompt_cache_key": ALPHA.cache, "safety_identifier": ALPHA.user},
        "responses": {"prompt_cache_key": ALPHA.cache, "safety_identifier": ALPHA.user},
        "completions": {"user": ALPHA.user},
        "embeddings": {"user": ALPHA.user},
    },
    "azure": {
        "chat.completions": {"user": ALPHA.user},
        "completions": {"user": ALPHA.user},
        "embeddings": {"user": ALPHA.user},
        "responses": {"user": ALPHA.user},
    },
    "vllm": {
        "chat.completions": {"cache_salt": ALPHA.cache},
        "completions": {"cache_salt": ALPHA.cache},
        "embeddings": {"cache_salt": ALPHA.cache},
        "responses": {"cache_salt": ALPHA.cache},
        "messages": {"cache_salt": ALPHA.cache},
    },
    "sglang": {
        "chat.completions": {"cache_salt": ALPHA.cache},
        "completions": {"cache_salt": ALPHA.cache},
        "responses": {"cache_salt": ALPHA.cache},
        "embeddings": {},
    },
    "tensorrt-llm": {"chat.completions": {"cache_salt": ALPHA.cache}, "embeddings": {}},
    "llama.cpp": {
        "chat.completions": {"cache_prompt": False},
        "completions": {"cache_prompt": False},
        "responses": {"cache_prompt": False},
        "embeddings": {},
    },
    "ollama": {"chat.completions": {}, "completions": {}, "embeddings": {}, "responses": {}, "messages": {}},
    "anthropic": {"messages": {"metadata": {"user_id": ALPHA.user}}},
    "acme": {"chat.completions": {}, "completions": {}, "embeddings": {}, "responses": {}},
}


@pytest.mark.parametrize("name", OWN_FIELDS)
def test_each_provider_sends_its_own_fields_and_no_other(name: str) -> None:
    provider = resolve(name, base_url="https://upstream.example/v1")
    assert {str(api) for api in provider.apis - {Api.MODELS}} == set(OWN_FIELDS[name])
    for api, expected in OWN_FIELDS[name].items():
        body: Body = {"model": "m", "temperature": 0.5}
        provider.salt(Api(api), body, ALPHA)
        assert body == {"model": "m", "temperature": 0.5} | expected


# -- What a client plants: the wire takes it out, the provider sets its own ---

LISTED = sorted(STRIP_LIST | {prefix + tail for prefix in STRIP_PREFIXES for tail in ("", "id", "path")})
"""Every field that clients don't set. `tests/gateway/wire/test_strip.py` says which must be here."""

OF_ALPHA = (ALPHA.cache, ALPHA.user, [ALPHA.cache], {"user_id": ALPHA.user}, None, False, 7)
SPELLINGS = (str, str.upper, str.title, "-".join, "_".join)

planted_fields = st.builds(lambda name, spell: spell(name), st.sampled_from(LISTED), st.sampled_from(SPELLINGS))
planted_bodies = st.dictionaries(planted_fields | st.just("user"), st.sampled_from(OF_ALPHA), max_size=8)


def sent(provider: Provider, api: Api, body: Body, salts: Salts) -> Body:
    """What leaves for the upstream, of a request's body."""
    WIRES[api].strip_request(body)
    provider.salt(api, body, salts)
    return body


@EACH_API
@given(planted=planted_bodies)
@settings(max_examples=25)
def test_what_the_client_planted_never_matters(provider: Provider, api: Api, planted: Body) -> None:
    """C2: whatever the client puts in the fields that aren't its own, the upstream gets what it gets without them."""
    clean: Body = {"model": "m", "x_unknown": [1]}
    assert sent(provider, api, clean | planted, BETA) == sent(provider, api, clean.copy(), BETA)


@EACH_API
def test_no_client_of_beta_reaches_the_partition_of_alpha(provider: Provider, api: Api) -> None:
    """Beta knows alpha's salts and sends them in every field there is."""
    body: Body = {"model": "m", **dict.fromkeys(LISTED, ALPHA.cache), "user": ALPHA.user}
    assert not {ALPHA.cache, ALPHA.user}.intersection(map(str, sent(provider, api, body, BETA).values()))


@EACH_API
def test_what_a_provider_sets_it_sets_over_what_stands_there(provider: Provider, api: Api) -> None:
    """The second lock: had the wire missed a field that this provider takes, the client's value wouldn't leave."""
    own: Body = {}
    provider.salt(api, own, BETA)
    planted: Body = {**dict.fromkeys(own, ALPHA.cache), "user": ALPHA.user}
    provider.salt(api, planted, BETA)
    assert planted == own


def test_the_record_names_what_was_taken_out() -> None:
    body: Body = {"model": "m", "cache_salt": ALPHA.cache, "Cache-Salt": ALPHA.cache, "user": "u", "temperature": 1}
    assert WIRES[Api.CHAT].strip_request(body) == ["Cache-Salt", "cache_salt"]


def test_anthropics_metadata_is_the_servers_alone() -> None:
    body: Body = {"metadata": {"user_id": ALPHA.user, "more": 1}, "diagnostics": {"previous_message_id": "msg_alpha"}}
    assert sent(resolve("anthropic"), Api.MESSAGES, body, BETA) == {"metadata": {"user_id": BETA.user}}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: str(provider.name))
def test_a_partitioned_api_gets_a_field_that_differs_between_tenants(provider: Provider) -> None:
    """C6: `partitioned` is a claim, so it must have an effect: another salt, or no cache at all."""
    assert provider.partitioned <= provider.apis
    for api in provider.partitioned:
        alpha: Body = {}
        beta: Body = {}
        provider.salt(api, alpha, ALPHA)
        provider.salt(api, beta, BETA)
        assert alpha == {"cache_prompt": False} or alpha["cache_salt"] != beta["cache_salt"]


def test_engines_that_would_drop_the_salt_are_not_asked() -> None:
    """llama.cpp and SGLang lose it on Messages; TensorRT-LLM has it on chat alone and forbids it on completions."""
    assert Api.MESSAGES not in resolve("llama.cpp", base_url="http://llama:8080").apis
    assert Api.MESSAGES not in resolve("sglang", base_url="http://sglang:30000").apis
    assert resolve("tensorrt-llm", base_url="http://trt:8000").apis.isdisjoint({Api.COMPLETIONS, Api.RESPONSES})


def test_media_ids_are_made_the_tenants_own_for_vllm() -> None:
    """C10: one uuid, two tenants, two images. Within a tenant the cache still works."""
    vllm = resolve("vllm", base_url="http://vllm:8000")

    def sent_id(salts: Salts, uuid: object) -> object:
        part: Body = {"type": "image_url", "image_url": {"url": "data:"}, "uuid": uuid}
        turns = ["odd", {"role": "user", "content": [part, "odd"]}, {"role": "user", "content": "x"}]
        body: Body = {"messages": turns}
        vllm.salt(Api.CHAT, body, salts)
        assert part["uuid"] == uuid  # another target may be tried with the same parts
        said: Any = body["messages"]
        assert said[0] == "odd"
        assert said[1] == {"role": "user", "content": [part | {"uuid": said[1]["content"][0]["uuid"]}, "odd"]}
        assert said[2] is turns[2]
        return said[1]["content"][0]["uuid"]

    assert sent_id(ALPHA, "image-1") == sent_id(ALPHA, "image-1")
    assert sent_id(ALPHA, "image-1") != sent_id(BETA, "image-1")
    assert sent_id(ALPHA, "image-1") != sent_id(ALPHA, "image-2")
    assert sent_id(ALPHA, {"not": "text"}) is None


@pytest.mark.parametrize("name", ["openai", "azure"])
def test_a_cache_diagnosis_of_somebody_elses_response_is_not_asked_for(name: str) -> None:
    provider = resolve(name, base_url="https://x.openai.azure.com/openai/v1")
    body: Body = {"prompt_cache_options": {"mode": "explicit", "comparison_response_id": "resp_of_alpha"}}
    assert sent(provider, Api.RESPONSES, body, BETA)["prompt_cache_options"] == {"mode": "explicit"}


@pytest.mark.parametrize("bad", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 63 + "\n", "é" * 64])
def test_a_salt_is_64_hex_digits(bad: str) -> None:
    """C3: a long or odd salt has crashed an engine."""
    with pytest.raises(ValueError, match="64 lower-case hex"):
        Salts(cache=bad, user="a" * 64)
    with pytest.raises(ValueError, match="64 lower-case hex"):
        Salts(cache="a" * 64, user=bad)
