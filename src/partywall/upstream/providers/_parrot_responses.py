"""The parrot's Responses API, whole and streamed.

The shapes are those of the official client's types (https://github.com/openai/openai-python), which the tests validate.
A stream always ends with `response.completed`, whose `response` is the whole answer. `tools`, `metadata` and the like
are not echoed in their own fields; they are in the text.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from partywall.upstream.providers._parrot_context import Reply, pieces
from partywall.upstream.providers.base import Body

__all__ = ["response", "response_events"]

Json = dict[str, object]


def response(reply: Reply, _body: Body) -> bytes:
    return orjson.dumps(_whole(reply))


def response_events(reply: Reply, _body: Body) -> Iterator[bytes]:
    for number, event in enumerate(_events(reply)):
        name = str(event["type"])
        yield b"event: " + name.encode() + b"\ndata: " + orjson.dumps(event | {"sequence_number": number}) + b"\n\n"


def _events(reply: Reply) -> Iterator[Json]:
    begun = _response(reply, status="in_progress", output=[], usage=None)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    if reply.calls:
        for index in range(len(reply.calls)):
            yield from _call_events(reply, index)
    else:
        yield from _message_events(reply)
    yield {"type": "response.completed", "response": _whole(reply)}


def _message_events(reply: Reply) -> Iterator[Json]:
    item = _message(reply, status="in_progress", content=[])
    place: Json = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.content_part.added", "part": _text_part("")} | place
    for piece in pieces(reply.text):
        yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | place
    yield {"type": "response.output_text.done", "text": reply.text, "logprobs": []} | place
    yield {"type": "response.content_part.done", "part": _text_part(reply.text)} | place
    yield {"type": "response.output_item.done", "output_index": 0, "item": _output(reply)[0]}


def _call_events(reply: Reply, index: int) -> Iterator[Json]:
    item = _call(reply, index, status="in_progress", arguments="")
    place: Json = {"item_id": item["id"], "output_index": index}
    yield {"type": "response.output_item.added", "output_index": index, "item": item}
    for piece in pieces(reply.arguments):
        yield {"type": "response.function_call_arguments.delta", "delta": piece} | place
    done: Json = {"name": reply.calls[index], "arguments": reply.arguments}
    yield {"type": "response.function_call_arguments.done"} | done | place
    yield {"type": "response.output_item.done", "output_index": index, "item": _output(reply)[index]}


def _whole(reply: Reply) -> Json:
    usage: Json = {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
    return _response(reply, status="completed", output=_output(reply), usage=usage)


def _output(reply: Reply) -> list[Json]:
    if reply.calls:
        return [_call(reply, index, status="completed", arguments=reply.arguments) for index in range(len(reply.calls))]
    return [_message(reply, status="completed", content=[_text_part(reply.text)])]


def _response(reply: Reply, *, status: str, output: list[Json], usage: Json | None) -> Json:
    return {
        "id": f"resp_{reply.answer_id}",
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": reply.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
    }


def _message(reply: Reply, *, status: str, content: list[Json]) -> Json:
    return {
        "id": f"msg_{reply.answer_id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(reply: Reply, index: int, *, status: str, arguments: str) -> Json:
    return {
        "id": f"fc_{reply.answer_id}_{index}",
        "type": "function_call",
        "status": status,
        "call_id": f"call_{reply.answer_id}_{index}",
        "name": reply.calls[index],
        "arguments": arguments,
    }
