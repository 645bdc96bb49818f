"""The maker of the labelled set: `python -m tests.detection.pii.labelling` writes `labelled.jsonl` anew.

Provenance. Every text in `labelled.jsonl` was made by this file from a fixed seed; nobody's data is in it. Numbers are
random and were kept when an independent implementation accepted them: `python-stdnum` 2.2 (national ids, IBANs, cards),
and `phonenumbers`' example numbers (libphonenumber's own metadata). Where that has none: Singapore's NRIC by ICA's
published weights, British NINOs by HMRC's published form, DEA numbers by their published sum, credentials in their
makers' documented forms with random characters.

Look-alikes of three kinds: the same form with a wrong check digit or an impossible date; other things of that form
(versions, times, UUIDs, tracking and order numbers, EAN codes, prices); and random numbers *not* filtered by any check,
so that those which pass one by chance count as what they are: false positives.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Final

import phonenumbers
from tests.detection.pii.labelled import LABELLED, Label

__all__ = ["make"]

_SEED: Final = 20_261_128
_CARRIERS: Final = (
    "Please note {} in your reply.",
    "{} is what the customer gave us.",
    "The form says: {}",
    "As discussed on Monday ({}), we will call back.",
    "Kunde: {}; bitte bis Freitag antworten.",
    "| name | Keller | value | {} |",
    '{{"note": "{}"}}',
    "first line\n{}\nlast line",
)

_Make = Callable[[random.Random], str]


def _form(pattern: str) -> _Make:
    """`9` any digit, `Ⓐ` a capital, `ⓗ` a hex digit, `ⓝ` a nine, `ⓧ` a letter or digit; else itself."""
    kinds = {
        "9": string.digits,
        "Ⓐ": string.ascii_uppercase,
        "ⓝ": "9",
        "ⓗ": "0123456789abcdef",
        "ⓧ": string.ascii_letters + "0123456789",
    }
    return lambda rng: "".join(rng.choice(kinds[c]) if c in kinds else c for c in pattern)


def _date(rng: random.Random, form: str) -> str:
    return form.format(
        y=rng.randrange(1930, 2000), yy=rng.randrange(30, 99), m=rng.randrange(1, 13), d=rng.randrange(1, 29)
    )


def _dated(form: str, rest: str) -> _Make:
    return lambda rng: _date(rng, form) + _form(rest)(rng)


def _nric(rng: random.Random) -> str:
    series, digits = rng.choice("STFG"), [rng.randrange(10) for _ in range(7)]
    total = sum(a * b for a, b in zip(digits, (2, 7, 6, 5, 4, 3, 2), strict=True)) + (4 if series in "TG" else 0)
    letter = ("JZIHGFEDCBA" if series in "ST" else "XWUTRQPNMLK")[total % 11]
    return series + "".join(map(str, digits)) + letter


def _nino(rng: random.Random) -> str:
    form = rng.choice(("999999", " 99 99 99 "))
    return rng.choice(("AB", "CE", "JK", "PW", "SC", "YZ")) + _form(form)(rng) + rng.choice("ABCD")


def _dea(rng: random.Random) -> str:
    d = [rng.randrange(10) for _ in range(6)]
    return (
        rng.choice("ABFGM")
        + rng.choice(string.ascii_uppercase)
        + "".join(map(str, d))
        + str((d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10)
    )


def _hetu(rng: random.Random) -> str:
    last = rng.choice("23456789") + rng.choice("0123456789ABCDEFHJKLMNPRSTUVWXY")
    return _date(rng, "{d:02}{m:02}{yy}-") + _form("99")(rng) + last


def _nir(rng: random.Random) -> str:
    form = rng.choice(("{yy}{m:02}7599999999", " {yy} {m:02} 75 999 999 99"))
    head, _, rest = form.partition("75")
    return rng.choice("12") + _date(rng, head) + _form("75" + rest)(rng)


def _codice(rng: random.Random) -> str:
    month = rng.choice("ABCDEHLMPRST")
    return "RSSMRA" + _date(rng, "{yy}") + month + _date(rng, "{d:02}") + "F205" + rng.choice(string.ascii_uppercase)


def _curp(rng: random.Random) -> str:
    return "BOX" + rng.choice("WZ") + _date(rng, "{yy}{m:02}{d:02}") + "HCLNNS0" + rng.choice(string.digits)


_COUNTRIES: Final[dict[str, tuple[str | None, tuple[_Make, ...]]]] = {
    # stdnum's module, and forms to fill until it accepts one.
    "be_nn": ("be.nn", (_dated("{yy:02}.{m:02}.{d:02}", "-999.99"), _dated("{yy:02}{m:02}{d:02}", "99999"))),
    "br_cpf": ("br.cpf", (_form("999.999.999-99"),)),
    "ca_sin": ("ca.sin", (_form("999-999-999"), _form("999 999 999"))),
    "ch_ahv": ("ch.ssn", (_form("756.9999.9999.99"), _form("7569999999999"))),
    "cl_rut": ("cl.rut", (_form("99.999.999-9"), _form("99999999-K"))),
    "cn_ric": ("cn.ric", (_dated("110105{y}{m:02}{d:02}", "9999"), _dated("440308{y}{m:02}{d:02}", "999X"))),
    "de_idnr": ("de.idnr", (_form("99999999999"), _form("99 999 999 999"))),
    "es_dni": ("es.dni", (_form("99999999Ⓐ"), _form("99999999-Ⓐ"))),
    "fi_hetu": ("fi.hetu", (_hetu,)),
    "fr_nir": ("fr.nir", (_nir,)),
    "gb_nhs": ("gb.nhs", (_form("999 999 9999"), _form("999-999-9999"))),
    "gb_nino": (None, (_nino,)),
    "in_aadhaar": ("in_.aadhaar", (_form("9999 9999 9999"), _form("999999999999"))),
    "it_cf": ("it.codicefiscale", (_codice,)),
    "kr_rrn": ("kr.rrn", (_dated("{yy}{m:02}{d:02}-1", "999999"), _dated("{yy}{m:02}{d:02}-2", "999999"))),
    "mx_curp": ("mx.curp", (_curp,)),
    "nl_bsn": ("nl.bsn", (_form("9999.99.999"), _form("999.999.999"))),
    "no_fnr": ("no.fodselsnummer", (_dated("{d:02}{m:02}{yy}", "99999"), _dated("{d:02}{m:02}{yy}", " 99999"))),
    "pl_pesel": ("pl.pesel", (_dated("{yy}{m:02}{d:02}", "99999"),)),
    "se_pnr": ("se.personnummer", (_dated("{yy}{m:02}{d:02}", "-9999"), _dated("{y}{m:02}{d:02}", "-9999"))),
    "sg_nric": (None, (_nric,)),
    "us_ssn": ("us.ssn", (_form("999-99-9999"),)),
    "za_id": ("za.idnr", (_dated("{yy}{m:02}{d:02}", "9999089"), _dated("{yy}{m:02}{d:02}", "9999189"))),
}  # fmt: skip
_SECRETS: Final[dict[str, tuple[str, ...]]] = {
    "aws_access_key": ("AKIA" + "Ⓐ" * 16, "ASIA" + "Ⓐ" * 16),
    "aws_secret_key": ("aws_secret_access_key = |" + "ⓧ" * 40,),
    "gcp_api_key": ("AIza" + "ⓧ" * 35,),
    "gcp_oauth": ("GOCSPX-" + "ⓧ" * 28, "ya2ⓝ." + "ⓧ" * 60),
    "azure_storage_key": ("AccountKey=|" + "ⓧ" * 86 + "==",),
    "azure_client_secret": ("ⓧⓧⓧ8Q~" + "ⓧ" * 34,),
    "github_token": ("ghp_" + "ⓧ" * 36, "gho_" + "ⓧ" * 36, "github_pat_" + "ⓧ" * 22 + "_" + "ⓧ" * 59),
    "slack_token": (
        "xoxb-999999999999-999999999999-" + "ⓧ" * 24,
        "hooks.slack.com/services/T0ⒶⒶⒶⒶⒶⒶⒶ/B0ⒶⒶⒶⒶⒶⒶⒶ/" + "ⓧ" * 24,
    ),
    "stripe_key": ("sk_live_" + "ⓧ" * 24, "rk_test_" + "ⓧ" * 24),
    "anthropic_key": ("sk-ant-api03-" + "ⓧ" * 93 + "AA",),
    "openai_key": ("sk-" + "ⓧ" * 48, "sk-proj-" + "ⓧ" * 74),
}  # fmt: skip


def _oracle(module: str | None) -> Callable[[str], bool]:
    if module is None:
        return lambda _number: True
    is_valid = import_module(f"stdnum.{module}").is_valid
    return lambda number: bool(is_valid(number.replace(".", "")))


_Found = tuple[str, str, str, str]
"""Family, entity, what stands before the value in the same breath, and the value."""


def _positives(rng: random.Random) -> Iterator[_Found]:
    for each in (_emails, _phones, _cards, _ibans, _network, _ids, _secrets, _structured, _medical):
        yield from each(rng)


def _emails(rng: random.Random) -> Iterator[_Found]:
    names = ("ana.lopez", "j.smith+news", "O'Brien", "info", "x_y-z", "müller")
    hosts = ("example.com", "mail.example.co.uk", "xn--bcher-kva.example", "sub.a-b.org", "bücher.example")
    for _ in range(40):
        yield "email", "email", "", f"{rng.choice(names)}{rng.randrange(100)}@{rng.choice(hosts)}"


def _phones(rng: random.Random) -> Iterator[_Found]:
    formats = (phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164)
    for region in ("DE", "FR", "GB", "US", "IN", "BR", "JP", "ZA", "AU", "IT", "ES", "NL", "SE", "PL", "MX", "KE"):
        example = phonenumbers.example_number(region)
        assert example is not None
        yield from (("phone", "phone", "", phonenumbers.format_number(example, form)) for form in formats)
    for national in ("(212) 555-{:04}", "415-555-{:04}", "305.555.{:04}"):
        yield from (("phone", "phone", "", national.format(rng.randrange(10_000))) for _ in range(4))


def _cards(rng: random.Random) -> Iterator[_Found]:
    luhn = import_module("stdnum.luhn")
    brands = (
        ("4", 16),
        ("51", 16),
        ("2221", 16),
        ("34", 15),
        ("37", 15),
        ("36", 14),
        ("6011", 16),
        ("3528", 16),
        ("62", 16),
    )
    for prefix, length in (*brands, ("4", 19)):
        for separator in ("", " ", "-", " "):
            body = prefix + "".join(rng.choice(string.digits) for _ in range(length - len(prefix) - 1))
            number = body + luhn.calc_check_digit(body)
            groups = [number[start : start + 4] for start in range(0, length, 4)]
            yield "card", "card", "", separator.join(groups) if length in (16, 19) else number


def _ibans(rng: random.Random) -> Iterator[_Found]:
    iban = import_module("stdnum.iban")
    lengths = {"DE": 22, "GB": 22, "FR": 27, "NL": 18, "ES": 24, "NO": 15, "CH": 21, "PL": 28}
    letters = {"GB": "ⒶⒶⒶⒶ", "NL": "ⒶⒶⒶⒶ", "CH": "99999ⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧ", "FR": "9999999999ⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧ"}
    for country, length in lengths.items():
        for _ in range(5):
            bban = _form(letters.get(country, "").ljust(length - 4, "9"))(rng).upper()
            number = country + iban.calc_check_digits(country + "00" + bban) + bban
            spaced = " ".join(number[start : start + 4] for start in range(0, length, 4))
            yield "iban", "iban", "", rng.choice((number, spaced, number.lower()))


def _ids(rng: random.Random) -> Iterator[_Found]:
    for entity, (module, forms) in _COUNTRIES.items():
        accepts = _oracle(module)
        for index in range(16):
            yield "national_id", entity, "", _until(rng, forms[index % len(forms)], accepts)


def _secrets(rng: random.Random) -> Iterator[_Found]:
    for entity, forms in _SECRETS.items():
        for index in range(8):
            before, _, value = _form(forms[index % len(forms)])(rng).rpartition("|")
            yield "secret", entity, before, value


def _structured(rng: random.Random) -> Iterator[_Found]:
    for _ in range(8):
        header = _base64({"alg": rng.choice(("HS256", "RS256")), "typ": "JWT"})
        yield "secret", "jwt", "", f"{header}.{_base64({'sub': str(rng.random())})}.{_form('ⓧ' * 43)(rng)}"
        lines = "\n".join(_form("ⓧ" * 64)(rng) for _ in range(3))
        kind = rng.choice(("", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "))
        yield (
            "secret",
            "private_key",
            "",
            f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----",
        )


def _base64(document: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _medical(rng: random.Random) -> Iterator[_Found]:
    luhn = import_module("stdnum.luhn")
    for _ in range(12):
        body = "1" + "".join(rng.choice(string.digits) for _ in range(8))
        yield "medical", "npi", "NPI: ", body + luhn.calc_check_digit("80840" + body)
        yield "medical", "dea", "", _dea(rng)
        before = rng.choice(("MRN ", "MRN: ", "medical record number "))
        yield "medical", "medical_record", before, str(rng.randrange(10**6, 10**9))


def _network(rng: random.Random) -> Iterator[_Found]:
    for _ in range(20):
        yield "network", "ipv4", "", ".".join(str(rng.randrange(1, 255)) for _ in range(4))
        full = [f"{rng.randrange(65_536):x}" for _ in range(8)]
        yield "network", "ipv6", "", rng.choice((":".join(full), f"2001:db8::{full[0]}", f"fe80::{':'.join(full[:4])}"))
        mac = [f"{rng.randrange(256):02x}" for _ in range(6)]
        yield (
            "network",
            "mac",
            "",
            rng.choice((":".join(mac), "-".join(mac).upper(), f"{mac[0]}{mac[1]}.{mac[2]}{mac[3]}.{mac[4]}{mac[5]}")),
        )


def _until(rng: random.Random, make: _Make, accepts: Callable[[str], bool]) -> str:
    for _ in range(50_000):
        if accepts(number := make(rng)):
            return number
    raise RuntimeError(f"no number was accepted, the last was {number}")


def _wrong(rng: random.Random, value: str) -> str:
    """The same with another last digit: the check no longer holds."""
    place = max(index for index, character in enumerate(value) if character.isalnum())
    pool = string.digits if value[place].isdigit() else "BCDFGHJKLMNPQRSTVWXYZ"
    return value[:place] + rng.choice([c for c in pool if c != value[place].upper()]) + value[place + 1 :]


_CHECKED: Final = ("card", "iban", "national_id", "medical")
_UNCHECKED: Final = ("gb_nino", "us_ssn", "medical_record")


def _negatives(rng: random.Random, positives: list[_Found]) -> Iterator[tuple[str, str, str]]:
    seen: dict[str, int] = defaultdict(int)
    for family, entity, before, value in positives:
        seen[entity] += 1
        if family in _CHECKED and entity not in _UNCHECKED and seen[entity] <= 12:
            yield family, entity, before + _wrong(rng, value)
    for _ in range(10):
        yield (
            "national_id",
            "us_ssn",
            rng.choice((_form("000-99-9999"), _form("666-99-9999"), _form("999-00-9999"), _form("123-99-0000")))(rng),
        )
        yield "national_id", "gb_nino", rng.choice((_form("GB999999Ⓐ"), _form("DA999999Ⓐ"), _form("OQ999999C")))(rng)
        yield (
            "medical",
            "medical_record",
            rng.choice((_form("record 99999999"), _form("MRNs fell by 9999 in 2025"), _form("mrna 99999")))(rng),
        )
        yield from (("national_id", "random", _form("order 99999999999")(rng)) for _ in range(4))
        yield "national_id", "random", _form("parcel 99999999999999")(rng)
        yield "national_id", "random", _form("ⓗⓗⓗⓗⓗⓗⓗⓗ-ⓗⓗⓗⓗ-4ⓗⓗⓗ-8ⓗⓗⓗ-ⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗ")(rng)
        yield "national_id", "random", _form("ticket 9999999999")(rng)
        yield "national_id", "random", _form("EAN 9999999999999")(rng)
        yield "card", "random", _form("invoice 9999999999999")(rng)
        yield "card", "random", _form("trace 99999999999999999999999999")(rng)
        yield "card", "random", _form("ⓗⓗⓗⓗⓗⓗⓗⓗ-ⓗⓗⓗⓗ-4ⓗⓗⓗ-8ⓗⓗⓗ-ⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗ")(rng)
        yield "iban", "random", _form("ⒶⒶ99 ⒶⒶⒶⒶ 9999 9999 9999 99")(rng)
        yield "iban", "random", _form("part DE99 rev ⒶⒶⒶⒶ 9999 9999")(rng)
        yield "phone", "random", _form("2026-11-28 16:99:99")(rng)
        yield "phone", "random", _form("+9 points, -99.9 %, 999,999 units")(rng)
        yield "phone", "random", _form("id 999-999-9999-999-99")(rng)
        yield "phone", "random", _form("lat 99.999999, lon 9.999999")(rng)
        yield "email", "random", _form("@ⒶⒶⒶⒶ mentioned user@ host ⒶⒶⒶ@999")(rng)
        yield "email", "random", _form("git@ ⒶⒶⒶⒶ:repo, 9 @ 9.99 EUR, foo@bar")(rng)
        yield "email", "random", _form("see @media (min-width: 999px) and @app.route('/x')")(rng)
        yield "network", "ipv4", _form("version 9.9.999.9.9 of 2026.11.9")(rng)
        yield "network", "ipv4", _form("999.999.999.999 is out of range; section 9.9.9")(rng)
        yield "network", "ipv6", _form("at 19:99:99 in std::vector<Ⓐ>::iterator, a::b")(rng)
        yield "network", "mac", _form("ⓗⓗ:ⓗⓗ:ⓗⓗ:ⓗⓗ:ⓗⓗ or ⓗⓗ-ⓗⓗ:ⓗⓗ-ⓗⓗ:ⓗⓗ-ⓗⓗ; sha256:ⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗ")(rng)
        yield (
            "secret",
            "random",
            _form("sk-learn, sk_test, AKIA, eyJ, xoxb and ghp_ are prefixes; sha ⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗ")(rng),
        )
        yield "secret", "random", _form("commit ⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗⓗ of task-force-ⓗⓗⓗⓗⓗⓗⓗⓗ")(rng)
        yield (
            "secret",
            "random",
            _form("-----BEGIN CERTIFICATE-----\nⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧⓧ\n-----END CERTIFICATE-----")(rng),
        )


def make() -> Iterator[Label]:
    rng = random.Random(_SEED)
    positives = list(_positives(rng))
    for family, entity, before, value in positives:
        opening, closing = rng.choice(_CARRIERS).split("{}", 1)
        opening, closing = opening.replace("{{", "{"), closing.replace("}}", "}")
        text = opening + before + value + closing
        start = len(opening) + len(before)
        yield Label(family, entity, text, start, start + len(value))
    for family, entity, value in _negatives(rng, positives):
        yield Label(
            family, entity, rng.choice(_CARRIERS).replace("{{", "{").replace("}}", "}").replace("{}", value), 0, 0
        )


def _write() -> None:
    lines = [json.dumps(label._asdict(), ensure_ascii=False) for label in make()]
    LABELLED.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
