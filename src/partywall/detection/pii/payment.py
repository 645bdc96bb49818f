"""Numbers that are paid with, and where in a text they may begin.

Promises: the check of one candidate says what it is; `card_starts` and `iban_starts` look at a whole text at once,
in time in proportion to it, and leave out no place where the check of a candidate would pass. A text may be candidates
all over (`4-4-4-…`), and to look at each in turn would let one text keep everybody waiting.

Doesn't promise: that a pattern matches at each place that they name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from partywall.detection.pii.checksums import digits_of, luhn, mod_97

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["card_starts", "fit_card", "fit_iban", "iban_starts"]

_ZERO: Final = ord("0")
_SPACE: Final = ord(" ")
_CARD_JOINTS: Final = np.frombuffer(b" -", np.uint8)
_PART_JOINTS: Final = np.frombuffer(b"-._", np.uint8)
_DOUBLED: Final = np.array((0, 2, 4, 6, 8, 1, 3, 5, 7, 9))
_IS_WORD: Final = np.array([chr(byte).isalnum() or byte == ord("_") for byte in range(128)] + [False] * 128)
_VALUES: Final = np.array([int(chr(byte), 36) if chr(byte).isalnum() else -1 for byte in range(128)] + [-1] * 128)
"""What a byte counts in an IBAN; -1 for what isn't in any."""

