"""Files of key uses: written by several processes, bounded in size, read by `partywall keys audit`.

    <keys_dir>/<tenant>/uses.jsonl        lines as they come (see `uses`)
    <keys_dir>/<tenant>/uses.1.jsonl …    older ones, one line for each hour and kind of use; 1 is the newest of them
    <keys_dir>/<tenant>/uses.lock         shared while a line is written, held alone while files change their names

Retention: a full `uses.jsonl` (4 MiB, some 17,000 lines) is folded into hours and joins `uses.1.jsonl`; when that is
full, it becomes `uses.2.jsonl`, and the ninth is deleted. Folding keeps every count, requestor and version; a tenant
with 30 kinds of use an hour so keeps about half a year. Ship the files elsewhere to keep more.

Promises: a line is whole or, at the end of a file after a power cut, torn, which reading reports. Folding that dies
half-way loses nothing and counts nothing twice.

Doesn't promise: that the last seconds before a power cut survive, except for what changed a key. Nor to be
tamper-evident: that is the trail's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from partywall.errors import KeyUnavailable
from partywall.keys import private_files as files
from partywall.keys.key_store import PLATFORM
from partywall.keys.uses import KeyUse
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["AuditedUses", "UseFiles", "read_uses"]

_LIVE: Final = "uses.jsonl"
_FOLDING: Final = "uses.folding.jsonl"
_LOCK: Final = "uses.lock"
_FULL_BYTES: Final = 4 * 1024 * 1024
_ARCHIVES: Final = 8
_JOINED: Final = b'{"holds":"uses.1.jsonl"}\n'
"""First line of a folding file that already holds the newest archive, which it is about to replace."""
_HOUR_SECONDS: Final = 3600
_PATIENCE_SECONDS: Final = 5.0
_LARGEST_BYTES: Final = 1024 * 1024 * 1024
"""Folding may have been held up by a full disk; what it left is read all the same."""

_log = logging.getLogger(__name__)


class AuditedUses(NamedTuple):
    """What the files of one tenant hold."""

    uses: Sequence[KeyUse]
    """In the order of their first use."""
    unreadable: int
    """Lines that are none of ours, or torn."""


class UseFiles:
    """The files below one folder. Every call may wait for locks and the disk; make them off the event loop."""

    __slots__ = ("_full_bytes", "_root")

    def __init__(self, keys_dir: Path, *, full_bytes: int = _FULL_BYTES) -> None:
        self._root = keys_dir.absolute()
        self._full_bytes = full_bytes

    def write(self, tenant: TenantId, uses: Iterable[KeyUse], *, sync: bool = False) -> None:
        """Append uses, in one write.

        Raises:
            OSError: it can't be said that they were written.
        """
        folder = self._root / tenant
        files.make_folder(folder)
        with _locked(folder, shared=True):
            size = files.append(folder / _LIVE, b"".join(use.to_line() for use in uses), sync=sync)
        if size > self._full_bytes:
            try:
                self._fold(folder)
            except OSError as error:  # the uses are written, which is what was asked; the next writing folds
                _log.warning("the key uses in `%s` could not be folded: %s", folder, error)

    def read(self, tenant: TenantId, *, since: float) -> AuditedUses:
        """All uses that ended at `since` (Unix seconds) or later.

        Raises:
            OSError: the files can't be read.
        """
        folder = self._root / tenant
        if not folder.is_dir():
            return AuditedUses((), 0)
        with _locked(folder, shared=True):
            folding = _read(folder / _FOLDING)
            archives = [_archive(folder, n) for n in range(2 if folding.startswith(_JOINED) else 1, _ARCHIVES + 1)]
            contents = [_read(path) for path in (folder / _LIVE, *archives)]
        uses, unreadable = _parse([folding.removeprefix(_JOINED), *contents])
        return AuditedUses(sorted((u for u in uses if u.last >= since), key=lambda use: use.first), unreadable)

    def _fold(self, folder: Path) -> None:
        """Move a full file into the archives, whoever finds it first."""
        with _locked(folder, shared=False):
            live, folding, newest = folder / _LIVE, folder / _FOLDING, _archive(folder, 1)
            if not folding.exists():
                if not live.exists() or live.stat().st_size <= self._full_bytes:
                    return  # another process was first
                live.rename(folding)
            data = _read(folding)
            if not data.startswith(_JOINED):
                if newest.exists() and newest.stat().st_size > self._full_bytes:
                    _shift(folder)
                # INVARIANT: once this is done, the newest archive counts no more: its lines are in the folding file.
                files.replace(folding, _JOINED + _folded([_read(newest), data]))
            folding.replace(newest)


def read_uses(keys_dir: Path, tenant: TenantId, since: float = 0.0) -> AuditedUses:
    """What was done with a tenant's keys at `since` (Unix seconds) or later, for `partywall keys audit`. Blocks.

    Raises:
        KeyUnavailable: the files can't be read.
    """
    try:
        return UseFiles(keys_dir).read(tenant if tenant == PLATFORM else parse_tenant_id(tenant), since=since)
    except OSError as error:
        raise KeyUnavailable(f"the key uses of `{tenant}` can't be read: {error}") from error


def _archive(folder: Path, number: int) -> Path:
    return folder / f"uses.{number}.jsonl"


def _read(path: Path) -> bytes:
    return files.read(path, largest=_LARGEST_BYTES) or b""


def _shift(folder: Path) -> None:
    """Make room for a new newest archive. Dying in between leaves a gap, which the next to come here closes."""
    gap = next((n for n in range(1, _ARCHIVES) if not _archive(folder, n).exists()), _ARCHIVES)
    for number in range(gap - 1, 0, -1):
        _archive(folder, number).rename(_archive(folder, number + 1))


def _folded(contents: Iterable[bytes]) -> bytes:
    """The lines with those of one hour and kind as one. Lines that nobody can read are kept as they are."""
    kinds: dict[tuple[object, ...], KeyUse] = {}
    strange: list[bytes] = []
    for line in _lines(contents):
        try:
            use = KeyUse.from_line(line)
        except ValueError:
            strange.append(line + b"\n")
            continue
        kind = (*use.same_kind(), use.first // _HOUR_SECONDS)
        kinds[kind] = kinds[kind].merged(use) if kind in kinds else use
    return b"".join([*strange, *(use.to_line() for use in kinds.values())])


def _parse(contents: Iterable[bytes]) -> tuple[list[KeyUse], int]:
    uses: list[KeyUse] = []
    unreadable = 0
    for line in _lines(contents):
        try:
            uses.append(KeyUse.from_line(line))
        except ValueError:
            unreadable += 1
    return uses, unreadable


def _lines(contents: Iterable[bytes]) -> Iterator[bytes]:
    for content in contents:
        yield from (line for line in content.removeprefix(_JOINED).split(b"\n") if line)


@contextmanager
def _locked(folder: Path, *, shared: bool) -> Iterator[None]:
    with files.locked(folder / _LOCK, patience_seconds=_PATIENCE_SECONDS, shared=shared):
        yield
