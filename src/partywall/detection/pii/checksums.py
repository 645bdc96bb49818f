"""The check digits that personal numbers share.

Promises: each function takes the bare characters of a number and tells whether its check digits hold.

Doesn't promise: that anybody was ever given the number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

__all__ = ["digits_of", "is_date", "luhn", "mod_11_2", "mod_11_10", "mod_97", "verhoeff", "weighted"]

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
# The dihedral group D5 and the powers of its permutation (J. Verhoeff, Error Detecting Decimal Codes, 1969).
_D5: Final = tuple(
    tuple((a + b) % 5 + (5 if b >= 5 else 0) if a < 5 else (a - b) % 5 + (0 if b >= 5 else 5) for b in range(10))
    for a in range(10)
)
_STEP: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_ALPHANUMERIC: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def digits_of(text: str) -> list[int]:
    """The ASCII digits in `text`, as numbers."""
    return [ord(character) - 48 for character in text if "0" <= character <= "9"]


def weighted(digits: Iterable[int], weights: Sequence[int]) -> int:
    """The sum of digit times weight, as far as there are weights."""
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: Sequence[int]) -> bool:
    """ISO/IEC 7812-1, annex B."""
    plain, doubled = digits[-1::-2], digits[-2::-2]
    return (sum(plain) + sum(_DOUBLED[digit] for digit in doubled)) % 10 == 0


def mod_97(text: str) -> bool:
    """ISO 7064 MOD 97-10 over digits and letters, as IBANs use it."""
    return int("".join(str(_ALPHANUMERIC.index(character)) for character in text)) % 97 == 1


def mod_11_10(digits: Sequence[int]) -> bool:
    """ISO 7064 MOD 11,10."""
    product = 10
    for digit in digits[:-1]:
        product = ((product + digit) % 10 or 10) * 2 % 11
    return (product + digits[-1]) % 10 == 1


def mod_11_2(text: str) -> bool:
    """ISO 7064 MOD 11-2; the last character may be an X, which counts ten."""
    total = 0
    for character in text:
        total = (total * 2 + (10 if character in "Xx" else ord(character) - 48)) % 11
    return total == 1


def verhoeff(digits: Sequence[int]) -> bool:
    """Verhoeff's code over the dihedral group D5."""
    total, step = 0, tuple(range(10))
    for digit in reversed(digits):
        total = _D5[total][step[digit]]
        step = tuple(_STEP[each] for each in step)
    return total == 0


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
