"""Whether an answer may be given again.

Promises: only one that ended by itself: not cut off, not filtered, no refusal; and that calls no tool, since a call
given again would be done again. What isn't understood is not kept.
"""

from __future__ import annotations

from typing import Final

import orjson

from partywall.gateway.wire import Api, JsonObject, SseSplitter, Wire
from partywall.gateway.wire.shapes import objects
from partywall.gateway.wire.streaming import DONE, is_terminal

__all__ = ["CACHED_APIS", "may_be_kept"]

CACHED_APIS: Final = frozenset({Api.CHAT, Api.COMPLETIONS, Api.RESPONSES, Api.MESSAGES})
_ENDED: Final = frozenset({"stop", "end_turn", "stop_sequence"})
_PLAIN_ITEMS: Final = frozenset({"message", "reasoning"})


def may_be_kept(wire: Wire, body: bytes, *, streamed: bool) -> bool:
    """Whether a whole answer, or all of a stream, may be given again."""
    try:
        events = _events(wire.api, body) if streamed else [_object(body)]
    except ValueError:
        return False
    return bool(events) and _ended(wire.api, events) and not any(map(_refuses_or_calls, events))


def _events(api: Api, body: bytes) -> list[JsonObject]:
    splitter = SseSplitter()
    events = [*splitter.feed(body), *splitter.flush()]
    if not any(is_terminal(api, event) for event in events):
        raise ValueError("the stream has no end")
    return [_object(event.data) for event in events if event.data and event.data != DONE]


def _object(data: bytes) -> JsonObject:
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - as what orjson raises
    return value


def _ended(api: Api, events: list[JsonObject]) -> bool:
    if api is Api.RESPONSES:
        last = events[-1].get("response", events[-1])
        return isinstance(last, dict) and last.get("status") == "completed" and last.get("error") is None
    if api is Api.MESSAGES:
        reasons = [reason for event in events for reason in (event.get("stop_reason"), _in(event, "delta")) if reason]
        return bool(reasons) and _ENDED.issuperset(map(str, reasons))
    choices = [choice for event in events for choice in objects(event.get("choices"))]
    ended = {choice.get("index", 0): choice.get("finish_reason") for choice in choices if choice.get("finish_reason")}
    begun = {choice.get("index", 0) for choice in choices}
    return bool(begun) and begun == ended.keys() and _ENDED.issuperset(map(str, ended.values()))


def _in(event: JsonObject, name: str) -> object:
    part = event.get(name)
    return part.get("stop_reason") if isinstance(part, dict) else None


def _refuses_or_calls(event: JsonObject) -> bool:
    if event.get("error") or event.get("type") in ("error", "refusal"):
        return True
    for choice in objects(event.get("choices")):
        for said in (choice.get("message"), choice.get("delta")):
            if isinstance(said, dict) and any(
                said.get(key) for key in ("refusal", "tool_calls", "function_call", "audio")
            ):
                return True
    response = event.get("response", event)
    items = [*objects(response.get("output") if isinstance(response, dict) else None), *_one(event.get("item"))]
    if any(item.get("type") not in _PLAIN_ITEMS or _refusing(item) for item in items):
        return True
    blocks = [*objects(event.get("content")), *_one(event.get("content_block")), *_one(event.get("part"))]
    return any(
        block.get("type") not in ("text", "thinking", "output_text", "summary_text", "redacted_thinking")
        for block in blocks
    )


def _one(value: object) -> list[JsonObject]:
    return [value] if isinstance(value, dict) else []


def _refusing(item: JsonObject) -> bool:
    return any(part.get("type") == "refusal" for part in objects(item.get("content")))
