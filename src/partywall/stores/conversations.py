"""Conversations of a tenant's users: created, appended to, read in order, listed, deleted.

Promises: a conversation is found by its id among those of the scope's tenant and user, and nowhere else. A message and
the counts beside it are written at once; deleting takes the conversation and all of its messages at once (R6). An id
of the caller's own is looked up inside the tenant and user; ids that begin with `conv_` are made here. Items that
are added together come together, or not at all.

Doesn't promise: to share a conversation between users of one tenant. That needs a policy which says who may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from partywall.errors import BadRequest, Conflict, QuotaExceeded
from partywall.stores.collection import Collection, Drop, DropGroup, Group, Put, StoreChange
from partywall.stores.fields import (
    ATTEMPTS,
    Clock,
    Page,
    check_metadata,
    check_text,
    check_word,
    members,
    new_id,
    number,
    owner_of,
    pause,
    text,
)
from partywall.stores.items import Item, Message, item_body, item_of, message_of, new_item, size_of
from partywall.stores.records import Record
from partywall.stores.sessions import Sessions
from partywall.stores.walls import authorise
from partywall.tenancy import TenantScope

__all__ = ["Conversation", "Conversations"]

_KIND: Final = "conv"
_LARGEST_MESSAGE_BYTES: Final = 2**20
_MOST_MESSAGES: Final = 100_000
_MOST_AT_ONCE: Final = 1000
_LARGEST_CONVERSATION_BYTES: Final = 64 * 2**20
_LARGEST_PAGE_BYTES: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of the caller's."""

    id: str
    """Made here: `conv_…`."""
    own_id: str | None
    """What the caller calls it."""
    created: float
    updated: float
    messages: int
    """How many items it has, whatever their type."""
    metadata: Mapping[str, str]
    bytes: int | None = 0
    """How many bytes of JSON its items have together; None when it was begun before that was counted."""


