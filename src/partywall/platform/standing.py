"""Which tenants are suspended: one small file below the data directory, looked at by every process that shares it.

    <data_dir>/platform/standing.json
    {"format": 1, "suspended": {"alpha": {"since": 1767225600.1, "by": "cli:ann", "why": "unpaid"}}}

Promises: a change shows to every question that is asked 0.25 s later, in every process, without a restart. While the
file can't be read, is gone or holds something else, every tenant is refused. The usual question costs one comparison of
times and one look-up.

Doesn't promise: to reach a gateway with a data directory of its own: the standing lives here and in no database, so it
is set in each directory. Nor to notice that the whole file was put back as it was (from a backup, say).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from partywall.errors import ConfigError, StoreUnavailable, TenantSuspended
from partywall.keys import private_files as files
from partywall.owned_files import make_folder
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["NOTICED_SECONDS", "Standing", "Suspension"]

NOTICED_SECONDS: Final = 0.25
"""How long a look at the file is good for; as long as a look at the keys (`keys.holding`)."""

_FORMAT: Final = 1
_FOLDER: Final = "platform"
_FILE: Final = "standing.json"
_LOCK: Final = "standing.lock"
_PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Suspension:
    """Since when a tenant is suspended (Unix seconds), by whom, and why."""

    since: float
    by: str
    why: str


class Standing:
    """The standing of every tenant, as one process sees it."""

    __slots__ = ("_clock", "_good_until", "_path", "_stamp", "_suspended")

    def __init__(self, data_dir: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """For `open`; by itself it looks and makes nothing. `clock` is monotonic, in seconds."""
        self._path = data_dir / _FOLDER / _FILE
        self._clock = clock
        self._good_until = float("-inf")
        self._stamp: files.Stamp | None = None
        self._suspended: Mapping[TenantId, Suspension] = {}

    @classmethod
    def open(cls, data_dir: Path) -> Standing:
        """The standing below `data_dir`, where nobody is suspended when there is no file yet.

        Raises:
            ConfigError: the file can't be made or read.
        """
        standing = cls(data_dir)
        try:
            make_folder(standing._path.parent)
            if files.stamp(standing._path) is None:
                standing._write(lambda suspended: suspended, may_be_missing=True)
            standing.suspended()
        except (OSError, StoreUnavailable) as error:
            raise ConfigError(f"whether tenants are suspended can't be told: {error}") from error
        return standing

    def require_active(self, tenant: TenantId) -> None:
        """Return when `tenant` may be served. On the path of every request.

        Raises:
            TenantSuspended: it may not.
            StoreUnavailable: nobody can tell.
        """
        if self._clock() >= self._good_until:
            self._look()
        suspension = self._suspended.get(tenant)
        if suspension is not None:
            raise TenantSuspended(f"`{tenant}` was suspended by {suspension.by}: {suspension.why}")

    def exists(self) -> bool:
        """Whether there is anything to tell: before the directory was ever opened, there is no file."""
        return os.path.lexists(self._path) or os.path.lexists(self._path.with_name(_LOCK))

    def is_readable(self) -> bool:
        """Whether it can be told who is suspended."""
        try:
            self.suspended()
        except StoreUnavailable:
            return False
        return True

    def suspended(self) -> Mapping[TenantId, Suspension]:
        """Everybody who is suspended.

        Raises:
            StoreUnavailable: nobody can tell.
        """
        if self._clock() >= self._good_until:
            self._look()
        return self._suspended

    def suspend(self, tenant: TenantId, suspension: Suspension) -> bool:
        """Suspend `tenant`; False, and nothing changed, when it is suspended already. Blocks.

        Raises:
            StoreUnavailable: it can't be written. Nothing has changed, as far as is known.
        """
        return self._change(lambda now: now if tenant in now else {**now, tenant: suspension})

    def resume(self, tenant: TenantId) -> bool:
        """End the suspension of `tenant`; False when there was none. Blocks, and raises as `suspend` does."""
        return self._change(lambda now: {name: each for name, each in now.items() if name != tenant})

    def _change(self, change: Callable[[Mapping[TenantId, Suspension]], Mapping[TenantId, Suspension]]) -> bool:
        try:
            return self._write(change, may_be_missing=False)
        except OSError as error:
            raise StoreUnavailable(f"the standing of tenants can't be written: {error}") from error
        finally:
            self._good_until = float("-inf")

    def _write(
        self,
        change: Callable[[Mapping[TenantId, Suspension]], Mapping[TenantId, Suspension]],
        *,
        may_be_missing: bool,
    ) -> bool:
        with files.locked(self._path.with_name(_LOCK), patience_seconds=_PATIENCE_SECONDS):
            data = files.read(self._path)
            if data is None and not may_be_missing:
                raise StoreUnavailable(f"`{self._path}` is gone")
            before = {} if data is None else _decode(data, self._path)
            after = change(before)
            if data is None or after != before:
                files.replace(self._path, _encode(after))
            return after != before

    def _look(self) -> None:
        """Read the file when it is another one than before.

        INVARIANT: `_good_until` moves only once the file was seen, so what can't be read is asked for each time.
        """
        now = self._clock()
        known = self._stamp
        try:
            stamp = files.stamp(self._path)
            data = None if stamp == known else files.read(self._path)
        except OSError as error:
            raise StoreUnavailable(f"whether tenants are suspended can't be told: {error}") from error
        if stamp is None:
            raise StoreUnavailable(f"`{self._path}` is gone; put it back, or restart to begin without suspensions")
        if stamp != known:
            self._suspended = _decode(data or b"", self._path)
        self._stamp = stamp
        self._good_until = now + NOTICED_SECONDS


def _encode(suspended: Mapping[TenantId, Suspension]) -> bytes:
    value = {"format": _FORMAT, "suspended": {name: asdict(each) for name, each in sorted(suspended.items())}}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _decode(data: bytes, path: Path) -> dict[TenantId, Suspension]:
    try:
        return _suspended(orjson.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreUnavailable(f"`{path}` holds something else than this version writes: {error}") from error


def _suspended(value: Any) -> dict[TenantId, Suspension]:  # Any: JSON can hold anything
    if value.keys() != {"format", "suspended"} or value["format"] != _FORMAT:
        raise ValueError("another format")
    suspended = {parse_tenant_id(name): Suspension(**each) for name, each in value["suspended"].items()}
    for each in suspended.values():
        if type(each.since) not in (int, float) or type(each.by) is not str or type(each.why) is not str:
            raise TypeError("a suspension has a time, a name and a reason")
    return suspended
