"""Whose words come first: room for the platform's instructions, which no part of a request may precede.

Promises: after `clear_the_way`, nothing is left of a request that an engine would set into the prompt by itself, before
or in the place of what we put first, and nothing by which a client has the beginning of a prompt cut off; a
conversation of which it can't be told who says what is refused.

Doesn't promise: what a model makes of instructions that contradict each other, nor what a chat template makes of a
second system message in the middle of a conversation. Tool definitions stand where the engine's template puts them.

Sources, read in November 2026: vLLM and llama.cpp hand `chat_template_kwargs` to the template, where `model_identity`
(gpt-oss) begins the prompt and `bos_token` precedes it; vLLM answers `prompt_embeds` beside `prompt`, and sets
`documents` into the prompt; SGLang and vLLM take tokens (`input_ids`, `prompt_token_ids`) for the prompt. vLLM keeps
the last `truncate_prompt_tokens` of a prompt, llama.cpp its first `n_keep` when it runs out of room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from partywall.gateway.wire.shapes import JsonObject, malformed, squash
from partywall.gateway.wire.strip import reported, undocumented
from partywall.upstream.api import Api

__all__ = ["clear_the_way", "joined", "turns_of"]

_PLACES: Final = frozenset(
    squash(name)
    for name in (
        *("context", "developer", "instructions", "system", "system_instruction", "system_message", "system_prompt"),
        *("input", "input_embeds", "input_ids", "messages", "prompt", "prompt_embeds", "prompt_token_ids"),
        *("conversation", "documents", "raw", "suffix", "template"),
    )
)
"""Names under which some server takes instructions or a whole prompt, squashed. Where the API at hand doesn't document
one, it isn't the client's to send beside ours."""

_SHORTENING: Final = frozenset(
    squash(name)
    for name in (
        *("auto_truncate", "n_discard", "n_keep", "num_keep", "transforms", "truncate"),
        *("truncate_prompt_tokens", "truncation_side"),
    )
)
"""Names under which some server cuts the prompt, squashed: the beginning of it, which is ours, goes first."""

_TAKEN: Final = _PLACES | _SHORTENING

_TEMPLATE_ARGUMENTS: Final = ("chat_template_kwargs", "chat_template_args")
_SWITCHES: Final = frozenset(
    {"add_vision_id", "clear_thinking", "enable_thinking", "preserve_thinking", "reasoning_effort", "thinking"}
    | {"thinking_budget"}
)
"""Arguments of templates that put no words of the client's into the prompt."""
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

_ROLES: Final[Mapping[Api, frozenset[str]]] = {
    Api.CHAT: frozenset({"assistant", "developer", "function", "system", "tool", "user"}),
    Api.RESPONSES: frozenset({"assistant", "developer", "system", "user"}),
    Api.MESSAGES: frozenset({"assistant", "system", "user"}),
}
"""The roles that an API documents. Engines write any other into the prompt as it stands, line breaks and all."""


def joined(parts: Sequence[str]) -> str:
    """Instructions as one text, in their order."""
    if not parts or not all(parts):
        raise ValueError("instructions are texts that aren't empty")
    return "\n\n".join(parts)


def clear_the_way(api: Api, body: JsonObject) -> list[str]:
    """Take out what would come before the instructions; returns the names as the client spelled them, sorted."""
    taken = [key for key in undocumented(api, body) if squash(key) in _TAKEN]
    if body.get("truncation", "disabled") not in ("disabled", None):
        taken.append("truncation")  # Responses: `auto` drops what came first
    for key in taken:
        del body[key]
    for field in _TEMPLATE_ARGUMENTS:
        if field in body:
            taken += _without_words(body, field)
    return sorted(reported(key) for key in taken)


def turns_of(api: Api, body: JsonObject, field: str) -> list[JsonObject]:
    """The conversation in `body[field]`, of which every turn says whose it is in a word that the API knows.

    Raises:
        BadRequest: it is no list of objects, or holds a role of another name or spelling.
    """
    turns = body.get(field)
    if not isinstance(turns, list):
        raise malformed(f"`{field}` must be a list of objects")
    checked: list[JsonObject] = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise malformed(f"`{field}` must be a list of objects")
        # Items of Responses that are no messages (calls, their outputs, reasoning) have a type and no role.
        if api is Api.RESPONSES and "role" not in turn and turn.get("type", "message") != "message":
            checked.append(turn)
            continue
        role = turn.get("role")
        if not isinstance(role, str) or role not in _ROLES[api]:
            raise malformed(f"each `role` of `{field}` must be one of {', '.join(sorted(_ROLES[api]))}")
        checked.append(turn)
    return checked


def _without_words(body: JsonObject, field: str) -> list[str]:
    arguments = body[field]
    if not isinstance(arguments, dict):
        del body[field]
        return [field]
    kept = {name: value for name, value in arguments.items() if name in _SWITCHES and _says_nothing(value)}
    body[field] = kept
    return [f"{field}.{name}" for name in arguments if name not in kept]


def _says_nothing(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and value in _EFFORTS)