class Conversations:
    """The conversations of every tenant."""

    def __init__(self, collection: Collection, sessions: Sessions, clock: Clock) -> None:
        self._records = collection
        self._clock = clock
        self.sessions: Final = sessions
        """Sessions in which conversations are had."""

    async def create(
        self,
        scope: TenantScope,
        *,
        own_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        items: Sequence[Mapping[str, object]] = (),
    ) -> Conversation:
        """Begin a conversation, with items or without.

        Raises:
            BadRequest: an empty or overlong own id, or one that looks like ours; an item or metadata that are none.
            QuotaExceeded: more items than a conversation holds.
            Conflict: the caller has one of that own id.
        """
        if own_id is not None:
            _check_own(own_id)
        _check_count(len(items))
        made = self.new_items(scope, items)
        head = replace(self._new(own_id), metadata=check_metadata(metadata))
        head = _grown(scope, head, len(made), _size(made))
        changes = [*_beginning(scope, head), *(_added(head.id, item) for item in made)]
        if not await self._records.commit(scope, changes):
            raise Conflict(f"a user of `{scope.tenant}` has a conversation of that id already")
        return head

    async def update(
        self, scope: TenantScope, conversation_id: str, metadata: Mapping[str, str] | None
    ) -> Conversation:
        """Put other metadata in the place of a conversation's.

        Raises:
            Missing: there is no conversation of that id among the caller's.
            BadRequest: the metadata are none.
            Conflict: others change it at the same time.
        """
        check_metadata(metadata)
        for _ in range(ATTEMPTS):
            record = await self._get(scope, conversation_id)
            head = replace(_conversation(record), metadata=check_metadata(metadata), updated=self._clock())
            if await self._records.commit(scope, [_put_head(scope, head, record.revision)]):
                return head
            await pause()
        raise self._too_many(scope)

    async def append(self, scope: TenantScope, conversation_id: str, *, role: str, content: str) -> Message:
        """Add a message at the end. With an id of the caller's own, the first message begins the conversation.

        Raises:
            Missing: there is no conversation of that id among the caller's.
            BadRequest, PayloadTooLarge: a role or content that is empty or too large.
            QuotaExceeded: the conversation is full.
            Conflict: too many others append at the same time.
        """
        check_word(role, "a role")
        check_text(content, "a message", largest_bytes=_LARGEST_MESSAGE_BYTES)
        message = Message(new_id("msg"), role, content, self._clock())
        body = {"role": role, "content": content, "created": message.created}
        await self._append(
            scope,
            conversation_id,
            lambda head: [Put(_items(head), message.id, body)],
            count=1,
            size=size_of(body),
            begins=True,
        )
        return message

    async def append_items(
        self, scope: TenantScope, conversation_id: str, items: Sequence[Mapping[str, object]]
    ) -> tuple[Item, ...]:
        """Add items at the end of a conversation that is there, all of them at once and side by side.

        Raises:
            Missing: there is no conversation of that id among the caller's.
            BadRequest, PayloadTooLarge: no items, or an item that is none or too large.
            QuotaExceeded, Conflict: as `append`.
        """
        made = self.new_items(scope, items)
        if not made:
            raise BadRequest("there is nothing to add")
        await self.append_made(scope, conversation_id, made)
        return made

    async def append_made(
        self, scope: TenantScope, conversation_id: str, items: Sequence[Item], *, along: Sequence[StoreChange] = ()
    ) -> None:
        """As `append_items`, with items that have their ids already (`new_items`), and with what is stored along."""

        def added(head: str) -> list[StoreChange]:
            return [*(_added(head, item) for item in items), *along]

        await self._append(scope, conversation_id, added, count=len(items), size=_size(items), begins=False)

    def new_items(self, scope: TenantScope, items: Sequence[Mapping[str, object]]) -> tuple[Item, ...]:
        """Items as they would be kept, with their ids.

        Raises:
            BadRequest, PayloadTooLarge: one of them is no item, or too large.
        """
        authorise(scope)
        now = self._clock()
        return tuple(new_item(scope, item, created=now) for item in items)

    async def get(self, scope: TenantScope, conversation_id: str) -> Conversation:
        """The conversation.

        Raises:
            Missing: there is none of that id among the caller's.
        """
        return _conversation(await self._get(scope, conversation_id))

    async def messages(
        self,
        scope: TenantScope,
        conversation_id: str,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Message]:
        """Messages in order, oldest first or newest first, behind the one with the id `after`.

        Raises:
            Missing: there is no such conversation among the caller's, or no message `after` in it.
        """
        page = await self._page(scope, conversation_id, after, limit, backwards=backwards)
        return Page(tuple(message_of(found) for found in page.items), page.has_more)

    async def items(
        self,
        scope: TenantScope,
        conversation_id: str,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Item]:
        """As `messages`: the same, as items. A page has 4 MiB at most, or one item."""
        page = await self._page(scope, conversation_id, after, limit, backwards=backwards)
        return Page(tuple(item_of(found) for found in page.items), page.has_more)

    async def item(self, scope: TenantScope, conversation_id: str, item_id: str) -> Item:
        """One item of a conversation.

        Raises:
            Missing: there is no such conversation among the caller's, or no such item in it.
        """
        record = await self._get(scope, conversation_id)
        return item_of(await self._records.get(scope, _items(record.id), item_id))

    async def delete_item(self, scope: TenantScope, conversation_id: str, item_id: str) -> Conversation:
        """Delete one item of a conversation; returns the conversation.

        Raises:
            Missing: there is no such conversation among the caller's, or no such item in it.
            Conflict: others change it at the same time.
        """
        for _ in range(ATTEMPTS):
            record = await self._get(scope, conversation_id)
            item = await self._records.get(scope, _items(record.id), item_id)
            head = _conversation(record)
            left = None if head.bytes is None else max(head.bytes - size_of(item.body), 0)
            head = replace(head, messages=head.messages - 1, bytes=left, updated=self._clock())
            changes: list[StoreChange] = [_put_head(scope, head, record.revision), Drop(_items(head.id), item_id)]
            if await self._records.commit(scope, changes):
                return head
            await pause()
        raise self._too_many(scope)

    async def list_own(
        self, scope: TenantScope, *, after: str | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[Conversation]:
        """The caller's conversations as they were begun, or the other way round, behind the one with our id `after`.

        Raises:
            Missing: there is no conversation `after` among the caller's.
        """
        page = await self._records.page(scope, _heads(scope), after=after, limit=limit, backwards=backwards)
        return Page(tuple(_conversation(found) for found in page.items), page.has_more)

    async def delete(self, scope: TenantScope, conversation_id: str) -> None:
        """Delete a conversation with all of its messages, at once.

        Raises:
            Missing: there is none of that id among the caller's.
        """
        head = _conversation(await self._get(scope, conversation_id))
        # INVARIANT: `append` replaces the head in the same change that adds a message, so none comes behind this.
        changes: list[StoreChange] = [Drop(_heads(scope), head.id), DropGroup(_items(head.id))]
        if head.own_id is not None:
            changes.append(Drop(_own_ids(scope), head.own_id))
        if not await self._records.commit(scope, changes):
            raise self._records.missing(scope)  # somebody else deleted it in the same moment

    # -- Steps ---

    async def _get(self, scope: TenantScope, conversation_id: str) -> Record:
        record = await self._find(scope, conversation_id)
        if record is None:
            raise self._records.missing(scope)
        return record

    async def _find(self, scope: TenantScope, conversation_id: str) -> Record | None:
        if not _is_ours(conversation_id):
            named = await self._records.find(scope, _own_ids(scope), conversation_id)
            if named is None:
                return None
            conversation_id = text(members(named.body), "conversation")
        return await self._records.find(scope, _heads(scope), conversation_id)

    async def _page(
        self, scope: TenantScope, conversation_id: str, after: str | None, limit: int, *, backwards: bool
    ) -> Page[Record]:
        head = _conversation(await self._get(scope, conversation_id))
        is_small = head.bytes is not None and head.bytes <= _LARGEST_PAGE_BYTES
        most = None if is_small else _LARGEST_PAGE_BYTES
        return await self._records.page(
            scope, _items(head.id), after=after, limit=limit, backwards=backwards, most_bytes=most
        )

    async def _append(
        self,
        scope: TenantScope,
        conversation_id: str,
        added: Callable[[str], Sequence[StoreChange]],
        *,
        count: int,
        size: int,
        begins: bool,
    ) -> None:
        """Make the changes that `added` names for a conversation's own id, and count them."""
        _check_count(count)
        for _ in range(ATTEMPTS):
            record = await self._find(scope, conversation_id)
            if record is None:
                if not begins or _is_ours(conversation_id):
                    raise self._records.missing(scope)
                head = _grown(scope, self._new(_check_own(conversation_id)), count, size)
                changes = _beginning(scope, head)
            else:
                head = replace(_grown(scope, _conversation(record), count, size), updated=self._clock())
                changes = [_put_head(scope, head, record.revision)]
            if await self._records.commit(scope, [*changes, *added(head.id)]):
                return
            await pause()
        raise self._too_many(scope)

    def _too_many(self, scope: TenantScope) -> Conflict:
        return Conflict(f"a conversation of `{scope.tenant}` is changed by too many at once")

    def _new(self, own_id: str | None) -> Conversation:
        now = self._clock()
        return Conversation(new_id(_KIND), own_id, now, now, 0, {})


def _check_count(count: int) -> None:
    if count > _MOST_AT_ONCE:
        raise BadRequest(f"at most {_MOST_AT_ONCE} items are added at once")


def _size(items: Sequence[Item]) -> int:
    return sum(size_of(item_body(item)) for item in items)


def _grown(scope: TenantScope, head: Conversation, count: int, size: int) -> Conversation:
    """The conversation with so many more items of so many bytes.

    Raises:
        QuotaExceeded: it would be fuller than one may be.
    """
    messages, size = head.messages + count, (head.bytes or 0) + size
    if messages > _MOST_MESSAGES or size > _LARGEST_CONVERSATION_BYTES:
        raise QuotaExceeded(f"a conversation of `{scope.tenant}` would hold {messages} items of {size} bytes")
    return replace(head, messages=messages, bytes=None if head.bytes is None else size)


def _is_ours(conversation_id: str) -> bool:
    check_word(conversation_id, "a conversation's id")
    return conversation_id.startswith(f"{_KIND}_")


def _check_own(own_id: str) -> str:
    if _is_ours(own_id):
        raise BadRequest(f"ids that begin with `{_KIND}_` are made here")
    return own_id


def _heads(scope: TenantScope) -> Group:
    return Group("head", (owner_of(scope),))


def _own_ids(scope: TenantScope) -> Group:
    return Group("own id", (owner_of(scope),))


def _items(conversation_id: str) -> Group:
    return Group("message", (conversation_id,))


def _beginning(scope: TenantScope, head: Conversation) -> list[StoreChange]:
    changes: list[StoreChange] = [_put_head(scope, head, 0)]
    if head.own_id is not None:
        changes.append(Put(_own_ids(scope), head.own_id, {"conversation": head.id}))
    return changes


def _added(conversation_id: str, item: Item) -> Put:
    return Put(_items(conversation_id), item.id, item_body(item))


def _put_head(scope: TenantScope, head: Conversation, revision: int) -> Put:
    body = {
        "own_id": head.own_id,
        "created": head.created,
        "updated": head.updated,
        "messages": head.messages,
        "bytes": head.bytes,
        "metadata": dict(head.metadata),
    }
    return Put(_heads(scope), head.id, body, revision)


def _conversation(record: Record) -> Conversation:
    body = members(record.body)
    own_id = None if body.get("own_id") is None else text(body, "own_id")
    metadata = members(body.get("metadata", {}))
    return Conversation(
        record.id,
        own_id,
        number(body, "created"),
        number(body, "updated"),
        int(number(body, "messages")),
        {name: text(metadata, name) for name in metadata},
        None if body.get("bytes") is None else int(number(body, "bytes")),
    )
