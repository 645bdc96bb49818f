"""Names, addresses, paths, headers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from partywall.config.vendors import parse_provider
from partywall.errors import ConfigError
from partywall.tenancy import Secret
from partywall.upstream.api import Api
from partywall.upstream.providers import DEFAULT_BASE_URLS, resolve


@dataclass(frozen=True)
class Target:
    upstream_model: str | None = None
    base_url: str | None = None
    api_version: str | None = None


@pytest.mark.parametrize("name", [*DEFAULT_BASE_URLS, "parrot", "openai:chat:gpt-4o", "openrouter:chat:meta/llama"])
def test_vendors_with_an_address_need_none(name: str) -> None:
    assert resolve(name).name == parse_provider(name)[0]


@pytest.mark.parametrize("name", ["azure", "vllm", "ollama", "llama.cpp", "openai-compatible", "acme", "localhost"])
def test_nothing_is_sent_to_a_guessed_address(name: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        resolve(name)
    assert resolve(name, base_url="https://upstream.example/v1").name == name


def test_the_documents_format_chooses_the_dialect() -> None:
    assert resolve("acme", base_url="https://a.example", speaks="anthropic").apis == {Api.MESSAGES, Api.MODELS}
    assert Api.CHAT in resolve("anthropic", speaks="openai").apis
    assert resolve("anthropic", speaks="anthropic") is resolve("anthropic")
    assert resolve("parrot", speaks="anthropic") is resolve("parrot")
    with pytest.raises(ConfigError, match="in that format"):
        resolve("deepseek", speaks="anthropic")  # its known address speaks OpenAI's


@pytest.mark.parametrize(
    ("name", "target", "api", "expected"),
    [
        ("openai", Target(), Api.CHAT, b"/chat/completions"),
        ("openai", Target(base_url="https://api.openai.com/v1"), Api.RESPONSES, b"/responses"),
        ("vllm", Target(base_url="http://vllm:8000"), Api.CHAT, b"/v1/chat/completions"),
        ("vllm", Target(base_url="http://vllm:8000/"), Api.EMBEDDINGS, b"/v1/embeddings"),
        ("vllm", Target(base_url="http://vllm:8000/v1/"), Api.COMPLETIONS, b"/completions"),
        ("groq", Target(), Api.MODELS, b"/models"),
        ("acme", Target(base_url="http://acme:1234"), Api.CHAT, b"/chat/completions"),
        ("anthropic", Target(), Api.MESSAGES, b"/messages"),
        ("anthropic", Target(base_url="https://api.anthropic.com"), Api.MESSAGES, b"/v1/messages"),
        ("anthropic", Target(base_url="https://gw.example/anthropic"), Api.MESSAGES, b"/v1/messages"),
        ("anthropic", Target(base_url="https://api.anthropic.com/v1"), Api.MESSAGES, b"/messages"),
        ("azure", Target(base_url="https://r.openai.azure.com/openai/v1"), Api.CHAT, b"/chat/completions"),
        ("azure", Target(base_url="https://r.openai.azure.com"), Api.CHAT, b"/openai/v1/chat/completions"),
        (
            "azure",
            Target("gpt 4/o?", "https://r.openai.azure.com", "2024-10-21"),
            Api.CHAT,
            b"/openai/deployments/gpt%204%2Fo%3F/chat/completions?api-version=2024-10-21",
        ),
        (
            "azure",
            Target("d", "https://r.openai.azure.com/openai/", "2024-10-21"),
            Api.EMBEDDINGS,
            b"/deployments/d/embeddings?api-version=2024-10-21",
        ),
        (
            "azure",
            Target(None, "https://r.openai.azure.com/openai/deployments/d", "2024-10-21"),
            Api.CHAT,
            b"/chat/completions?api-version=2024-10-21",
        ),
        (
            "azure",
            Target("d", "https://r.openai.azure.com", "2025-03-01&x=1"),
            Api.RESPONSES,
            b"/openai/responses?api-version=2025-03-01%26x%3D1",
        ),
    ],
)
def test_paths(name: str, target: Target, api: Api, expected: bytes) -> None:
    assert resolve(name, base_url=target.base_url).path(api, target) == expected


def test_a_client_never_chooses_the_deployment() -> None:
    azure = resolve("azure", base_url="https://r.openai.azure.com")
    with pytest.raises(ConfigError, match="needs `model`"):
        azure.path(Api.CHAT, Target(None, "https://r.openai.azure.com", "2024-10-21"))


def test_credential_headers() -> None:
    secret = Secret("sk-alpha")
    assert resolve("openai").credential_headers(secret) == [(b"authorization", b"Bearer sk-alpha")]
    assert resolve("anthropic").credential_headers(secret) == [
        (b"x-api-key", b"sk-alpha"),
        (b"anthropic-version", b"2023-06-01"),
    ]
    azure = resolve("azure", base_url="https://r.openai.azure.com")
    assert azure.credential_headers(secret) == [(b"api-key", b"sk-alpha")]
    assert azure.credential_headers(secret, header="Authorization") == [(b"authorization", b"Bearer sk-alpha")]
    assert resolve("openai").credential_headers(secret, header="X-Key") == [(b"x-key", b"sk-alpha")]
    assert resolve("openai").credential_headers(secret, prefix="Token ") == [(b"authorization", b"Token sk-alpha")]
    assert resolve("parrot").credential_headers(secret) == []


def test_no_secret_no_credential_header() -> None:
    assert resolve("ollama", base_url="http://ollama:11434").credential_headers(None) == []
    assert resolve("anthropic").credential_headers(None) == [(b"anthropic-version", b"2023-06-01")]


FORBIDDEN = {
    "authorization", "x-api-key", "api-key", "cookie", "host", "x-org-id", "openai-organization", "openai-project",
    "anthropic-workspace-id", "anthropic-user-profile-id", "traceparent", "baggage", "x-forwarded-for", "forwarded",
    "x-request-id", "x-client-request-id", "idempotency-key", "x-session-affinity", "x-data-parallel-rank",
    "anthropic-version", "content-length", "transfer-encoding", "connection",
}  # fmt: skip


@pytest.mark.parametrize("name", [*DEFAULT_BASE_URLS, "azure", "vllm", "sglang", "parrot", "acme"])
def test_only_listed_headers_leave(name: str) -> None:
    provider = resolve(name, base_url="https://upstream.example/v1")
    assert provider.forward_headers <= {b"accept", b"anthropic-beta"}
    assert provider.forward_headers.isdisjoint(header.encode() for header in FORBIDDEN)
    assert provider.forward_query <= {"beta"}
