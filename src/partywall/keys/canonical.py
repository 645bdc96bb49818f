"""One way to write a list of byte strings as one byte string, for AAD and for key derivation.

    canonical(f1, …, fn) = u32(n) ‖ field(f1) ‖ … ‖ field(fn)        field(f) = u32(length of f) ‖ f

Promises: no two lists encode alike, whatever their fields hold, so that `("ab", "c")` is never taken for `("a", "bc")`,
nor a list for a longer one with empty fields. u32 is big-endian.
"""

from __future__ import annotations

import struct

__all__ = ["canonical", "field"]

_U32 = struct.Struct(">I").pack


def canonical(*fields: bytes) -> bytes:
    """The encoding of `fields`."""
    return _U32(len(fields)) + b"".join([field(value) for value in fields])


def field(value: bytes) -> bytes:
    """The encoding of one field in a list: for a list of which a part is known before the rest."""
    return _U32(len(value)) + value
