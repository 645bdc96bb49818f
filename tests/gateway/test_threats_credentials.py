"""What reaches an upstream besides the body: the target's own credential and model, and no stand-in for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import UPSTREAM_SECRETS, base_document, headers_of, write_document
from tests.support.inprocess import gateway
from tests.support.upstream import Received, upstream

from partywall.config.providers import Target
from partywall.errors import ConfigError
from partywall.gateway.wire import Api
from partywall.upstream.targets import compile_targets

CHAT = {"model": "alpha-model", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}


def received(
    tmp_path: Path, *, path: str, provider: str, client: dict[str, str], query: str = "", **target: Any
) -> Received:
    """What the upstream gets of alpha's request when the client sends `client` on top of its own headers."""
    with upstream() as server:
        document = base_document(base_url=server.url, provider=provider)
        document["providers"]["targets"][0] |= target

        async def main() -> None:
            async with gateway(write_document(tmp_path / "partywall.yaml", document), tmp_path / "data") as api:
                await api.post(path, headers_of("alpha", **client), CHAT, query)

        asyncio.run(main())
        (request,) = server.received
        return request


@pytest.mark.parametrize("name", ["accept", "anthropic-beta"])
def test_no_header_of_the_clients_takes_the_credentials_place(tmp_path: Path, name: str) -> None:
    request = received(
        tmp_path,
        path="/v1/messages",
        provider="anthropic",
        client={name: "sk-of-somebody-else"},
        api_key_header=name,
        api_key_prefix="",
    )
    assert request.headers[name] == UPSTREAM_SECRETS["alpha"]
    assert "sk-of-somebody-else" not in repr(request)


def test_no_value_of_a_parameter_brings_another_parameter_along(tmp_path: Path) -> None:
    request = received(
        tmp_path,
        path="/v1/messages",
        provider="anthropic",
        client={},
        query="beta=true%26workspace=beta%23&workspace=beta",
    )
    assert request.path == "/v1/messages?beta=true%26workspace%3Dbeta%23"


def test_a_deployment_named_in_the_provider_is_the_one_that_is_called() -> None:
    url = "https://alpha.openai.azure.com"
    target = Target(id="a", provider="azure:chat:alpha-gpt", base_url=url, api_version="2024-10-21")
    path = compile_targets({"a": target})["a"].paths[Api.CHAT]
    assert path == b"/openai/deployments/alpha-gpt/chat/completions?api-version=2024-10-21"


def test_a_deployment_that_nothing_names_is_refused_when_the_document_is_loaded() -> None:
    url = "https://alpha.openai.azure.com"
    with pytest.raises(ConfigError, match="`a`: an `azure` target"):
        compile_targets({"a": Target(id="a", provider="azure", base_url=url, api_version="2024-10-21")})
