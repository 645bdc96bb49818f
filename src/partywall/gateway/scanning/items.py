"""Streams of items: Responses.

Its streams tell everything three times: piece by piece, at the end of each part, and at the end of the answer. The
pieces are channels; what is told again is scanned as a whole, which comes to the same. Events are numbered anew, since
some are held, and some are put between.
"""

from __future__ import annotations

from typing import Final

from partywall.gateway.scanning.channels import Event, EventScan, place_of
from partywall.gateway.scanning.places import Walk
from partywall.gateway.scanning.texts import Texts
from partywall.gateway.wire import JsonObject

__all__ = ["ItemsScan"]

_DELTA: Final = ".delta"
_DONE: Final = ".done"
_CALLED: Final = ("_arguments", "custom_tool_call_input")
_SOUND: Final = frozenset({"response.audio"})
_PARTS: Final = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}
"""The pieces that go on with a part of a kind, and where it holds its text."""
_BEGUN: Final = ("arguments", "code", "input")
_LISTS: Final = ("content", "summary")
_PLACE: Final = ("output_index", "content_index", "summary_index", "item_id")

_Key = tuple[int | str, str, int | str, int | str]
"""The item's place, the kind of pieces, and the part's place in it."""


class ItemsScan(EventScan):
    """The scan of a stream of Responses."""

    def __init__(self, texts: Texts) -> None:
        super().__init__(texts)
        self._told: dict[_Key, JsonObject] = {}
        """Where the pieces of each text belong."""
        self._number: int | None = None

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        number = event.get("sequence_number")
        if self._number is None and type(number) is int:
            self._number = number
        return [(each, self._numbered(data)) for each, data in self._event(name, event)]

    def finish(self) -> list[Event]:
        return [(each, self._numbered(data)) for each, data in self._end(list(self._told))]

    def _event(self, name: bytes, event: JsonObject) -> list[Event]:
        kind = event.get("type")
        if not isinstance(kind, str):
            return [(name, self._again(event))]
        stem = kind.removesuffix(_DELTA).removesuffix(_DONE)
        if kind.endswith(_DELTA) and isinstance(event.get("delta"), str):
            return [(name, event)] if stem in _SOUND else self._piece(name, stem, event)
        if kind == "response.output_item.added":
            return [(name, self._begun(event))]
        if kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            return self._part(name, event)
        if kind.endswith(_DONE) and kind not in ("response.output_item.done", "response.content_part.done"):
            return [*self._end([key for key in self._told if key == _key(stem, event)]), (name, self._again(event))]
        if kind in ("response.output_item.done", "response.content_part.done"):
            place = place_of(event.get("output_index"))
            return [*self._end([key for key in self._told if key[0] == place]), (name, self._again(event))]
        if "response" in event and kind not in ("response.created", "response.in_progress", "response.queued"):
            return [*self._end(list(self._told)), (name, self._again(event))]
        return [(name, self._again(event))]

    def _piece(self, name: bytes, stem: str, event: JsonObject) -> list[Event]:
        key, delta = _key(stem, event), str(event["delta"])
        self._told.setdefault(key, {"name": name.decode(errors="replace"), **_place(event), "type": event["type"]})
        if stem.endswith(_CALLED):
            self._hold(key, delta)
            return []
        released = self._fed(key, delta)
        if not released:
            return []
        rest = {field: value for field, value in event.items() if field != "delta"}
        return [(name, {**self._walked(rest), "delta": released})]

    def _part(self, name: bytes, event: JsonObject) -> list[Event]:
        """A part that begins with text goes on with it: a value may lie across."""
        part = event.get("part")
        known = _PARTS.get(str(part.get("type"))) if isinstance(part, dict) else None
        if known is None or not isinstance(part, dict) or not isinstance(text := part.get(known[1]), str) or not text:
            return [(name, self._walked(event))]
        part[known[1]] = ""
        kind = f"{known[0]}{_DELTA}"
        piece: JsonObject = {**_place(event), "type": kind, "delta": text}
        return [(name, self._walked(event)), *self._piece(kind.encode(), known[0], piece)]

    def _begun(self, event: JsonObject) -> JsonObject:
        """An item that begins says nothing yet: what it says comes in pieces, and once more when it is done."""
        item = event.get("item")
        if isinstance(item, dict):
            for field in _LISTS:
                if isinstance(item.get(field), list):
                    item[field] = []
            for field in _BEGUN:
                if isinstance(item.get(field), str):
                    item[field] = ""
        return self._walked(event)

    def _end(self, keys: list[_Key]) -> list[Event]:
        """What is left of texts that have ended."""
        out: list[Event] = []
        for key in keys:
            told = self._told.pop(key)
            name = str(told.pop("name")).encode()
            if rest := self._let_go(key) or self._ended(key):
                out.append((name, {**told, "delta": rest, **({"sequence_number": 0} if self._number else {})}))
        return out

    def _again(self, event: JsonObject) -> JsonObject:
        """What tells again what was told, or all at once: counted as what it is more than that."""
        beside = self._texts.beside()
        made = Walk(beside, is_answer=True).value("", event)
        self._texts.found |= beside.found
        self._texts.has_fixed |= beside.has_fixed
        return made if isinstance(made, dict) else event

    def _numbered(self, event: JsonObject) -> JsonObject:
        if self._number is not None and "sequence_number" in event:
            event["sequence_number"] = self._number
            self._number += 1
        return event


def _key(stem: str, event: JsonObject) -> _Key:
    part = event.get("content_index", event.get("summary_index"))
    return place_of(event.get("output_index")), stem, place_of(part), ""


def _place(event: JsonObject) -> JsonObject:
    return {field: event[field] for field in _PLACE if field in event}
