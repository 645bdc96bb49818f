"""A stream comes to what the whole text does, however it is cut, and releases nothing of a finding."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.detection.pii.labelled import Label, read

from partywall.config.policy import PiiDetector
from partywall.detection.pii import HELD_MOST, LONGEST, Detector, PiiPolicy, Redacted, Redaction, compile_pii
from partywall.errors import PiiBlocked

KEY = b"alpha's key of 32 bytes.........."
LABELS = read()
VALUES = [label.text[label.start : label.end] for label in LABELS if label.is_positive]
HINTS = [label.text for label in LABELS if "NPI" in label.text or "AccountKey" in label.text or "secret" in label.text]
POLICY = compile_pii(
    PiiDetector.model_validate({"healthcare_mode": True, "detect_patterns": [r"EMP-\d{4,}", r"(?i)zz[a-c]+$"]})
)
WITHOUT_EMAIL = compile_pii(
    PiiDetector.model_validate({"detect_patterns": ["network", "phone", "national_id", "secret"]})
)
"""What could become an address holds nearly everything back, and would hide what other kinds hold too little."""


def request(policy: PiiPolicy = POLICY) -> Redaction:
    return policy.request(KEY)


def streamed(pieces: Iterable[str], redaction: Redaction | None = None) -> Redacted:
    scanner = (redaction or request()).scanner()
    released = [scanner.feed(piece) for piece in pieces]
    return Redacted("".join(released) + scanner.end(), scanner.findings)


def cut(text: str, places: Iterable[int]) -> list[str]:
    at = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(at)]


def labels_of_each_entity() -> Sequence[Label]:
    rng = random.Random(1)
    each: dict[tuple[str, str, bool], Label] = {}
    for label in rng.sample(LABELS, len(LABELS)):
        each.setdefault((label.family, label.entity, label.is_positive), label)
    return [each[key] for key in sorted(each)]


@pytest.mark.parametrize("label", labels_of_each_entity(), ids=lambda label: f"{label.entity}-{label.is_positive}")
def test_split_at_every_offset_the_same_is_found(label: Label) -> None:
    whole = request().redact(label.text)
    for place in range(len(label.text) + 1):
        assert streamed([label.text[:place], label.text[place:]]) == whole
    assert streamed(label.text) == whole


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1-a1",
        "10.0.0.1.9",
        "a-10.0.0.1",
        "1.10.0.0.1",
        "10.0.0.1- a1",
        "415-555-2671-9 ",
        "7-415-555-2671",
        "415-555-2671-",
        "x@y.co@z.org",
        "ana@example.com@example.org",
        "4111 1111 1111 1111 12",
        "+1 415 555 2671 2024 99",
        "gb29nwbk60161331926819 19",
        "xAKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLEx",
        "10.0.0.1 10.0.0.2,10.0.0.3",
        "EMP-1234 zzabc",
        "zzabcd",
        "zzabc\u200b",
    ],
)
@pytest.mark.parametrize("policy", [POLICY, WITHOUT_EMAIL], ids=["everything", "without e-mail"])
def test_neighbours_count_the_same_wherever_it_is_cut(text: str, policy: PiiPolicy) -> None:
    """What stands beside a value may make it none, and may come, or have gone, with another piece."""
    whole = request(policy).redact(text)
    assert streamed(text, request(policy)) == whole
    for place in range(len(text) + 1):
        assert streamed([text[:place], text[place:]], request(policy)) == whole


noise = st.one_of(
    st.sampled_from(VALUES),
    st.sampled_from(HINTS),
    st.sampled_from(
        ["EMP-123456", "zzabc", " ", "\n", "-", ".", "@", "+", "1", "12", "ü", "\u200b", "\uff11", "e\u0301", "\ud800"]
    ),
    st.text(max_size=12),
    st.text(alphabet="0123456789 -.+@:/abcAZ[]_", max_size=24),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(noise, max_size=8).map("".join),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.sampled_from([POLICY, WITHOUT_EMAIL]),
)
def test_however_it_is_cut_the_same_is_found(text: str, places: list[int], policy: PiiPolicy) -> None:
    whole = request(policy).redact(text)
    assert streamed(cut(text, places), request(policy)) == whole
    assert streamed(text, request(policy)) == whole
    assert whole.findings == policy.detector.find(text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(noise, max_size=6).map("".join), st.lists(st.integers(0, 10_000), max_size=8))
def test_no_character_of_a_finding_is_released(text: str, places: list[int]) -> None:
    """Markers apart, what is released is at each moment a beginning of the text without its findings."""
    findings = POLICY.detector.find(text)
    kept = "".join(c for i, c in enumerate(text) if not any(f.start <= i < f.end for f in findings))
    scanner = request().scanner()
    released = ""
    for piece in cut(text, places):
        released += "".join(scanner.feed(character) for character in piece)
        bare = released
        for marker in {f"[{finding.entity.upper()}]" for finding in findings}:
            bare = bare.replace(marker, "")
        if not any(f"[{finding.entity.upper()}]" in text for finding in findings):
            assert kept.startswith(bare)


def test_findings_are_apart_and_in_order(detector: Detector) -> None:
    text = "1234 4111 1111 1111 1111 GB29 NWBK 6016 1331 9268 19 ana@example.com@example.org 10.0.0.1 +1 415 555 2671"
    findings = detector.find(text)
    assert all(before.end <= after.start for before, after in pairwise(findings))


def test_prose_is_held_for_a_word() -> None:
    """The added delay: what may still become a finding, which in prose is the last word."""
    scanner, text = request().scanner(), "We hold back the last word only, because it may become an address. " * 3
    released = 0
    for place, character in enumerate(text, 1):
        released += len(scanner.feed(character))
        assert place - released <= len("address.") + 1


def test_what_is_held_is_bounded() -> None:
    scanner, fed, released = request().scanner(), 0, 0
    for piece in ["eyJ" + "a" * 40] * 600:
        fed += len(piece)
        released += len(scanner.feed(piece))
        assert fed - released <= LONGEST + len(piece)


def test_invisible_characters_without_end_are_refused() -> None:
    scanner = request().scanner()
    scanner.feed("ana.lopez")
    with pytest.raises(PiiBlocked):
        _ = [scanner.feed("\u200b" * 1_000) for _ in range(HELD_MOST // 1_000 + 1)]


def test_a_secret_longer_than_the_bound_is_found_as_far_as_it_goes() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJ" + "a" * 2 * LONGEST
    whole = request().redact(token)
    assert [finding[:2] for finding in whole.findings] == []  # its third part is beyond the bound
    pem = "-----BEGIN PRIVATE KEY-----\n" + ("A" * 64 + "\n") * 300
    whole = request().redact(pem)
    assert whole.findings[0].end - whole.findings[0].start > LONGEST - 80
    assert streamed(cut(pem, range(0, len(pem), 997))) == whole
