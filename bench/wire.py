"""The bytes of a run: the request bodies, the mock's answers, and how a request is rendered.

The bodies carry one tool, so that a gateway with role-based tool access has something to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import orjson

__all__ = ["ANSWER_MARK", "EVENT_MARK", "MODEL", "answer_body", "chat_body", "render_request", "stream_events"]

MODEL = "mock-large"
ANSWER_MARK = b"case 4711-north"
"""Stands once in the answer, so that the load generator can tell a whole answer from part of one."""
EVENT_MARK = b'"refund '
"""Stands in each event of a stream but the first and the last."""
_ANSWER = "The refund reached the card on the fourth of March. "
_QUESTION = "Which of our customers in the north asked for a refund in March, and what did we answer? "
_TOOL = {
    "type": "function",
    "function": {
        "name": "search_tickets",
        "description": "Search the support tickets of this organisation.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


def _prose(size: int) -> str:
    """Exactly `size` characters of plain prose, for padding."""
    return (_QUESTION * (size // len(_QUESTION) + 1))[:size]


def chat_body(size: int, *, stream: bool = False) -> bytes:
    """A chat-completion request of exactly `size` bytes."""

    def encode(padding: int) -> bytes:
        messages = [
            {"role": "system", "content": "You answer questions about support tickets, briefly."},
            {"role": "user", "content": _prose(padding)},
        ]
        document: dict[str, object] = {"model": MODEL, "messages": messages, "tools": [_TOOL], "temperature": 0.2}
        return orjson.dumps({**document, "stream": True} if stream else document)

    return encode(size - len(encode(0)))


@cache
def answer_body() -> bytes:
    """A chat completion of about 1 KB."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": _ANSWER * 13 + ANSWER_MARK.decode(), "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 220, "completion_tokens": 168, "total_tokens": 388}
    return orjson.dumps(
        {
            "id": "chatcmpl-bench-0000000000000000",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": MODEL,
            "choices": [choice],
            "usage": usage,
            "system_fingerprint": "fp_bench",
        }
    )


def _event(delta: Mapping[str, str], finish_reason: str | None) -> bytes:
    chunk = {
        "id": "chatcmpl-bench-0000000000000000",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


@cache
def stream_events(count: int) -> tuple[bytes, ...]:
    """`count` events of one streamed answer; the last closes it and carries `[DONE]` behind it."""
    # Each is different: LiteLLM takes a hundred equal ones for a model that runs in circles, and ends the stream.
    middle = (_event({"content": f"refund {number} "}, None) for number in range(count - 2))
    last = _event({}, "stop") + b"data: [DONE]\n\n"
    return (_event({"role": "assistant", "content": ""}, None), *middle, last)


def render_request(method: str, path: str, port: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A complete HTTP/1.1 request, ready to be written again and again."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: */*"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
