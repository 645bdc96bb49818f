"""Our checks against an independent implementation, number by number."""

from __future__ import annotations

import random
import string
from importlib import import_module

import pytest
from tests.detection.pii.labelled import LABELLED, read
from tests.detection.pii.labelling import make

from partywall.detection.pii.national import NATIONAL

ORACLES = {
    "be_nn": "be.nn",
    "br_cpf": "br.cpf",
    "ca_sin": "ca.sin",
    "ch_ahv": "ch.ssn",
    "cl_rut": "cl.rut",
    "cn_ric": "cn.ric",
    "de_idnr": "de.idnr",
    "es_dni": "es.dni",
    "fi_hetu": "fi.hetu",
    "fr_nir": "fr.nir",
    "gb_nhs": "gb.nhs",
    "in_aadhaar": "in_.aadhaar",
    "it_cf": "it.codicefiscale",
    "kr_rrn": "kr.rrn",
    "mx_curp": "mx.curp",
    "nl_bsn": "nl.bsn",
    "no_fnr": "no.fodselsnummer",
    "pl_pesel": "pl.pesel",
    "se_pnr": "se.personnummer",
    "us_ssn": "us.ssn",
    "za_id": "za.idnr",
}
_BOTH = ("cn_ric", "cl_rut", "fi_hetu")
_WITHOUT_CHECK_DIGIT = ("gb_nino", "us_ssn")
"""Their check character may be a digit or a letter."""
CHECKS = {name: check for name, _, check in NATIONAL}
VALID = {
    name: [label.text[label.start : label.end] for label in read() if label.entity == name and label.is_positive]
    for name in CHECKS
}


def test_there_are_enough_countries() -> None:
    assert len(ORACLES) >= 12
    assert all(len(values) >= 12 for values in VALID.values())


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_we_agree_on_numbers_with_a_changed_digit(name: str) -> None:
    """Nearly: the other also knows some days and places of birth that we don't."""
    rng, is_valid = random.Random(7), import_module(f"stdnum.{ORACLES[name]}").is_valid
    ours = theirs = both = 0
    for value in VALID[name] * 12:
        digits = [place for place, character in enumerate(value) if character.isdigit()]
        place = rng.choice(digits[-5:])
        changed = value[:place] + rng.choice("0123456789") + value[place + 1 :]
        mine, other = CHECKS[name](changed), bool(is_valid(changed.replace(".", "")))
        ours, theirs, both = ours + mine, theirs + other, both + (mine and other)
    assert theirs > 0
    assert both >= 0.97 * theirs, "the other accepts what we refuse"
    assert both >= 0.97 * ours, "we accept what the other refuses"


@pytest.mark.parametrize("name", [name for name in sorted(CHECKS) if name not in _WITHOUT_CHECK_DIGIT])
def test_a_wrong_check_character_is_refused(name: str) -> None:
    for value in VALID[name]:
        letters = {"cn_ric": "X", "cl_rut": "K", "fi_hetu": "ABCDEFHJKLMNPRSTUVWXY"}.get(name, string.ascii_uppercase)
        alphabet = string.digits + letters if name in _BOTH else string.digits if value[-1].isdigit() else letters
        passing = sum(_passes(name, value[:-1] + last) for last in alphabet)
        assert passing == 1


def _passes(name: str, value: str) -> bool:
    try:
        return CHECKS[name](value)
    except ValueError:  # a letter that the pattern would not have let through
        return False


def test_the_set_is_what_its_maker_makes() -> None:
    made = [label._asdict() for label in make()]
    assert made == [label._asdict() for label in read()], (
        f"run `python -m tests.detection.pii.labelling` ({LABELLED.name})"
    )
