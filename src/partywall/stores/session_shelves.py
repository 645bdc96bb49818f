"""Where sessions lie: among the tenant's records, or in a backend of values that several gateways share.

Promises (of both; tests/stores/test_sessions.py holds them to it): a session is found under the tenant that began it,
until its time is over. When all are dropped, none of them is found by any process from then on, in one change.

Doesn't promise: that values outlive their engine. A session that is gone has ended; one that has ended never returns.
"""

from __future__ import annotations

from typing import Final, Protocol

from partywall.errors import Conflict
from partywall.stores.collection import Collection, Drop, DropGroup, Group, Put
from partywall.stores.fields import ATTEMPTS, members, new_id, text
from partywall.stores.sealed_values import SealedValues
from partywall.tenancy import TenantScope

__all__ = ["LONGEST_TTL_SECONDS", "RecordShelf", "SessionShelf", "ValueShelf"]

LONGEST_TTL_SECONDS: Final = 30 * 86_400.0
_PURPOSE: Final = "session"
# One group for the whole tenant, so that ending all of them is one change. The user stands inside.
_ALL: Final = Group(_PURPOSE, ("all",))
_EPOCH: Final = "session epoch"
_CURRENT: Final = "current"
_EPOCH_SECONDS: Final = 365 * 86_400.0


class SessionShelf(Protocol):
    """What `Sessions` asks of a place. Each call raises KeyUnavailable and StoreUnavailable when it can't be had."""

    async def put(self, scope: TenantScope, session_id: str, body: dict[str, object], *, ttl_seconds: float) -> None:
        """Keep a session of a fresh id for so long. Raises Conflict: it isn't kept."""

    async def find(self, scope: TenantScope, session_id: str) -> object | None:
        """What was put under that id of the scope's tenant, unless it was dropped."""

    async def drop(self, scope: TenantScope, session_id: str) -> None:
        """Drop one; none is fine."""

    async def drop_all(self, scope: TenantScope) -> None:
        """Drop all of the scope's tenant, for everybody, at once."""


class RecordShelf:
    """Among the tenant's records."""

    def __init__(self, collection: Collection) -> None:
        self._records = collection

    async def put(self, scope: TenantScope, session_id: str, body: dict[str, object], *, ttl_seconds: float) -> None:  # noqa: ARG002 - rows have no time; `Sessions` looks at the clock
        """See `SessionShelf`."""
        if not await self._records.commit(scope, [Put(_ALL, session_id, body)]):
            raise Conflict("a session's id was drawn twice")

    async def find(self, scope: TenantScope, session_id: str) -> object | None:
        """See `SessionShelf`."""
        record = await self._records.find(scope, _ALL, session_id)
        return None if record is None else record.body

    async def drop(self, scope: TenantScope, session_id: str) -> None:
        """See `SessionShelf`."""
        await self._records.commit(scope, [Drop(_ALL, session_id)])

    async def drop_all(self, scope: TenantScope) -> None:
        """See `SessionShelf`."""
        if await self._records.count(scope):  # where nothing was ever stored, this would make a key and a file
            await self._records.commit(scope, [DropGroup(_ALL)])


class ValueShelf:
    """In a backend of values.

    Each session carries its tenant's epoch, a random word. A new epoch ends all sessions that carry another, by one
    put; and an engine that lost the epoch has ended them all, so nothing that it forgets lets anybody in.
    """

    def __init__(self, values: SealedValues) -> None:
        self._values = values

    async def put(self, scope: TenantScope, session_id: str, body: dict[str, object], *, ttl_seconds: float) -> None:
        """See `SessionShelf`."""
        epoch = await self._epoch(scope)
        for _ in range(ATTEMPTS):
            epoch = epoch or await self._new_epoch(scope)
            whole = {**body, "epoch": epoch}
            await self._values.put(scope, _PURPOSE, session_id, whole, ttl_seconds=ttl_seconds)
            # Another may have begun an epoch meanwhile: two first sessions at once, or all were ended.
            before, epoch = epoch, await self._epoch(scope)
            if epoch == before:
                return
        raise Conflict("sessions of this tenant are being ended all the time")

    async def find(self, scope: TenantScope, session_id: str) -> object | None:
        """See `SessionShelf`."""
        record = await self._values.find(scope, _PURPOSE, session_id)
        # INVARIANT: the epoch is asked for after the session, and whatever the session says, so an end that came
        # before this question is seen, and a session that isn't there costs the same work.
        epoch = await self._epoch(scope)
        if record is None or epoch is None or text(members(record.body), "epoch") != epoch:
            return None
        return record.body

    async def drop(self, scope: TenantScope, session_id: str) -> None:
        """See `SessionShelf`."""
        await self._values.drop(scope, _PURPOSE, session_id)

    async def drop_all(self, scope: TenantScope) -> None:
        """See `SessionShelf`. What lies there afterwards is dead and goes when its time is over."""
        await self._new_epoch(scope)

    async def _epoch(self, scope: TenantScope) -> str | None:
        record = await self._values.find(scope, _EPOCH, _CURRENT)
        return None if record is None else text(members(record.body), "epoch")

    async def _new_epoch(self, scope: TenantScope) -> str:
        epoch = new_id("epoch")
        await self._values.put(scope, _EPOCH, _CURRENT, {"epoch": epoch}, ttl_seconds=_EPOCH_SECONDS)
        return epoch
