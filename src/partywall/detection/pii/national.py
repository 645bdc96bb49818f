"""Numbers that states give to people, and the checks that each must pass.

Promises: a number is taken for one only when its check digits hold, and its date, where it has one, exists. Where a
country has no check digits (the United States, the United Kingdom's insurance number) its rules of issue are applied.

Doesn't promise: to know a number without separators from any other number of that length beyond its check digits. One
in ten or eleven random numbers passes a single check digit; those are only looked for with separators or their name.

Sources: each function names the rule's publisher. The tests hold every one against `python-stdnum`, which is
independent of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from partywall.detection.pii.checksums import digits_of, is_date, luhn, mod_11_2, mod_11_10, verhoeff, weighted

__all__ = ["NATIONAL", "NationalId"]

NationalId = tuple[str, str, Callable[[str], bool]]
"""Name, pattern (a group, where there is one, is the number itself) and check."""


def _br_cpf(text: str) -> bool:
    """Brazil, Receita Federal: two check digits modulo 11."""
    d = digits_of(text)
    first = weighted(d, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(d, range(11, 1, -1)) * 10 % 11 % 10
    return len(set(d)) > 1 and d[9:] == [first, second]


def _be_nn(text: str) -> bool:
    """Belgium, Rijksregister (royal decree of 3 April 1984): 97 less the first nine modulo 97; 2 before since 2000."""
    number = "".join(map(str, digits_of(text)))
    month = int(number[2:4]) % 20
    checks = (97 - int(number[:9]) % 97, 97 - int("2" + number[:9]) % 97)
    return month <= 12 and int(number[4:6]) <= 31 and int(number[9:]) in checks


def _ca_sin(text: str) -> bool:
    """Canada, Service Canada: Luhn; none begins with 0 or 8."""
    d = digits_of(text)
    return d[0] not in (0, 8) and luhn(d)


def _ch_ahv(text: str) -> bool:
    """Switzerland, ZAS (AHVN13): an EAN-13 that begins with 756."""
    return weighted(digits_of(text), (1, 3) * 6 + (1,)) % 10 == 0


def _cl_rut(text: str) -> bool:
    """Chile, SII: modulo 11 with K for ten."""
    body, check = digits_of(text[:-1]), text[-1].upper()
    total = sum(digit * (index % 6 + 2) for index, digit in enumerate(reversed(body)))
    return "0123456789K0"[-total % 11] == check


def _cn_ric(text: str) -> bool:
    """China, GB 11643-1999: ISO 7064 MOD 11-2 and a date of birth."""
    return is_date(int(text[6:10]), int(text[10:12]), int(text[12:14])) and mod_11_2(text)


def _de_idnr(text: str) -> bool:
    """Germany, Bundeszentralamt fuer Steuern: ISO 7064 MOD 11,10; one of the first ten comes twice or thrice."""
    d = digits_of(text)
    counts = sorted(d[:10].count(digit) for digit in set(d[:10]))
    return d[0] != 0 and counts[-1] in (2, 3) and counts[:-1] == [1] * (len(counts) - 1) and mod_11_10(d)


def _es_dni(text: str) -> bool:
    """Spain, Ministerio del Interior: the letter is the number modulo 23; X, Y, Z of foreigners count 0, 1, 2."""
    bare = text.replace("-", "").replace(".", "").replace(" ", "").upper()
    number = bare[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == bare[-1]


def _fi_hetu(text: str) -> bool:
    """Finland, DVV: a date, a century's sign, and the number modulo 31."""
    century = 1800 if text[6] == "+" else 1900 if text[6] in "-UVWXY" else 2000
    if not is_date(century + int(text[4:6]), int(text[2:4]), int(text[:2])):
        return False
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31] == text[10].upper()


