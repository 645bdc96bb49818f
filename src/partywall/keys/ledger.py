"""The shred ledger: which tenants' keys were destroyed, in a file that no restored key file can contradict.

    <keys_dir>/destroyed.jsonl      one receipt a line; the last one of a tenant counts

Promises: a tenant in the ledger has no key, whatever its key file says; so an old key file that comes back from a
backup opens nothing (LESSONS C49). A line that ends is whole; the part of a line that a dying process left is no
destruction that anybody was told of. A ledger that can't be read refuses every tenant.

Doesn't promise: to survive being restored itself from before the destruction. Keep it apart from the key files, or ship
its lines elsewhere; `shred_ledger` in the settings gives it a place of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from partywall.keys.private_files import Stamp, append, check_folder, locked, read, stamp
from partywall.keys.receipt import Receipt
from partywall.keys.strict import parse
from partywall.tenancy import TenantId

__all__ = ["ShredLedger"]

_PATIENCE_SECONDS: Final = 5.0


class ShredLedger:
    """The ledger at one path. Reading is cached for as long as the file looks the same."""

    __slots__ = ("_entries", "_path", "_seen")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Stamp | None = None
        self._entries: dict[TenantId, Receipt] = {}

    def stamp(self) -> Stamp | None:
        """Differs whenever the ledger has grown."""
        return stamp(self._path)

    def find(self, tenant: TenantId) -> Receipt | None:
        """The receipt of a destroyed tenant, or None.

        Raises:
            OSError, ValueError: the ledger can't be read, so nobody can be told apart from the destroyed.
        """
        seen = self.stamp()
        if seen != self._seen:
            self._entries, self._seen = self._read(), seen
        return self._entries.get(tenant)

    def add(self, receipt: Receipt) -> None:
        """Write a receipt, durably.

        Raises:
            OSError: it was not written.
        """
        with locked(self._path.with_name(f"{self._path.name}.lock"), patience_seconds=_PATIENCE_SECONDS):
            self._cut_torn_line()
            append(self._path, receipt.to_json().encode() + b"\n", sync=True)

    def _read(self) -> dict[TenantId, Receipt]:
        check_folder(self._path.parent)
        lines = (read(self._path) or b"").split(b"\n")
        receipts = [Receipt.from_dict(parse(line)) for line in lines[:-1]]
        return {receipt.tenant: receipt for receipt in receipts}

    def _cut_torn_line(self) -> None:
        """Drop what a dying process left behind the last whole line. The caller holds the lock."""
        data = read(self._path)
        if data and not data.endswith(b"\n"):
            os.truncate(self._path, data.rfind(b"\n") + 1)
