"""Data keys for one purpose each, with everything worked out beforehand that is the same for all their records.

The bytes are those of `envelope`, which says what they mean and is the one to read; this is its twin for the path of
every record, and costs a third less. Tests hold the two against each other, and every vector runs through this one.

Promises: sealing takes the next number of the epoch by itself; no caller has it. What doesn't open is handed to
`envelope.open_sealed`, so that there is one place that names reasons.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from partywall.errors import PayloadTooLarge
from partywall.keys.canonical import field
from partywall.keys.envelope import HEADER_BYTES, LONGEST_PLAINTEXT_BYTES, key_name, open_sealed
from partywall.keys.hazmat import EPOCH_BYTES, KEY_BYTES, DataKey, InvalidTag
from partywall.tenancy import TenantId

__all__ = ["Epoch", "OpeningKey", "SealingKey", "split"]

_U32 = struct.Struct(">I").pack
_COUNTER = struct.Struct(">4xI").pack
"""Eight bytes of at most 2^32 - 1, the last number of an epoch; it refuses the next."""
_NONCE_START: Final = bytes(4)
_LABEL: Final = b"partywall/record/v1"
_FIELDS: Final = 6
_AAD_START: Final = _U32(_FIELDS) + field(_LABEL) + _U32(HEADER_BYTES)
_MOST_LENGTHS: Final = 256
_LENGTHS: Final = tuple(_U32(length) for length in range(_MOST_LENGTHS))
_join = b"".join

split = struct.Struct(f"{5 + EPOCH_BYTES}s8s{KEY_BYTES}s").unpack_from
"""The name of the data key, the counter and the commitment in a record's header; struct.error if it is too short."""


class Epoch:
    """A sealing epoch: 16 bytes that no other has, its data key, and the numbers of its records.

    It ends with the unwrapped key that it came from, whose `hold_uses` is at most the 2^32 numbers that there are.
    """

    __slots__ = ("data_key", "next_counter")

    def __init__(self, material: bytearray, *, tenant: TenantId, store: str, key_version: int) -> None:
        epoch = os.urandom(EPOCH_BYTES)
        self.data_key = DataKey.derive(material, tenant=tenant, store=store, key_version=key_version, epoch=epoch)
        # INVARIANT: no number comes twice in an epoch, not even to two threads: C counts, without a read and a write.
        self.next_counter: Callable[[], bytes] = map(_COUNTER, itertools.count()).__next__
        """The next number, as it stands in the header."""


class _PurposeKey:
    """What both directions have in common: the AAD before and after the counter."""

    __slots__ = ("_after", "_before", "_commitment", "_name", "data_key")

    def __init__(self, data_key: DataKey, purpose: str) -> None:
        """Work it out.

        Raises:
            ValueError: an empty purpose, or one that isn't Unicode.
        """
        if not purpose:
            raise ValueError("a record has a purpose; an empty one is refused")
        self.data_key = data_key
        self._name = key_name(data_key.key_version, data_key.epoch)
        self._commitment = data_key.commitment
        self._before = _AAD_START + self._name
        fields = (data_key.tenant, data_key.store, purpose)
        self._after = self._commitment + _join([field(value.encode()) for value in fields])


class SealingKey(_PurposeKey):
    """Seals the records of one purpose in an epoch."""

    __slots__ = ("_encrypt", "_next_counter")

    def __init__(self, epoch: Epoch, purpose: str) -> None:
        super().__init__(epoch.data_key, purpose)
        self._next_counter = epoch.next_counter
        self._encrypt = epoch.data_key._encrypt  # noqa: SLF001 - the nonce is made from the epoch's own counter below

    def seal(self, record_id: str, plaintext: bytes) -> bytes:
        """As `envelope.seal`, with the epoch's next number.

        Raises:
            ValueError: an empty record id, or one that isn't Unicode.
            PayloadTooLarge: more than 64 MiB.
        """
        record = record_id.encode()
        if not record or len(plaintext) > LONGEST_PLAINTEXT_BYTES:
            raise self._refusal(record_id, plaintext)
        counter = self._next_counter()
        length = _LENGTHS[size] if (size := len(record)) < _MOST_LENGTHS else _U32(size)
        aad = _join((self._before, counter, self._after, length, record))
        return _join((self._name, counter, self._commitment, self._encrypt(_NONCE_START + counter, plaintext, aad)))

    def _refusal(self, record_id: str, plaintext: bytes) -> ValueError | PayloadTooLarge:
        where = f"`{self.data_key.tenant}` in `{self.data_key.store}`"
        if not record_id:
            return ValueError(f"a record of {where} has an id; an empty one is refused")
        return PayloadTooLarge(f"a record of {where} has {len(plaintext)} bytes")


class OpeningKey(_PurposeKey):
    """Opens the records of one purpose of an epoch."""

    __slots__ = ("_decrypt", "_purpose")

    def __init__(self, data_key: DataKey, purpose: str) -> None:
        super().__init__(data_key, purpose)
        self._purpose = purpose
        self._decrypt = data_key._decrypt  # noqa: SLF001 - the nonce is the record's, as the envelope has it

    def open(self, record_id: str, sealed: bytes, counter: bytes, commitment: bytes) -> bytes:
        """As `envelope.open_sealed`, for a record whose header was `split` and names this key.

        Raises:
            SealBroken, ValueError: as there.
        """
        record = record_id.encode()
        if compare_digest(commitment, self._commitment):
            length = _LENGTHS[size] if (size := len(record)) < _MOST_LENGTHS else _U32(size)
            aad = _join((self._before, counter, self._after, length, record))
            try:
                return self._decrypt(_NONCE_START + counter, sealed[HEADER_BYTES:], aad)
            except (InvalidTag, OverflowError):
                pass  # why, is found out below
        return open_sealed(
            self.data_key,
            sealed,
            tenant=self.data_key.tenant,
            store=self.data_key.store,
            purpose=self._purpose,
            record_id=record_id,
        )
