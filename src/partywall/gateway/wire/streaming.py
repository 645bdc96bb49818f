"""What the pipeline must know of each API's streams: how they end, and how they tell what was used.

Promises: a stream that ends otherwise than its API says is known not to be complete.
"""

from __future__ import annotations

from typing import Final

from partywall.gateway.wire.shapes import JsonObject
from partywall.gateway.wire.sse import SseEvent
from partywall.upstream.api import Api

__all__ = ["DONE", "ask_for_usage", "is_terminal", "is_usage_only"]

DONE: Final = b"[DONE]"
_ASKABLE: Final = frozenset({Api.CHAT, Api.COMPLETIONS})
"""APIs whose streams tell what was used only when asked (`stream_options.include_usage`)."""
_TERMINAL: Final = {
    Api.RESPONSES: ("response.completed", "response.failed", "response.incomplete", "error"),
    Api.MESSAGES: ("message_stop", "error"),
}


def is_terminal(api: Api, event: SseEvent) -> bool:
    """Whether `event` is the last of a complete stream."""
    names = _TERMINAL.get(api)
    if names is None:
        return event.data == DONE
    if event.name:
        return event.name in names
    # Servers that leave the name out say it in the data; a quick look spares most events the parser.
    return any(f'"{name}"'.encode() in event.data for name in names)


def ask_for_usage(api: Api, body: JsonObject) -> bool:
    """Make a streamed answer tell what was used. Returns whether the client had not asked for that itself."""
    if api not in _ASKABLE or body.get("stream") is not True:
        return False
    options = body.get("stream_options")
    asked: JsonObject = options if isinstance(options, dict) else {}
    if asked.get("include_usage") is True:
        return False
    body["stream_options"] = {**asked, "include_usage": True}
    return True


def is_usage_only(api: Api, event: JsonObject) -> bool:
    """Whether `event` exists only because usage was asked for."""
    return api in _ASKABLE and event.get("choices") == [] and isinstance(event.get("usage"), dict)
