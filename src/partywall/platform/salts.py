"""The deployment's own secret, and the salts made from it.

Promises: a salt is fixed-length hex, the same for one tenant and purpose in every process that shares the data
directory, different for any other, and unguessable without the deployment's key. There is no default key: one is made
at random on first start, in a file that only its owner can read.

Salt: HMAC-SHA-256(key, "partywall/salt/v1" 0x00 purpose 0x00 tenant), RFC 2104, as 64 hex digits.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path
from typing import Final

from partywall.errors import ConfigError
from partywall.tenancy import TenantId
from partywall.upstream.providers import Salts

__all__ = ["Salter"]

_KEY_BYTES: Final = 32
_LABEL: Final = b"partywall/salt/v1"


class Salter:
    """Makes salts; holds the deployment's key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ConfigError(f"the deployment's key must be {_KEY_BYTES} bytes, not {len(key)}")
        self._key = key

    @classmethod
    def open(cls, data_dir: Path) -> Salter:
        """Read the key in `data_dir`, or make it.

        Raises:
            ConfigError: the file has other permissions than its owner's alone, or isn't a key.
        """
        path = data_dir / "salt.key"
        try:
            return cls(_read(path))
        except FileNotFoundError:
            _create(path)
            return cls(_read(path))

    def salt(self, purpose: str, tenant: TenantId) -> str:
        """The salt of `tenant` for `purpose`, as 64 hex digits."""
        message = b"\0".join((_LABEL, purpose.encode(), tenant.encode()))
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def salts_of(self, tenant: TenantId) -> Salts:
        """The two pseudonyms of `tenant` at an upstream."""
        return Salts(cache=self.salt("cache", tenant), user=self.salt("user", tenant))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise ConfigError(f"`{path}` can be read by others (mode {mode:o}); run: chmod 600 {path}")
        return file.read(_KEY_BYTES + 1)


def _create(path: Path) -> None:
    """Write a new key under a temporary name and link it, so that two first starts agree on one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return  # another process was first; its key stands
    finally:
        temporary.unlink(missing_ok=True)
