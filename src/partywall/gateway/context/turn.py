"""One turn with a model that leaves something behind: what was said, what is answered, and where both are kept.

Promises: the client sees our ids and none of the upstream's, in a whole answer and in each event of a stream; what is
to be kept is kept before the client sees the end of the answer, and what can't be kept is no success.

Doesn't promise: to keep an answer that failed, or whose client left before its end.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Final

from partywall.errors import PayloadTooLarge
from partywall.gateway.context.asked import Asked
from partywall.gateway.context.chat_items import items_of_message
from partywall.gateway.context.retrieving import Found
from partywall.gateway.context.shown_search import ShownSearch, chat_citations
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import objects
from partywall.stores import Item, StoredResponse, Stores
from partywall.stores.items import id_for
from partywall.tenancy import TenantScope

__all__ = ["ChatTurn", "InstructedTurn", "ResponsesTurn", "Turn"]

_ENDS: Final = ("response.completed", "response.incomplete")
_FAILED: Final = ("cancelled", "failed")

Event = tuple[bytes, JsonObject]
"""A server-sent event: its name, empty where it has none, and its data."""


class Turn(ABC):
    """One request's turn, on its way back to the client."""

    found: Found | None = None
    """What was found for the request."""

    @abstractmethod
    def answered(self, answer: JsonObject) -> None:
        """A whole answer has come; it is changed in place into what the client is given."""

    @abstractmethod
    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        """An event has come: what the client is given in its place."""

    @abstractmethod
    async def keep(self) -> None:
        """Keep what the turn leaves behind, once.

        Raises:
            Missing: the conversation has been deleted meanwhile.
            PayloadTooLarge, QuotaExceeded, Conflict, KeyUnavailable, StoreUnavailable: it can't be kept.
        """


class InstructedTurn(Turn):
    """A turn of Responses that leaves nothing behind: the client's own instructions are repeated to it, not ours."""

    def __init__(self, instructions: object) -> None:
        self._instructions = instructions

    def answered(self, answer: JsonObject) -> None:
        if answer.get("instructions") is not None:
            answer["instructions"] = self._instructions

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        response = event.get("response")
        if isinstance(response, dict):
            self.answered(response)
        return [(name, event)]

    async def keep(self) -> None:
        """Nothing is kept."""


class _KeptTurn(Turn):
    """A turn that may leave something behind."""

    def __init__(self, scope: TenantScope, stores: Stores, asked: Asked, own: tuple[Item, ...]) -> None:
        self._scope = scope
        self._stores = stores
        self._asked = asked
        self._own = own
        self._kept = False

    async def keep(self) -> None:
        if self._kept:
            return
        self._kept = True
        try:
            await self._keep()
        except PayloadTooLarge as error:
            message = "The answer is too large to be kept; send `store: false`, and no `conversation`."
            raise PayloadTooLarge(str(error), public_message=message) from None

    @abstractmethod
    async def _keep(self) -> None:
        """Keep it."""

    def _items(self, bodies: list[JsonObject]) -> tuple[Item, ...]:
        """The answer's items, under the ids that they have or new ones."""
        now = time.time()
        made = []
        for body in bodies:
            given = body.get("id")
            name = given if isinstance(given, str) else id_for(body)
            kept = {member: value for member, value in body.items() if member != "id"}
            made.append(Item(name, now, kept, self._scope.tenant))
        return tuple(made)


