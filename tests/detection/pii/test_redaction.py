"""Markers, what is put back, and what the document's section means."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection.pii.labelled import read
from tests.detection.support import cut

from partywall.config.policy import PiiDetector
from partywall.detection.pii import PiiPolicy, compile_pii
from partywall.errors import ConfigError

ALPHA_KEY, BETA_KEY = b"a" * 32, b"b" * 32
TEXT = "Mail ana.lopez@example.com, card 4111 1111 1111 1111, key AKIAIOSFODNN7EXAMPLE; again ana.lopez@example.com."
VALUES = [label.text[label.start : label.end] for label in read() if label.is_positive and label.family != "medical"]


def policy(**section: object) -> PiiPolicy:
    return compile_pii(PiiDetector.model_validate(section))


def redacted(key: bytes = ALPHA_KEY, **redaction: object) -> str:
    return policy(redaction=redaction).request(key).redact(TEXT).text


def test_labels() -> None:
    assert redacted() == "Mail [EMAIL], card [CARD], key [AWS_ACCESS_KEY]; again [EMAIL]."


def test_asterisks_tell_no_length_unless_asked() -> None:
    assert redacted(marker_format="asterisks") == "Mail ********, card ********, key ********; again ********."
    same = redacted(marker_format="asterisks", preserve_length=True)
    assert len(same) == len(TEXT)
    assert same.startswith(f"Mail {'*' * 21}, card")


def test_partial_shows_four_and_nothing_of_a_credential() -> None:
    assert redacted(marker_format="partial") == "Mail ****.com, card ****1111, key ********; again ****.com."
    assert len(redacted(marker_format="partial", preserve_length=True)) == len(TEXT)


def test_a_hash_is_the_same_for_the_tenant_and_another_for_the_next() -> None:
    alphas, betas = redacted(marker_format="hash"), redacted(BETA_KEY, marker_format="hash")
    markers = [word.strip(".,;") for word in alphas.split() if word.startswith("[EMAIL_")]
    assert len(markers) == 2
    assert len(set(markers)) == 1
    assert markers[0] not in betas
    assert "ana" not in alphas


def test_custom_markers_by_kind_and_by_family() -> None:
    assert redacted(custom_markers={"credit-card": "<card>", "secret": "<secret>"}) == (
        "Mail [EMAIL], card <card>, key <secret>; again [EMAIL]."
    )
    assert redacted(custom_markers={"card": "<card>"}, preserve_length=True).count("<card>*************") == 1


def test_a_label_of_the_same_length() -> None:
    assert len(redacted(preserve_length=True)) == len(TEXT)


def test_findings_hold_no_value() -> None:
    found = policy().request(ALPHA_KEY).redact(TEXT).findings
    assert [finding.entity for finding in found] == ["email", "card", "aws_access_key", "email"]
    assert all(type(part) in (str, int) for finding in found for part in finding)
    assert not any("ana" in repr(finding) or "4111" in repr(finding) for finding in found)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="guessed"):
        policy().request(b"short")


# -- Putting back ------------------------------------------------------------------------------------------------------

pieces = st.one_of(
    st.sampled_from(VALUES),
    st.sampled_from(
        ["[EMAIL_1]", "[EMAIL_2]", "[LITERAL_1]", "[", "]", "[EMAIL_", "[CARD_1", " ", "[[EMAIL_1]]", '"', "\\"]
    ),
    st.text(max_size=10),
)


RESTORING = {each: policy(restore=True, redaction={"marker_format": each}) for each in ("label", "hash")}


@pytest.mark.parametrize("marker_format", sorted(RESTORING))
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(pieces, max_size=7).map("".join), min_size=1, max_size=3),
    st.lists(st.integers(0, 9_999), max_size=9),
)
def test_what_was_redacted_comes_back_exactly(marker_format: str, texts: list[str], places: list[int]) -> None:
    """Also from texts that imitate markers, and however the answer's stream is cut."""
    request = RESTORING[marker_format].request(ALPHA_KEY)
    echoed = [request.redact(text).text for text in texts]
    for text, answer in zip(texts, echoed, strict=True):
        assert request.restore(answer) == text
        restorer = request.restorer()
        assert "".join([restorer.feed(piece) for piece in cut(answer, places)]) + restorer.end() == text


