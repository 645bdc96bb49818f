"""The root in a file of this machine: the one that needs no server.

Promises: AES-256-GCM under a random key of the file, with tenant and context as associated data. The file is read for
each use, so that another process's rotation, and the file's removal, show at once; its key is held nowhere else.

A wrapped key is 0x01 | version of the root key (u32 big-endian) | nonce | ciphertext | tag; see `hazmat.wrap`.

Doesn't promise: to protect tenants from whoever can read the file: it opens every tenant's key. Back it up, and apart
from the data. No tenant has a root key of its own here, so nothing of the root is destroyed with a tenant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from partywall.errors import KeyUnavailable
from partywall.keys.hazmat.wrap import NotAuthentic, unwrap, wrap
from partywall.keys.roots import root_file
from partywall.keys.roots.base import bind, broken
from partywall.keys.roots.blocking import BlockingCalls
from partywall.keys.roots.settings import FileRootSettings
from partywall.tenancy import TenantId

__all__ = ["FileRoot"]

_FORMAT: Final = b"\x01"
_HEADER_BYTES: Final = 5
_LABEL: Final = b"partywall/root/file/v1"

Result = TypeVar("Result")


class FileRoot:
    """`Root` over one file."""

    name: Final = "file"

    def __init__(self, settings: FileRootSettings) -> None:
        """Reads nothing yet."""
        self._path = settings.path
        self._service = f"the root key file `{settings.path}`"
        self._calls = BlockingCalls(self._service, settings.timeout_seconds)

    @staticmethod
    def create(path: Path) -> None:
        """Make a root key file, for `partywall init`.

        Raises:
            ConfigError: something is there already.
        """
        root_file.create(path)

    async def prepare(self, tenant: TenantId) -> None:  # noqa: ARG002  # the file is every tenant's
        """Nothing to make for a tenant; that the root can be used, is seen."""
        await self.check()

    async def wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        """Wrap `key` under the last version in the file."""
        return await self._run(lambda: self._wrap(tenant, key, context))

    async def unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this `tenant` and `context`."""
        return await self._run(lambda: self._unwrap(tenant, wrapped, context))

    async def rotate(self, tenant: TenantId) -> None:  # noqa: ARG002  # the file is every tenant's
        """Add a version to the file; it is every tenant's."""
        await self._run(lambda: root_file.add_version(self._path))

    async def destroy(self, tenant: TenantId) -> str:  # noqa: ARG002  # the file is every tenant's
        """Nothing: the file's keys serve every tenant."""
        return "The root key file serves every tenant and was left alone."

    async def check(self) -> None:
        """Whether the file is there, whole, and ours alone."""
        await self._run(lambda: root_file.read(self._path))

    async def aclose(self) -> None:
        """Refuse further use."""
        self._calls.close()

    async def _run(self, call: Callable[[], Result]) -> Result:
        return await self._calls.within(self._calls.run(lambda: self._reading(call)))

    def _reading(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except OSError as error:
            raise KeyUnavailable(f"{self._service} can't be used: {error.strerror}") from None

    def _wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        keys = root_file.read(self._path)
        header = _FORMAT + len(keys).to_bytes(4, "big")
        return header + wrap(keys[-1], key, bind(_LABEL, tenant, header + context))

    def _unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        keys = root_file.read(self._path)
        header = wrapped[:_HEADER_BYTES]
        version = int.from_bytes(header[1:], "big")
        if len(header) < _HEADER_BYTES or header[:1] != _FORMAT or version == 0:
            raise broken(tenant, self._service, "it is none that was made for a file")
        if version > len(keys):
            raise broken(tenant, self._service, f"it names version {version}, and the file holds {len(keys)}")
        try:
            return unwrap(keys[version - 1], wrapped[_HEADER_BYTES:], bind(_LABEL, tenant, header + context))
        except NotAuthentic:
            raise broken(tenant, self._service, "it was changed, or wrapped for another tenant or place") from None