class ResponsesTurn(_KeptTurn):
    """A turn of Responses."""

    def __init__(
        self, scope: TenantScope, stores: Stores, asked: Asked, own: tuple[Item, ...], *, instructions: object
    ) -> None:
        super().__init__(scope, stores, asked, own)
        self._id = stores.responses.new_id()
        self._instructions = instructions
        self._ids: dict[str, str] = {}
        """Ours, by the upstream's."""
        self._final: JsonObject | None = None

    def answered(self, answer: JsonObject) -> None:
        self._own_words(answer)
        self._end(answer)

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        response, item, item_id = event.get("response"), event.get("item"), event.get("item_id")
        if isinstance(response, dict):
            self._own_words(response)
            if event.get("type") in _ENDS:
                self._end(response)
        if isinstance(item, dict):
            self._own_id(item)
        if isinstance(item_id, str):
            event["item_id"] = self._ids.setdefault(item_id, id_for({}))
        return [(name, event)] if self.found is None else self._search.around(name, event)

    def _end(self, response: JsonObject) -> None:
        """The answer is whole."""
        if self.found is not None:
            self._search.complete(response)
        self._final = response

    @cached_property
    def _search(self) -> ShownSearch:
        if self.found is None:
            raise RuntimeError("nothing was searched for")
        return ShownSearch(self.found, with_results=self._asked.with_results)

    def _own_words(self, response: JsonObject) -> None:
        """Put what we know better in the place of what the upstream says of itself and of us."""
        asked = self._asked
        response["id"] = self._id
        response["store"] = asked.keeps
        response["previous_response_id"] = asked.previous
        response["conversation"] = None if asked.conversation is None else {"id": asked.conversation}
        if response.get("instructions") is not None:
            response["instructions"] = self._instructions
        for item in objects(response.get("output")):
            self._own_id(item)

    def _own_id(self, item: JsonObject) -> None:
        theirs = item.get("id")
        known = theirs if isinstance(theirs, str) else ""
        item["id"] = self._ids.setdefault(known, id_for(item)) if known else id_for(item)

    async def _keep(self) -> None:
        final, asked = self._final, self._asked
        if final is None or final.get("status") in _FAILED:
            return
        output = objects(final.get("output"))
        if self.found is not None:
            output = [self.found.call, *output[1:]]  # with its results, whether or not they were asked for
        items = (*self._own, *self._items(output))
        if asked.keeps:
            kept = StoredResponse(self._id, time.time(), asked.previous, final, self._own, self._scope.tenant)
            await self._stores.responses.keep(self._scope, kept, conversation_id=asked.conversation, items=items)
        elif asked.conversation is not None:
            await self._stores.conversations.append_made(self._scope, asked.conversation, items)


class ChatTurn(_KeptTurn):
    """A turn of Chat that goes on with a conversation."""

    def __init__(self, scope: TenantScope, stores: Stores, asked: Asked, own: tuple[Item, ...]) -> None:
        super().__init__(scope, stores, asked, own)
        self._message: JsonObject = {"role": "assistant"}
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._calls: dict[object, JsonObject] = {}

    def answered(self, answer: JsonObject) -> None:
        for choice in objects(answer.get("choices"))[:1]:
            message = choice.get("message")
            if isinstance(message, dict):
                self._message = message
                if self.found is not None and isinstance(text := message.get("content"), str):
                    message["annotations"] = chat_citations(self.found, len(text))

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        for choice in objects(event.get("choices")):
            delta = choice.get("delta")
            if isinstance(delta, dict) and choice.get("index", 0) == 0:
                self._add(delta)
                if self.found is not None and choice.get("finish_reason") is not None:
                    delta["annotations"] = chat_citations(self.found, sum(map(len, self._texts["content"])))
        return [(name, event)]

    def _add(self, delta: JsonObject) -> None:
        for field, pieces in self._texts.items():
            piece = delta.get(field)
            if isinstance(piece, str):
                pieces.append(piece)
        for piece in objects(delta.get("tool_calls")):
            place = piece.get("index", piece.get("id"))
            known = place if isinstance(place, int | str) else None
            call = self._calls.setdefault(known, {"id": "", "pieces": []})
            if isinstance(piece.get("id"), str):
                call["id"] = piece["id"]
            pieces_so_far = call["pieces"]
            if isinstance(pieces_so_far, list):
                pieces_so_far.append(piece)

    async def _keep(self) -> None:
        message = self._message
        if any(self._texts.values()) or self._calls:
            message = {
                "role": "assistant",
                **{field: "".join(pieces) for field, pieces in self._texts.items()},
                "tool_calls": [_whole_call(call) for call in self._calls.values()],
            }
        items = (*self._own, *self._items(items_of_message({**message, "role": "assistant"})))
        if self._asked.conversation is not None and items:
            await self._stores.conversations.append_made(self._scope, self._asked.conversation, items)


def _whole_call(call: JsonObject) -> JsonObject:
    """A streamed call, put together: its name and arguments come in pieces."""
    whole: JsonObject = {"id": call["id"]}
    for piece in objects(call["pieces"]):
        for kind in ("function", "custom"):
            part = piece.get(kind)
            if not isinstance(part, dict):
                continue
            said = whole.setdefault(kind, {})
            if isinstance(said, dict):
                for field, value in part.items():
                    if isinstance(value, str):
                        said[field] = f"{said.get(field, '')}{value}"
    return whole
