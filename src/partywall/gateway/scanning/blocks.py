"""Streams of blocks: Messages.

A text, and the input of a tool, end with their block.
"""

from __future__ import annotations

from partywall.gateway.scanning.channels import Event, EventScan, place_of
from partywall.gateway.wire import JsonObject

__all__ = ["BlocksScan"]

_TEXTS = {"text": "text_delta", "thinking": "thinking_delta"}
_INPUT = "partial_json"
_AS_IT_IS = frozenset({"type", "signature"})


class BlocksScan(EventScan):
    """The scan of a stream of Messages."""

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        match event.get("type"):
            case "content_block_start":
                return self._start(name, event)
            case "content_block_delta":
                return self._delta(name, event)
            case "content_block_stop":
                return [*self._end(place_of(event.get("index"))), (name, self._walked(event))]
            case "message_stop":
                return [*self.finish(), (name, self._walked(event))]
            case _:
                return [(name, self._walked(event))]

    def finish(self) -> list[Event]:
        places = {key[0] for key in (*self._channels, *self._held) if isinstance(key, tuple)}
        return [each for place in sorted(places, key=str) for each in self._end(place)]

    def _start(self, name: bytes, event: JsonObject) -> list[Event]:
        """A block that begins with text goes on with it: a value may lie across."""
        place, block = place_of(event.get("index")), event.get("content_block")
        behind: list[Event] = []
        if isinstance(block, dict):
            for field, kind in _TEXTS.items():
                if isinstance(text := block.get(field), str) and text:
                    block[field] = ""
                    behind += self._delta(b"content_block_delta", _delta_event(place, kind, field, text))
        return [(name, self._walked(event)), *behind]

    def _delta(self, name: bytes, event: JsonObject) -> list[Event]:
        place, delta = place_of(event.get("index")), event.get("delta")
        if not isinstance(delta, dict):
            return [(name, self._walked(event))]
        said: JsonObject = {}
        is_silent = True
        for key, value in delta.items():
            if key == _INPUT and isinstance(value, str):
                self._hold((place, _INPUT), value)
            elif isinstance(value, str) and key not in _AS_IT_IS:
                said[key] = released = self._fed((place, key), value)
                is_silent = is_silent and not released
            else:
                said[key] = self._walk.value(key, value)
                is_silent = is_silent and key == "type"
        if is_silent:
            return []
        rest = {key: value for key, value in event.items() if key != "delta"}
        return [(name, {**self._walked(rest), "delta": said})]

    def _end(self, place: int | str) -> list[Event]:
        """What is left of a block."""
        keys = [key for key in self._channels if isinstance(key, tuple) and key[0] == place]
        out = [
            _delta_event(place, _TEXTS.get(key[1], f"{key[1]}_delta"), key[1], rest)
            for key in keys
            if (rest := self._ended(key))
        ]
        if said := self._let_go((place, _INPUT)):
            out.append(_delta_event(place, "input_json_delta", _INPUT, said))
        return [(b"content_block_delta", each) for each in out]


def _delta_event(place: int | str, kind: str, field: str, text: str) -> JsonObject:
    return {"type": "content_block_delta", "index": place, "delta": {"type": kind, field: text}}
