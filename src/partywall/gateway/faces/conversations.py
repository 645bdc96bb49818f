"""`/v1/conversations`: a user's conversations and their items, in OpenAI's shapes.

Promises: an item comes back as it was sent, text byte for byte, under an id that was made here. What refers to an
object that some vendor keeps is refused, as it is in a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partywall.gateway.context.items import kept_items, shown_item
from partywall.gateway.endpoints import Act
from partywall.gateway.faces.call import Call, Face, Told, listed, told
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.stores import Conversation, Item

__all__ = ["FACES"]

_MOST_ITEMS: Final = 20
"""At once, as OpenAI has it."""


async def _create(call: Call) -> Told:
    items = _items(call)
    made = await call.stores.conversations.create(call.scope, metadata=metadata_of(call.body), items=items)
    return told(_shown(made), f"began a conversation with {len(items)} items")


async def _retrieve(call: Call) -> Told:
    return told(_shown(await call.stores.conversations.get(call.scope, call.ids[0])), "read a conversation")


async def _update(call: Call) -> Told:
    if "metadata" not in call.body:
        raise malformed("`metadata` is required")
    changed = await call.stores.conversations.update(call.scope, call.ids[0], metadata_of(call.body))
    return told(_shown(changed), "changed a conversation's metadata")


async def _delete(call: Call) -> Told:
    conversation = await call.stores.conversations.get(call.scope, call.ids[0])
    await call.stores.conversations.delete(call.scope, conversation.id)
    answer: JsonObject = {"id": conversation.id, "object": "conversation.deleted", "deleted": True}
    return told(answer, f"deleted a conversation of {conversation.messages} items")


async def _create_items(call: Call) -> Told:
    items = _items(call)
    if not items:
        raise malformed("`items` must not be empty")
    made = await call.stores.conversations.append_items(call.scope, call.ids[0], items)
    return told(listed(_shown_items(call, made), has_more=False), f"added {len(made)} items")


async def _list_items(call: Call) -> Told:
    after, limit, backwards = call.page()
    page = await call.stores.conversations.items(call.scope, call.ids[0], after=after, limit=limit, backwards=backwards)
    return told(listed(_shown_items(call, page.items), has_more=page.has_more), f"read {len(page.items)} items")


async def _retrieve_item(call: Call) -> Told:
    item = await call.stores.conversations.item(call.scope, *call.ids)
    return told(_shown_items(call, (item,))[0], "read an item")


async def _delete_item(call: Call) -> Told:
    return told(_shown(await call.stores.conversations.delete_item(call.scope, *call.ids)), "deleted an item")


def metadata_of(body: JsonObject) -> Mapping[str, str] | None:
    """The metadata in a body.

    Raises:
        BadRequest: they are no object. The store checks the rest.
    """
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise malformed("`metadata` must be an object")
    return metadata


def _items(call: Call) -> list[JsonObject]:
    items = call.body.get("items")
    if items is None:
        return []
    if not isinstance(items, list) or len(items) > _MOST_ITEMS:
        raise malformed(f"`items` must be a list of at most {_MOST_ITEMS} items")
    return kept_items(items, "items")


def _shown(conversation: Conversation) -> JsonObject:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created),
        "metadata": dict(conversation.metadata),
    }


def _shown_items(call: Call, items: tuple[Item, ...]) -> list[JsonObject]:
    with_results = call.includes("file_search_call.results")
    return [shown_item(item, with_results=with_results) for item in items]


FACES: Final[Mapping[Act, Face]] = {
    Act.CONVERSATION_CREATE: _create,
    Act.CONVERSATION_RETRIEVE: _retrieve,
    Act.CONVERSATION_UPDATE: _update,
    Act.CONVERSATION_DELETE: _delete,
    Act.ITEM_CREATE: _create_items,
    Act.ITEM_LIST: _list_items,
    Act.ITEM_RETRIEVE: _retrieve_item,
    Act.ITEM_DELETE: _delete_item,
}
