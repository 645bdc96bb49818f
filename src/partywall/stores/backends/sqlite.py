"""The embedded backend: `<data_dir>/tenants/<tenant>/<store>.db`, one SQLite file for each tenant and store.

Promises: a tenant id is checked again before it becomes a path; no folder or file on the way is a link; folders are
0700 and files 0600. Looking makes nothing: a tenant that stored nothing has no file. At most `max_open_files` are open.

Doesn't promise: to serve a file from two machines. WAL needs shared memory.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from partywall.errors import StoreUnavailable
from partywall.owned_files import check_file, check_folder, make_file, make_folder
from partywall.stores.backends.base import (
    Change,
    Row,
    Scan,
    check_changes,
    check_limit,
    check_name,
    check_page,
    check_places,
)
from partywall.stores.backends.lanes import Lanes
from partywall.stores.backends.sqlite_file import PartitionFile
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["SqliteBackend"]

_TENANTS: Final = "tenants"
_STORE = re.compile(r"[a-z]{1,32}", re.ASCII).fullmatch
_TAKEN: Final = frozenset({"decisions"})
"""Files that lie beside ours and aren't ours."""
_THREADS: Final = 4
_MAX_OPEN_FILES: Final = 128

_Result = TypeVar("_Result")
_Place = tuple[TenantId, str]


class _NothingThere(Exception):
    """The tenant has no such file."""


class SqliteBackend:
    """Every tenant's files below one data directory. Made on the event loop that uses it."""

    def __init__(
        self, data_dir: Path, *, durable: bool = True, max_open_files: int = _MAX_OPEN_FILES, threads: int = _THREADS
    ) -> None:
        """With `durable`, what was committed survives a power cut too. An open file costs three descriptors."""
        self._root = data_dir.absolute()
        self._durable = durable
        self._lanes: Lanes[_Place, PartitionFile] = Lanes(
            threads=threads, max_open_files=max_open_files, spoils=_spoils
        )

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return self._lanes.open_files

    def partition(self, tenant: TenantId, store: str) -> SqlitePartition:
        """See `Backend.partition`."""
        tenant = parse_tenant_id(tenant)
        if _STORE(store) is None or store in _TAKEN:
            raise ValueError(f"`{store[:40]!r}` is no store's name")
        return SqlitePartition(self, (tenant, store))

    async def aclose(self) -> None:
        """Finish what is under way, and close every file."""
        await self._lanes.aclose()

    async def run(self, place: _Place, work: Callable[[PartitionFile], _Result]) -> _Result:
        """Do `work` with the file of that place, on a thread; the file is made if need be. For partitions.

        Raises:
            StoreUnavailable: it can't be made, opened, read or written.
        """
        try:
            return await self._lanes.run(place, lambda: self._make(place), work)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"`{place[1]}` of `{place[0]}`: {error}") from error

    async def look(self, place: _Place, work: Callable[[PartitionFile], _Result], nothing: _Result) -> _Result:
        """As `run`, but `nothing` where the tenant never stored anything, and no file is made."""
        try:
            return await self._lanes.run(place, lambda: self._find(place), work)
        except _NothingThere:
            return nothing
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"`{place[1]}` of `{place[0]}`: {error}") from error

    def _make(self, place: _Place) -> PartitionFile:
        path = self._path(place)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_folder(path.parent.parent)
        make_folder(path.parent)
        make_file(path)
        return PartitionFile(path, durable=self._durable)

    def _find(self, place: _Place) -> PartitionFile:
        path = self._path(place)
        try:
            check_folder(path.parent.parent)
            check_folder(path.parent)
            check_file(path)
        except FileNotFoundError:
            raise _NothingThere from None
        return PartitionFile(path, durable=self._durable)

    def _path(self, place: _Place) -> Path:
        tenant, store = place
        return self._root / _TENANTS / tenant / f"{store}.db"


class SqlitePartition:
    """One tenant's rows in one store."""

    __slots__ = ("_backend", "_place")

    def __init__(self, backend: SqliteBackend, place: _Place) -> None:
        self._backend = backend
        self._place = place

    async def get(self, group: bytes, key: bytes) -> Row | None:
        """See `Partition.get`."""
        check_name(group)
        check_name(key)
        return await self._backend.look(self._place, lambda file: file.get(group, key), None)

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        """See `Partition.get_many`."""
        places = tuple(places)
        check_places(places)
        nothing: list[Row | None] = [None] * len(places)
        return await self._backend.look(self._place, lambda file: file.get_many(places), nothing)

    async def commit(self, changes: Sequence[Change]) -> bool:
        """See `Partition.commit`."""
        changes = tuple(changes)
        check_changes(changes)
        return await self._backend.run(self._place, lambda file: file.commit(changes))

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        """See `Partition.page`."""
        check_page(group, after, limit)
        nothing: list[Row] | None = [] if after is None else None
        return await self._backend.look(
            self._place, lambda file: file.page(group, after=after, limit=limit, backwards=backwards), nothing
        )

    async def scan(self, *, after: bytes | None = None, limit: int) -> Scan:
        """See `Partition.scan`."""
        check_limit(limit)
        return await self._backend.look(self._place, lambda file: file.scan(after=after, limit=limit), Scan((), None))

    async def count(self) -> int:
        """See `Partition.count`."""
        return await self._backend.look(self._place, PartitionFile.count, 0)

    async def delete_all(self) -> int:
        """See `Partition.delete_all`."""
        return await self._backend.look(self._place, PartitionFile.delete_all, 0)


def _spoils(error: BaseException) -> bool:
    """Whether the file must be opened anew: it was replaced, or is no longer what it was. A lock passes."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return isinstance(error, sqlite3.Error | OSError)
