"""What vendors send, in their own shapes: answers and streams, text and tool calls, written down from their documents.

Written by hand and not by the parrot, so that a mistake which our providers and wires share shows here.
https://platform.openai.com/docs/api-reference (chat, responses) and https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any

import orjson

__all__ = [
    "DONE",
    "PATHS",
    "chat_call",
    "chat_text",
    "completions_text",
    "messages_call",
    "messages_text",
    "responses_call",
    "responses_text",
    "whole_call",
]

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
CHUNK: Json = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1, "model": "m-2026"}
TEXT: Json = {"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "m-2026"}
RESPONSE: Json = {
    "id": "resp_9",
    "object": "response",
    "created_at": 1,
    "status": "in_progress",
    "model": "m-2026",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
MESSAGE: Json = {
    "id": "msg_9",
    "type": "message",
    "role": "assistant",
    "model": "m-2026",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 17, "output_tokens": 1},
}


def _data(event: Json) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _named(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def _chat(delta: Json, finish: str | None = None) -> bytes:
    return _data({**CHUNK, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})


# -- Text ---


def chat_text(*pieces: str) -> list[bytes]:
    """The end is `[DONE]`; the usage-only event before it is sent when asked for."""
    usage = {"prompt_tokens": 17, "completion_tokens": 5, "total_tokens": 22}
    return [
        _chat({"role": "assistant", "content": ""}),
        *(_chat({"content": piece}) for piece in pieces),
        _chat({}, "stop"),
        _data({**CHUNK, "choices": [], "usage": usage}),
        DONE,
    ]


def completions_text(*pieces: str) -> list[bytes]:
    usage = {"prompt_tokens": 17, "completion_tokens": 5, "total_tokens": 22}
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    return [
        *(_data({**TEXT, "choices": [{**choice, "text": piece}]}) for piece in pieces),
        _data({**TEXT, "choices": [{**choice, "text": "", "finish_reason": "stop"}]}),
        _data({**TEXT, "choices": [], "usage": usage}),
        DONE,
    ]


def responses_text(*pieces: str) -> list[bytes]:
    place: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part: Json = {"type": "output_text", "text": "".join(pieces), "annotations": []}
    item: Json = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    usage = {
        "input_tokens": 17,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 22,
    }
    begun = {**item, "status": "in_progress", "content": []}
    events: list[tuple[str, Json]] = [
        ("response.created", {"response": RESPONSE}),
        ("response.output_item.added", {"output_index": 0, "item": begun}),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**place, "delta": piece, "logprobs": []}) for piece in pieces),
        ("response.output_text.done", {**place, "text": "".join(pieces), "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": {**RESPONSE, "status": "completed", "output": [item], "usage": usage}}),
    ]
    return [_named(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(events)]


def messages_text(*pieces: str) -> list[bytes]:
    return [
        _named("message_start", message=MESSAGE),
        _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _named("ping"),
        *(_named("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces),
        _named("content_block_stop", index=0),
        _named("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5}),
        _named("message_stop"),
    ]


# -- Tool calls ---


def chat_call(name: str, *arguments: str) -> list[bytes]:
    """The name comes in two pieces, as some engines send it."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name[:2], "arguments": ""}}
    rest = {"index": 0, "function": {"name": name[2:]}}
    return [
        _chat({"role": "assistant", "content": None}),
        _chat({"tool_calls": [call]}),
        _chat({"tool_calls": [rest]}),
        *(_chat({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in arguments),
        _chat({}, "tool_calls"),
        DONE,
    ]


def responses_call(name: str, *arguments: str) -> list[bytes]:
    item: Json = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": name, "arguments": ""}
    done = {**item, "arguments": "".join(arguments), "status": "completed"}
    place: Json = {"item_id": "fc_1", "output_index": 0}
    events: list[tuple[str, Json]] = [
        ("response.created", {"response": RESPONSE}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress"}}),
        *(("response.function_call_arguments.delta", {**place, "delta": piece}) for piece in arguments),
        ("response.function_call_arguments.done", {**place, "name": name, "arguments": "".join(arguments)}),
        ("response.output_item.done", {"output_index": 0, "item": done}),
        ("response.completed", {"response": {**RESPONSE, "status": "completed", "output": [done]}}),
    ]
    return [_named(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(events)]


def messages_call(name: str, *arguments: str) -> list[bytes]:
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in arguments]
    return [
        _named("message_start", message=MESSAGE),
        _named("content_block_start", index=0, content_block=block),
        *(_named("content_block_delta", index=0, delta=delta) for delta in deltas),
        _named("content_block_stop", index=0),
        _named("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 5}),
        _named("message_stop"),
    ]


def whole_call(api: str, name: str, arguments: str) -> bytes:
    """A whole answer that calls one tool."""
    if api == "chat":
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
        return orjson.dumps({**CHUNK, "object": "chat.completion", "choices": [choice]})
    if api == "responses":
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": name, "arguments": arguments}
        return orjson.dumps({**RESPONSE, "status": "completed", "output": [item]})
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": orjson.loads(arguments)}
    return orjson.dumps({**MESSAGE, "stop_reason": "tool_use", "content": [block]})
