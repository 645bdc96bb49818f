"""Everything that is looked for: a name, a family, a pattern for candidates, and the check that a candidate must pass.

Promises: patterns are RE2's, so that no text makes them run longer than in proportion to its length; a check sees
nothing but the candidate, so that what is found depends on what stands there and its near neighbours alone.

Doesn't promise: names, addresses or anything else that has no form.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import phonenumbers

from partywall.detection.pii.checksums import digits_of, luhn, weighted
from partywall.detection.pii.national import NATIONAL
from partywall.detection.pii.payment import card_starts, fit_card, fit_iban, iban_starts
from partywall.detection.pii.secrets import SECRETS

__all__ = ["BUILT_IN", "FAMILIES", "Entity", "Family", "Fit", "Guard", "Starts", "phones_of"]

Family = Literal["email", "phone", "card", "iban", "national_id", "network", "secret", "medical", "custom"]
FAMILIES: Final[tuple[Family, ...]] = (
    "email", "phone", "card", "iban", "national_id", "network", "secret", "medical", "custom",
)  # fmt: skip
Fit = Callable[[str], int]
"""How many characters of a candidate, from its start, are the thing itself; 0 for none."""
Starts = Callable[[bytes], list[int]]
"""Every place of a text, in order, where a candidate that passes its check may begin; what fails may be left out."""
Guard = Literal["none", "digit", "word"]
"""What may not stand beside it across a `-`, `.`, `_` or `/`: a digit, or any letter or digit. `word` keeps parts of
UUIDs, paths and version numbers out. A guarded pattern begins with none of those four, and not inside a word."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of thing. Where the pattern has a group `value`, that is it, and the rest is what gives it away."""

    name: str
    family: Family
    pattern: str
    fit: Fit
    guard: Guard = "none"
    starts: Starts | None = None
    """For a kind whose candidates may stand at every second character: all of a text looked at in one go."""


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
    Entity("iban", "iban", r"\b(?i:[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})\b", fit_iban, starts=iban_starts),
    Entity("card", "card", r"\b\d(?:[ -]?\d){11,18}\b", fit_card, "digit", card_starts),
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
