"""Agent memory: notes that an agent keeps for one of a tenant's users, found again by id, in order, or by tag.

Promises: a note belongs to a tenant, user and agent, and is found for these alone. A tag is matched whole and byte for
byte, through a keyed hash; the backend sees no tag and no filter (R5, R7). A note and its tags come and go at once.

Doesn't promise: search by meaning, or by a part of a tag.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from partywall.tenancy import TenantScope

__all__ = ["Memory", "Note"]

_LARGEST_NOTE_BYTES: Final = 256 * 2**10
_MOST_TAGS: Final = 32
_MOST_NOTES: Final = 100_000
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Note:
    """One note."""

    id: str
    text: str
    tags: tuple[str, ...]
    created: float


class Memory:
    """The notes of every tenant's agents."""

    def __init__(self, collection: Collection, clock: Clock) -> None:
        self._records = collection
        self._clock = clock

    async def add(self, scope: TenantScope, agent: str, note: str, *, tags: Sequence[str] = ()) -> Note:
        """Keep a note.

        Raises:
            BadRequest, PayloadTooLarge: an empty or overlong agent, note or tag, or too many tags.
            QuotaExceeded: the agent's memory for this user is full.
            Conflict: too many others write at the same time.
        """
        check_word(agent, "an agent's name")
        check_text(note, "a note", largest_bytes=_LARGEST_NOTE_BYTES)
        made = Note(new_id("mem"), note, _checked_tags(tags), self._clock())
        places = _Places(scope, agent)
        for _ in range(ATTEMPTS):
            head = await self._records.find(scope, places.heads, agent)
            held = _held(head)
            if held >= _MOST_NOTES:
                raise QuotaExceeded(f"an agent of `{scope.tenant}` keeps {held} notes for one user")
            body = {"text": made.text, "tags": list(made.tags), "created": made.created}
            changes: list[StoreChange] = [_counted(places, head, held + 1), Put(places.notes, made.id, body)]
            changes += [Put(places.tagged(tag), made.id, {"note": made.id}) for tag in made.tags]
            if await self._records.commit(scope, changes):
                return made
            await pause()
        raise Conflict(f"the memory of an agent of `{scope.tenant}` changes too fast")

    async def get(self, scope: TenantScope, agent: str, note_id: str) -> Note:
        """The note.

        Raises:
            Missing: there is none of that id for this tenant, user and agent.
        """
        check_word(agent, "an agent's name")
        return _note(await self._records.get(scope, _Places(scope, agent).notes, note_id))

    async def list_notes(
        self, scope: TenantScope, agent: str, *, after: str | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[Note]:
        """The notes in the order of their making, or the other way round, behind the one with the id `after`.

        Raises:
            Missing: there is no note `after`.
        """
        check_word(agent, "an agent's name")
        places = _Places(scope, agent)
        page = await self._records.page(scope, places.notes, after=after, limit=limit, backwards=backwards)
        return Page(tuple(_note(record) for record in page.items), page.has_more)

    async def search(
        self,
        scope: TenantScope,
        agent: str,
        tag: str,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Note]:
        """The notes that have exactly this tag, in order, behind the one with the id `after`.

        Raises:
            BadRequest: an empty tag. It would not mean every note.
            Missing: there is no note `after` with this tag.
        """
        check_word(agent, "an agent's name")
        check_word(tag, "a tag")
        places = _Places(scope, agent)
        page = await self._records.page(scope, places.tagged(tag), after=after, limit=limit, backwards=backwards)
        found = [
            await self._records.find(scope, places.notes, text(members(record.body), "note")) for record in page.items
        ]
        notes = tuple(_note(record) for record in found if record is not None)  # forgotten meanwhile
        return Page(notes, page.has_more)

    async def forget(self, scope: TenantScope, agent: str, note_id: str) -> None:
        """Delete a note with its tags.

        Raises:
            Missing: see `get`.
            Conflict: too many others write at the same time.
        """
        check_word(agent, "an agent's name")
        places = _Places(scope, agent)
        for _ in range(ATTEMPTS):
            note = _note(await self._records.get(scope, places.notes, note_id))
            head = await self._records.find(scope, places.heads, agent)
            changes: list[StoreChange] = [_counted(places, head, _held(head) - 1), Drop(places.notes, note.id)]
            changes += [Drop(places.tagged(tag), note.id) for tag in note.tags]
            if await self._records.commit(scope, changes):
                return
            await pause()
        raise Conflict(f"the memory of an agent of `{scope.tenant}` changes too fast")

    async def forget_all(self, scope: TenantScope, agent: str) -> None:
        """Delete everything that this agent keeps for this user, at once; nothing is fine.

        Raises:
            Conflict: too many others write at the same time.
        """
        check_word(agent, "an agent's name")
        places = _Places(scope, agent)
        for _ in range(ATTEMPTS):
            head = await self._records.find(scope, places.heads, agent)
            if head is None:
                return
            tags = await self._tags(scope, agent)
            # The head's revision is checked: a note added meanwhile would leave its tags behind (R6).
            changes: list[StoreChange] = [Drop(places.heads, agent, head.revision), DropGroup(places.notes)]
            changes += [DropGroup(places.tagged(tag)) for tag in sorted(tags)]
            if await self._records.commit(scope, changes):
                return
            await pause()
        raise Conflict(f"the memory of an agent of `{scope.tenant}` changes too fast")

    async def _tags(self, scope: TenantScope, agent: str) -> set[str]:
        tags: set[str] = set()
        after: str | None = None
        while True:
            page = await self.list_notes(scope, agent, after=after, limit=_PAGE)
            tags.update(tag for note in page.items for tag in note.tags)
            if not page.has_more:
                return tags
            after = page.items[-1].id


class _Places:
    """Where the notes of one user and agent lie."""

    __slots__ = ("_owner_and_agent", "heads", "notes")

    def __init__(self, scope: TenantScope, agent: str) -> None:
        owner = owner_of(scope)
        self._owner_and_agent = (owner, agent)
        self.heads = Group("agent", (owner,))
        self.notes = Group("note", self._owner_and_agent)

    def tagged(self, tag: str) -> Group:
        return Group("tag", (*self._owner_and_agent, tag))


def _counted(places: _Places, head: Record | None, notes: int) -> Put:
    """The agent's head, written with each change so that changes meet there and nowhere else."""
    agent = places.notes.parts[1]
    return Put(places.heads, agent, {"notes": notes}, 0 if head is None else head.revision)


def _held(head: Record | None) -> int:
    return 0 if head is None else int(number(members(head.body), "notes"))


def _checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or len(tags) > _MOST_TAGS:
        raise BadRequest(f"tags are a list of at most {_MOST_TAGS} texts")
    return tuple(dict.fromkeys(check_word(tag, "a tag") for tag in tags))


def _note(record: Record) -> Note:
    body = members(record.body)
    tags = body.get("tags")
    found = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return Note(record.id, text(body, "text"), found, number(body, "created"))
