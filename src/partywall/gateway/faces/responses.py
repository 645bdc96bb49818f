"""`/v1/responses/{id}`: answers that were kept, and what was said for them.

Promises: an answer comes back as it was given. Deleting it takes what was said for it along; what it added to a
conversation stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partywall.errors import Missing
from partywall.gateway.context.items import shown_item
from partywall.gateway.endpoints import Act
from partywall.gateway.faces.call import Call, Face, Told, listed, told
from partywall.gateway.wire.shapes import malformed

__all__ = ["FACES"]


async def _retrieve(call: Call) -> Told:
    if call.query.get("stream", "false") != "false":
        raise malformed("a kept answer comes whole; `stream` must be false")
    stored = await call.stores.responses.get(call.scope, call.ids[0])
    return told(dict(stored.answer), "read an answer")


async def _delete(call: Call) -> Told:
    (response_id,) = call.ids
    await call.stores.responses.delete(call.scope, response_id)
    return told({"id": response_id, "object": "response", "deleted": True}, "deleted an answer")


async def _input_items(call: Call) -> Told:
    after, limit, backwards = call.page()
    stored = await call.stores.responses.get(call.scope, call.ids[0])
    items = stored.input[::-1] if backwards else stored.input
    start = 0
    if after is not None:
        start = 1 + next((index for index, item in enumerate(items) if item.id == after), len(items))
        if start > len(items):
            raise Missing(f"no such item of an answer of `{call.scope.tenant}`")
    page = items[start : start + limit]
    with_results = call.includes("file_search_call.results")
    shown = [shown_item(item, with_results=with_results) for item in page]
    return told(listed(shown, has_more=len(items) > start + limit), f"read {len(page)} items that were said")


FACES: Final[Mapping[Act, Face]] = {
    Act.RESPONSE_RETRIEVE: _retrieve,
    Act.RESPONSE_DELETE: _delete,
    Act.RESPONSE_INPUT: _input_items,
}
