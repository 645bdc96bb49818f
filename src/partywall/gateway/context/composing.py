"""Composing a request: what its tenant stored goes before what the client sent.

Promises: everything comes from the caller's own stores by the caller's scope, passes `provenance.checked` right before
it is set in, and is held against the role's tools again, since another role may have stored it. An id that isn't the
caller's is refused like one that nobody has. What could not be kept is refused before anybody works on it. What goes
before a request is read piece by piece, and no further than one request could hold.

Doesn't promise: to shorten. A conversation that has become too long for one request is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import orjson

from partywall.config.routing import Stage
from partywall.errors import BadRequest, ConfigError, Missing, NothingStored, PayloadTooLarge
from partywall.gateway.context.asked import FILE_SEARCH, Asked, none_of_that_id
from partywall.gateway.context.chat_items import INSTRUCTING, items_of_messages, messages_of_items
from partywall.gateway.context.items import items_of_input, sent_item, without_ids
from partywall.gateway.context.provenance import ContextItem, checked
from partywall.gateway.context.retrieving import Found, last_words, look_up, passages_of, retrieve, search_asked
from partywall.gateway.context.turn import ChatTurn, ResponsesTurn, Turn
from partywall.gateway.wire import Api, JsonObject, Wire
from partywall.gateway.wire.shapes import malformed, objects
from partywall.policy import Decision
from partywall.stores import Item, Stores
from partywall.tenancy import TenantScope
from partywall.trail import Verdict

__all__ = ["compose"]

_MOST_ITEMS: Final = 10_000
_LONGEST_CHAIN: Final = 1000
_PAGE: Final = 100
_LOOKED_THROUGH: Final = 4
"""How many times as much as a request may have is read of what goes before it, since some of it isn't sent."""


async def compose(
    scope: TenantScope,
    stores: Stores | None,
    wire: Wire,
    body: JsonObject,
    asked: Asked,
    decision: Decision,
    *,
    limit_bytes: int,
) -> Turn:
    """Set into `body` what it asks for, and return the turn that this begins.

    Raises:
        NothingStored: the document has no `encryption`.
        NotFound: the caller has no conversation or answer of that id.
        BadRequest, PayloadTooLarge: it would be too long, or can't be kept.
        ToolDenied: what is stored demands a tool that the role may not use.
    """
    if stores is None:
        raise NothingStored("the request asks for what is stored, and nothing is")
    before = await _before(scope, stores, asked, limit_bytes)
    question = last_words(body.get("input") if wire.api is Api.RESPONSES else body.get("messages"))
    begin = _responses if wire.api is Api.RESPONSES else _chat
    turn = begin(scope, stores, body, asked, before)
    if before and decision.tools is not None:
        wire.filter_tools(body, decision.tools)
    if asked.searches:
        turn.found = await _found(scope, stores, wire, body, asked, decision, question)
    if (before or turn.found is not None) and _size(body) > limit_bytes:
        raise _too_long(limit_bytes)
    decision.note("context", Stage.PRE_REQUEST, Verdict.ALLOW, _said(asked, len(before), turn.found))
    return turn


async def _found(
    scope: TenantScope,
    stores: Stores,
    wire: Wire,
    body: JsonObject,
    asked: Asked,
    decision: Decision,
    question: str,
) -> Found | None:
    """What the request's file searches find, set beside its question; nothing for a role that may not search."""
    searches = [search_asked(each, FILE_SEARCH) for each in asked.searches]
    _choose_without_search(body)
    may_search = decision.tools is None or decision.tools(FILE_SEARCH)
    try:
        if not question or not may_search:
            await look_up(scope, stores, searches)
            return None
        found = await retrieve(scope, stores, searches, question)
    except ConfigError as error:
        raise NothingStored(str(error), public_message="This gateway isn't set up for documents.") from None
    wire.put_context(body, passages_of(found))
    return found


