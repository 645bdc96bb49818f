"""The file of root keys: its format, and who may read it.

Promises: only a regular file of our own user, with no right for anybody else, is read or written; it is replaced whole
or not at all, and has reached the disk when `create` and `add_version` return. Two processes that add a version at once
add two. A key never falls out of the file.

Format: a first line `partywall root key v1`, then one line for each version, `<version> <64 hex digits>`, counted from
1 without a gap. The last one wraps.

Doesn't promise: to notice that an older copy of the file was put back. What newer versions wrapped doesn't open then.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from partywall.errors import ConfigError, KeyUnavailable

__all__ = ["KEY_BYTES", "add_version", "create", "read"]

KEY_BYTES: Final = 32
_HEADER: Final = "partywall root key v1"
_LINE: Final = re.compile(r"([1-9][0-9]{0,8}) ([0-9a-f]{64})", re.ASCII)
_LARGEST: Final = 1 << 20
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_RENAMES_MET: Final = 100


def read(path: Path) -> list[bytes]:
    """The keys, version 1 first.

    Raises:
        KeyUnavailable: the file isn't there, isn't only ours, or isn't whole.
    """
    with _opened(path) as descriptor:
        return _parse(path, descriptor)


def create(path: Path) -> None:
    """Make a file with one new random key, readable by its owner alone.

    Raises:
        ConfigError: there is something at `path` already, or it can't be written.
    """
    try:
        _publish(path, [os.urandom(KEY_BYTES)], replace=False)
    except FileExistsError:
        raise ConfigError(
            f"`{path}` exists; a root key is never overwritten, for all it wrapped would be lost"
        ) from None
    except OSError as error:
        raise ConfigError(f"the root key file `{path}` can't be made: {error.strerror}") from None


def add_version(path: Path) -> int:
    """Add a new random key, and return its version.

    Raises:
        KeyUnavailable: as `read`; or the file can't be written.
    """
    with _locked(path) as descriptor:
        keys = [*_parse(path, descriptor), os.urandom(KEY_BYTES)]
        try:
            _publish(path, keys, replace=True)
        except OSError as error:
            raise KeyUnavailable(f"the root key file `{path}` can't be written: {error.strerror}") from None
        return len(keys)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise KeyUnavailable(f"the root key file `{path}` is not there; put it back from its copy") from None
    except OSError as error:
        what = "is a symbolic link" if path.is_symlink() else f"can't be opened: {error.strerror}"
        raise KeyUnavailable(f"the root key file `{path}` {what}") from None
    try:
        _check_owner(path, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the one lock of the file. It is replaced, not written, so the lock must be on the file that is there now."""
    for _ in range(_RENAMES_MET):
        with _opened(path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                yield descriptor
                return
    raise KeyUnavailable(f"the root key file `{path}` is replaced all the time")


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _check_owner(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise KeyUnavailable(f"the root key `{path}` is no regular file")
    if found.st_uid != os.geteuid():
        raise KeyUnavailable(f"the root key file `{path}` belongs to user {found.st_uid}; it must be our own")
    if mode & 0o077:
        raise KeyUnavailable(f"the root key file `{path}` is open to others (mode {mode:o}); run: chmod 600 {path}")


def _parse(path: Path, descriptor: int) -> list[bytes]:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        lines = file.read(_LARGEST).decode("ascii", "replace").splitlines()
    matches = [_LINE.fullmatch(line) for line in lines[1:]]
    keys = [bytes.fromhex(match[2]) for number, match in enumerate(matches, 1) if match and int(match[1]) == number]
    if not keys or lines[0] != _HEADER or len(keys) != len(matches):
        raise KeyUnavailable(f"the root key file `{path}` is damaged; put it back from its backup")
    return keys


def _publish(path: Path, keys: list[bytes], *, replace: bool) -> None:
    """Write beside `path`, then give it the name: nobody ever sees half a file."""
    text = "\n".join([_HEADER, *(f"{version} {key.hex()}" for version, key in enumerate(keys, 1)), ""])
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
