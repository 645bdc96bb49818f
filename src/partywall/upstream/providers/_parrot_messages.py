"""The parrot's Messages API, whole and streamed.

The shapes are those of the official client's types (https://github.com/anthropics/anthropic-sdk-python), which the
tests validate.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from partywall.upstream.providers._parrot_context import Reply, pieces
from partywall.upstream.providers.base import Body

__all__ = ["message", "message_events"]

Json = dict[str, object]


def message(reply: Reply, _body: Body) -> bytes:
    content: list[Json]
    if reply.calls:
        arguments = orjson.Fragment(reply.arguments)
        content = [_tool_use(reply, number, arguments) for number in range(len(reply.calls))]
    else:
        content = [{"type": "text", "text": reply.text}]
    return orjson.dumps(_message(reply, content, _stop_reason(reply), reply.output_tokens))


def message_events(reply: Reply, _body: Body) -> Iterator[bytes]:
    yield _event({"type": "message_start", "message": _message(reply, [], None, 1)})
    yield _event({"type": "ping"})
    if reply.calls:
        for index in range(len(reply.calls)):
            yield from _block(index, _tool_use(reply, index, {}), "input_json_delta", "partial_json", reply.arguments)
    else:
        yield from _block(0, {"type": "text", "text": ""}, "text_delta", "text", reply.text)
    yield _event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": _stop_reason(reply), "stop_sequence": None},
            "usage": {"output_tokens": reply.output_tokens},
        }
    )
    yield _event({"type": "message_stop"})


def _block(index: int, start: Json, delta_type: str, field: str, text: str) -> Iterator[bytes]:
    yield _event({"type": "content_block_start", "index": index, "content_block": start})
    for piece in pieces(text):
        yield _event({"type": "content_block_delta", "index": index, "delta": {"type": delta_type, field: piece}})
    yield _event({"type": "content_block_stop", "index": index})


def _message(reply: Reply, content: list[Json], stop_reason: str | None, output_tokens: int) -> Json:
    return {
        "id": f"msg_{reply.answer_id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
        },
    }


def _tool_use(reply: Reply, number: int, arguments: object) -> Json:
    return {
        "type": "tool_use",
        "id": f"toolu_{reply.answer_id}_{number}",
        "name": reply.calls[number],
        "input": arguments,
    }


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.calls else "end_turn"


def _event(event: Json) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
