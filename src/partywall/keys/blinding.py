"""Blinding numbers: what must be compared for equality, and tell nothing else to whoever lacks the key.

Promises: `blind` is a pseudorandom function of a number under a key that is this purpose's alone.

Doesn't promise: to hide that two numbers are equal. That is what it is for.
"""

from __future__ import annotations

from partywall.keys.hazmat.blocks import BLOCK_BYTES, permute_blocks

__all__ = ["BLOCK_BYTES", "blind"]


def blind(key: bytes, numbers: bytes) -> bytes:
    """The images of numbers of 16 bytes each, laid end to end. `key` is 32 bytes; anything else is a ValueError."""
    return permute_blocks(key, numbers)
