"""What the halves of a record are sealed with, as far as the trail knows.

The keys room and this one are strangers; whoever opens both hands the one to the other (`platform`).

Promises: with `Seals`, no half reaches the file in clear, and a half that can't be sealed isn't written. What stays
clear beside the halves is what the file is searched by: id, tenant, time, verdict.

Doesn't promise: that a file holds sealed rows only. Those from before sealing was on stay as they are, and a reader
that has keys reports that they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from partywall.errors import KeyDestroyed, KeyUnavailable, SealBroken, TrailUnavailable
from partywall.tenancy import TenantId

__all__ = ["ADMISSION", "COMPLETION", "KeyNotHeld", "NothingToOpenWith", "Opener", "Seals", "is_sealed", "opened"]

ADMISSION: Final = "admission"
COMPLETION: Final = "completion"
"""The purposes that the halves are sealed for, so that one can't pass for the other."""
_SEALED: Final = b"\x01"
"""The first byte of an envelope. A half in clear is a JSON array."""

Opener: TypeAlias = Callable[[TenantId | None, str, str, bytes], bytes]
"""Tenant, half, record id and sealed bytes to the half. Raises SealBroken and KeyUnavailable."""


class Seals(Protocol):
    """What seals the halves; None is the platform's own record."""

    def try_seal(self, tenant: TenantId | None, half: str, record_id: str, plaintext: bytes) -> bytes | None:
        """The sealed half; None when the key must be had first. Raises as `get_ready`."""

    async def get_ready(self, tenant: TenantId | None) -> None:
        """Have the key. Raises KeyUnavailable and SealBroken."""


class NothingToOpenWith(TrailUnavailable):
    """Decisions are sealed, and the reader was given no opener. It says nothing about any one file."""


class KeyNotHeld(Exception):
    """The key must be had before the record can be queued. Nothing was queued."""


def is_sealed(half: object) -> bool:
    """Whether it is an envelope. What else it may be, a half in clear or something planted, `codec.decode` judges."""
    return isinstance(half, bytes) and half[:1] == _SEALED


def opened(opener: Opener | None, tenant: TenantId | None, half: str, record_id: str, stored: bytes) -> bytes:
    """The half in clear.

    Raises:
        NothingToOpenWith: it is sealed, and there is no `opener`.
        TrailUnavailable: there is no key for it: its root is down, or it was destroyed.
        ValueError: it isn't what was sealed for this tenant and record.
    """
    if not is_sealed(stored):
        return stored
    if opener is None:
        raise NothingToOpenWith("decisions are sealed, and nothing was given to open them with; name the document")
    try:
        return opener(tenant, half, record_id, stored)
    except KeyDestroyed as error:
        raise TrailUnavailable(f"decisions are sealed under a key that was destroyed: {error}") from error
    except KeyUnavailable as error:
        raise TrailUnavailable(f"decisions are sealed, and their key can't be had: {error}") from error
    except SealBroken as error:
        raise ValueError(f"the {half} doesn't open: {error.reason}") from error
