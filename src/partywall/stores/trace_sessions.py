"""Trace sessions: what an application records of a session's course, by tenant and session.

Promises: a session's name means something inside its tenant only (R9, C45): two tenants that use one name have two
sessions. An event and the count beside it are written at once, and a session goes with all of its events.

Doesn't promise: to keep the users of one tenant apart. A trace is the tenant's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from partywall.errors import BadRequest, Conflict, QuotaExceeded
from partywall.stores.collection import Collection, Drop, DropGroup, Group, Put
from partywall.stores.fields import ATTEMPTS, Clock, Page, check_word, members, new_id, number, pause
from partywall.tenancy import TenantScope

__all__ = ["TraceEvent", "TraceSession", "TraceSessions"]

_HEADS: Final = Group("trace session", ("all",))
_MOST_EVENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class TraceSession:
    """A session of the tenant's."""

    name: str
    began: float
    events: int


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One event."""

    id: str
    time: float
    data: Mapping[str, object]


class TraceSessions:
    """The trace sessions of every tenant."""

    def __init__(self, collection: Collection, clock: Clock) -> None:
        self._records = collection
        self._clock = clock

    async def record(self, scope: TenantScope, session: str, data: Mapping[str, object]) -> TraceEvent:
        """Add an event; the first one begins the session.

        Raises:
            BadRequest, PayloadTooLarge: an empty or overlong name, or data that is no JSON or too large.
            QuotaExceeded: the session is full.
            Conflict: too many others record at the same time.
        """
        check_word(session, "a session's name")
        if not isinstance(data, Mapping):
            raise BadRequest("an event is a mapping")
        event = TraceEvent(new_id("evt"), self._clock(), dict(data))
        for _ in range(ATTEMPTS):
            head = await self._records.find(scope, _HEADS, session)
            body = {"began": event.time, "events": 0} if head is None else dict(members(head.body))
            events = int(number(body, "events"))
            if events >= _MOST_EVENTS:
                raise QuotaExceeded(f"a trace session of `{scope.tenant}` holds {events} events")
            changes = [
                Put(_HEADS, session, {**body, "events": events + 1}, 0 if head is None else head.revision),
                Put(_events(session), event.id, {"time": event.time, "data": dict(data)}),
            ]
            if await self._records.commit(scope, changes):
                return event
            await pause()
        raise Conflict(f"a trace session of `{scope.tenant}` changes too fast")

    async def events(
        self, scope: TenantScope, session: str, *, after: str | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[TraceEvent]:
        """The events in order, or the other way round, behind the one with the id `after`.

        Raises:
            Missing: the tenant has no such session, or no event `after` in it.
        """
        check_word(session, "a session's name")
        await self._records.get(scope, _HEADS, session)
        page = await self._records.page(scope, _events(session), after=after, limit=limit, backwards=backwards)
        found = [(record.id, members(record.body)) for record in page.items]
        events = (TraceEvent(name, number(body, "time"), members(body.get("data"))) for name, body in found)
        return Page(tuple(events), page.has_more)

    async def list_sessions(
        self, scope: TenantScope, *, after: str | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[TraceSession]:
        """The tenant's sessions as they began, or the other way round, behind the one named `after`.

        Raises:
            Missing: the tenant has no session `after`.
        """
        page = await self._records.page(scope, _HEADS, after=after, limit=limit, backwards=backwards)
        found = [(record.id, members(record.body)) for record in page.items]
        sessions = (TraceSession(name, number(body, "began"), int(number(body, "events"))) for name, body in found)
        return Page(tuple(sessions), page.has_more)

    async def delete(self, scope: TenantScope, session: str) -> None:
        """Delete a session with all of its events, at once.

        Raises:
            Missing: the tenant has no such session.
        """
        check_word(session, "a session's name")
        # INVARIANT: `record` replaces the head in the same change that adds an event, so none comes behind this.
        if not await self._records.commit(scope, [Drop(_HEADS, session), DropGroup(_events(session))]):
            raise self._records.missing(scope)


def _events(session: str) -> Group:
    return Group("trace event", (session,))
