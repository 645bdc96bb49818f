"""Files of a tenant: bytes as they were handed over, under an id that is of use to this tenant alone.

Promises: a file is there with all of its bytes or not at all. Deleting one takes it out of every collection that holds
a document made of it, at once (R6).
"""

from __future__ import annotations

import asyncio
import base64
from typing import Final

from partywall.errors import BadRequest, PayloadTooLarge, StoreUnavailable
from partywall.stores.collection import Put, StoreChange
from partywall.stores.documents import places
from partywall.stores.documents.books import Attempt, Books, Stored
from partywall.stores.documents.kinds import File, Limits
from partywall.stores.documents.staging import Stage, sweep
from partywall.stores.fields import Page, check_word, members, text
from partywall.stores.walls import authorise
from partywall.tenancy import TenantScope

__all__ = ["Files", "check_data", "stage_file"]

_BLOCK_BYTES: Final = 2 * 2**20
_PAGE: Final = 100


class Files:
    """The files of every tenant."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def create(self, scope: TenantScope, *, name: str, data: bytes, purpose: str = "assistants") -> File:
        """Keep a file.

        Raises:
            BadRequest: an empty or overlong name or purpose, or no bytes.
            PayloadTooLarge: the file is too large.
            QuotaExceeded: the tenant's files are too many, or too large together.
            Conflict: too many others write at the same time.
        """
        authorise(scope)
        check_word(name, "a file's name")
        check_word(purpose, "a file's purpose")
        check_data(data, self._books.limits)
        (await self._books.usage(scope)).plus(files=1, size=len(data)).check(scope, self._books.limits)
        await sweep(self._books, scope)
        stage = Stage(self._books, scope)
        try:
            stored = await stage_file(self._books, stage, name=name, data=data, purpose=purpose)

            async def attempt() -> Attempt[File]:
                usage = (await self._books.usage(scope)).plus(files=1, size=len(data))
                return [stored.put(), usage.check(scope, self._books.limits).put(), *stage.end()], stored.seen()

            return await self._books.change(scope, attempt)
        except BaseException:  # a caller that leaves, too
            await stage.give_up()
            raise

    async def get(self, scope: TenantScope, file_id: str) -> File:
        """The file, without its bytes.

        Raises:
            Missing: there is none of that id.
        """
        return (await self._books.file(scope, file_id)).seen()

    async def content(self, scope: TenantScope, file_id: str) -> bytes:
        """The file's bytes.

        Raises:
            Missing: there is none of that id.
            StoreUnavailable: some of them are gone.
        """
        stored = await self._books.file(scope, file_id)
        parts = []
        for number in range(stored.blocks):
            block = await self._books.records.find(scope, places.blocks(stored.id), str(number))
            if block is not None:
                parts.append(base64.b64decode(text(members(block.body), "data")))
        data = b"".join(parts)
        if len(data) != stored.bytes:
            await self._books.file(scope, file_id)  # Missing, if it was deleted meanwhile
            raise StoreUnavailable(f"some of a file of `{scope.tenant}` is gone")
        return data

    async def list_own(
        self,
        scope: TenantScope,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
        purpose: str | None = None,
    ) -> Page[File]:
        """The tenant's files as they came, or the other way round, behind the one with the id `after`.

        Raises:
            Missing: there is no file `after`.
            BadRequest: an empty purpose. It would not mean every purpose.
        """
        if purpose is not None:
            check_word(purpose, "a file's purpose")
        found: list[File] = []
        while True:
            page = await self._books.records.page(
                scope, places.FILES, after=after, limit=limit if purpose is None else _PAGE, backwards=backwards
            )
            files = [Stored.of(record).seen() for record in page.items]
            found += [file for file in files if purpose in {None, file.purpose}]
            if len(found) > limit or not page.has_more or purpose is None:
                return Page(tuple(found[:limit]), page.has_more or len(found) > limit)
            after = files[-1].id

    async def delete(self, scope: TenantScope, file_id: str) -> None:
        """Delete a file, and every document that was made of it.

        Raises:
            Missing: there is none of that id.
            Conflict: too many others write at the same time.
        """

        async def attempt() -> Attempt[None]:
            stored = await self._books.file(scope, file_id)
            usage = await self._books.usage(scope)
            changes = stored.removal()
            chunks = 0
            for collection in stored.collections:
                kept = await self._books.document(scope, collection, stored.id)
                head, _ = await self._books.open(scope, collection)
                changes += [*kept.removal(head), head.without(kept).put()]
                chunks += kept.chunks
            changes.append(usage.plus(files=-1, size=-stored.bytes, chunks=-chunks).put())
            return changes, None

        await self._books.change(scope, attempt)


def check_data(data: bytes, limits: Limits) -> None:
    """Refuse a file without bytes, or with too many.

    Raises:
        BadRequest, PayloadTooLarge: it is one.
    """
    if type(data) is not bytes or not data:
        raise BadRequest("a file has bytes", public_message="The file is empty.")
    if len(data) > limits.file_bytes:
        raise PayloadTooLarge(
            f"a file has {len(data)} bytes; at most {limits.file_bytes} are kept",
            public_message=f"The file is too large; at most {limits.file_bytes} bytes are kept.",
        )


async def stage_file(
    books: Books, stage: Stage, *, name: str, data: bytes, purpose: str, added_to: str | None = None
) -> Stored:
    """Store a file's bytes; the record that makes them a file is to be put with the last change."""
    file_id = f"file_{stage.id}"
    starts = range(0, len(data), _BLOCK_BYTES)
    for number, start in enumerate(starts):
        block = base64.b64encode(data[start : start + _BLOCK_BYTES]).decode()
        changes: list[StoreChange] = [Put(places.blocks(file_id), str(number), {"data": block})]
        await stage.write(changes)
        await asyncio.sleep(0)
    return Stored(file_id, name, len(data), purpose, books.clock(), len(starts), added_to)
