"""AES-256-GCM (NIST SP 800-38D) under one data key, its nonces counted.

Promises: a nonce is the record's number in the epoch, so none is used twice as long as no number is; numbers beyond
2^32 are refused. Whoever holds a `DataKey` can't choose an algorithm, a nonce or a label.

Doesn't promise: to count. The keyring counts, one counter for each epoch, and draws the epoch. A number used twice
gives away both plaintexts and the key that authenticates.
"""

from __future__ import annotations

import struct
from typing import Final, NoReturn, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from partywall.keys.hazmat.derive import KEY_BYTES, derive_data_key

__all__ = ["RECORDS_PER_EPOCH", "DataKey"]

RECORDS_PER_EPOCH: Final = 2**32
# Big-endian over 12 bytes. `I` refuses what is negative or has more than 32 bits, at no cost.
_NONCE = struct.Struct(">8xI").pack


@final
class DataKey:
    """The key of one (tenant, store, key version, epoch), ready for use."""

    __slots__ = ("_decrypt", "_encrypt", "bound", "commitment", "epoch", "key_version", "store", "tenant")

    def __init__(
        self, key: bytes | memoryview, commitment: bytes, *, tenant: str, store: str, key_version: int, epoch: bytes
    ) -> None:
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self._decrypt = aead.decrypt
        self.commitment = commitment
        self.tenant = tenant
        self.store = store
        self.key_version = key_version
        self.epoch = epoch
        self.bound: dict[str, bytes] = {}
        """What the envelope has worked out about each purpose; it lives as long as the key."""

    @classmethod
    def derive(
        cls, tenant_key: bytes | bytearray, *, tenant: str, store: str, key_version: int, epoch: bytes
    ) -> DataKey:
        """Derive the key and its commitment from a version of the tenant's key.

        Raises:
            ValueError: the tenant's key isn't 32 bytes, or the epoch isn't 16.
        """
        derived = derive_data_key(tenant_key, tenant=tenant, store=store, key_version=key_version, epoch=epoch)
        try:
            key, commitment = memoryview(derived)[:KEY_BYTES], bytes(derived[KEY_BYTES:])
            return cls(key, commitment, tenant=tenant, store=store, key_version=key_version, epoch=epoch)
        finally:
            derived[:] = bytes(len(derived))

    def encrypt(self, counter: int, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext and tag. INVARIANT: no `counter` comes twice; the keyring sees to it.

        Raises:
            ValueError: `counter` is not in 0 … 2^32 - 1.
        """
        try:
            nonce = _NONCE(counter)
        except struct.error:
            raise ValueError(f"record {counter} is beyond the {RECORDS_PER_EPOCH} of an epoch") from None
        return self._encrypt(nonce, plaintext, aad)

    def decrypt(self, counter: int, ciphertext: bytes, aad: bytes) -> bytes:
        """The plaintext.

        Raises:
            InvalidTag: anything differs from what was encrypted.
        """
        try:
            nonce = _NONCE(counter)
        except struct.error:
            raise InvalidTag from None  # no record has such a number
        return self._decrypt(nonce, ciphertext, aad)

    def __repr__(self) -> str:
        return f"DataKey({self.tenant}, {self.store}, version {self.key_version}, epoch {self.epoch.hex()})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a DataKey does not leave the process")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a DataKey does not leave the process")
