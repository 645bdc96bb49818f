"""From the document's `provider` to the object that serves it.

Promises: a name we don't know is taken as OpenAI-compatible at the `base_url` given with it, and is an error without
one. No request is ever sent to an address that neither the document nor `DEFAULT_BASE_URLS` names.

Doesn't promise: that a vendor's address stays what it was in October 2026; `base_url` overrides it. Engines that one
runs oneself have no default: a guess at localhost would give a tenant's prompt to whatever listens there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from partywall.config.vendors import parse_provider
from partywall.errors import ConfigError
from partywall.upstream.providers.anthropic import ANTHROPIC, Anthropic
from partywall.upstream.providers.base import Provider
from partywall.upstream.providers.openai_family import (
    AZURE,
    LLAMA_CPP,
    OLLAMA,
    OPENAI,
    SGLANG,
    TENSORRT_LLM,
    VLLM,
    compatible,
)
from partywall.upstream.providers.parrot import PARROT

__all__ = ["DEFAULT_BASE_URLS", "resolve"]

DEFAULT_BASE_URLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openai": "https://api.openai.com/v1",  # developers.openai.com/api/reference/overview
        "anthropic": "https://api.anthropic.com/v1",  # the official client's default
        "cerebras": "https://api.cerebras.ai/v1",  # github.com/xyzs996/free-llm-api/discussions/4
        "deepinfra": "https://api.deepinfra.com/v1/openai",  # the same
        "deepseek": "https://api.deepseek.com",  # api-docs.deepseek.com
        "fireworks": "https://api.fireworks.ai/inference/v1",  # docs.pipecat.ai/server/services/llm/fireworks
        "groq": "https://api.groq.com/openai/v1",  # console.groq.com/docs/openai
        "mistral": "https://api.mistral.ai/v1",  # docs.mistral.ai/resources/migration-guides
        "openrouter": "https://openrouter.ai/api/v1",  # github.com/xyzs996/free-llm-api/discussions/4
        "perplexity": "https://api.perplexity.ai",  # the same
        "together": "https://api.together.ai/v1",  # docs.together.ai/docs/inference/openai-compatibility
        "xai": "https://api.x.ai/v1",  # docs.x.ai/api/integrations
    }
)
"""Where each hosted vendor's API is, and the page that says so."""

_KNOWN: Final[Mapping[str, Provider]] = {
    provider.name: provider for provider in (OPENAI, AZURE, ANTHROPIC, VLLM, SGLANG, TENSORRT_LLM, LLAMA_CPP, OLLAMA)
}


def resolve(
    name: str, *, base_url: str | None = None, speaks: Literal["openai", "anthropic"] | None = None
) -> Provider:
    """The provider for a target's `provider`, which may be in the combined form. Call it when the document is loaded.

    `speaks` is the target's `format`, for a server whose dialect its name doesn't tell.

    Raises:
        ConfigError: nothing says where the upstream is.
        ValueError: `name` has no vendor; a loaded document's always has.
    """
    vendor, _ = parse_provider(name)
    if vendor == PARROT.name:
        return PARROT
    foreign = speaks == "anthropic" and vendor != "anthropic"
    if base_url is None and (foreign or vendor not in DEFAULT_BASE_URLS):
        where = "in that format " if foreign else ""
        raise ConfigError(
            f"provider `{vendor}` has no address {where}of its own: give the target a `base_url`, "
            f"or name one of {', '.join(sorted((*DEFAULT_BASE_URLS, PARROT.name)))}"
        )
    if foreign:
        return Anthropic(vendor)
    if speaks == "openai" and vendor == "anthropic":
        return compatible(vendor)
    return _KNOWN.get(vendor) or compatible(vendor)
