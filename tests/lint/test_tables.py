"""Lint and the gateway are strangers, so some facts stand in both. Here they are held against each other."""

from __future__ import annotations

import re

import pytest

from partywall.config.providers import Target
from partywall.config.routing import Route
from partywall.gateway.endpoints import ENDPOINTS as SERVED
from partywall.gateway.endpoints import Guard
from partywall.identity.settings import CREDENTIAL_HEADERS as READ_BY_IDENTITY
from partywall.lint.conditions import _is_asked
from partywall.lint.endpoints import ENDPOINTS, GENERATING, served_under
from partywall.lint.identity import CREDENTIAL_HEADERS
from partywall.lint.vendors import answers_in_process, divides_tenants
from partywall.policy.routes import RouteTable
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
    served = {
        (re.sub(r"\{\w+\}", "{}", one.path), one.method)
        for one in SERVED
        if one.guard is Guard.TENANT and one.api is not None
    }
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


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat", True),
        ("/v1/files/", True),
        ("/v1/files/file_1", True),
        ("/v1/files/file_1/con", True),
        ("/v1/files/file_1/contents", False),
        ("/v1/files/file_1/content/x", False),
        ("/v1/models/a/b", True),
        ("/v1/filesystem", False),
        ("/v2", False),
    ],
)
def test_a_condition_on_a_path_is_held_against_ids_too(path: str, asked: bool) -> None:
    assert _is_asked(path) is asked


@pytest.mark.parametrize(
    ("path", "prefix", "leads"),
    [
        ("/v1/files/file_1/content", False, True),
        ("/v1/files/file_1/contents", False, False),
        ("/v1/vector_stores/vs_1/files/file_1", False, True),
        ("/v1/conversations", True, True),
        ("/v1/conversation", False, False),
    ],
)
def test_a_route_to_something_stored_leads_somewhere(path: str, prefix: bool, leads: bool) -> None:
    match = "prefix" if prefix else "exact"
    (rule,) = RouteTable((Route.model_validate({"name": "r", "path": path, "match": match}),))
    assert bool(list(served_under(rule))) is leads