def test_a_marker_split_at_every_offset_comes_back() -> None:
    request = policy(restore=True).request(ALPHA_KEY)
    answer = request.redact(TEXT).text
    assert "[EMAIL_1]" in answer
    assert "[EMAIL_2]" not in answer
    for place in range(len(answer) + 1):
        restorer = request.restorer()
        assert restorer.feed(answer[:place]) + restorer.feed(answer[place:]) + restorer.end() == TEXT


def test_a_marker_that_was_not_given_out_stays() -> None:
    request = policy(restore=True).request(ALPHA_KEY)
    request.redact(TEXT)
    assert request.restore("[EMAIL_2] and [CARD_9]") == "[EMAIL_2] and [CARD_9]"
    other = policy(restore=True).request(BETA_KEY)
    assert other.restore("[EMAIL_1]") == "[EMAIL_1]"


def test_in_json_a_value_is_a_part_of_a_string() -> None:
    key = f"-----BEGIN PRIVATE KEY-----\n{'A' * 64}\n-----END PRIVATE KEY-----"
    request = policy(restore=True).request(ALPHA_KEY)
    arguments = json.dumps({"key": request.redact(key).text})
    assert json.loads(request.restore(arguments, in_json=True)) == {"key": key}
    restorer = request.restorer(in_json=True)
    assert json.loads("".join(map(restorer.feed, arguments)) + restorer.end()) == {"key": key}


def test_the_restorer_holds_no_more_than_a_marker() -> None:
    request = policy(restore=True).request(ALPHA_KEY)
    request.redact(TEXT)
    restorer, rng = request.restorer(), random.Random(1)
    released = 0
    for fed in range(1, 2_001):
        released += len(restorer.feed(rng.choice("[]EMAILCRD_1 ")))
        assert fed - released <= len("[AWS_ACCESS_KEY_1]") or released > fed


# -- The section -------------------------------------------------------------------------------------------------------


def kinds(**section: object) -> set[str]:
    return {each.name for each in policy(**section).detector.entities}


def test_modes() -> None:
    assert "card" in kinds()
    assert "card" not in kinds(pci_mode=False)
    assert not {"dea", "npi", "medical_record"} & kinds()
    assert {"dea", "npi", "medical_record"} <= kinds(healthcare_mode=True)


def test_kinds_and_families_narrow_and_patterns_add() -> None:
    assert kinds(detect_patterns=["email", "SSN"], pci_mode=False) == {"email", "us_ssn"}
    assert {"ipv4", "ipv6", "mac", "card"} == kinds(detect_patterns=["network"])
    assert kinds(detect_patterns=[r"EMP-\d{6}"]) == kinds() | {"custom"}
    found = policy(detect_patterns=[r"EMP-\d{6}"]).request(ALPHA_KEY).redact("EMP-123456 left")
    assert found.text == "[CUSTOM] left"


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"detect_patterns": ["emial"]}, "is no kind"),
        ({"detect_patterns": ["(a+"]}, "can't be used"),
        ({"detect_patterns": ["(?=a)b"]}, "can't be used"),
        ({"detect_patterns": [r"(a)\1"]}, "can't be used"),
        ({"detect_patterns": ["a{1,1000}{1,1000}"]}, "can't be used"),
        ({"detect_patterns": ["x*"]}, "matches where nothing stands"),
        ({"redaction": {"custom_markers": {"nothing": "x"}}}, "nothing looks for"),
        ({"restore": True, "redaction": {"marker_format": "asterisks"}}, "one of its own"),
        ({"restore": True, "redaction": {"preserve_length": True}}, "one of its own"),
        ({"restore": True, "redaction": {"custom_markers": {"email": "x"}}}, "one of its own"),
    ],
)
def test_what_cannot_be_used_is_refused(section: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        policy(**section)


def test_no_text_makes_a_pattern_run_for_ever() -> None:
    """The classic of backtracking engines: in `re` this takes longer than the universe has."""
    hostile = policy(detect_patterns=["(?:a+)+$", "(?:a|aa)+c"])
    assert hostile.detector.find("a" * 30_000 + "b") == []
