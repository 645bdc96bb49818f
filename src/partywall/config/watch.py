"""Notices that the document changed: by polling its file, and at once when poked (SIGHUP).

Promises: an edit in place, a file renamed over it and a symbolic link that is switched (as Kubernetes does) are all
noticed; a file is read only when it has kept still for one interval and did not change while being read, because half
a document may be a valid one with half of its walls; a file that vanishes or can't be read is reported once, and the
document in use is left alone. Files are touched in a thread, so that a hanging volume stops nothing but the watch.

Doesn't promise: that what it hands over is valid. Whoever loads it keeps the old document when it isn't.
"""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from partywall.config.loading import read
from partywall.errors import ConfigError

__all__ = ["DocumentChanged", "DocumentUnreadable", "DocumentWatcher"]


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """The file holds something else than before, or a poke asked to load it again.

    `data` is what was read: load exactly this (`load_bytes`), not the file, which may have changed once more. `digest`
    is its SHA-256 in hex. `poked` says that somebody asked and expects an answer, even if the digest is the old one.
    """

    data: bytes
    digest: str
    poked: bool


@dataclass(frozen=True, slots=True)
class DocumentUnreadable:
    """The file is gone or can't be read; `reason` is for operators. Reported once until something changes."""

    reason: str


_Change: TypeAlias = DocumentChanged | DocumentUnreadable
_Stamp: TypeAlias = tuple[int, int, int, int, int]


class DocumentWatcher:
    """Watches one file. `digest` is that of the document in use; without it, the first look counts as that."""

    __slots__ = ("_digest", "_interval_seconds", "_owed", "_path", "_poked", "_reported", "_seen", "_settling")

    def __init__(self, path: Path, *, interval_seconds: float = 1.0, digest: str | None = None) -> None:
        self._path = path
        self._interval_seconds = interval_seconds
        self._digest = digest
        self._poked = asyncio.Event()
        self._owed = False
        """Whether a poke has had no answer yet."""
        self._seen: _Stamp | None = None
        """The file's stamp when it was last read."""
        self._settling: _Stamp | None = None
        """The stamp at the last look, when it wasn't `_seen`."""
        self._reported = ""

    def poke(self) -> None:
        """Look now, and hand over what is there even if it is the same. For `loop.add_signal_handler`."""
        self._poked.set()

    async def changes(self) -> AsyncIterator[DocumentChanged | DocumentUnreadable]:
        """Every change from now on, until the caller's task is cancelled."""
        while True:
            self._owed = self._owed or self._poked.is_set()
            self._poked.clear()
            change = await asyncio.to_thread(self._look)
            if change is not None:
                yield change
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval_seconds):
                await self._poked.wait()
        except TimeoutError:
            return

    def _look(self) -> _Change | None:
        try:
            return self._looked()
        except (OSError, ValueError, ConfigError) as error:
            return self._unreadable(str(error))

    def _looked(self) -> DocumentChanged | None:
        stamp = self._stamp()
        if not self._owed and not self._is_due(stamp):
            return None
        data = read(self._path)
        if self._stamp() != stamp:  # it is being written: what was read may be half of it
            self._settling = None
            return None
        return self._read(data, stamp)

    def _stamp(self) -> _Stamp:
        status = self._path.stat()  # of what a link leads to
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{self._path}: is no regular file, and only those can be watched")
        # The change time is there for tools that set a modification time back, as `cp -p` does.
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def _is_due(self, stamp: _Stamp) -> bool:
        """Whether the file differs from what was read last, and has kept still since the last look."""
        if stamp == self._seen and not self._reported:
            return False
        is_still, self._settling = self._settling == stamp, stamp
        return is_still or self._digest is None

    def _read(self, data: bytes, stamp: _Stamp) -> DocumentChanged | None:
        digest = hashlib.sha256(data).hexdigest()
        is_news = self._owed or bool(self._reported) or self._digest not in (None, digest)
        change = DocumentChanged(data, digest, self._owed) if is_news else None
        self._seen, self._settling, self._digest = stamp, None, digest
        self._reported, self._owed = "", False
        return change

    def _unreadable(self, reason: str) -> DocumentUnreadable | None:
        is_news = self._owed or reason != self._reported
        self._settling, self._reported, self._owed = None, reason, False
        return DocumentUnreadable(reason) if is_news else None
