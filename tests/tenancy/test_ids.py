"""One spelling, one tenant."""

from __future__ import annotations

import re
import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.errors import InvalidTenantId, PartywallError
from partywall.tenancy import TENANT_ID_PATTERN, parse_tenant_id

FIRST = string.ascii_lowercase + string.digits
REST = FIRST + "_-"


@pytest.mark.parametrize("text", ["alpha", "beta", "0", "a" * 63, "acme-eu_2", "9-"])
def test_an_id_comes_back_unchanged(text: str) -> None:
    assert parse_tenant_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "*",
        "alpha\n",
        "\nalpha",
        "alpha\r",
        "alpha\0",
        "alpha ",
        " alpha",
        "Alpha",
        "ALPHA",
        "-alpha",
        "_alpha",
        "a" * 64,
        "alpha/beta",
        "..",
        "alpha.beta",
        "alpha,beta",
        "alpha:beta",
        "alpha%20",
        "\N{CYRILLIC SMALL LETTER A}lpha",
        "\N{GREEK SMALL LETTER ALPHA}",
        "alph\N{FULLWIDTH LATIN SMALL LETTER A}",
        "alpha\N{COMBINING ACUTE ACCENT}",
        "alpha\N{ZERO WIDTH SPACE}",
        "\N{KELVIN SIGN}",
        "\N{LATIN SMALL LETTER LONG S}",
        "\N{LATIN SMALL LETTER DOTLESS I}",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "\N{SUPERSCRIPT TWO}",
        "\ud800",
    ],
)
def test_other_spellings_are_no_ids(text: str) -> None:
    with pytest.raises(InvalidTenantId) as caught:
        parse_tenant_id(text)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PartywallError)


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.text(max_size=70) | st.from_regex(TENANT_ID_PATTERN) | st.text(alphabet=REST, max_size=70))
def test_the_rule_character_by_character(text: str) -> None:
    """Against a model without a regular expression: `$`, IGNORECASE and Unicode classes are where such rules leak."""
    allowed = 1 <= len(text) <= 63 and text[0] in FIRST and all(character in REST for character in text)
    try:
        assert parse_tenant_id(text) == text
        accepted = True
    except InvalidTenantId:
        accepted = False
    assert accepted == allowed


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.from_regex(TENANT_ID_PATTERN, fullmatch=True))
def test_no_two_ids_meet_under_folding_or_normalisation(text: str) -> None:
    """A store or file system that folds case or normalises can't merge two tenants: ids are its fixed points."""
    assert text == text.lower() == text.casefold()
    assert all(unicodedata.normalize(form, text) == text for form in ("NFC", "NFD", "NFKC", "NFKD"))
    assert text.isascii()


def test_a_hostile_id_is_quoted_and_cut_in_the_message() -> None:
    with pytest.raises(InvalidTenantId) as caught:
        parse_tenant_id("\x1b[31m" + "x" * 1000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_published_pattern_is_the_one_that_is_used() -> None:
    assert re.fullmatch(TENANT_ID_PATTERN, "alpha-1")
    assert re.fullmatch(TENANT_ID_PATTERN, "alpha\n") is None
