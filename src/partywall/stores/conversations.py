"""Conversations of a tenant's users: created, appended to, read in order, listed, deleted.

Promises: a conversation is found by its id among those of the scope's tenant and user, and nowhere else. A message and
the count beside it are written at once; deleting takes the conversation and all of its messages at once (R6). An id
of the caller's own is looked up inside the tenant and user; ids that begin with `conv_` are made here.

Doesn't promise: to share a conversation between users of one tenant. That needs a policy which says who may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from partywall.errors import BadRequest, Conflict, QuotaExceeded
from partywall.stores.collection import Collection, Drop, DropGroup, Group, Put, StoreChange
from partywall.stores.fields import (
    ATTEMPTS,
    Clock,
    Page,
    check_text,
    check_word,
    members,
    new_id,
    number,
    owner_of,
    pause,
    text,
)
from partywall.stores.records import Record
from partywall.stores.sessions import Sessions
from partywall.tenancy import TenantScope

__all__ = ["Conversation", "Conversations", "Message"]

_KIND: Final = "conv"
_LARGEST_MESSAGE_BYTES: Final = 2**20
_MOST_MESSAGES: Final = 100_000


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


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    id: str
    role: str
    content: str
    created: float


class Conversations:
    """The conversations of every tenant."""

    def __init__(self, collection: Collection, sessions: Sessions, clock: Clock) -> None:
        self._records = collection
        self._clock = clock
        self.sessions: Final = sessions
        """Sessions in which conversations are had."""

    async def create(self, scope: TenantScope, *, own_id: str | None = None) -> Conversation:
        """Begin a conversation.

        Raises:
            BadRequest: an empty or overlong own id, or one that looks like ours.
            Conflict: the caller has one of that own id.
        """
        if own_id is not None:
            _check_own(own_id)
        head = self._new(own_id)
        if not await self._records.commit(scope, _beginning(scope, head)):
            raise Conflict(f"a user of `{scope.tenant}` has a conversation of that id already")
        return head

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
        for _ in range(ATTEMPTS):
            message = Message(new_id("msg"), role, content, self._clock())
            record = await self._find(scope, conversation_id)
            if await self._records.commit(scope, self._added(scope, conversation_id, record, message)):
                return message
            await pause()
        raise Conflict(f"a conversation of `{scope.tenant}` is appended to by too many at once")

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
        record = await self._get(scope, conversation_id)
        page = await self._records.page(scope, _messages(record.id), after=after, limit=limit, backwards=backwards)
        return Page(tuple(_message(found) for found in page.items), page.has_more)

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
        changes: list[StoreChange] = [Drop(_heads(scope), head.id), DropGroup(_messages(head.id))]
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

    def _added(
        self, scope: TenantScope, conversation_id: str, record: Record | None, message: Message
    ) -> list[StoreChange]:
        """What changes when a message is added to a conversation, or begins it."""
        if record is None:
            if _is_ours(conversation_id):
                raise self._records.missing(scope)
            head = self._new(_check_own(conversation_id))
            return [*_beginning(scope, head, messages=1), _appended(head.id, message)]
        head = _conversation(record)
        if head.messages >= _MOST_MESSAGES:
            raise QuotaExceeded(f"a conversation of `{scope.tenant}` holds {head.messages} messages")
        body = _head_body(head, messages=head.messages + 1, updated=message.created)
        return [Put(_heads(scope), head.id, body, record.revision), _appended(head.id, message)]

    def _new(self, own_id: str | None) -> Conversation:
        now = self._clock()
        return Conversation(new_id(_KIND), own_id, now, now, 0)


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


def _messages(conversation_id: str) -> Group:
    return Group("message", (conversation_id,))


def _beginning(scope: TenantScope, head: Conversation, *, messages: int = 0) -> list[StoreChange]:
    changes: list[StoreChange] = [
        Put(_heads(scope), head.id, _head_body(head, messages=messages, updated=head.updated))
    ]
    if head.own_id is not None:
        changes.append(Put(_own_ids(scope), head.own_id, {"conversation": head.id}))
    return changes


def _appended(conversation_id: str, message: Message) -> Put:
    body = {"role": message.role, "content": message.content, "created": message.created}
    return Put(_messages(conversation_id), message.id, body)


def _head_body(head: Conversation, *, messages: int, updated: float) -> dict[str, object]:
    return {"own_id": head.own_id, "created": head.created, "updated": updated, "messages": messages}


def _conversation(record: Record) -> Conversation:
    body = members(record.body)
    own_id = None if body.get("own_id") is None else text(body, "own_id")
    return Conversation(
        record.id, own_id, number(body, "created"), number(body, "updated"), int(number(body, "messages"))
    )


def _message(record: Record) -> Message:
    body = members(record.body)
    return Message(record.id, text(body, "role"), text(body, "content"), number(body, "created"))
