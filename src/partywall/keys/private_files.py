"""Files and folders that their owner alone can read: made so, and refused when they are not.

Promises: a file is replaced whole or not at all, and the new one survives a power cut once `replace` returned; each
replacement has a later time of change than the one before, so that one `stat` shows it. No link is followed, and no
file has a second name. What an old file held is overwritten after it was replaced.

Doesn't promise: that overwriting reaches the medium. Journals, copy-on-write filesystems and flash keep older blocks;
whoever needs more destroys the root key, or encrypts the disk. Nor to stop somebody with this user's rights.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = [
    "Stamp",
    "append",
    "check_folder",
    "locked",
    "make_folder",
    "read",
    "replace",
    "stamp",
]

Stamp = tuple[int, int, int, int]
"""Inode, size, time of change and of status change (ns). Differs whenever a file was replaced."""

_LARGEST_BYTES: Final = 16 * 1024 * 1024
_READ_ATTEMPTS: Final = 20
_LOCK_PAUSE_SECONDS: Final = 0.005
_BLANK: Final = bytes(64 * 1024)


def stamp(path: Path | str) -> Stamp | None:
    """What the file looks like now; None when there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return _stamp(found)


def make_folder(path: Path) -> None:
    """Make a folder of mode 0700 where there is none, and check it.

    Raises:
        OSError: it can't be made, or what is there is refused.
    """
    if not os.path.lexists(path):
        with contextlib.suppress(FileExistsError):  # checked next, whoever made it
            path.mkdir(mode=0o700)
            _sync_folder(path.parent)
    check_folder(path)


def check_folder(path: Path) -> os.stat_result:
    """Refuse a link, another user's folder and one that others can read.

    Raises:
        OSError: it is one of these, or there is none.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"`{path}` is not a plain folder; a link could lead to other keys")
    if found.st_mode & 0o077:
        raise OSError(f"`{path}` is open to others (mode {stat.S_IMODE(found.st_mode):o}); run: chmod 700 {path}")
    if os.geteuid() not in {0, found.st_uid}:
        raise OSError(f"`{path}` belongs to user {found.st_uid}, not to the one who runs this")
    return found


def read(path: Path, *, largest: int = _LARGEST_BYTES) -> bytes | None:
    """All of a file; None when there is none.

    Raises:
        OSError: a link, a file of two names, one that others can read, or one too large to be ours.
    """
    for _ in range(_READ_ATTEMPTS):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if found.st_nlink == 0:
                continue  # replaced since it was opened
            _check_file(path, found)
            data = file.read(largest + 1)
            # INVARIANT: an old file is overwritten only after it lost its name, so these bytes are whole.
            if os.fstat(handle).st_nlink:
                if len(data) > largest:
                    raise OSError(f"`{path}` is larger than {largest} bytes")
                return data
    raise OSError(f"`{path}` was replaced {_READ_ATTEMPTS} times while it was read")


def replace(path: Path, data: bytes) -> None:
    """Put `data` in the file's place. The caller holds the folder's lock.

    Raises:
        OSError: the old file stands, or the new one does; never a part of either.
    """
    folder = check_folder(path.parent)
    fresh = path.with_name(f"{path.name}.new")
    _discard(fresh)  # left by one who died; nobody else writes while we hold the lock
    old = _open_old(path)
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _write_all(handle, data)
            _keep_owner(handle, folder)
            changed = time.time_ns() if old is None else max(time.time_ns(), os.fstat(old).st_mtime_ns + 1)
            os.utime(handle, ns=(changed, changed))
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(path)
        _sync_folder(path.parent)
        if old is not None and os.fstat(old).st_nlink == 0:
            _overwrite(old)
    finally:
        if old is not None:
            os.close(old)


def _discard(path: Path) -> None:
    """Overwrite a file and remove it; nothing happens when there is none."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        path.unlink()
        _overwrite(handle)
    finally:
        os.close(handle)


def _overwrite(handle: int) -> None:
    """Write zeros over everything that an open file holds, and sync."""
    left = os.fstat(handle).st_size
    os.lseek(handle, 0, os.SEEK_SET)
    while left > 0:
        left -= os.write(handle, _BLANK[:left])
    os.fsync(handle)


def append(path: Path, data: bytes, *, sync: bool) -> int:
    """Add whole lines to the end of a file, in one write, and return its size. The file is made when it is missing.

    A line that was torn by a power cut stays torn, and ours begins on a line of its own.

    Raises:
        OSError: not all of it was written, or what is there is refused.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(handle)
        _check_file(path, found)
        if found.st_size == 0:
            _keep_owner(handle, check_folder(path.parent))
            _sync_folder(path.parent)
        elif os.pread(handle, 1, found.st_size - 1) != b"\n":
            data = b"\n" + data
        if os.write(handle, data) != len(data):
            raise OSError(f"`{path}` took a part of a record only; the disk is full")
        if sync:
            os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path, *, patience_seconds: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock of that name, against every thread and process on this machine. Waits; not for the event loop.

    Raises:
        OSError: somebody else held it all the time, or the file is refused.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _check_file(path, os.fstat(handle))
        _keep_owner(handle, check_folder(path.parent))
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise OSError(f"`{path}` was held by another process for {patience_seconds} s") from None
                time.sleep(_LOCK_PAUSE_SECONDS)
        yield
    finally:
        os.close(handle)  # which unlocks, however we got here


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise OSError(f"`{path}` is not a plain file with a single name; links could join two tenants")
    if found.st_mode & 0o077:
        raise OSError(f"`{path}` is open to others (mode {stat.S_IMODE(found.st_mode):o}); run: chmod 600 {path}")


def _open_old(path: Path) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        _check_file(path, os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _keep_owner(handle: int, folder: os.stat_result) -> None:
    """An operator who runs a command as root leaves files that the service can still read."""
    if os.geteuid() == 0 and os.fstat(handle).st_uid != folder.st_uid:
        os.fchown(handle, folder.st_uid, folder.st_gid)


def _sync_folder(path: Path) -> None:
    """A new name survives a power cut only when its folder was synced."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
