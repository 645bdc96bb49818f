"""Wrapping one key with another: AES-256-GCM (NIST SP 800-38D) with a random nonce.

Promises: what `unwrap` returns was wrapped under this key with this associated data, bit for bit.

A wrapped key is nonce (12) | ciphertext | tag (16). The nonce is random, which holds for at most 2^32 wraps under one
key: then two nonces are equal with a probability below 2^-32 (SP 800-38D, 8.3). A root key wraps one tenant key at each
onboarding and rotation; ten thousand tenants, rotated daily and wrapped anew besides, come to 2^23 in a year.

Doesn't promise: key commitment. Whoever holds two root keys could make a blob that opens under both; the holder of a
root key needs no such trick.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["WRAP_OVERHEAD", "NotAuthentic", "unwrap", "wrap"]

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
WRAP_OVERHEAD: Final = _NONCE_BYTES + _TAG_BYTES


class NotAuthentic(Exception):
    """The tag doesn't hold: another key, other associated data, or changed bytes. Which, nobody can know."""


def wrap(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """`plaintext` wrapped under `key` (32 bytes), bound to `associated`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def unwrap(key: bytes, wrapped: bytes, associated: bytes) -> bytes:
    """What was wrapped.

    Raises:
        NotAuthentic: it wasn't, under this key and with this `associated`.
    """
    if len(wrapped) < WRAP_OVERHEAD:
        raise NotAuthentic
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], associated)
    except InvalidTag:
        raise NotAuthentic from None
