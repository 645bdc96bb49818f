"""The envelope: a record as it is stored, sealed under a data key. docs/spec/envelope.md says it in MUSTs.

    0x01 ‖ key version (u32) ‖ epoch (16) ‖ counter (u64) ‖ commitment (32) ‖ ciphertext ‖ tag (16)
    AAD = canonical("partywall/record/v1", the 61 bytes of the header, tenant, store, purpose, record id)

Promises: what opens was sealed for this tenant, store, purpose and record id, under this very key, and has not changed
in a bit. What doesn't open says why to operators, in the order in which the specification checks.

Doesn't promise: to hide a record's length, or to notice an older version of the same record in the place of a newer.

The order of work below is the fast one: what is the same for every record of a key and purpose is made once, and why a
record didn't open is looked into only when it didn't.
"""

from __future__ import annotations

import struct
from hmac import compare_digest
from typing import Final, NamedTuple

from partywall.errors import BrokenSeal, PayloadTooLarge, SealBroken
from partywall.keys.canonical import field
from partywall.keys.hazmat import EPOCH_BYTES, KEY_BYTES, DataKey, InvalidTag

__all__ = [
    "HEADER_BYTES",
    "KEY_NAME",
    "LONGEST_PLAINTEXT_BYTES",
    "OVERHEAD_BYTES",
    "VERSION",
    "Header",
    "key_name",
    "open_sealed",
    "read_header",
    "seal",
]

VERSION: Final = 1
_NAME = struct.Struct(f">BI{EPOCH_BYTES}s")
_HEADER = struct.Struct(f">BI{EPOCH_BYTES}sQ{KEY_BYTES}s")
_TAG_BYTES: Final = 16
HEADER_BYTES: Final = _HEADER.size
OVERHEAD_BYTES: Final = HEADER_BYTES + _TAG_BYTES
"""How much longer a sealed record is than its plaintext."""
LONGEST_PLAINTEXT_BYTES: Final = 64 * 2**20
KEY_NAME: Final = slice(0, _NAME.size)
"""`sealed[KEY_NAME]` names the data key within one tenant and store, unverified: for a look-up among keys held."""

_U32 = struct.Struct(">I").pack
_pack = _HEADER.pack
_unpack = _HEADER.unpack
_join = b"".join
_LABEL: Final = b"partywall/record/v1"
_FIELDS: Final = 6
_START: Final = _U32(_FIELDS) + field(_LABEL) + _U32(HEADER_BYTES)
_MOST_PURPOSES: Final = 64


class Header(NamedTuple):
    """What a sealed record says of itself. Anybody could have written it, until the record opens."""

    key_version: int
    epoch: bytes
    counter: int
    commitment: bytes


def key_name(key_version: int, epoch: bytes) -> bytes:
    """What `sealed[KEY_NAME]` is for every record sealed under this version and epoch."""
    return _NAME.pack(VERSION, key_version, epoch)


def read_header(sealed: bytes) -> Header:
    """The header.

    Raises:
        SealBroken: `truncated` or `unknown_version`.
    """
    if not sealed:
        raise SealBroken("a sealed record is empty", reason=BrokenSeal.TRUNCATED)
    if sealed[0] != VERSION:
        raise SealBroken(f"a sealed record has version {sealed[0]}, not {VERSION}", reason=BrokenSeal.UNKNOWN_VERSION)
    if len(sealed) < OVERHEAD_BYTES:
        raise SealBroken(
            f"a sealed record has {len(sealed)} bytes; the shortest has {OVERHEAD_BYTES}", reason=BrokenSeal.TRUNCATED
        )
    _, key_version, epoch, counter, commitment = _HEADER.unpack_from(sealed)
    return Header(key_version, epoch, counter, commitment)


def seal(
    data_key: DataKey, counter: int, *, tenant: str, store: str, purpose: str, record_id: str, plaintext: bytes
) -> bytes:
    """Seal `plaintext` as record number `counter` of the epoch. INVARIANT: no `counter` comes twice.

    Raises:
        ValueError: the key is another tenant's or store's, an empty purpose or record id, text that isn't Unicode, or
            a counter outside the epoch.
        PayloadTooLarge: more than 64 MiB.
    """
    if tenant != data_key.tenant or store != data_key.store or not record_id:
        raise ValueError(f"{data_key!r} was to seal record `{record_id}` of `{tenant}` in `{store}`")
    if len(plaintext) > LONGEST_PLAINTEXT_BYTES:
        raise PayloadTooLarge(f"a record of `{tenant}` in `{store}` has {len(plaintext)} bytes")
    bound = data_key.bound.get(purpose) or _bind(data_key, purpose)
    record = record_id.encode()
    try:
        header = _pack(VERSION, data_key.key_version, data_key.epoch, counter, data_key.commitment)
    except struct.error:
        raise ValueError(f"{counter} numbers no record") from None
    aad = _join((_START, header, bound, _U32(len(record)), record))
    return header + data_key.encrypt(counter, plaintext, aad)


def open_sealed(data_key: DataKey, sealed: bytes, *, tenant: str, store: str, purpose: str, record_id: str) -> bytes:
    """The plaintext.

    Raises:
        SealBroken: `truncated`, `unknown_version`, `wrong_key` or `not_authentic`, whichever the specification's order
            of checks meets first.
        ValueError: `purpose` or `record_id` is text that isn't Unicode, or the purpose is empty.
    """
    bound = data_key.bound.get(purpose) or _bind(data_key, purpose)
    record = record_id.encode()
    header = sealed[:HEADER_BYTES]
    try:
        _, _, _, counter, commitment = _unpack(header)
        if compare_digest(commitment, data_key.commitment) and tenant == data_key.tenant and store == data_key.store:
            aad = _join((_START, header, bound, _U32(len(record)), record))
            return data_key.decrypt(counter, sealed[HEADER_BYTES:], aad)
    except (struct.error, InvalidTag, OverflowError):
        pass
    raise _broken(data_key, sealed, tenant=tenant, store=store)


def _bind(data_key: DataKey, purpose: str) -> bytes:
    """The fields between header and record id: the same for every record of a key and purpose."""
    if not purpose:
        raise ValueError("a record has a purpose; an empty one is refused")
    if len(data_key.bound) >= _MOST_PURPOSES:
        data_key.bound.clear()
    fields = (data_key.tenant, data_key.store, purpose)
    bound = data_key.bound[purpose] = _join([field(value.encode()) for value in fields])
    return bound


def _broken(data_key: DataKey, sealed: bytes, *, tenant: str, store: str) -> SealBroken:
    """Why `sealed` didn't open, in the order of the specification."""
    try:
        header = read_header(sealed)
    except SealBroken as error:
        return SealBroken(f"{error} (`{store}` of `{tenant}`)", reason=error.reason)
    says = (tenant, store, header.key_version, header.epoch, header.commitment)
    meant = says == (data_key.tenant, data_key.store, data_key.key_version, data_key.epoch, data_key.commitment)
    reason = BrokenSeal.NOT_AUTHENTIC if meant else BrokenSeal.WRONG_KEY
    return SealBroken(
        f"a record in `{store}` of `{tenant}` does not open with version {data_key.key_version} of its key: {reason}",
        reason=reason,
    )