def _choose_without_search(body: JsonObject) -> None:
    """Leave a choice among tools that a model can make: it has no file search, because that has been run."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == FILE_SEARCH:
        del body["tool_choice"]
    elif isinstance(choice, dict) and isinstance(choice.get("tools"), list):
        left = [tool for tool in objects(choice["tools"]) if tool.get("type") != FILE_SEARCH]
        body["tool_choice"] = {**choice, "tools": left}
        if not left:
            del body["tool_choice"]
    if "tools" not in body:
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)


async def _before(scope: TenantScope, stores: Stores, asked: Asked, limit_bytes: int) -> list[JsonObject]:
    """What went before, oldest first, as it is sent: verified by the stores, and once more.

    Raises:
        PayloadTooLarge: it is more than one request holds. What lies behind that has not been read.
    """
    if asked.conversation is not None:
        pieces, newest_first = _conversation(scope, stores, asked.conversation), False
    elif asked.previous is not None:
        pieces, newest_first = _chain(scope, stores, asked.previous), True
    else:
        return []
    before: list[list[JsonObject]] = []
    read = held = 0
    async for items in pieces:
        found = [ContextItem(item.tenant, "conversations", item.id, item) for item in items]
        own = [each.value for each in checked(scope, found) if isinstance(each.value, Item)]
        sent = [item for each in own if (item := sent_item(each)) is not None]
        read += _size([dict(item.body) for item in items])
        held += _size(sent)
        if held > limit_bytes or read > _LOOKED_THROUGH * limit_bytes:
            raise _too_long(limit_bytes)
        before.append(sent)
    return [item for sent in (reversed(before) if newest_first else before) for item in sent]


async def _conversation(scope: TenantScope, stores: Stores, conversation_id: str) -> AsyncIterator[Sequence[Item]]:
    """The items of a conversation, some at a time."""
    count = 0
    after: str | None = None
    while True:
        try:
            page = await stores.conversations.items(scope, conversation_id, after=after, limit=_PAGE)
        except Missing:
            raise none_of_that_id("conversation") from None
        count += len(page.items)
        if count > _MOST_ITEMS:
            raise BadRequest("a conversation is too long", public_message="The conversation is too long.")
        yield page.items
        if not page.has_more:
            return
        after = page.items[-1].id


async def _chain(scope: TenantScope, stores: Stores, response_id: str) -> AsyncIterator[Sequence[Item]]:
    """What was said and answered up to an answer, by the ids of the answers before it: the last turn first."""
    count = 0
    following: str | None = response_id
    while following is not None:
        if count >= _LONGEST_CHAIN:
            raise BadRequest("a chain of answers is too long", public_message="Too many answers follow each other.")
        try:
            stored = await stores.responses.get(scope, following)
        except Missing:
            raise none_of_that_id("previous_response_id") from None
        said = [
            Item(str(item.get("id")), stored.created, {n: v for n, v in item.items() if n != "id"}, stored.tenant)
            for item in objects(stored.answer.get("output"))
        ]
        yield [*stored.input, *said]
        count += 1
        following = stored.previous


def _size(value: object) -> int:
    """How many bytes of JSON it has.

    Raises:
        BadRequest: it can't be written.
    """
    try:
        return len(orjson.dumps(value))
    except TypeError:
        raise malformed("the body is nested too deeply") from None


def _too_long(limit_bytes: int) -> PayloadTooLarge:
    message = "With what goes before it, the request has become too long."
    return PayloadTooLarge(f"with its context, a request has more than {limit_bytes} bytes", public_message=message)


def _responses(
    scope: TenantScope, stores: Stores, body: JsonObject, asked: Asked, before: Sequence[JsonObject]
) -> ResponsesTurn:
    own = _to_keep(scope, stores, body, asked)
    said = without_ids(body.get("input"))
    if before:
        said = [{"role": "user", "content": said}] if isinstance(said, str) else said
        body["input"] = [*before, *said] if isinstance(said, list) else [*before]
    elif said is not None:
        body["input"] = said
    return ResponsesTurn(scope, stores, asked, own, instructions=body.get("instructions"))


def _to_keep(scope: TenantScope, stores: Stores, body: JsonObject, asked: Asked) -> tuple[Item, ...]:
    """What of the request is kept with its answer.

    A request that is too large to be kept, and never asked for that, is answered all the same: with `store: false`.
    """
    try:
        own = stores.conversations.new_items(scope, items_of_input(body.get("input")))
        if asked.keeps:
            stores.responses.check_input(own)
    except PayloadTooLarge:
        if asked.insists or asked.conversation is not None:
            raise
        asked.keeps = False
        return ()
    return own


def _chat(scope: TenantScope, stores: Stores, body: JsonObject, asked: Asked, before: Sequence[JsonObject]) -> ChatTurn:
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise malformed("`messages` must be a list of objects")
    if body.get("n") not in (None, 1):
        raise malformed("with a `conversation` there is one answer, so `n` must be 1")
    own = stores.conversations.new_items(scope, items_of_messages(messages))
    behind = 0
    while behind < len(messages) and messages[behind].get("role") in INSTRUCTING:
        behind += 1
    body["messages"] = [*messages[:behind], *messages_of_items(before), *messages[behind:]]
    return ChatTurn(scope, stores, asked, own)


def _said(asked: Asked, count: int, found: Found | None) -> str:
    said = [f"{count} stored items go before the request" if count else "nothing stored goes before the request"]
    if found is not None:
        said.append(f"{len(found.hits)} passages were found for it")
    said.append("the answer is kept" if asked.keeps or asked.conversation is not None else "the answer is not kept")
    return "; ".join(said)
