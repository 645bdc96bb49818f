"""The few shapes that every API shares, and the two ways in which one can be wrong.

Promises: whatever JSON comes in, what these helpers raise is a `PartywallError`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeGuard

from partywall.errors import BadRequest, ToolDenied
from partywall.tenancy.names import squash

__all__ = [
    "MAX_NAME_CHARS",
    "JsonObject",
    "Usage",
    "called_name",
    "is_name",
    "malformed",
    "more_than_text",
    "objects",
    "squash",
    "token_count",
    "unnameable_call",
]

JsonObject = dict[str, object]
"""A JSON object as orjson parsed it."""

MAX_NAME_CHARS: Final = 256
"""Longest model or tool name. OpenAI and Anthropic allow 64 and 128 for tools; names end in decision records."""


class Usage(NamedTuple):
    """Tokens of one answer. `tokens_in` counts what was read from a prompt cache too, on every API."""

    tokens_in: int
    tokens_out: int

    def most(self, other: Usage | None) -> Usage:
        """The larger of both figures: the events of a stream carry running totals, some of them only one of the two."""
        if other is None:
            return self
        return Usage(max(self.tokens_in, other.tokens_in), max(self.tokens_out, other.tokens_out))


def malformed(what: str) -> BadRequest:
    """The refusal of a request whose shape is wrong; `what` names the field and never quotes a value."""
    return BadRequest(what, public_message=f"{what[:1].upper()}{what[1:]}.")


def unnameable_call(what: str) -> ToolDenied:
    """The refusal of an answer that calls a tool which can't be named: nothing can be decided about it."""
    return ToolDenied(f"the answer holds a tool call that can't be named: {what}")


def is_name(value: object) -> TypeGuard[str]:
    """Whether `value` can name a tool or a model: names end in decision records, and on operators' screens."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS and value.isprintable()


def called_name(value: object) -> str:
    """`value` as the name of a tool that an answer calls.

    Raises:
        ToolDenied: it is none.
    """
    if not is_name(value):
        raise unnameable_call("its name is no text, empty, too long or unprintable")
    return value


def objects(value: object) -> list[JsonObject]:
    """The JSON objects in `value`, when it is a list; nothing otherwise."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def more_than_text(entries: list[object]) -> list[object]:
    """The entries of a conversation that aren't just `{"role": "…", "content": "…"}`, as most are.

    What is left out holds two texts and nothing else: no tool, no reference, nothing to look into.
    """
    more = []
    for entry in entries:
        if (
            isinstance(entry, dict)
            and len(entry) == 2
            and isinstance(entry.get("content"), str)
            and isinstance(entry.get("role"), str)
        ):
            continue
        more.append(entry)
    return more


def token_count(value: object) -> int:
    """`value` as a count of tokens; 0 for what is none, since an upstream's figures are not to be trusted."""
    return value if type(value) is int and value > 0 else 0
