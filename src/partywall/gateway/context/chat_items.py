"""Chat's messages as items of a conversation, and items as Chat's messages.

Promises: texts, pictures, calls and their outputs go there and back. Instructions (`system`, `developer`) aren't kept:
a client sends them with each request, and each would come again with the next.

Doesn't promise: a way into Chat for items that it has no words for, such as reasoning; those stay in the conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import malformed, objects

__all__ = ["INSTRUCTING", "items_of_message", "items_of_messages", "messages_of_items"]

# Tuples: what is looked for in them may be any JSON, hashable or not.
INSTRUCTING: Final = ("developer", "system")
_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")


def items_of_messages(messages: Iterable[object]) -> list[JsonObject]:
    """What of a request's messages a conversation keeps.

    Raises:
        BadRequest: one is no object, or its role is no text.
    """
    items: list[JsonObject] = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise malformed("each of `messages` must be an object with a `role`")
        if message["role"] not in INSTRUCTING:
            items += items_of_message(message)
    return items


def items_of_message(message: JsonObject) -> list[JsonObject]:
    """One message: what it says, and then what it calls."""
    role = message.get("role")
    if role == "tool":
        output = _text_of(message.get("content"))
        return [{"type": "function_call_output", "call_id": _word(message.get("tool_call_id")), "output": output}]
    parts = [_part_in(role, part) for part in _parts(message.get("content"))]
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    items: list[JsonObject] = []
    if parts:
        items.append({"type": "message", "role": _word(role), "status": "completed", "content": parts})
    return [*items, *(_call_in(call) for call in objects(message.get("tool_calls")))]


def messages_of_items(items: Iterable[Mapping[str, object]]) -> list[JsonObject]:
    """A conversation's items as the messages of a request, in their order."""
    messages: list[JsonObject] = []
    for item in items:
        kind = item.get("type")
        if kind == "message":
            content = _content_out(item)
            if content:
                messages.append({"role": item.get("role"), "content": content})
        elif kind in ("function_call", "custom_tool_call"):
            _add_call(messages, item)
        elif kind in _OUTPUTS:
            output = item.get("output")
            text = output if isinstance(output, str) else _text_of(output)
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
    return messages


# -- In ---


def _word(value: object) -> str:
    # Not `str`: that of a list in a list, a thousand times over, is a RecursionError.
    return value if isinstance(value, str) else ""


def _parts(content: object) -> list[JsonObject]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return objects(content)


def _part_in(role: object, part: JsonObject) -> JsonObject:
    if part.get("type") == "text":
        if role == "assistant":
            return {"type": "output_text", "text": part.get("text", ""), "annotations": []}
        return {"type": "input_text", "text": part.get("text", "")}
    picture = part.get("image_url")
    if part.get("type") == "image_url" and isinstance(picture, dict):
        detail = picture.get("detail", "auto")
        return {"type": "input_image", "image_url": picture.get("url"), "detail": detail}
    return {**part, "type": _word(part.get("type"))}


def _call_in(call: JsonObject) -> JsonObject:
    function, custom = call.get("function"), call.get("custom")
    told: JsonObject = {"call_id": _word(call.get("id")), "status": "completed"}
    if isinstance(custom, dict):
        return {"type": "custom_tool_call", **told, "name": custom.get("name"), "input": custom.get("input", "")}
    body = function if isinstance(function, dict) else {}
    return {"type": "function_call", **told, "name": body.get("name"), "arguments": body.get("arguments", "")}


# -- Out ---


def _content_out(item: Mapping[str, object]) -> object:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = [sent for part in objects(content) if (sent := _part_out(part)) is not None]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(str(part["text"]) for part in parts)
    return parts


def _part_out(part: JsonObject) -> JsonObject | None:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text", "")}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal", "")}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail", "auto")}}
    return dict(part) if kind in ("file", "input_audio") else None


def _add_call(messages: list[JsonObject], item: Mapping[str, object]) -> None:
    """Add a call to the assistant's message before it, or as one of its own."""
    if item.get("type") == "custom_tool_call":
        call: JsonObject = {"type": "custom", "custom": {"name": item.get("name"), "input": item.get("input")}}
    else:
        call = {"type": "function", "function": {"name": item.get("name"), "arguments": item.get("arguments")}}
    call["id"] = item.get("call_id")
    if messages and messages[-1].get("role") == "assistant":
        calls = messages[-1].setdefault("tool_calls", [])
        if isinstance(calls, list):
            calls.append(call)
            return
    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _text_of(content: object) -> str:
    texts = [part.get("text") for part in _parts(content)]
    return "\n".join(text for text in texts if isinstance(text, str))
