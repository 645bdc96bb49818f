"""No text makes the scan run longer than in proportion to its length, whatever it is a flood of."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.config.policy import PiiDetector
from partywall.detection.pii import PiiPolicy, compile_pii, detector

POLICY: PiiPolicy = compile_pii(PiiDetector(action="redact"), phone_regions=("US", "DE"))
RESTORING = compile_pii(PiiDetector(action="redact", restore=True))
KEY = b"alpha's key of 32 bytes.........."
FLOOD_BYTES = 64_000
SEEMING = [
    "4-",
    "4 ",
    "4-0 ",
    "0",
    "12 ",
    "12-",
    "1234-",
    "1.",
    "1.2.3.",
    "ab-",
    "a",
    "-",
    "@",
    "a@",
    "DE12 ",
    "+4",
    "é",
]
"""What seems to be something all over, and is nothing."""
BEING = ["a@b.cd ", "4111 1111 1111 1111 ", "1.1.1.1 ", "GB82WEST12345698765432 ", "1:"]
CARDS = ["4111 1111 1111 1111", "5555-5555-5555-4444", "6759 6498 2643 8453"]
IBANS = ["GB82WEST12345698765432", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"]
OTHERS = ["6761", "62", "30", "(0", "1.2.3.4", "00:1b:44:11:3a:b7", "123-45-6789"]
PIECES = st.sampled_from([*"420- ._/éaX:)", *CARDS, *IBANS, *OTHERS])


def seconds(text: str, tries: int = 3) -> float:
    """The least that a redaction took of the processor: others use it too."""
    took = []
    for _ in range(tries):
        redaction = POLICY.request(KEY)
        began = time.process_time()
        redaction.redact(text)
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.parametrize("piece", SEEMING)
def test_a_flood_of_candidates_costs_next_to_nothing(piece: str) -> None:
    text = piece * (FLOOD_BYTES // len(piece))
    assert seconds(text) < 0.1, "one text of this size is scanned while a thread holds up everybody"


@pytest.mark.parametrize("piece", [*BEING, "4-"])
def test_four_times_the_text_takes_four_times_the_time(piece: str) -> None:
    """With characters that aren't ASCII: places in bytes aren't those in characters."""
    count = 30_000 // len(piece)
    once, fourfold = (seconds(("é " + piece) * times) for times in (count, 4 * count))
    assert fourfold < 2.6 * 2.6 * once + 0.02


def test_many_values_are_put_back_in_a_moment() -> None:
    redaction = RESTORING.request(KEY)
    text = "".join(f"a{number}@b.cd " for number in range(10_000))
    redacted = redaction.redact(text).text
    began = time.process_time()
    assert redaction.restorer().end(redacted) == text
    assert time.process_time() - began < 0.2, "a stream's values are put back on the event loop"


@given(st.lists(PIECES, max_size=60).map("".join))
def test_looking_at_the_whole_text_first_changes_no_finding(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "_LONG", 1 << 30)
        one_by_one = POLICY.detector.find(text)
        patch.setattr(detector, "_LONG", 0)
        assert POLICY.detector.find(text) == one_by_one
