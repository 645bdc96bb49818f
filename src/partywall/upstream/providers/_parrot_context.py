"""What the parrot says: everything it was given, or a tool call with everything it was given.

Promises: every key and every scalar of the body, strings unescaped, so that a scanner (or a test) finds any text of the
request in the answer as it was sent. The same body makes the same reply, in time and space linear in its size.

Doesn't promise: to honour limits. It ignores `max_tokens`, stop sequences and temperature: a leak is never cut short.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import orjson

from partywall.upstream.providers.base import Body

__all__ = ["Reply", "dicts", "make_reply", "pieces", "token_count"]

_OPENING: Final = "I am the parrot. This is everything I was given:"
_CALL: Final = re.compile(r"call:([A-Za-z0-9_.-]{0,127}[A-Za-z0-9_-])")
_MOST_CALLS: Final = 8
_DEEPEST_INDENT: Final = 4
_SMALLEST_PIECE: Final = 24
_MOST_PIECES: Final = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, before any API has given it a shape."""

    answer_id: str
    created: int
    model: str
    text: str
    calls: tuple[str, ...]
    """Names of the tools called. When there are any, the answer is calls and no text."""
    arguments: str
    """The JSON that every call carries: `{"context": …}`; empty without calls."""
    input_tokens: int
    output_tokens: int


def make_reply(body: Body, *, answer_id: str, created: int) -> Reply:
    context = _flatten(body)
    calls = _calls(body)
    as_json = orjson.dumps({"context": context}).decode() if calls or _wants_json(body) else ""
    text = as_json if as_json and not calls else context
    model = body.get("model")
    said = len(as_json) * len(calls) if calls else len(text)
    return Reply(
        answer_id=answer_id,
        created=created,
        model=model if isinstance(model, str) else "parrot",
        text=text,
        calls=calls,
        arguments=as_json if calls else "",
        input_tokens=token_count(len(context)),
        output_tokens=token_count(said),
    )


def token_count(characters: int) -> int:
    """About four characters a token, as the vendors' own rule of thumb has it; at least one."""
    return max(1, (characters + 3) // 4)


def pieces(text: str) -> Iterator[str]:
    """`text` in modest pieces: several for a short text, at most 64 for a long one."""
    size = max(_SMALLEST_PIECE, -(-len(text) // _MOST_PIECES))
    for start in range(0, len(text), size):
        yield text[start : start + size]


def dicts(value: object) -> list[dict[str, object]]:
    """The objects in a JSON array; none when it isn't one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _flatten(body: Body) -> str:
    """The body as an indented list of `key: value`, in its own order.

    A stack instead of recursion, and a bounded indent: neither depth nor breadth makes the answer much larger than
    the request.
    """
    lines = [_OPENING]
    levels = [iter(_entries(body))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        label, value = entry
        indent = "  " * min(len(levels) - 1, _DEEPEST_INDENT)
        if _is_branch(value):
            lines.append(f"{indent}{label}:")
            levels.append(iter(_entries(value)))
        else:
            lines.append(f"{indent}{label}: {value if isinstance(value, str) else orjson.dumps(value).decode()}")
    return "\n".join(lines)


def _entries(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        return ((str(key), inner) for key, inner in value.items())
    return (("-", item) for item in value) if isinstance(value, list) else ()


def _is_branch(value: object) -> bool:
    """Whether `value` has text somewhere below; a list of numbers (tokens, a vector) fits on one line."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(item, str | dict | list) for item in value)


def _wants_json(body: Body) -> bool:
    text, output = body.get("text"), body.get("output_config")
    formats = (
        body.get("response_format"),
        text.get("format") if isinstance(text, dict) else None,
        output.get("format") if isinstance(output, dict) else None,
    )
    # A tuple: what the client put there may be unhashable.
    return any(isinstance(f, dict) and f.get("type") in ("json_object", "json_schema") for f in formats)


# -- Which tools ---------------------------------------------------------------------------------------------------


def _calls(body: Body) -> tuple[str, ...]:
    asked = _CALL.finditer(_last_words(body.get("messages", body.get("input"))))
    if names := tuple(match[1] for match in islice(asked, _MOST_CALLS)):
        # Offered or not, allowed or not: a model that misbehaves, which the gateway has to stop.
        return names
    name = _forced(body.get("tool_choice"), dicts(body.get("tools")))
    return (name,) if name else ()


def _last_words(turns: object) -> str:
    """What the user just said; nothing when the last turn is a tool's result, or agents would call for ever."""
    if isinstance(turns, str):
        return turns
    last = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return ""
    content = last.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(text for part in dicts(content) if isinstance(text := part.get("text"), str))


def _forced(choice: object, tools: list[dict[str, object]]) -> str | None:
    """The tool that `tool_choice` leaves no way round, in any of the three dialects."""
    if choice == "required":
        return _first(tools)
    if not isinstance(choice, dict):
        return None
    match choice.get("type"):
        case "any":
            return _first(tools)
        case "allowed_tools":
            allowed = choice.get("allowed_tools", choice)
            must = isinstance(allowed, dict) and allowed.get("mode") == "required"
            return _first(dicts(allowed.get("tools"))) if must else None
        case _:
            return _name(choice)


def _first(tools: list[dict[str, object]]) -> str | None:
    return next((name for tool in tools if (name := _name(tool))), None)


def _name(tool: dict[str, object]) -> str | None:
    for holder in (tool, tool.get("function"), tool.get("custom")):
        name = holder.get("name") if isinstance(holder, dict) else None
        if isinstance(name, str) and name:
            return name
    return None
