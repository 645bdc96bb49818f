"""Keys from a tenant's key: HKDF-SHA-256 (RFC 5869), a label for each purpose, canonical info.

Promises: keys of two tenants, stores, purposes, versions or epochs are independent, and none tells anything of the
tenant's key. The tenant's key is 32 random bytes; nothing here stretches a password.

Doesn't promise: that what is derived is gone when a caller drops it. Callers overwrite what they can.
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from partywall.keys.canonical import canonical

__all__ = ["EPOCH_BYTES", "KEY_BYTES", "derive_data_key", "derive_index_key", "hkdf_sha256", "keyed_hash"]

KEY_BYTES: Final = 32
"""Of a tenant's key, a data key, a commitment and an index key alike."""
EPOCH_BYTES: Final = 16
_DATA_KEY: Final = b"partywall/data-key/v1"
_INDEX_KEY: Final = b"partywall/index-key/v1"
_LAST_VERSION: Final = 2**32 - 1
_U32 = struct.Struct(">I").pack


def derive_data_key(
    tenant_key: bytes | bytearray, *, tenant: str, store: str, key_version: int, epoch: bytes
) -> bytearray:
    """The data key (32 bytes) and its commitment (32 bytes), for the caller to overwrite."""
    if len(epoch) != EPOCH_BYTES:
        raise ValueError(f"an epoch is {EPOCH_BYTES} bytes, not {len(epoch)}")
    info = canonical(_DATA_KEY, tenant.encode(), store.encode(), _number(key_version))
    return hkdf_sha256(_whole(tenant_key), salt=epoch, info=info, length=2 * KEY_BYTES)


def derive_index_key(
    tenant_key: bytes | bytearray, *, tenant: str, store: str, purpose: str, key_version: int
) -> bytes:
    """The key under which values of this store and purpose are hashed for equality look-ups."""
    info = canonical(_INDEX_KEY, tenant.encode(), store.encode(), purpose.encode(), _number(key_version))
    return bytes(hkdf_sha256(_whole(tenant_key), salt=b"", info=info, length=KEY_BYTES))


def keyed_hash(index_key: bytes, value: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104) of `value`: 32 bytes that say whether two values are equal, to holders of the key."""
    return hmac.digest(index_key, value, "sha256")


def hkdf_sha256(key: bytes | bytearray, *, salt: bytes, info: bytes, length: int) -> bytearray:
    """RFC 5869, extract and expand, into a buffer that can be overwritten."""
    derived = bytearray(length)
    HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive_into(key, derived)
    return derived


def _number(key_version: int) -> bytes:
    if not 1 <= key_version <= _LAST_VERSION:
        raise ValueError(f"versions of a tenant's key are numbered 1 to {_LAST_VERSION}, not {key_version}")
    return _U32(key_version)


def _whole(tenant_key: bytes | bytearray) -> bytes | bytearray:
    if len(tenant_key) != KEY_BYTES:
        raise ValueError(f"a tenant's key is {KEY_BYTES} bytes, not {len(tenant_key)}")
    return tenant_key
