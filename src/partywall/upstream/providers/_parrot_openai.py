"""The parrot's chat completions, completions and embeddings, whole and streamed.

The shapes are those of the official client's types (https://github.com/openai/openai-python), which the tests validate.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import orjson

from partywall.upstream.providers._parrot_context import Reply, pieces, token_count
from partywall.upstream.providers.base import Body

__all__ = ["chat", "chat_events", "completion", "completion_events", "embeddings"]

_DONE: Final = b"data: [DONE]\n\n"
_MOST_CHOICES: Final = 8
_DIMENSIONS: Final = 64
_MOST_DIMENSIONS: Final = 3072
_MOST_TEXTS: Final = 2048

Json = dict[str, object]


def chat(reply: Reply, body: Body) -> bytes:
    message: Json = {"role": "assistant", "content": None if reply.calls else reply.text, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [_tool_call(reply, number, reply.arguments) for number in range(len(reply.calls))]
    count = _choice_count(body)
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
        for index in range(count)
    ]
    return orjson.dumps(_chat_head(reply, "chat.completion") | {"choices": choices, "usage": _usage(reply, count)})


def chat_events(reply: Reply, body: Body) -> Iterator[bytes]:
    head = _chat_head(reply, "chat.completion.chunk")
    with_usage = _include_usage(body)
    if with_usage:
        head["usage"] = None
    count = _choice_count(body)
    for index in range(count):
        for delta in _chat_deltas(reply):
            yield _data(head | {"choices": [_chat_choice(index, delta, None)]})
        yield _data(head | {"choices": [_chat_choice(index, {}, _finish_reason(reply))]})
    if with_usage:
        yield _data(head | {"choices": [], "usage": _usage(reply, count)})
    yield _DONE


def completion(reply: Reply, body: Body) -> bytes:
    count = _completion_count(body)
    choices = [
        {"index": index, "text": reply.text, "logprobs": None, "finish_reason": "stop"} for index in range(count)
    ]
    return orjson.dumps(_completion_head(reply) | {"choices": choices, "usage": _usage(reply, count)})


def completion_events(reply: Reply, body: Body) -> Iterator[bytes]:
    head = _completion_head(reply)
    count = _completion_count(body)
    for index in range(count):
        choice: Json = {"index": index, "logprobs": None, "finish_reason": None}
        for piece in pieces(reply.text):
            yield _data(head | {"choices": [choice | {"text": piece}]})
        yield _data(head | {"choices": [choice | {"text": "", "finish_reason": "stop"}]})
    if _include_usage(body):
        yield _data(head | {"choices": [], "usage": _usage(reply, count)})
    yield _DONE


def embeddings(reply: Reply, body: Body) -> bytes:
    texts = _texts(body.get("input"))
    dimensions = body.get("dimensions")
    size = dimensions if type(dimensions) is int and 0 < dimensions <= _MOST_DIMENSIONS else _DIMENSIONS
    as_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if as_base64 else vector}
        for index, vector in enumerate(_vector(text, size) for text in texts)
    ]
    tokens = token_count(sum(map(len, texts)))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "data": data, "model": reply.model, "usage": usage})


# -- Parts ---------------------------------------------------------------------------------------------------------


def _chat_head(reply: Reply, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{reply.answer_id}",
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": None,
    }


def _completion_head(reply: Reply) -> Json:
    return {
        "id": f"cmpl-{reply.answer_id}",
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": None,
    }


def _chat_deltas(reply: Reply) -> Iterator[Json]:
    yield {"role": "assistant", "content": None if reply.calls else ""}
    if not reply.calls:
        for piece in pieces(reply.text):
            yield {"content": piece}
    for number in range(len(reply.calls)):
        yield {"tool_calls": [{"index": number} | _tool_call(reply, number, "")]}
        for piece in pieces(reply.arguments):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}


def _tool_call(reply: Reply, number: int, arguments: str) -> Json:
    return {
        "id": f"call_{reply.answer_id}_{number}",
        "type": "function",
        "function": {"name": reply.calls[number], "arguments": arguments},
    }


def _chat_choice(index: int, delta: Json, finish_reason: str | None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _usage(reply: Reply, count: int) -> Json:
    output = reply.output_tokens * count
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": output,
        "total_tokens": reply.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _choice_count(body: Body) -> int:
    n = body.get("n")
    return min(n, _MOST_CHOICES) if type(n) is int and n > 0 else 1


def _completion_count(body: Body) -> int:
    """One choice for each prompt and each of `n`; a list of numbers is one prompt in tokens."""
    prompts = body.get("prompt")
    many = isinstance(prompts, list) and not all(type(token) is int for token in prompts)
    return min(_MOST_CHOICES, _choice_count(body) * (len(prompts) if many and isinstance(prompts, list) else 1))


def _include_usage(body: Body) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _data(event: Json) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _texts(value: object) -> list[str]:
    """A text, texts, one text in tokens, or several: each as a string, at most as many as the vendor takes."""
    if not isinstance(value, list):
        return [str(value)]
    if all(type(token) is int for token in value):
        return [" ".join(map(str, value))]
    return [" ".join(map(str, item)) if isinstance(item, list) else str(item) for item in value[:_MOST_TEXTS]]


def _vector(text: str, size: int) -> list[float]:
    """A unit vector that depends on `text` alone."""
    seed = text.encode("utf-8", "surrogatepass")
    blocks = (sha256(counter.to_bytes(4, "big") + seed).digest() for counter in range(-(-size // 32)))
    centred = [byte - 127.5 for byte in b"".join(blocks)[:size]]
    length = math.sqrt(sum(x * x for x in centred))
    return [x / length for x in centred]


def _packed(vector: list[float]) -> str:
    """Little-endian float32, which the official client asks for and decodes on its own."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
