"""Everything that is looked for: a name, a family, a pattern for candidates, and the check that a candidate must pass.

Promises: patterns are RE2's, so that no text makes them run longer than in proportion to its length; a check sees
nothing but the candidate, so that what is found depends on what stands there and its near neighbours alone.

Doesn't promise: names, addresses or anything else that has no form.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import phonenumbers

from partywall.detection.pii.checksums import digits_of, luhn, mod_97, weighted
from partywall.detection.pii.national import NATIONAL
from partywall.detection.pii.secrets import SECRETS

__all__ = ["BUILT_IN", "FAMILIES", "Entity", "Family", "Fit", "Guard", "phones_of"]

Family = Literal["email", "phone", "card", "iban", "national_id", "network", "secret", "medical", "custom"]
FAMILIES: Final[tuple[Family, ...]] = (
    "email", "phone", "card", "iban", "national_id", "network", "secret", "medical", "custom",
)  # fmt: skip
Fit = Callable[[str], int]
"""How many characters of a candidate, from its start, are the thing itself; 0 for none."""
Guard = Literal["none", "digit", "word"]
"""What may not stand beside it across a `-`, `.`, `_` or `/`: a digit, or any letter or digit. `word` keeps parts of
UUIDs, paths and version numbers out."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of thing. Where the pattern has a group `value`, that is it, and the rest is what gives it away."""

    name: str
    family: Family
    pattern: str
    fit: Fit
    guard: Guard = "none"


def _whole(check: Callable[[str], bool]) -> Fit:
    return lambda text: len(text) if check(text) else 0


def _longest(check: Callable[[str], bool]) -> Fit:
    """The longest beginning that passes, cut where groups meet: a number may be followed by another, or by two."""

    def fit(text: str) -> int:
        end = len(text)
        for _ in range(3):
            if end > 0 and check(text[:end]):
                return end
            end = max(text.rfind(separator, 0, max(0, end)) for separator in " -./")
        return 0

    return fit


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


def _fit_card(text: str) -> int:
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


def _fit_iban(text: str) -> int:
    """As many characters as the country's IBANs have, if MOD 97-10 holds (ISO 13616)."""
    wanted = int(_IBAN_LENGTHS.get(text[:2].upper(), "0"))
    bare = ""
    for end, character in enumerate(text, 1):
        bare += character if character != " " else ""
        if len(bare) == wanted:
            is_end = end == len(text) or text[end] == " "
            return end if is_end and mod_97((bare[4:] + bare[:4]).upper()) else 0
    return 0


def _is_international(text: str) -> bool:
    return _is_phone(text, None)


def _is_phone(text: str, region: str | None) -> bool:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def _is_mac(text: str) -> bool:
    return len({character for character in text if not character.isalnum()}) == 1


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return text.count(":") >= 3 or any(character.isdigit() for character in text)


def _is_npi(text: str) -> bool:
    """United States, CMS: Luhn with 80840 before the number."""
    return luhn([8, 0, 8, 4, 0, *digits_of(text)])


def _is_dea(text: str) -> bool:
    """United States, DEA: odd digits, and twice the even ones, end in the check digit."""
    d = digits_of(text)
    return (weighted(d, (1, 0, 1, 0, 1)) + 2 * weighted(d, (0, 1, 0, 1, 0, 1))) % 10 == d[6]


def phones_of(region: str) -> Entity:
    """National telephone numbers as they are written in one region (ISO 3166), for example `DE`."""
    return Entity(
        "phone",
        "phone",
        # North America writes its numbers in groups of three, three and four; elsewhere nearly all begin with 0.
        r"(?:\([2-9]\d{2}\)[ .-]{0,2}|\b[2-9]\d{2}[ .-])\d{3}[ .-]\d{4}\b"
        if phonenumbers.country_code_for_region(region) == 1
        else r"(?:\(0\d{1,5}\)|\b0\d{1,5})(?:[ ./-]{0,2}\d){5,11}\b",
        _longest(lambda text: _is_phone(text, region)),
        "digit",
    )


_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"

BUILT_IN: Final[tuple[Entity, ...]] = (
    # Of two things found in one place the longer wins, and of equals the one that stands first here.
    *(Entity(name, "secret", pattern, _whole(check)) for name, pattern, check in SECRETS),
    Entity(
        "email",
        "email",
        "[A-Za-z0-9\x80-\U0010ffff](?:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]{0,63})@"
        "(?:[A-Za-z0-9\x80-\U0010ffff-]{1,63}\\.){1,8}[A-Za-z\x80-\U0010ffff]{2,24}",
        len,
    ),
    Entity("iban", "iban", r"\b(?i:[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})\b", _fit_iban),
    Entity("card", "card", r"\b\d(?:[ -]?\d){11,18}\b", _fit_card, "digit"),
    *(Entity(name, "national_id", pattern, _whole(check), "word") for name, pattern, check in NATIONAL),
    Entity("ipv4", "network", rf"\b(?:{_OCTET}\.){{3}}{_OCTET}\b", len, "word"),
    Entity(
        "ipv6",
        "network",
        r"\b[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){1,7}(?:::|\b)|\b[0-9A-Fa-f]{1,4}::|::(?:[0-9A-Fa-f]{1,4}:){0,6}[0-9A-Fa-f]{1,4}\b",
        _whole(_is_ipv6),
    ),
    Entity("mac", "network", r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b", _whole(_is_mac), "word"),
    Entity("mac", "network", r"\b[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b", len, "word"),
    Entity("npi", "medical", r"(?i:\bnpi)[ :#a-z]{0,12}\b(?P<value>[12]\d{9})\b", _whole(_is_npi)),
    Entity("dea", "medical", r"\b[A-HJ-MP-RSTUX][A-Z9]\d{7}\b", _whole(_is_dea)),
    Entity(
        "medical_record",
        "medical",
        r"\b(?i:mrn|medical record(?: (?:no|nr|number))?)\b[ .:#=]{0,4}(?P<value>[A-Za-z]{0,3}-?\d{5,12})\b",
        len,
    ),
    Entity("phone", "phone", r"\+(?:[ ().\-/]{0,2}\d){7,15}\b", _longest(_is_international)),
)