def _fr_nir(text: str) -> bool:
    """France, INSEE: 97 minus the rest of the first thirteen; Corsica's 2A and 2B count 19 and 18."""
    bare = text.replace(" ", "").upper()
    number = bare[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(bare[13:])


def _gb_nhs(text: str) -> bool:
    """United Kingdom, NHS Data Dictionary: modulo 11."""
    d = digits_of(text)
    return 11 - weighted(d[:9], range(10, 1, -1)) % 11 == (d[9] or 11)


def _gb_nino(text: str) -> bool:
    """United Kingdom, HMRC NIM39110: prefixes that are never given. It has no check digit."""
    return text[:2].upper() not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def _in_aadhaar(text: str) -> bool:
    """India, UIDAI: Verhoeff; never a palindrome."""
    d = digits_of(text)
    return d != d[::-1] and verhoeff(d)


_ODD: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def _it_cf(text: str) -> bool:
    """Italy, decree of 23 December 1976: values by odd and even place, modulo 26."""
    values = [ord(c) - (48 if c.isdigit() else 65) for c in text.upper()]
    return (sum(_ODD[v] for v in values[:15:2]) + sum(values[1:15:2])) % 26 == values[15]


def _kr_rrn(text: str) -> bool:
    """South Korea, Resident Registration Act: weights modulo 11. Those issued since October 2020 no longer carry it."""
    d = digits_of(text)
    year = (1800 if d[6] in (9, 0) else 1900 if d[6] in (1, 2, 5, 6) else 2000) + d[0] * 10 + d[1]
    is_born = is_date(year, d[2] * 10 + d[3], d[4] * 10 + d[5])
    return is_born and (11 - weighted(d, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == d[12]


def _mx_curp(text: str) -> bool:
    """Mexico, RENAPO: a date, and weights 18 to 2 over 37 characters, modulo 10."""
    bare = text.upper()
    values = ["0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ".index(c) for c in bare]
    year = int(bare[4:6]) + (1900 if bare[16].isdigit() else 2000)
    is_born = is_date(year, int(bare[6:8]), int(bare[8:10]))
    return is_born and -weighted(values, range(18, 1, -1)) % 10 == values[17]


def _nl_bsn(text: str) -> bool:
    """Netherlands, RvIG: the eleven-proof, with -1 for the last digit."""
    d = digits_of(text)
    return any(d) and weighted(d, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _no_fnr(text: str) -> bool:
    """Norway, Skatteetaten: two check digits modulo 11; D numbers add 4 to the first digit."""
    d = digits_of(text)
    day, month = d[0] % 4 * 10 + d[1], d[2] * 10 + d[3]
    first = weighted(d, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = weighted(d, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return 1 <= day <= 31 and 1 <= month <= 12 and first == second == 0


def _pl_pesel(text: str) -> bool:
    """Poland, Population Registration Act: weights 1, 3, 7, 9 modulo 10; the month tells the century."""
    d = digits_of(text)
    century, month = divmod(d[2] * 10 + d[3], 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + d[0] * 10 + d[1]
    return is_date(year, month, d[4] * 10 + d[5]) and weighted(d, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _se_pnr(text: str) -> bool:
    """Sweden, Skatteverket SKV 704: Luhn over the last ten; co-ordination numbers add 60 to the day."""
    d = digits_of(text)[-10:]
    month, day = d[2] * 10 + d[3], (d[4] * 10 + d[5]) % 60
    return 1 <= month <= 12 and 1 <= day <= 31 and luhn(d)


def _sg_nric(text: str) -> bool:
    """Singapore, ICA: weights 2, 7, 6, 5, 4, 3, 2 modulo 11, another row of letters for each series."""
    series, check = text[0].upper(), text[8].upper()
    total = weighted(digits_of(text), (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(series, 0)
    if series == "M":
        return "KLJNPQRTUWX"[10 - total % 11] == check
    return ("JZIHGFEDCBA" if series in "ST" else "XWUTRQPNMLK")[total % 11] == check


def _us_ssn(text: str) -> bool:
    """United States, SSA POMS RM 10201.035: areas, groups and serials that are never given. It has no check digit."""
    area, group, serial = int(text[:3]), int(text[4:6]), int(text[7:])
    return area not in (0, 666) and area < 900 and group > 0 and serial > 0


def _za_id(text: str) -> bool:
    """South Africa, Department of Home Affairs: a date and Luhn."""
    d = digits_of(text)
    month, day = d[2] * 10 + d[3], d[4] * 10 + d[5]
    return 1 <= month <= 12 and 1 <= day <= 31 and d[10] in (0, 1, 2) and luhn(d)


_BSN: Final = r"\b(?i:bsn|sofi|burgerservicenummer|sofinummer)\b[ :=#-]{0,4}(?i:nr\.?|nummer|is)?[ :]{0,2}"

NATIONAL: Final[tuple[NationalId, ...]] = (
    ("be_nn", r"\b\d{2}\.?\d{2}\.?\d{2}[ -]?\d{3}[ .]?\d{2}\b", _be_nn),
    ("br_cpf", r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b|\b\d{11}\b", _br_cpf),
    ("ca_sin", r"\b\d{3}-\d{3}-\d{3}\b|\b\d{3} \d{3} \d{3}\b", _ca_sin),
    ("ch_ahv", r"\b756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}\b", _ch_ahv),
    ("cl_rut", r"\b\d{1,2}\.?\d{3}\.?\d{3}-[\dkK]\b", _cl_rut),
    ("cn_ric", r"\b[1-9]\d{5}(?:18|19|20)\d{9}[\dXx]\b", _cn_ric),
    ("de_idnr", r"\b[1-9]\d ?\d{3} ?\d{3} ?\d{3}\b", _de_idnr),
    ("es_dni", r"\b(?:\d{8}|\d{2}\.\d{3}\.\d{3}|[XYZxyz]-?\d{7})[ -]?[A-Za-z]\b", _es_dni),
    ("fi_hetu", r"\b\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Ya-fhj-npr-y]\b", _fi_hetu),
    ("fr_nir", r"\b[1-478] ?\d{2} ?\d{2} ?(?:\d{2}|2[ABab]) ?\d{3} ?\d{3} ?\d{2}\b", _fr_nir),
    ("gb_nhs", r"\b\d{3}[ -]\d{3}[ -]\d{4}\b|(?i:nhs)[ :#a-z]{0,12}\b(?P<value>\d{10})\b", _gb_nhs),
    ("gb_nino", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b", _gb_nino),
    ("in_aadhaar", r"\b[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}\b", _in_aadhaar),
    ("it_cf", r"\b(?i:[A-Z]{6}\d{2}[A-EHLMPRST][0-7]\d[A-Z]\d{3}[A-Z])\b", _it_cf),
    ("kr_rrn", r"\b\d{6}-[0-9]\d{6}\b", _kr_rrn),
    ("mx_curp", r"\b(?i:[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d)\b", _mx_curp),
    (
        "nl_bsn",
        _BSN + r"(?P<value>\d{3}[ .]?\d{3}[ .]?\d{3})\b|\b\d{4}\.\d{2}\.\d{3}\b|\b\d{3}\.\d{3}\.\d{3}\b",
        _nl_bsn,
    ),
    ("no_fnr", r"\b[0-7]\d[01]\d{3} ?\d{5}\b", _no_fnr),
    ("pl_pesel", r"\b\d{2}[0-9]\d[0-3]\d{6}\b", _pl_pesel),
    ("se_pnr", r"\b(?:18|19|20)?\d{6}[-+]\d{4}\b|\b(?:19|20)\d{10}\b", _se_pnr),
    ("sg_nric", r"\b[STFGMstfgm]\d{7}[A-Za-z]\b", _sg_nric),
    ("us_ssn", r"\b\d{3}-\d{2}-\d{4}\b|\b\d{3} \d{2} \d{4}\b", _us_ssn),
    ("za_id", r"\b\d{10}[012]\d{2}\b", _za_id),
)
