"""Lint and the gateway are strangers, so some facts stand in both. Here they are held against each other."""

from __future__ import annotations

import pytest

from partywall.config.providers import Target
from partywall.gateway.endpoints import ENDPOINTS as SERVED
from partywall.gateway.endpoints import Guard
from partywall.identity.settings import CREDENTIAL_HEADERS as READ_BY_IDENTITY
from partywall.lint.endpoints import ENDPOINTS, GENERATING
from partywall.lint.identity import CREDENTIAL_HEADERS
from partywall.lint.vendors import answers_in_process, divides_tenants
from partywall.upstream.providers import resolve

VENDORS = (
    "openai",
    "azure",
    "anthropic",
    "ollama",
    "vllm",
    "sglang",
    "tensorrt-llm",
    "trt_llm",
    "llama.cpp",
    "Some-Own",
)


def test_endpoints_are_those_that_the_gateway_serves_to_tenants() -> None:
    served = {(one.path, one.method) for one in SERVED if one.guard is Guard.TENANT and one.api is not None}
    assert set(ENDPOINTS) == served
    assert {path for path, _ in ENDPOINTS} >= set(GENERATING)


def test_credential_headers_are_those_that_identity_reads() -> None:
    assert tuple(name.encode() for name in CREDENTIAL_HEADERS) == READ_BY_IDENTITY


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("speaks", [None, "anthropic"])
def test_only_engines_whose_cache_the_gateway_divides_count_as_divided(name: str, speaks: str | None) -> None:
    target = Target.model_validate(
        {"id": "t", "provider": f"{name}:chat:m", "base_url": "https://llm.example/v1", "format": speaks}
    )
    provider = resolve(target.provider, base_url=target.base_url, speaks=target.format)
    assert divides_tenants(target) == bool(provider.partitioned)


def test_parrot_is_called_by_nobody() -> None:
    target = Target(id="t", provider="parrot")
    assert answers_in_process(target)
    assert divides_tenants(target)
