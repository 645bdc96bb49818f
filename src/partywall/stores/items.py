"""What a conversation consists of: items, in the shapes of OpenAI's Responses and Conversations.

Promises: an item is kept as it came, member for member, but for its `id`, which is made here. A message that was kept
as role and text reads as the item that it is, and an item reads as a message.

Doesn't promise: to know the types of items. What a model may be sent of them is for the gateway to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from partywall.errors import BadRequest, PayloadTooLarge
from partywall.stores.fields import check_word, members, new_id, number, text
from partywall.stores.records import Record
from partywall.tenancy import TenantId, TenantScope

__all__ = ["Item", "Message", "id_for", "item_body", "item_of", "message_of", "new_item", "size_of"]

_LARGEST_ITEM_BYTES: Final = 2 * 2**20
_DEEPEST_PLACE: Final = 6
"""How many lists and objects an item may have around it: in a record, a kept answer, a page, a request."""
_MESSAGE: Final = "message"
_KINDS: Final = {
    _MESSAGE: "msg",
    "custom_tool_call": "ctc",
    "file_search_call": "fs",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
}
"""How ids of items begin."""
_ANY: Final = "item"


@dataclass(frozen=True, slots=True)
class Item:
    """One item."""

    id: str
    """Made here."""
    created: float
    body: Mapping[str, object]
    """What it says, `type` included and `id` left out: JSON, not to be changed."""
    tenant: TenantId
    """Whose it is, by the word of the record that it was read from."""


@dataclass(frozen=True, slots=True)
class Message:
    """One item, read as a message."""

    id: str
    role: str
    content: str
    """Its text; JSON for an item that is no message."""
    created: float


def new_item(scope: TenantScope, body: Mapping[str, object], *, created: float) -> Item:
    """A new item of the scope's tenant, with a fresh id.

    Raises:
        BadRequest: it has no type, or is no JSON.
        PayloadTooLarge: it is larger than 2 MiB.
    """
    kept = {name: value for name, value in body.items() if name != "id"}
    if "type" not in kept and "role" in kept:
        kept = {"type": _MESSAGE, **kept}
    kind = kept.get("type")
    if type(kind) is not str:
        raise BadRequest("an item has a type")
    check_word(kind, "an item's type")
    placed: object = kept
    for _ in range(_DEEPEST_PLACE):
        placed = [placed]
    size = size_of(placed) - 2 * _DEEPEST_PLACE
    if size > _LARGEST_ITEM_BYTES:
        message = f"An item has more than {_LARGEST_ITEM_BYTES} bytes."
        raise PayloadTooLarge(f"an item has {size} bytes", public_message=message)
    return Item(id_for(kept), created, kept, scope.tenant)


def size_of(body: object) -> int:
    """How many bytes of JSON an item, or what a record holds of one, has.

    Raises:
        BadRequest: it is no JSON, or nested more deeply than can be written.
    """
    try:
        return len(orjson.dumps(body))
    except (TypeError, ValueError) as error:
        message = "An item can't be kept: it is nested too deeply."
        raise BadRequest(f"an item can't be stored: {error}", public_message=message) from None


def id_for(body: Mapping[str, object]) -> str:
    """A fresh id for an item, which begins as its type has it."""
    kind = body.get("type")
    return new_id(_KINDS.get(kind, _ANY) if isinstance(kind, str) else _ANY)


def item_body(item: Item) -> dict[str, object]:
    """What a record holds of `item`."""
    return {"item": dict(item.body), "created": item.created}


def item_of(record: Record) -> Item:
    """The item that `record` holds, whichever way it was kept."""
    body = members(record.body)
    if "item" in body:
        return Item(record.id, number(body, "created"), members(body["item"]), record.tenant)
    role = text(body, "role")
    part: dict[str, object] = {
        "type": "output_text" if role == "assistant" else "input_text",
        "text": text(body, "content"),
    }
    if role == "assistant":
        part["annotations"] = []
    said: dict[str, object] = {"type": _MESSAGE, "role": role, "status": "completed", "content": [part]}
    return Item(record.id, number(body, "created"), said, record.tenant)


def message_of(record: Record) -> Message:
    """The item that `record` holds, as a message."""
    body = members(record.body)
    if "item" not in body:
        return Message(record.id, text(body, "role"), text(body, "content"), number(body, "created"))
    item = item_of(record)
    if item.body.get("type") != _MESSAGE:
        return Message(item.id, str(item.body.get("type")), orjson.dumps(item.body).decode(), item.created)
    return Message(item.id, str(item.body.get("role")), _text_of(item.body.get("content")), item.created)


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(each for each in texts if isinstance(each, str))
