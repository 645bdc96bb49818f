"""Where each tenant's decisions lie, and the checks before a path is used.

    <data_dir>/tenants/<tenant>/decisions.db      one file per tenant
    <data_dir>/platform/decisions.db              requests that never had a verified tenant

Promises: a tenant id is checked again before it becomes a path; no folder or file on the way is a symbolic link, and no
file has a second name (a hard link would put two tenants in one file); folders are 0700 and files 0600.

Doesn't promise: to stop somebody who may write below `data_dir` already; that is the gateway's own user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from partywall.errors import InvalidTenantId, TrailUnavailable
from partywall.owned_files import check_file, check_folder, make_file, make_folder
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["Placement"]

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
                make_folder(path.parent.parent)
            make_folder(path.parent)
            make_file(path)
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
                check_folder(folder)
            check_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrailUnavailable(f"can't read the decisions of {_name(tenant)}: {error}") from error
        return path


def _name(tenant: TenantId | None) -> str:
    return "the platform" if tenant is None else f"tenant `{tenant}`"
