"""A file search in an answer, as OpenAI shows one: an item of its own first, and citations in the text.

Promises: a stream stays one: the events of the search come before the first of the model's own output, numbers and
places of what follows move up, and citations are told before the part that holds them is done.
"""

from __future__ import annotations

from typing import Final

from partywall.gateway.context.retrieving import Found
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import objects

__all__ = ["ShownSearch", "chat_citations"]

Event = tuple[bytes, JsonObject]

_BEFORE_OUTPUT: Final = ("response.created", "response.in_progress", "response.queued")


class ShownSearch:
    """The search of one answer of Responses."""

    def __init__(self, found: Found, *, with_results: bool) -> None:
        self._found = found
        self._item: JsonObject = found.call if with_results else {**found.call, "results": None}
        self._told = False
        self._added = 0
        """Events of ours so far."""

    def complete(self, response: JsonObject) -> None:
        """Put the search before the output of a whole answer, and the citations into it."""
        output = objects(response.get("output"))
        for item in output:
            self._cite(item)
        response["output"] = [self._item, *output]

    def around(self, name: bytes, event: JsonObject) -> list[Event]:
        """An event of the model's, moved up, and what of ours comes before it."""
        kind, number = event.get("type"), event.get("sequence_number")
        start = number if isinstance(number, int) else 0
        before: list[JsonObject] = []
        if not self._told and kind not in _BEFORE_OUTPUT:
            self._told = True
            before += self._search_events()
        if isinstance(place := event.get("output_index"), int):
            event["output_index"] = place + 1
        item, part = event.get("item"), event.get("part")
        if kind == "response.output_item.done" and isinstance(item, dict):
            self._cite(item)
        if kind == "response.content_part.done" and isinstance(part, dict) and part.get("type") == "output_text":
            known = len(objects(part.get("annotations")))
            before += [
                {"type": "response.output_text.annotation.added", "annotation": each, "annotation_index": known + index}
                | {key: event[key] for key in ("item_id", "output_index", "content_index") if key in event}
                for index, each in enumerate(self._cite_part(part))
            ]
        ours = [
            (str(each["type"]).encode(), {**each, "sequence_number": start + self._added + index})
            for index, each in enumerate(before)
        ]
        self._added += len(ours)
        if isinstance(number, int):
            event["sequence_number"] = number + self._added
        return [*ours, (name, event)]

    def _search_events(self) -> list[JsonObject]:
        place: JsonObject = {"output_index": 0, "item_id": self._item["id"]}
        begun = {**self._item, "status": "in_progress", "results": None}
        return [
            {"type": "response.output_item.added", "output_index": 0, "item": begun},
            {"type": "response.file_search_call.in_progress", **place},
            {"type": "response.file_search_call.searching", **place},
            {"type": "response.file_search_call.completed", **place},
            {"type": "response.output_item.done", "output_index": 0, "item": self._item},
        ]

    def _cite(self, item: JsonObject) -> None:
        if item.get("type") == "message":
            for part in objects(item.get("content")):
                if part.get("type") == "output_text":
                    self._cite_part(part)

    def _cite_part(self, part: JsonObject) -> list[JsonObject]:
        """The citations of a part, put into it."""
        text = part.get("text")
        citations = self._found.citations(len(text) if isinstance(text, str) else 0)
        part["annotations"] = [*objects(part.get("annotations")), *citations]
        return citations


def chat_citations(found: Found, index: int) -> list[JsonObject]:
    """Citations as annotations of a message of Chat's, in the shape that its other annotations have."""
    return [
        {"type": "file_citation", "file_citation": {name: value for name, value in each.items() if name != "type"}}
        for each in found.citations(index)
    ]
