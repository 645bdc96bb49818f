"""What every root can do: wrap a tenant's key, and give it back for the same tenant and context alone.

Promises: every answer comes within the root's time-out, as a result or as one of two errors. `KeyUnavailable` says
which of these it was: the root is down, did not answer in time, is sealed, refuses, or has no such key. `SealBroken`
(reason `WRAPPED_KEY`) says that the root works and the wrapped key is not what it wrapped for this tenant and context.
No detail holds key material, a token, or text that the root's server chose. A call that is cancelled leaves the root
usable, and a root that was unavailable is used again as soon as it answers, without a restart.

Doesn't promise: to hold unwrapped keys or to try another root. The keyring holds them; nobody falls back.
"""

from __future__ import annotations

from typing import Protocol

from partywall.errors import BrokenSeal, KeyUnavailable, SealBroken
from partywall.tenancy import TenantId

__all__ = ["Root", "admit", "bind", "broken"]


class Root(Protocol):
    """A root key, in a file or in somebody else's safe. Used from one event loop."""

    @property
    def name(self) -> str:
        """`file`, `vault` or `aws_kms`: stands beside each wrapped key, so that no other root is asked for it."""

    async def prepare(self, tenant: TenantId) -> None:
        """Create what a new tenant needs. Doing it again changes nothing."""

    async def wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        """Wrap `key` for `tenant` under the newest version of the root key, bound to `context`."""

    async def unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this `tenant` and `context`."""

    async def rotate(self, tenant: TenantId) -> None:
        """Make a new version of the root key. What older ones wrapped still unwraps; wrap it again at leisure."""

    async def destroy(self, tenant: TenantId) -> str:
        """Destroy the tenant's own root key where it has one. Returns what was done, as a sentence for the receipt."""

    async def check(self) -> None:
        """Whether the root can be used at all.

        Raises:
            KeyUnavailable: it can't; the message says why and what to do.
        """

    async def aclose(self) -> None:
        """Give back what is held open. Doesn't wait for a server that hangs."""


def bind(label: bytes, tenant: TenantId, context: bytes) -> bytes:
    """The bytes that tie a wrapped key to its tenant and context.

    Neither a label nor a tenant id holds a NUL, so no two (label, tenant, context) give the same bytes.
    """
    return b"\0".join((label, tenant.encode(), context))


def admit(owner: TenantId | None, tenant: TenantId, root: str) -> None:
    """Let `tenant` in, unless the root is some other tenant's own.

    Raises:
        KeyUnavailable: it is.
    """
    if owner is not None and tenant != owner:
        raise KeyUnavailable(f"{root} is `{owner}`'s own root and serves no other tenant; `{tenant}` asked for it")


def broken(tenant: TenantId, root: str, why: str) -> SealBroken:
    """The error for a wrapped key that the working root does not recognise."""
    return SealBroken(f"the wrapped key of `{tenant}` does not open with {root}: {why}", reason=BrokenSeal.WRAPPED_KEY)
