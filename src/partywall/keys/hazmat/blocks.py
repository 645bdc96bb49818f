"""A keyed permutation of single blocks: AES-256 (FIPS 197) without a mode.

Promises: to whoever has no key, the image of a block tells nothing of the block but whether it equals another's.

Doesn't promise: secrecy of texts. Equal blocks give equal images, which fingerprints need and encryption must not do.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

__all__ = ["BLOCK_BYTES", "permute_blocks"]

BLOCK_BYTES: Final = 16


def permute_blocks(key: bytes, blocks: bytes) -> bytes:
    """The images of all blocks in `blocks`, in their order. `key` is 32 bytes."""
    if len(key) != 2 * BLOCK_BYTES:
        raise ValueError(f"a key is {2 * BLOCK_BYTES} bytes, not {len(key)}")
    if len(blocks) % BLOCK_BYTES:
        raise ValueError(f"blocks are {BLOCK_BYTES} bytes each, and {len(blocks)} are no whole number of them")
    return Cipher(AES(key), ECB()).encryptor().update(blocks)  # noqa: S305  # independent blocks are the purpose
