"""Sessions: bound to a tenant and a user when they begin, and verified each time they are used.

Promises: a session's id is worth nothing in another tenant's or user's hands, and looks there as if it didn't exist.
All sessions of a tenant end at once, in one change.

Doesn't promise: to be a credential. A session narrows what a verified scope may continue; it never makes a scope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from partywall.errors import BadRequest, Conflict
from partywall.stores.collection import Collection, Drop, DropGroup, Group, Put
from partywall.stores.fields import Clock, members, new_id, number, owner_of, text
from partywall.tenancy import TenantScope

__all__ = ["Session", "Sessions"]

# One group for the whole tenant, so that ending all of them is one change. The user stands inside.
_ALL: Final = Group("session", ("all",))
_DEFAULT_TTL_SECONDS: Final = 8 * 3600.0
_LONGEST_TTL_SECONDS: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the caller's."""

    id: str
    created: float
    expires: float
    """Seconds since 1970."""


class Sessions:
    """The sessions of every tenant."""

    def __init__(self, collection: Collection, clock: Clock) -> None:
        self._records = collection
        self._clock = clock

    async def start(self, scope: TenantScope, *, ttl_seconds: float = _DEFAULT_TTL_SECONDS) -> Session:
        """Begin a session of the scope's tenant and user.

        Raises:
            BadRequest: no time to live, or more than 30 days.
        """
        if not (math.isfinite(ttl_seconds) and 0 < ttl_seconds <= _LONGEST_TTL_SECONDS):
            raise BadRequest("a session lives more than nothing and at most 30 days")
        now = self._clock()
        session = Session(new_id("sess"), now, now + ttl_seconds)
        body = {"owner": owner_of(scope), "created": session.created, "expires": session.expires}
        if not await self._records.commit(scope, [Put(_ALL, session.id, body)]):
            raise Conflict("a session's id was drawn twice")
        return session

    async def verify(self, scope: TenantScope, session_id: str) -> Session:
        """The session, if it is this tenant's and user's and hasn't ended.

        Raises:
            Missing: it never was, has ended or expired, or is somebody else's.
        """
        record = await self._records.get(scope, _ALL, session_id)
        body = members(record.body)
        session = Session(record.id, number(body, "created"), number(body, "expires"))
        if text(body, "owner") != owner_of(scope) or self._clock() >= session.expires:
            raise self._records.missing(scope)
        return session

    async def end(self, scope: TenantScope, session_id: str) -> None:
        """End a session.

        Raises:
            Missing: see `verify`.
        """
        await self.verify(scope, session_id)
        if not await self._records.commit(scope, [Drop(_ALL, session_id)]):
            raise self._records.missing(scope)

    async def end_all(self, scope: TenantScope) -> None:
        """End every session of the scope's tenant, all users' at once. Whoever may do so is for policy to say."""
        if await self._records.count(scope):  # where nothing was ever stored, ending it would make a key and a file
            await self._records.commit(scope, [DropGroup(_ALL)])
