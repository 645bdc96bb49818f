"""Where each tenant's decisions lie, and the checks before a path is used.

    <data_dir>/tenants/<tenant>/decisions.db      one file per tenant
    <data_dir>/platform/decisions.db              requests that never had a verified tenant

Promises: a tenant id is checked again before it becomes a path; no folder or file on the way is a symbolic link, and no
file has a second name (a hard link would put two tenants in one file); folders are 0700 and files 0600.

Doesn't promise: to stop somebody who may write below `data_dir` already; that is the gateway's own user.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from partywall.errors import InvalidTenantId, TrailUnavailable
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["Placement", "check_file"]

_TENANTS: Final = "tenants"
_PLATFORM: Final = "platform"
_FILE: Final = "decisions.db"


class Placement:
    """The layout below one data directory."""

    __slots__ = ("_root",)

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir.absolute()

    def file_of(self, tenant: TenantId | None) -> Path:
        """The path of a tenant's file, or of the platform's own for None. Nothing is touched.

        Raises:
            InvalidTenantId: the id could mean another place (`..`, a slash, an upper-case twin).
        """
        if tenant is None:
            return self._root / _PLATFORM / _FILE
        return self._root / _TENANTS / parse_tenant_id(tenant) / _FILE

    def tenants(self) -> Iterator[TenantId]:
        """Every tenant that has a file, in the order of their ids."""
        folder = self._root / _TENANTS
        for found in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                tenant = parse_tenant_id(found.name)
            except InvalidTenantId:
                continue  # `lost+found` and its like; nothing of ours can have such a name
            if os.path.lexists(self.file_of(tenant)):
                yield tenant

    def make(self, tenant: TenantId | None) -> Path:
        """Make the tenant's folder and an empty file where they are missing; check and tighten what is there.

        Raises:
            InvalidTenantId: see `file_of`.
            TrailUnavailable: a link, a wrong kind of file, or the system says no.
        """
        path = self.file_of(tenant)
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if tenant is not None:
                _make_folder(path.parent.parent)
            _make_folder(path.parent)
            _make_file(path)
        except OSError as error:
            raise TrailUnavailable(f"can't place the decisions of {_name(tenant)}: {error}") from error
        return path

    def find(self, tenant: TenantId | None) -> Path | None:
        """The tenant's file, checked, for reading; None when there is none.

        Raises:
            InvalidTenantId: see `file_of`.
            TrailUnavailable: a link or a wrong kind of file is in its place.
        """
        path = self.file_of(tenant)
        try:
            for folder in (path.parent.parent, path.parent) if tenant is not None else (path.parent,):
                _check_folder(folder)
            check_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrailUnavailable(f"can't read the decisions of {_name(tenant)}: {error}") from error
        return path


def check_file(path: Path | str) -> tuple[int, int]:
    """The identity (device, inode) of a plain file with one name.

    Raises:
        OSError: there is none, or it is a link, a folder or a file of two names.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise OSError(f"`{path}` is not a plain file with a single name; links could join two tenants")
    return found.st_dev, found.st_ino


def _check_folder(path: Path) -> os.stat_result:
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"`{path}` is not a plain folder; a link could lead to another tenant")
    return found


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
        _sync_folder(path.parent)
    except FileExistsError:
        pass  # checked next, whoever made it
    if _check_folder(path).st_mode & 0o077:
        path.chmod(0o700)


def _make_file(path: Path) -> None:
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


def _name(tenant: TenantId | None) -> str:
    return "the platform" if tenant is None else f"tenant `{tenant}`"
