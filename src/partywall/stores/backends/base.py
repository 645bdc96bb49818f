"""What a backend is: partitions of sealed rows.

Promises (of every backend; tests/stores/test_backends.py holds them to it): a partition reaches the rows of one tenant
and store, chosen when it was made and never by a value in a call. Groups and keys are keyed hashes or random ids made
above, compared byte for byte; an empty one is refused before anything is asked. What was committed has survived the
death of this process. Positions and counts never leave, so that nothing can be read from them about other partitions.

Some keep vectors beside the rows, in the clear, since an engine can't compare what is sealed. What such a one calls
near is a hint: it names rows, which are then fetched and opened as every other.

Doesn't promise: to know whose a row is, beyond the partition it lies in. The seal and the record inside say that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from partywall.tenancy import TenantId

__all__ = [
    "LONGEST_NAME_BYTES",
    "LONGEST_PAGE",
    "Backend",
    "Change",
    "Delete",
    "DeleteGroup",
    "DropIndex",
    "DropVectors",
    "Insert",
    "Near",
    "Partition",
    "PutVectors",
    "Replace",
    "Reseal",
    "Row",
    "Scan",
    "SweptPartition",
    "VectorChange",
    "VectorPartition",
    "check_changes",
    "check_limit",
    "check_name",
    "check_nearest",
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


class PutVectors(NamedTuple):
    """Vectors of the rows of a group, numbered from `first`, in an index. Fails if one of that number is there."""

    within: bytes
    group: bytes
    first: int
    vectors: Sequence[Sequence[float]]


class DropVectors(NamedTuple):
    """All vectors of a group in an index; none is fine."""

    within: bytes
    group: bytes


class DropIndex(NamedTuple):
    """All vectors of an index; none is fine."""

    within: bytes


Change: TypeAlias = Insert | Replace | Delete | DeleteGroup | Reseal
VectorChange: TypeAlias = PutVectors | DropVectors | DropIndex


class Near(NamedTuple):
    """A vector that is near to another: which it is, never the vector itself."""

    group: bytes
    """Empty: the engine named something that isn't of this partition and index."""
    number: int
    score: float
    """The product of the two: of vectors of length 1, the cosine of their angle."""


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
        """How many rows the partition holds, and vectors if it keeps any."""

    async def delete_all(self) -> int:
        """Delete everything in the partition, and return how many rows and vectors there were."""


@runtime_checkable
class VectorPartition(Protocol):
    """What a partition can do besides when its engine compares vectors, too."""

    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        """As `Partition.commit`; rows and vectors change together or not at all."""

    async def nearest(
        self, index: bytes, vector: Sequence[float], *, limit: int, groups: Sequence[bytes] | None = None
    ) -> Sequence[Near]:
        """The `limit` vectors of the index nearest to this one, nearest first; of these groups only if any are given.

        Of equally near ones, those that were put first come first. Vectors of other dimensions aren't near.
        """


@runtime_checkable
class SweptPartition(Protocol):
    """What a partition can do besides when its vectors lie elsewhere than its rows."""

    async def sweep(self, index: bytes, groups: Sequence[bytes]) -> None:
        """Drop the vectors of those of these groups of which no row is there. What isn't there is fine."""


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


def check_changes(changes: Sequence[Change | VectorChange]) -> None:
    """Refuse changes that name no single place, and vectors of nothing."""
    if not changes:
        raise ValueError("there is nothing to commit")
    for change in changes:
        match change:
            case PutVectors(index, group, first, vectors):
                check_name(index)
                check_name(group)
                if first < 0 or not vectors or not all(vectors):
                    raise ValueError("vectors are one or more, of one or more dimensions, and numbered from 0")
            case DropVectors(index, group):
                check_name(index)
                check_name(group)
            case DropIndex(index):
                check_name(index)
            case DeleteGroup(group):
                check_name(group)
            case Insert() | Replace() | Delete() | Reseal():
                check_name(change.group)
                check_name(change.key)


def check_nearest(index: bytes, vector: Sequence[float], limit: int, groups: Sequence[bytes] | None) -> None:
    """Refuse to look for what is near to nothing, without end, or among no groups at all."""
    check_name(index)
    check_limit(limit)
    if not vector or (groups is not None and not groups):
        raise ValueError("a vector has dimensions, and is looked for among groups or among all of them")
    for group in groups or ():
        check_name(group)


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
