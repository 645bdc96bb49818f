"""Folders and files of one owner and one name: what `trail` and `stores` lay their databases on.

Promises: no folder or file that passes is a link, and no file has a second name (a hard link would put two tenants in
one file); what is made is for its owner alone (folders 0700, files 0600) and survives a power cut; what was opened to
others is closed again. Standard library only, and nothing here knows what a tenant is.

Doesn't promise: to stop somebody who has this user's rights.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["check_file", "check_folder", "make_file", "make_folder"]


def check_file(path: Path | str) -> tuple[int, int]:
    """The identity (device, inode) of a plain file with one name.

    Raises:
        OSError: there is none, or it is a link, a folder or a file of two names.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise OSError(f"`{path}` is not a plain file with a single name; links could join two tenants")
    return found.st_dev, found.st_ino


def check_folder(path: Path) -> os.stat_result:
    """What the system says of a plain folder.

    Raises:
        OSError: there is none, or it is a link or something else.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"`{path}` is not a plain folder; a link could lead to another tenant")
    return found


def make_folder(path: Path) -> None:
    """Make the folder where it is missing; check and tighten what is there.

    Raises:
        OSError: see `check_folder`; or the system says no.
    """
    try:
        path.mkdir(mode=0o700)
        _sync_folder(path.parent)
    except FileExistsError:
        pass  # checked next, whoever made it
    if check_folder(path).st_mode & 0o077:
        path.chmod(0o700)


def make_file(path: Path) -> None:
    """Make an empty file where it is missing; check and tighten what is there.

    Raises:
        OSError: see `check_file`; or the system says no.
    """
    # SQLite gives its -wal and -shm files the mode of the database, so this mode is the mode of all three.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        _sync_folder(path.parent)
    except FileExistsError:
        pass  # checked next
    check_file(path)
    if os.lstat(path).st_mode & 0o077:
        path.chmod(0o600)


def _sync_folder(path: Path) -> None:
    """A new name survives a power cut only when its folder was synced."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
