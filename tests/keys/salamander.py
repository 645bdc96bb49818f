"""An invisible salamander: one AES-GCM ciphertext that two keys open (Dodis, Grubbs, Ristenpart, Woodage 2018).

The tag is linear in the ciphertext. Of two blocks the second is chosen so that the tags under both keys meet.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

_REDUCTION = 0xE1 << 120
_ONE = 1 << 127


def two_faced(first: bytes, second: bytes, nonce: bytes, first_aad: bytes, second_aad: bytes) -> bytes:
    """Ciphertext and tag that AES-GCM accepts under both keys, each with its AAD."""
    squares = [_product(h, h) for h in (_hash_key(first), _hash_key(second))]
    difference = _tag(first, nonce, bytes(32), first_aad) ^ _tag(second, nonce, bytes(32), second_aad)
    block = _product(difference, _inverse(squares[0] ^ squares[1]))
    ciphertext = bytes(16) + block.to_bytes(16, "big")
    return ciphertext + _tag(first, nonce, ciphertext, first_aad).to_bytes(16, "big")


def _hash_key(key: bytes) -> int:
    return int.from_bytes(Cipher(AES(key), ECB()).encryptor().update(bytes(16)), "big")  # noqa: S305 - GHASH's key, by its definition


def _tag(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> int:
    """The tag of a given ciphertext: encrypt what the key stream turns into it."""
    stream = AESGCM(key).encrypt(nonce, bytes(len(ciphertext)), None)[: len(ciphertext)]
    plaintext = bytes(a ^ b for a, b in zip(stream, ciphertext, strict=True))
    sealed = AESGCM(key).encrypt(nonce, plaintext, aad)
    assert sealed[:-16] == ciphertext
    return int.from_bytes(sealed[-16:], "big")


def _product(x: int, y: int) -> int:
    """In GF(2^128) as NIST SP 800-38D, 6.3 has it."""
    total = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            total ^= y
        y = y >> 1 ^ (_REDUCTION if y & 1 else 0)
    return total


def _inverse(x: int) -> int:
    """x to the power of 2^128 - 2."""
    result = _ONE
    for _ in range(127):
        x = _product(x, x)
        result = _product(result, x)
    return result
