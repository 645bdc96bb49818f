"""Sessions: bound to a tenant and a user when they begin, and verified each time they are used.

Promises: a session's id is worth nothing in another tenant's or user's hands, and looks there as if it didn't exist.
All sessions of a tenant end at once, in one change.

Doesn't promise: to be a credential. A session narrows what a verified scope may continue; it never makes a scope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from partywall.errors import BadRequest, Missing
from partywall.stores.fields import Clock, check_word, members, new_id, number, owner_of, text
from partywall.stores.session_shelves import LONGEST_TTL_SECONDS, SessionShelf
from partywall.tenancy import TenantScope

__all__ = ["Session", "Sessions"]

_DEFAULT_TTL_SECONDS: Final = 8 * 3600.0


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the caller's."""

    id: str
    created: float
    expires: float
    """Seconds since 1970."""


class Sessions:
    """The sessions of every tenant."""

    def __init__(self, shelf: SessionShelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    async def start(self, scope: TenantScope, *, ttl_seconds: float = _DEFAULT_TTL_SECONDS) -> Session:
        """Begin a session of the scope's tenant and user.

        Raises:
            BadRequest: no time to live, or more than 30 days.
        """
        if not (math.isfinite(ttl_seconds) and 0 < ttl_seconds <= LONGEST_TTL_SECONDS):
            raise BadRequest("a session lives more than nothing and at most 30 days")
        now = self._clock()
        session = Session(new_id("sess"), now, now + ttl_seconds)
        body = {"owner": owner_of(scope), "created": session.created, "expires": session.expires}
        await self._shelf.put(scope, session.id, body, ttl_seconds=ttl_seconds)
        return session

    async def verify(self, scope: TenantScope, session_id: str) -> Session:
        """The session, if it is this tenant's and user's and hasn't ended.

        Raises:
            Missing: it never was, has ended or expired, or is somebody else's.
        """
        check_word(session_id, "a session's id")
        found = await self._shelf.find(scope, session_id)
        if found is None:
            raise _missing(scope)
        body = members(found)
        session = Session(session_id, number(body, "created"), number(body, "expires"))
        if text(body, "owner") != owner_of(scope) or self._clock() >= session.expires:
            raise _missing(scope)
        return session

    async def end(self, scope: TenantScope, session_id: str) -> None:
        """End a session.

        Raises:
            Missing: see `verify`.
        """
        await self.verify(scope, session_id)
        await self._shelf.drop(scope, session_id)

    async def end_all(self, scope: TenantScope) -> None:
        """End every session of the scope's tenant, all users' at once. Whoever may do so is for policy to say."""
        await self._shelf.drop_all(scope)


def _missing(scope: TenantScope) -> Missing:
    """The one refusal for what isn't there and for what isn't the caller's."""
    return Missing(f"no such session of `{scope.tenant}`")
