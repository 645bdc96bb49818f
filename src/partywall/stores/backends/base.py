"""What a backend is: partitions of sealed rows.

Promises (of every backend; tests/stores/test_backends.py holds them to it): a partition reaches the rows of one tenant
and store, chosen when it was made and never by a value in a call. Groups and keys are keyed hashes or random ids made
above, compared byte for byte; an empty one is refused before anything is asked. What was committed has survived the
death of this process. Positions and counts never leave, so that nothing can be read from them about other partitions.

Doesn't promise: to know whose a row is, beyond the partition it lies in. The seal and the record inside say that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from partywall.tenancy import TenantId

__all__ = [
    "LONGEST_NAME_BYTES",
    "LONGEST_PAGE",
    "Backend",
    "Change",
    "Delete",
    "DeleteGroup",
    "Insert",
    "Partition",
    "Replace",
    "Reseal",
    "Row",
    "Scan",
    "check_changes",
    "check_limit",
    "check_name",
    "check_page",
    "check_places",
]

LONGEST_NAME_BYTES: Final = 64
LONGEST_PAGE: Final = 1000


class Row(NamedTuple):
    """One record as it lies there."""

    group: bytes
    key: bytes
    """Unique within its group."""
    revision: int
    """1 for a new row; each replacement is one more."""
    sealed: bytes


class Insert(NamedTuple):
    """A new row, behind all others of its group. Fails if group and key are taken."""

    group: bytes
    key: bytes
    sealed: bytes


class Replace(NamedTuple):
    """Another content in the same place. Fails unless the row is there with exactly this revision."""

    group: bytes
    key: bytes
    revision: int
    sealed: bytes


class Delete(NamedTuple):
    """Fails unless the row is there, with this revision if one is given."""

    group: bytes
    key: bytes
    revision: int | None = None


class DeleteGroup(NamedTuple):
    """All rows of a group; none is fine."""

    group: bytes


class Reseal(NamedTuple):
    """The same content under another seal, place and revision as they were. Fails unless its bytes are `before`."""

    group: bytes
    key: bytes
    before: bytes
    sealed: bytes


Change: TypeAlias = Insert | Replace | Delete | DeleteGroup | Reseal


class Scan(NamedTuple):
    """Some rows of a partition, whatever their groups."""

    rows: Sequence[Row]
    after: bytes | None
    """To be given back for the next ones; None when these were the last."""


class Partition(Protocol):
    """The rows of one tenant in one store. Each call raises StoreUnavailable when the engine can't be had."""

    async def get(self, group: bytes, key: bytes) -> Row | None:
        """The row, or None: for a row that isn't there, and for one of another partition, in the same way."""

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        """As `get`, for each of these groups and keys, as they all were at one moment."""

    async def commit(self, changes: Sequence[Change]) -> bool:
        """Make all the changes, in order and at once; or none, and return False, if any of them fails.

        Cancelled, it has made all of them or none, and nobody says which.
        """

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        """At most `limit` rows of the group as they were inserted, or the other way round, beginning behind `after`.

        None when there is no row with the key `after` in the group.
        """

    async def scan(self, *, after: bytes | None = None, limit: int) -> Scan:
        """At most `limit` rows of the whole partition. A row that stays while the scan goes on is met once.

        Raises:
            ValueError: `after` is none that a scan gave.
        """

    async def count(self) -> int:
        """How many rows the partition holds."""

    async def delete_all(self) -> int:
        """Delete every row of the partition, and return how many there were."""


class Backend(Protocol):
    """An engine with a partition for each tenant and store."""

    def partition(self, tenant: TenantId, store: str) -> Partition:
        """That tenant's rows. Nothing is opened or asked yet.

        Raises:
            InvalidTenantId: the id could mean another place.
            ValueError: the store's name could.
        """

    async def aclose(self) -> None:
        """Finish what is under way, and close."""


def check_name(name: bytes) -> None:
    """Refuse a group or key that could match more than itself, or nothing (R4)."""
    if type(name) is not bytes or not 1 <= len(name) <= LONGEST_NAME_BYTES:
        raise ValueError(f"a group or key is 1 to {LONGEST_NAME_BYTES} bytes; an empty one would mean everything")


def check_changes(changes: Sequence[Change]) -> None:
    """Refuse changes that name no single place."""
    if not changes:
        raise ValueError("there is nothing to commit")
    for change in changes:
        check_name(change.group)
        if not isinstance(change, DeleteGroup):
            check_name(change.key)


def check_places(places: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a look at places that are none, at none at all, and at too many at once."""
    if not 1 <= len(places) <= LONGEST_PAGE:
        raise ValueError(f"1 to {LONGEST_PAGE} rows are looked up at once")
    for group, key in places:
        check_name(group)
        check_name(key)


def check_page(group: bytes, after: bytes | None, limit: int) -> None:
    """Refuse a page without a group, and one without end."""
    check_name(group)
    if after is not None:
        check_name(after)
    check_limit(limit)


def check_limit(limit: int) -> None:
    """Refuse to read without end."""
    if not 1 <= limit <= LONGEST_PAGE:
        raise ValueError(f"a page has 1 to {LONGEST_PAGE} rows")
