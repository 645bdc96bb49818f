"""What lint knows of providers: which of them keep tenants apart that share one credential.

Lint and the gateway are strangers, so this is a table of its own; `tests/lint/test_vendors.py` holds it against the
gateway's.
"""

from __future__ import annotations

from typing import Final

from partywall.config.providers import SecretKeyRef, Target

__all__ = ["answers_in_process", "credential", "divides_tenants", "vendor"]

_ALIASES: Final = {
    "llama-cpp": "llama.cpp",
    "llamacpp": "llama.cpp",
    "tensorrtllm": "tensorrt-llm",
    "trt-llm": "tensorrt-llm",
    "trtllm": "tensorrt-llm",
}
_SALTED: Final = frozenset({"llama.cpp", "sglang", "tensorrt-llm", "vllm"})
"""Engines whose prefix cache the gateway divides with a salt of the tenant's, or switches off."""


def vendor(target: Target) -> str:
    """The vendor in `provider`, under its one name."""
    name = target.provider.strip().partition(":")[0].lower().replace("_", "-")
    return _ALIASES.get(name, name)


def answers_in_process(target: Target) -> bool:
    """Whether no upstream is called at all."""
    return vendor(target) == "parrot"


def divides_tenants(target: Target) -> bool:
    """Whether tenants that share this target's credential don't share what the upstream keeps of them."""
    return answers_in_process(target) or (vendor(target) in _SALTED and target.format != "anthropic")


def credential(target: Target) -> tuple[str, str] | None:
    """What names the target's credential: two targets with the same have one credential. None: it has none."""
    if target.api_key is not None:
        return ("api_key", target.api_key)
    return None if target.secret_key_ref is None else reference(target.secret_key_ref)


def reference(ref: SecretKeyRef) -> tuple[str, str]:
    """The kind and the name of a reference."""
    return next((kind, name) for kind, name in ref if name is not None)
