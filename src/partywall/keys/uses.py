"""What is recorded of a key's use, and counting uses at next to no cost.

    {"operation": "open", "tenant": "alpha", "store": "memory", "service": "gateway", "requestor": "key:0123456789ab",
     "key_version": 2, "count": 41, "first": 1767225600.1, "last": 1767225600.9, "detail": ""}

Promises: each use of a key is in exactly one record: those of one second, store, operation, requestor and key version
are one line with a count and the times of the first and the last. A record holds ids, never content.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from partywall.keys.strict import Fields, parse
from partywall.tenancy import TenantId

__all__ = ["KeyUse", "Operation", "Tallies", "Tally"]


class Operation(StrEnum):
    """What was done with a key."""

    SEAL = "seal"
    OPEN = "open"
    INDEX = "index"
    UNWRAP = "unwrap"
    """The root gave the tenant's key to this process."""
    CREATE = "create"
    ROTATE = "rotate"
    REWRAP = "rewrap"
    ROTATE_ROOT = "rotate_root"
    SET_MINIMUM = "set_min_decryption_version"
    DESTROY = "destroy"
    REFUSED = "refused"
    """Somebody asked and got nothing; the detail says why."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One line: uses of one kind, by one requestor, of one version of a tenant's key."""

    operation: Operation
    tenant: TenantId
    service: str
    requestor: str
    """The credential on whose behalf it was; for what an operator does, who that is."""
    first: float
    """Unix seconds."""
    last: float
    count: int = 1
    key_version: int = 0
    """0 when it is about no version in particular."""
    store: str = ""
    detail: str = ""

    def to_line(self) -> bytes:
        """As one line of JSON, with its end."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> KeyUse:
        """Read what `to_line` wrote.

        Raises:
            ValueError: anything else.
        """
        fields = Fields(parse(line))
        use = cls(
            operation=Operation(fields.text("operation")),
            tenant=TenantId(fields.text("tenant")),
            service=fields.text("service"),
            requestor=fields.text("requestor"),
            first=fields.seconds("first"),
            last=fields.seconds("last"),
            count=fields.number("count"),
            key_version=fields.number("key_version"),
            store=fields.text("store"),
            detail=fields.text("detail"),
        )
        fields.end()
        return use

    def merged(self, other: KeyUse) -> KeyUse:
        """Both as one. They differ in counts and times at most."""
        return replace(
            self,
            count=self.count + other.count,
            first=min(self.first, other.first),
            last=max(self.last, other.last),
        )

    def same_kind(self) -> tuple[object, ...]:
        """Equal for uses that may become one line."""
        return self.operation, self.tenant, self.service, self.requestor, self.key_version, self.store, self.detail


class Tally:
    """A count that runs. On the path of every record, so whoever has one counts without asking anybody."""

    __slots__ = ("count", "first", "last", "over")

    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = 0.0
        """By the ring's own clock."""
        self.over = False
        """Nobody looks at it any more: get another one."""

    def add(self, now: float, count: int = 1) -> None:
        """Count a use, or several."""
        if not self.count:
            self.first = now
        self.count += count
        self.last = now


class Tallies:
    """The counts of one operation in one store."""

    __slots__ = ("_open", "_operation", "_store")

    def __init__(self, operation: Operation, store: str) -> None:
        self._operation = operation
        self._store = store
        self._open: dict[tuple[TenantId, str, int], Tally] = {}

    def tally(self, tenant: TenantId, requestor: str, key_version: int) -> Tally:
        """The count that runs for these, until it is `over`."""
        key = (tenant, requestor, key_version)
        tally = self._open.get(key)
        if tally is None:
            tally = self._open[key] = Tally()
        return tally

    def take(self, *, service: str, clock_offset: float) -> list[KeyUse]:
        """What was counted since the last time, as records. `clock_offset` makes Unix seconds of the clock's.

        A count that had nothing to count meanwhile is over, so that what is kept doesn't grow with all requestors ever.
        """
        uses: list[KeyUse] = []
        for key, tally in list(self._open.items()):
            if not tally.count:
                tally.over = True
                del self._open[key]
                continue
            tenant, requestor, key_version = key
            use = KeyUse(
                operation=self._operation,
                tenant=tenant,
                service=service,
                requestor=requestor,
                first=tally.first + clock_offset,
                last=tally.last + clock_offset,
                count=tally.count,
                key_version=key_version,
                store=self._store,
            )
            tally.count = 0
            uses.append(use)
        return uses

    def has_any(self) -> bool:
        """Whether there is anything to take, or to let go of."""
        return bool(self._open)

    def forget(self) -> None:
        """Count for nobody."""
        self._open.clear()
