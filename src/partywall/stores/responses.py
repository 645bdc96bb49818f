"""Answers that a tenant's users asked to be kept: each with what was said for it, and what it follows.

Promises: an answer is found by its id among those of the scope's tenant and user, and nowhere else. An answer and what
it adds to a conversation are kept at once, or neither is. Ids are made here and tell nothing.

Doesn't promise: to forget by itself. An answer stays until it or its tenant is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from partywall.errors import Conflict, PayloadTooLarge, StoreUnavailable
from partywall.stores.collection import Collection, Drop, Group, Put, StoreChange
from partywall.stores.conversations import Conversations
from partywall.stores.fields import Clock, check_word, members, new_id, number, owner_of, text
from partywall.stores.items import Item
from partywall.stores.records import Record
from partywall.tenancy import TenantId, TenantScope

__all__ = ["Responses", "StoredResponse"]

_LARGEST_INPUT_BYTES: Final = 3 * 2**20


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One answer."""

    id: str
    """Made here: `resp_…`."""
    created: float
    previous: str | None
    """The answer that it follows, by our id."""
    answer: Mapping[str, object]
    """As its client was given it: JSON, not to be changed."""
    input: tuple[Item, ...]
    """What was said for it, without what went before."""
    tenant: TenantId
    """Whose it is, by the word of the record that it was read from."""


class Responses:
    """The kept answers of every tenant."""

    def __init__(self, collection: Collection, conversations: Conversations, clock: Clock) -> None:
        self._records = collection
        self._conversations = conversations
        self._clock = clock

    def check_input(self, items: Sequence[Item]) -> None:
        """Refuse what could not be kept, before anybody works on it.

        Raises:
            PayloadTooLarge: it is more than 3 MiB.
        """
        if len(orjson.dumps([dict(item.body) for item in items])) > _LARGEST_INPUT_BYTES:
            message = f"The input has more than {_LARGEST_INPUT_BYTES} bytes, too many to be kept; send `store: false`."
            raise PayloadTooLarge("the input of an answer is too large to be kept", public_message=message)

    def new_id(self) -> str:
        """An id for an answer that is to come."""
        return new_id("resp")

    async def keep(
        self,
        scope: TenantScope,
        response: StoredResponse,
        *,
        conversation_id: str | None = None,
        items: Sequence[Item] = (),
    ) -> None:
        """Keep an answer, and add `items` to a conversation if one is named.

        Raises:
            Missing: there is no such conversation among the caller's, any more.
            PayloadTooLarge, QuotaExceeded, Conflict: it can't be kept as it is.
        """
        body = {
            "created": response.created,
            "previous": response.previous,
            "answer": dict(response.answer),
        }
        said = [{"id": item.id, "created": item.created, "item": dict(item.body)} for item in response.input]
        changes: list[StoreChange] = [
            Put(_heads(scope), response.id, body),
            Put(_inputs(scope), response.id, {"items": said}),
        ]
        if conversation_id is not None:
            await self._conversations.append_made(scope, conversation_id, items, along=changes)
        elif not await self._records.commit(scope, changes):
            raise Conflict("an answer's id was drawn twice")

    async def get(self, scope: TenantScope, response_id: str) -> StoredResponse:
        """An answer.

        Raises:
            Missing: there is none of that id among the caller's.
        """
        head = await self._records.get(scope, _heads(scope), check_word(response_id, "an answer's id"))
        said = await self._records.get(scope, _inputs(scope), response_id)
        body = members(head.body)
        previous = None if body.get("previous") is None else text(body, "previous")
        return StoredResponse(
            head.id, number(body, "created"), previous, members(body.get("answer")), _items(said), head.tenant
        )

    async def delete(self, scope: TenantScope, response_id: str) -> None:
        """Delete an answer. What it added to a conversation stays there.

        Raises:
            Missing: there is none of that id among the caller's.
        """
        check_word(response_id, "an answer's id")
        changes = [Drop(_heads(scope), response_id), Drop(_inputs(scope), response_id)]
        if not await self._records.commit(scope, changes):
            raise self._records.missing(scope)


def _items(record: Record) -> tuple[Item, ...]:
    kept = members(record.body).get("items")
    if type(kept) is not list:
        raise StoreUnavailable("what was said for an answer is something else than this version writes")
    found = [members(each) for each in kept]
    return tuple(
        Item(text(each, "id"), number(each, "created"), members(each.get("item")), record.tenant) for each in found
    )


def _heads(scope: TenantScope) -> Group:
    return Group("answer", (owner_of(scope),))


def _inputs(scope: TenantScope) -> Group:
    return Group("answer's input", (owner_of(scope),))
