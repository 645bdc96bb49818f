"""The fields of a request body that a client may not set, and why.

Promises: `STRIP_LIST` is complete for the engines and proxies named here, as their schemas stood in October 2026.
Matching ignores case, `-` and `_`.

Doesn't promise: to know the next engine's fields. An upstream that divides its state by a field of the body needs its
field on this list before two tenants share it.

Left alone, with the reason: what `Provider.salt` drops or overwrites whatever the client put there (`user`, the
`metadata` of Messages at Anthropic, media `uuid` at vLLM), `service_tier` and `speed` (the tenant's own money),
`mm_processor_kwargs` and `media_io_kwargs` (how the caller's own media are read), `chat_template` (engines take one
only when started to).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from partywall.tenancy.names import TENANT_FIELDS, squash
from partywall.upstream.api import Api

__all__ = ["DOCUMENTED", "STRIP_LIST", "STRIP_PREFIXES", "TENANT_FIELDS"]

_CACHE: Final = {
    # Whose cache: with another tenant's value a client would read its timing (LESSONS C2, C6, C23).
    "cache",  # LiteLLM: `cache.namespace`
    "cache_prompt",  # llama.cpp
    "cache_salt",  # vLLM, SGLang, TensorRT-LLM
    "cached_content",  # Gemini: a stored prefix, by id
    "conversation_params",  # TensorRT-LLM
    "diagnostics",  # Anthropic: compares this prompt with somebody's earlier one, found by id alone (C8)
    "extra_key",  # SGLang joins it to the salt
    "id_slot",  # llama.cpp: the slot, and with it whose cache
    "n_cmpl",  # llama.cpp: several answers, in several slots
    "return_progress",  # llama.cpp: how much of the prompt was cached (C8)
    "timings_per_token",  # llama.cpp, the same
    "n_cache_reuse",  # llama.cpp: reuse of chunks in the middle
    "ngram_corpus_id",  # SGLang: a shared corpus, by id
    "prompt_cache_isolation_key",  # Fireworks
    "prompt_cache_key",  # OpenAI, Mistral
    "safety_identifier",  # OpenAI
    "session_id",  # SGLang, vLLM, OpenRouter
    "session_params",  # SGLang: continues what the engine holds
    "vllm_xargs",  # vLLM: reaches the KV connectors, past the salt (C4)
}

_CREDENTIAL: Final = {
    # With whose credential, and at whose cost.
    "api_key",
    "api_type",
    "api_version",
    "authorization",
    "billing_policy",  # Anthropic: who is billed
    "extra_body",
    "extra_headers",
    "extra_query",
    "fallback_credit_token",  # Anthropic
    "headers",  # LiteLLM sends them on
    "user_config",  # LiteLLM: a router of the client's own, keys included
    "user_profile_id",  # Anthropic: on whose behalf
    "virtual_key",  # Portkey
    "workspace_id",  # Anthropic: in whose workspace
}

_UPSTREAM: Final = {
    "tags",  # LiteLLM proxies choose the deployment, and so its region, by them
    "chat_template",  # vLLM: code that writes the prompt
    # Where the work is done: a target outside the tenant's own, outside its region, or a model it has no right to.
    "adapter_id",  # TGI, LoRAX
    "adapter_source",
    "adapter",
    "api_base",
    "backend_instance_id",
    "base_url",
    "context_window_fallbacks",  # LiteLLM
    "custom_llm_provider",
    "data_parallel_rank",  # vLLM, SGLang
    "deployment_id",
    "disagg_prefill_dp_rank",  # SGLang
    "disaggregated_params",  # TensorRT-LLM
    "ec_transfer_params",  # vLLM
    "fallbacks",  # LiteLLM, Anthropic: other models
    "kv_transfer_params",  # vLLM: another engine's blocks, by id
    "mock_response",  # LiteLLM: an answer of the client's own making
    "model_list",
    "models",  # OpenRouter
    "nvext",  # Dynamo: worker, salt, priority
    "plugins",  # OpenRouter: a router over other models, among others
    "preset",  # OpenRouter: settings kept in the account
    "provider",
    "provider_options",  # Vercel
    "region_name",
    "route",
    "routed_dp_rank",
    "router_settings",
    "rid",  # SGLang: an id used twice mixes answers up (C20)
    "request_id",  # vLLM, the same
}

_SHARED_WORK: Final = {
    # What a shared engine does for everybody else: its order, its labels, its code.
    "agent_hierarchy",  # TensorRT-LLM: its scheduler's order
    "custom_labels",  # SGLang: labels of shared metrics
    "custom_logit_processor",  # SGLang: code
    "custom_params",
    "deferred",  # xAI: the answer is kept under the account
    "keep_alive",  # Ollama: unloads the model, or pins it, for all
    "logits_processors",
    "priority",  # vLLM, SGLang: taken from the neighbours (C9)
}

STRIP_PREFIXES: Final = tuple(
    squash(prefix)
    for prefix in (
        "aws_",  # LiteLLM: credentials of a vendor
        "azure_",
        "bootstrap_",  # SGLang connects to the host it is given
        "litellm_",
        "lora",  # whose weights (C17)
        "mock_testing_",
        "slot",  # llama.cpp
        "user_api_key",  # LiteLLM's own record of who asks
        "vertex_",
    )
)
"""Beginnings of names, squashed; in `metadata` too."""

STRIP_LIST: Final = frozenset(squash(name) for name in _CACHE | _CREDENTIAL | _UPSTREAM | _SHARED_WORK)
"""The names that are removed, squashed; the same for every API, since engines and proxies translate between them."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPENAI: Final = _words(
    """
    frequency_penalty logit_bias logprobs max_tokens model n presence_penalty seed stop stream stream_options
    temperature top_p user
    """
)

DOCUMENTED: Final[Mapping[Api, frozenset[str]]] = MappingProxyType(
    {
        Api.CHAT: _OPENAI
        | _words(
            """
            audio function_call functions max_completion_tokens messages metadata modalities moderation
            parallel_tool_calls prediction prompt_cache_options prompt_cache_retention reasoning_effort
            response_format service_tier store tool_choice tools top_logprobs verbosity web_search_options
            """
        ),
        Api.COMPLETIONS: _OPENAI | _words("best_of echo prompt suffix"),
        Api.EMBEDDINGS: _words("dimensions encoding_format input model user"),
        Api.RESPONSES: _words(
            """
            access_programs background background_options context_management conversation image include input
            instructions max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls
            previous_response_id prompt prompt_cache_options prompt_cache_retention reasoning service_tier store
            stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user
            """
        ),
        Api.MESSAGES: _words(
            """
            betas cache_control compaction container context_management inference_geo max_tokens mcp_servers
            messages metadata model output_config service_tier speed stop_sequences stream system temperature
            thinking thread tool_choice tools top_k top_p
            """
        ),
        Api.MODELS: frozenset(),
        Api.CONVERSATIONS: _words("items metadata"),
        Api.FILES: _words("expires_after file purpose"),
        Api.VECTOR_STORES: _words("attributes chunking_strategy file_id file_ids filters metadata name query"),
    }
)
"""Per API, the documented fields that aren't stripped by name: the fast path, since most requests have no others."""
