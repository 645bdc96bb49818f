"""Where wrapped keys lie, apart from the data they protect.

    <keys_dir>/<tenant>/keys.json       one document per tenant (see `wrapped`), `_platform` for the platform's own
    <keys_dir>/<tenant>/lock            held while it is replaced; not empty once the tenant had a key
    <keys_dir>/destroyed.jsonl          the shred ledger

Promises: a document is replaced as a whole, and only by one that was made from what stands there, so that of two
processes which rotate at once neither loses the other's version. A crash leaves the old document or the new one. A
tenant whose key was destroyed has none: not from its tombstone, not from a restored file, and none is made for it
again. A key file that was there and is missing is no reason to make a new key.

Doesn't promise: to keep wrapped keys out of this machine's backups. Back them up apart from data, or shredding is
fiction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from partywall.errors import InvalidTenantId, KeyDestroyed, KeyUnavailable
from partywall.keys import private_files as files
from partywall.keys.ledger import ShredLedger
from partywall.keys.receipt import Receipt
from partywall.keys.strict import parse
from partywall.keys.wrapped import TenantKeys
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["PLATFORM", "FileKeyStore", "KeyStore"]

PLATFORM: Final = TenantId("_platform")
"""Whose keys seal what belongs to no tenant. No tenant id can be spelled like this."""

_KEYS: Final = "keys.json"
_LOCK: Final = "lock"
_LEDGER: Final = "destroyed.jsonl"
_PATIENCE_SECONDS: Final = 5.0


class KeyStore(Protocol):
    """A place of wrapped keys. `stamp` is asked often and answers at once; all others may wait, off the event loop."""

    @property
    def kind(self) -> str:
        """What kind of place it is; stands on receipts."""

    def stamp(self, tenant: TenantId) -> Hashable:
        """A value that differs whenever `load` would answer differently.

        Raises:
            KeyUnavailable: nobody can tell.
        """

    def load(self, tenant: TenantId) -> TenantKeys | None:
        """The tenant's keys; None when it never had any.

        Raises:
            KeyDestroyed: it had, and they were destroyed.
            KeyUnavailable: they can't be read, or what is there is refused.
        """

    def replace(self, old: TenantKeys | None, new: TenantKeys) -> bool:
        """Put `new` in the place of `old`; False, and nothing done, when something else stands there by now.

        Raises:
            KeyDestroyed, KeyUnavailable: as above; nothing was done.
        """

    def destroy(self, tenant: TenantId, *, who: str, now: float) -> Receipt:
        """Destroy every version, for good. Doing it again finishes what was left undone.

        Raises:
            KeyUnavailable: there is nothing to destroy, or it can't be done.
        """

    def confirm(self, receipt: Receipt) -> None:
        """Keep a receipt that says more than the one that stands.

        Raises:
            KeyUnavailable: it can't be written.
        """

    def receipt(self, tenant: TenantId) -> Receipt | None:
        """The receipt of a tenant whose key was destroyed, or None."""

    def tenants(self) -> Iterator[TenantId]:
        """Everybody who has a key or had one, in the order of their ids."""


class FileKeyStore:
    """Wrapped keys in files of one machine."""

    __slots__ = ("_ledger", "_ledger_path", "_root")

    def __init__(self, keys_dir: Path, *, shred_ledger: Path | None = None) -> None:
        """Make the folder where it is missing.

        Raises:
            KeyUnavailable: it can't be made, is a link, or is open to others.
        """
        self._root = keys_dir.absolute()
        self._ledger_path = shred_ledger or self._root / _LEDGER
        self._ledger = ShredLedger(self._ledger_path)
        with _refusing("the key store"):
            self._root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.make_folder(self._root)

    @property
    def kind(self) -> str:
        return "files"

    def folder(self, tenant: TenantId) -> Path:
        """Where a tenant's keys lie.

        Raises:
            InvalidTenantId: the id could mean another place.
        """
        return self._root / (tenant if tenant == PLATFORM else parse_tenant_id(tenant))

    def stamp(self, tenant: TenantId) -> Hashable:
        with _refusing(f"the keys of `{tenant}`"):
            return files.stamp(self.folder(tenant) / _KEYS), self._ledger.stamp()

    def load(self, tenant: TenantId) -> TenantKeys | None:
        with _refusing(f"the keys of `{tenant}`"):
            if self._ledger.find(tenant) is not None:
                raise _destroyed(tenant)
            keys = self._read(tenant)
        if keys is not None and keys.destroyed is not None:
            raise _destroyed(tenant)
        return keys

    def replace(self, old: TenantKeys | None, new: TenantKeys) -> bool:
        with self._locked(new.tenant):
            if self.load(new.tenant) != old:
                return False
            self._write(new)
            return True

    def destroy(self, tenant: TenantId, *, who: str, now: float) -> Receipt:
        with self._locked(tenant):
            keys = self._read(tenant)
            earlier = self._ledger.find(tenant)
            if keys is None or keys.destroyed is not None:
                receipt = earlier or (None if keys is None else keys.destroyed)
                if receipt is None:
                    raise KeyUnavailable(f"`{tenant}` never had a key, so there is none to destroy")
                if earlier is None:
                    self._ledger.add(receipt)
                return receipt
            receipt = self._receipt(keys, earlier, who=who, now=now)
            # INVARIANT: the ledger is first. Whoever dies now has destroyed the key; `destroy` again clears it away.
            self._ledger.add(receipt)
            self._write(keys.gone(receipt))
            return receipt

    def confirm(self, receipt: Receipt) -> None:
        with self._locked(receipt.tenant):
            self._ledger.add(receipt)
            keys = self._read(receipt.tenant)
            if keys is not None and keys.destroyed is not None:
                self._write(replace(keys, destroyed=receipt))

    def receipt(self, tenant: TenantId) -> Receipt | None:
        with _refusing(f"the receipt of `{tenant}`"):
            found = self._ledger.find(tenant)
            if found is not None:
                return found
            keys = self._read(tenant)
            return None if keys is None else keys.destroyed

    def tenants(self) -> Iterator[TenantId]:
        with _refusing("the key store"):
            found = {path.name for path in self._root.iterdir() if (path / _KEYS).exists()} | self._shredded()
        for name in sorted(found):
            with contextlib.suppress(InvalidTenantId):  # `lost+found` and its like
                yield PLATFORM if name == PLATFORM else parse_tenant_id(name)

    def _shredded(self) -> set[str]:
        """Who stands in the ledger, be their folder there or gone."""
        if files.stamp(self._ledger_path) is None:
            return set()
        files.check_folder(self._ledger_path.parent)
        lines = (files.read(self._ledger_path) or b"").split(b"\n")
        return {Receipt.from_dict(parse(line)).tenant for line in lines[:-1]}

    # -- Files -------------------------------------------------------------------------------------------------------

    def _receipt(self, keys: TenantKeys, earlier: Receipt | None, *, who: str, now: float) -> Receipt:
        """Of what stands there, and of what was destroyed before when this is a file that came back."""
        hashes = {version.wrapped_sha256: version.number for version in keys.versions}
        if earlier is not None:
            hashes = dict(zip(earlier.wrapped_sha256, earlier.versions, strict=True)) | hashes
        return Receipt(
            tenant=keys.tenant,
            versions=tuple(hashes.values()),
            wrapped_sha256=tuple(hashes),
            roots=tuple(dict.fromkeys([*(earlier.roots if earlier else ()), *(v.root for v in keys.versions)])),
            root="not asked yet",
            root_confirmed=False,
            time=now,
            who=who,
            key_store=self.kind,
        )

    def _read(self, tenant: TenantId) -> TenantKeys | None:
        """What is in the tenant's file, a tombstone included."""
        folder = self.folder(tenant)
        try:
            files.check_folder(self._root)
            files.check_folder(folder)
        except FileNotFoundError:
            return None
        data = files.read(folder / _KEYS)
        if data is not None:
            return TenantKeys.decode(tenant, data)
        if files.read(folder / _LOCK):
            raise OSError(f"`{folder / _KEYS}` is missing; restore it, for a new key would open nothing that is sealed")
        return None

    def _write(self, keys: TenantKeys) -> None:
        """Replace the tenant's file. The caller holds its lock."""
        folder = self.folder(keys.tenant)
        files.replace(folder / _KEYS, keys.encode())
        if not files.read(folder / _LOCK):
            files.append(folder / _LOCK, b"this tenant had a key\n", sync=True)

    @contextlib.contextmanager
    def _locked(self, tenant: TenantId) -> Iterator[None]:
        with _refusing(f"the keys of `{tenant}`"):
            folder = self.folder(tenant)
            files.make_folder(folder)
            with files.locked(folder / _LOCK, patience_seconds=_PATIENCE_SECONDS):
                yield


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    """What the filesystem or a document says no to, nobody gets a key from."""
    try:
        yield
    except InvalidTenantId:
        raise
    except (OSError, ValueError) as error:
        raise KeyUnavailable(f"{what} can't be used: {error}") from error


def _destroyed(tenant: TenantId) -> KeyDestroyed:
    return KeyDestroyed(f"the key of `{tenant}` was destroyed; its receipt is in the shred ledger")
