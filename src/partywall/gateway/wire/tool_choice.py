"""What a request demands of the model's tools: `tool_choice`, and Chat's older `function_call`.

Promises: every documented form of the three APIs is read; a form that isn't documented is refused, because what it
would make a server do is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from partywall.errors import ToolDenied
from partywall.gateway.wire.shapes import JsonObject, malformed
from partywall.gateway.wire.tool_names import entry_names

__all__ = ["Choice", "narrow_choice", "read_choice", "read_function_call"]


class Choice(NamedTuple):
    """A demand, as far as a policy must know it."""

    must_call: bool = False
    """Some tool has to be called."""
    forced: str | None = None
    """This tool has to be called."""


_FREE: Final = Choice()
_SOME: Final = Choice(must_call=True)
_NAMING: Final = frozenset({"custom", "function", "name"})
_WORDS: Final = {"none": _FREE, "auto": _FREE, "required": _SOME, "any": _SOME}


def read_choice(body: JsonObject) -> Choice:
    """The demand that `tool_choice` makes.

    Raises:
        BadRequest: it is none of the documented forms, or names more than one tool.
    """
    value = body.get("tool_choice")
    if value is None:
        return _FREE
    if isinstance(value, str):
        return _word(value)
    if not isinstance(value, dict):
        raise malformed("`tool_choice` must be a word or an object")
    kind = value.get("type")
    if isinstance(kind, str) and kind in _WORDS and value.keys().isdisjoint(_NAMING):
        return _WORDS[kind]
    if kind == "allowed_tools":
        return _SOME if any(subset.get("mode") == "required" for subset in _subsets(value)) else _FREE
    return Choice(must_call=True, forced=_single(value, "tool_choice"))


def read_function_call(body: JsonObject) -> Choice:
    """The demand that Chat's deprecated `function_call` makes."""
    value = body.get("function_call")
    if value is None or value in ("none", "auto"):
        return _FREE
    if not isinstance(value, dict):
        raise malformed("`function_call` must be `none`, `auto` or an object")
    return Choice(must_call=True, forced=_single(value, "function_call"))


def narrow_choice(body: JsonObject, allowed: Callable[[str], bool]) -> list[str]:
    """Take what isn't allowed out of a `tool_choice` of type `allowed_tools`, and return its names.

    A list that becomes empty turns into `none`: to drop it would offer the model every tool that the caller had
    excluded.

    Raises:
        BadRequest: the list isn't one.
        ToolDenied: a tool must be called, and none of those listed is allowed.
    """
    value = body.get("tool_choice")
    if not isinstance(value, dict) or value.get("type") != "allowed_tools":
        return []
    denied: list[str] = []
    for subset in _subsets(value):
        listed = subset.get("tools")
        if not isinstance(listed, list):
            raise malformed("`tool_choice` of type `allowed_tools` must list its tools")
        kept = [entry for entry in listed if not _denied(entry, allowed, denied)]
        if len(kept) == len(listed):
            continue
        if not kept and subset.get("mode") == "required":
            raise ToolDenied(f"`tool_choice` requires one of {len(listed)} tools, none of which the role may use")
        subset["tools"] = kept
        if not kept:
            body["tool_choice"] = "none"
    return denied


def _word(value: str) -> Choice:
    choice = _WORDS.get(value)
    if choice is None:
        raise malformed("`tool_choice` must be `none`, `auto`, `required` or an object that names a tool")
    return choice


def _single(value: JsonObject, where: str) -> str:
    names = entry_names(value, where)
    if len(names) > 1:
        raise malformed(f"`{where}` must name one tool")
    return names[0]


def _subsets(value: JsonObject) -> list[JsonObject]:
    """The objects that hold `mode` and `tools`: one level down in Chat, flat in Responses; both, if both are there."""
    inner = value.get("allowed_tools")
    subsets = [inner] if isinstance(inner, dict) else []
    if not subsets or "tools" in value:
        subsets.append(value)
    return subsets


def _denied(entry: object, allowed: Callable[[str], bool], denied: list[str]) -> bool:
    refused = [name for name in entry_names(entry, "tool_choice") if not allowed(name)]
    denied += refused
    return bool(refused)
