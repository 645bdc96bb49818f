"""Canaries: strings that stand nowhere but where they were planted, and the forms in which they come back.

Promises: a canary is 128 random bits in 26 letters and digits, with nothing in it that says what it is. It is found as
it is, in any case, spaced or punctuated; in hexadecimal (bare, `\\x`, `0x`, `%`, any separators); in base64 of a text
around it, in each of the three alignments, both alphabets, wrapped or not; and when its end was cut off, as long as
`SEEN` normalised characters of a form are there.

Doesn't promise: to see through two encodings at once, compression, ciphers, or a canary whose beginning is missing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from partywall.detection.grams import Grams, Hashes
from partywall.detection.normal import Codes, codes_of, normalised
from partywall.tenancy import TenantId

__all__ = ["CANARY_BYTES", "LONGEST_FORM", "SEEN", "Canaries", "Canary", "make_canary"]

CANARY_BYTES: Final = 16
SEEN: Final = 24
_LENGTH: Final = 26
LONGEST_FORM: Final = 4 * _LENGTH
_SPARSE_BITS: Final = 6


class Canary(NamedTuple):
    """What was planted, whose it is, and where (`system_prompt`, `documents`, `memory`)."""

    text: str
    owner: TenantId
    surface: str


def make_canary(random_bytes: bytes) -> str:
    """The canary of 16 random bytes."""
    if len(random_bytes) != CANARY_BYTES:
        raise ValueError(f"a canary is made of {CANARY_BYTES} bytes, not {len(random_bytes)}")
    return base64.b32encode(random_bytes).decode().rstrip("=").lower()


def _forms(text: str) -> Iterator[str]:
    """Every form in which it is looked for, normalised."""
    yield normalised(text)
    for spelt in (text.lower(), text.upper()):
        pairs = [f"{byte:02x}" for byte in spelt.encode()]
        yield "".join(pairs)
        yield "x".join(pairs)
        yield "0x".join(pairs)
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + spelt.encode() + b"\0" * 3).decode()
            # Characters that hold bits of a neighbour too are left out: they are whatever the neighbour makes them.
            first, last = -(-8 * shift // 6), 8 * (shift + len(spelt)) // 6
            yield normalised(encoded[first:last])


class Canaries:
    """All that were planted, compiled for looking. Immutable: plant more by making another."""

    __slots__ = ("_forms", "_mask", "_shift", "planted")

    def __init__(self, grams: Grams, planted: Iterable[Canary]) -> None:
        self.planted = tuple(planted)
        self._forms: dict[int, list[tuple[Codes, Canary]]] = {}
        for canary in self.planted:
            for form in _forms(canary.text):
                codes = codes_of(form)
                self._forms.setdefault(int(grams.of(codes).short[0]), []).append((codes, canary))
        bits = len(self._forms).bit_length() + _SPARSE_BITS
        self._shift = np.uint64(64 - bits)
        self._mask = np.zeros(1 << bits, bool)
        self._mask[np.fromiter(self._forms, np.uint64, len(self._forms)) >> self._shift] = True

    def find(self, codes: Codes, short: Hashes) -> Iterator[tuple[int, int, Canary, bool]]:
        """`(start, end, canary, is_open)` in normalised characters, by start. Open: more text could make it longer."""
        for place in self._mask.take((short >> self._shift).view(np.int64)).nonzero()[0].tolist():
            for form, canary in self._forms.get(int(short[place]), ()):
                there = codes[place : place + len(form)]
                differ = np.flatnonzero(there != form[: len(there)])
                length = int(differ[0]) if len(differ) else len(there)
                is_open = length == len(there) < len(form)
                if length >= SEEN or is_open:
                    yield place, place + length, canary, is_open
