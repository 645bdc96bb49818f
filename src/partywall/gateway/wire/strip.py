"""Taking out of a request body what its client may not choose, and what it says about its tenant.

Promises: after `strip_fields` no field of the strip list is left, at the top level or in `metadata`, however it is
spelled; `tenant_hints` returns what the body says about its tenant and removes it.

Doesn't promise: to look into messages. `upstream_state` does, for the ids that stand there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from partywall.gateway.wire.shapes import JsonObject, squash
from partywall.gateway.wire.strip_list import DOCUMENTED, STRIP_LIST, STRIP_PREFIXES, TENANT_FIELDS
from partywall.upstream.api import Api

__all__ = ["MAX_REPORTED_CHARS", "reported", "strip_fields", "tenant_hints", "undocumented"]

MAX_REPORTED_CHARS: Final = 128
"""Names and hints go into decision records; a client doesn't get to fill those."""

_STORING: Final = frozenset({Api.RESPONSES})
"""APIs that store unless told otherwise."""

_PARTLY_OURS: Final = frozenset(
    {"chat_template_kwargs", "metadata", "prompt_cache_options", "prompt_cache_retention", "store"}
)
"""Fields of which some values, or some members, aren't the client's to choose."""


def undocumented(api: Api, body: JsonObject) -> list[str]:
    """The keys of `body` that `api` doesn't document, in their order; usually none."""
    documented = DOCUMENTED[api]
    if documented.issuperset(body):
        return []
    return [key for key in body if key not in documented]


def strip_fields(api: Api, body: JsonObject, unknown: Iterable[str]) -> list[str]:
    """Remove what `STRIP_LIST` names, and return the names as the client spelled them, sorted.

    `unknown` are the keys of `body` that the API doesn't document; no other can be on the list.
    """
    stripped = []
    for key in unknown:
        name = squash(key)
        if name in STRIP_LIST or name.startswith(STRIP_PREFIXES):
            del body[key]
            stripped.append(reported(key))
    if api in _STORING or not _PARTLY_OURS.isdisjoint(body):
        stripped += _strip_metadata(body) + _strip_cache_settings(body) + _forbid_storing(api, body)
        stripped += _strip_template_arguments(body)
    stripped.sort()
    return stripped


def tenant_hints(api: Api, body: JsonObject) -> list[str]:
    """What `body` says about its tenant, at the top level and in `metadata`, removed from it.

    A value that isn't a string comes back as `json:`, which no tenant id can equal: the number 42 is not the tenant
    `42`.
    """
    hints = _take_hints(body, undocumented(api, body))
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        hints += _take_hints(metadata, list(metadata))
    return hints


def _strip_metadata(body: JsonObject) -> list[str]:
    """LiteLLM keeps its own record of the caller among the caller's metadata."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return []
    foreign = [key for key in metadata if squash(key).startswith(STRIP_PREFIXES) or key == "tags"]
    for key in foreign:
        del metadata[key]
    return [f"metadata.{reported(key)}" for key in foreign]


def _strip_template_arguments(body: JsonObject) -> list[str]:
    """vLLM and SGLang hand these to the prompt's template over its own: `tools` among them would replace the list that
    roles are held against. Switches such as `enable_thinking` are scalars, and stay."""
    arguments = body.get("chat_template_kwargs")
    if not isinstance(arguments, dict):
        return []
    foreign = [key for key, value in arguments.items() if isinstance(value, (list, dict))]
    for key in foreign:
        del arguments[key]
    return [f"chat_template_kwargs.{reported(key)}" for key in foreign]


def _strip_cache_settings(body: JsonObject) -> list[str]:
    """OpenAI's two fields about its cache, as far as they reach beyond this request.

    `prompt_cache_retention` may shorten how long the vendor keeps the prompt. It may not lengthen it: how long is a
    property of the target, like zero retention, and what outlives its request can outlive its tenant (C12).
    `comparison_response_id` compares this prompt with an earlier one of the account, anybody's (C8).
    """
    stripped = []
    if body.get("prompt_cache_retention", "in_memory") not in ("in_memory", "in-memory", None):
        del body["prompt_cache_retention"]
        stripped.append("prompt_cache_retention")
    options = body.get("prompt_cache_options")
    if isinstance(options, dict) and "comparison_response_id" in options:
        del options["comparison_response_id"]
        stripped.append("prompt_cache_options.comparison_response_id")
    return stripped


def _forbid_storing(api: Api, body: JsonObject) -> list[str]:
    """What the vendor stores lies under one account, where anybody's id finds it (C37). Responses stores by default."""
    if api not in _STORING and (api is not Api.CHAT or "store" not in body):
        return []
    asked = body.get("store")
    body["store"] = False
    return ["store"] if asked else []


def _take_hints(holder: JsonObject, candidates: list[str]) -> list[str]:
    return [_as_hint(holder.pop(key)) for key in candidates if squash(key) in TENANT_FIELDS]


def reported(key: str) -> str:
    """`key` for the record: what follows a prefix of the list is the client's own choice."""
    return (key if key.isprintable() else ascii(key))[:MAX_REPORTED_CHARS]


def _as_hint(value: object) -> str:
    # What isn't a string can't agree, whatever it holds; no tenant id contains a colon.
    return value[:MAX_REPORTED_CHARS] if isinstance(value, str) else "json:"
