"""How a document names a vendor: `vendor`, `vendor:model` or `vendor:chat:model`.

Promises: one reading of that text for every room, so that no two of them take a target for different vendors or
models. A vendor has one name, however it is spelled.

Doesn't promise: to know every vendor. A name that isn't here comes back as it is written, in lower case; whether
anything can be sent there is the gateway's question.
"""

from __future__ import annotations

from typing import Final

__all__ = ["parse_provider"]

_KINDS: Final = frozenset(
    {"chat", "completion", "completions", "embedding", "embeddings", "messages", "responses", "text"}
)

_ALIASES: Final = {
    "azure-openai": "azure",
    "azureopenai": "azure",
    "claude": "anthropic",
    "fireworks-ai": "fireworks",
    "grok": "xai",
    "llama-cpp": "llama.cpp",
    "llamacpp": "llama.cpp",
    "mistralai": "mistral",
    "tensorrtllm": "tensorrt-llm",
    "together-ai": "together",
    "togetherai": "together",
    "trt-llm": "tensorrt-llm",
    "trtllm": "tensorrt-llm",
    "x-ai": "xai",
}


def parse_provider(text: str) -> tuple[str, str | None]:
    """Split `vendor`, `vendor:model` or `vendor:kind:model`; the model may hold colons (`ollama:chat:llama3:8b`).

    The vendor comes back under its one name: lower case, `-` for `_`, aliases resolved.

    Raises:
        ValueError: there is no vendor, or a colon with nothing behind it.
    """
    vendor, colon, rest = text.strip().partition(":")
    if not vendor or (colon and not rest):
        raise ValueError("`provider` is neither `vendor` nor `vendor:chat:model`")
    kind, _, model = rest.partition(":")
    name = vendor.lower().replace("_", "-")
    return _ALIASES.get(name, name), (model if kind in _KINDS else rest) or None