_BRANDS: Final = (
    # First digits from, to; how many of them; lengths. ISO/IEC 7812 and the schemes' own published ranges.
    (34, 34, 2, (15,)), (37, 37, 2, (15,)),  # American Express
    (300, 305, 3, (14,)), (36, 36, 2, (14,)), (38, 39, 2, (14,)),  # Diners Club
    (4, 4, 1, (16, 19)),  # Visa
    (51, 55, 2, (16,)), (2221, 2720, 4, (16,)),  # Mastercard
    (6011, 6011, 4, (16, 19)), (644, 649, 3, (16, 19)), (65, 65, 2, (16, 19)),  # Discover
    (3528, 3589, 4, (16, 17, 18, 19)),  # JCB
    (62, 62, 2, (16, 17, 18, 19)),  # UnionPay
    (5018, 5018, 4, (12, 13, 14, 15, 16, 17, 18, 19)), (5020, 5020, 4, (12, 13, 14, 15, 16, 17, 18, 19)),
    (5038, 5038, 4, (12, 13, 14, 15, 16, 17, 18, 19)), (6304, 6304, 4, (12, 13, 14, 15, 16, 17, 18, 19)),
    (6759, 6759, 4, (12, 13, 14, 15, 16, 17, 18, 19)), (6761, 6763, 4, (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (2200, 2204, 4, (16,)),  # Mir
)  # fmt: skip
_SHORTEST_CARD: Final = 12
_LONGEST_CARD: Final = 19
_BRAND_OF: Final = np.array(
    [
        next((b for b, (first, last, count, _) in enumerate(_BRANDS) if first <= int(f"{n:04}"[:count]) <= last), -1)
        for n in range(10_000)
    ]
)
"""By a number's first four digits; -1 for none."""
_HAS_LENGTH: Final = np.array([[length in each[3] for length in range(_LONGEST_CARD + 1)] for each in _BRANDS])


def fit_card(text: str) -> int:
    """The longest beginning with a brand's prefix and length, an end between groups, and Luhn's check digit."""
    digits = digits_of(text)
    number = "".join(map(str, digits))
    brands = (lengths for first, last, count, lengths in _BRANDS if first <= int(number[:count]) <= last)
    ends = [place for place, character in enumerate(text, 1) if character.isdigit()]
    for length in reversed(next(brands, ())):
        is_end = length <= len(ends) and text[ends[length - 1] : ends[length - 1] + 1] in ("", " ", "-")
        if is_end and len(set(digits[:length])) > 1 and luhn(digits[:length]):
            return ends[length - 1]
    return 0


def card_starts(data: bytes) -> list[int]:
    """Where a number with a brand's prefix, one of its lengths and Luhn's check digit begins, and ends."""
    text = np.frombuffer(data, np.uint8)
    places = np.flatnonzero((text >= _ZERO) & (text <= _ZERO + 9))
    if len(places) < _SHORTEST_CARD:
        return []
    digits = text[places].astype(np.int64) - _ZERO
    edges = _edges(text)
    is_digit = np.concatenate(((text >= _ZERO) & (text <= _ZERO + 9), [False, False]))
    is_part = np.concatenate((np.isin(text, _PART_JOINTS) & is_digit[1:-1], [False]))
    # The digits of one number follow each other, or have a space or a dash between them: they are of one `run`.
    gaps = np.diff(places)
    is_joined = (gaps == 1) | ((gaps == 2) & np.isin(text[places[:-1] + 1], _CARD_JOINTS))
    run = np.concatenate(([0], np.cumsum(~is_joined)))
    # Sums up to each digit: of digits, those at odd places doubled; of digits, those at even ones doubled; of changes.
    is_even = np.arange(len(digits)) % 2 == 0
    doubled = _DOUBLED[digits]
    even = np.concatenate(([0], np.cumsum(np.where(is_even, digits, doubled))))
    odd = np.concatenate(([0], np.cumsum(np.where(is_even, doubled, digits))))
    changes = np.concatenate(([0], np.cumsum(digits[1:] != digits[:-1])))
    first = np.flatnonzero(edges[places] & (np.arange(len(digits)) <= len(digits) - _SHORTEST_CARD))
    brand = _BRAND_OF[digits[first] * 1000 + digits[first + 1] * 100 + digits[first + 2] * 10 + digits[first + 3]]
    first, brand = first[brand >= 0], brand[brand >= 0]
    undecided, passes = np.ones(len(first), bool), np.zeros(len(first), bool)
    for length in range(_LONGEST_CARD, _SHORTEST_CARD - 1, -1):
        last = first + length - 1
        chosen = np.flatnonzero(undecided & _HAS_LENGTH[brand, length] & (last < len(digits)))
        start, stop = first[chosen], last[chosen]
        total = np.where(stop % 2 == 0, even[stop + 1] - even[start], odd[stop + 1] - odd[start])
        is_number = (run[start] == run[stop]) & (total % 10 == 0) & (changes[stop] > changes[start])
        is_number &= edges[places[stop] + 1]
        undecided[chosen[is_number]] = False
        passes[chosen] |= is_number & ~is_part[places[stop] + 1]
    return list(map(int, places[first[passes]]))


_IBAN_LENGTHS: Final = dict(
    re.findall(
        r"(\w\w):(\d\d)",
        # SWIFT IBAN Registry, release 99: characters of an IBAN by country.
        "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27 "
        "DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28 "
        "IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 "
        "MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 "
        "SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30",
    )
)
_SHORTEST_IBAN: Final = min(map(int, _IBAN_LENGTHS.values()))
_LONGEST_IBAN: Final = max(map(int, _IBAN_LENGTHS.values()))
_LENGTH_OF: Final = np.zeros((36, 36), np.int64)
for _country, _length in _IBAN_LENGTHS.items():
    _LENGTH_OF[int(_country[0], 36), int(_country[1], 36)] = int(_length)


def fit_iban(text: str) -> int:
    """As many characters as the country's IBANs have, if MOD 97-10 holds (ISO 13616)."""
    wanted = int(_IBAN_LENGTHS.get(text[:2].upper(), "0"))
    bare = ""
    for end, character in enumerate(text, 1):
        bare += character if character != " " else ""
        if len(bare) == wanted:
            is_end = end == len(text) or text[end] == " "
            return end if is_end and mod_97((bare[4:] + bare[:4]).upper()) else 0
    return 0


def iban_starts(data: bytes) -> list[int]:
    """Where a country's two letters begin as many characters as its IBANs have, and MOD 97-10 holds for them."""
    text = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(text != _SPACE)  # a space more or less is the pattern's to judge
    values = _VALUES[text[places]]
    if len(places) < _SHORTEST_IBAN:
        return []
    first = np.arange(len(places) - _SHORTEST_IBAN + 1)
    country = values[first], values[first + 1]
    first = first[_edges(text)[places[first]] & (country[0] >= 10) & (country[1] >= 10)]
    length = _LENGTH_OF[values[first], values[first + 1]]
    is_whole = (length > 0) & (first + length <= len(places))
    first, length = first[is_whole], length[is_whole]
    rest = np.zeros(len(first), np.int64)
    for step in range(_LONGEST_IBAN):
        alive = np.flatnonzero((step < length) & (rest >= 0))
        value = values[first[alive] + (step + 4) % length[alive]]
        rest[alive] = np.where(value < 0, -1, (rest[alive] * np.where(value < 10, 10, 100) + value) % 97)
    return list(map(int, places[first[rest == 1]]))


def _edges(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """For each place of the text, and its end, whether letters and digits on either side of it don't meet there."""
    is_word = np.concatenate(([False], _IS_WORD[text], [False]))
    return np.asarray(~(is_word[:-1] & is_word[1:]))
