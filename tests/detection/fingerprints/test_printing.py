from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection.support import disguised, prose

from partywall.detection.fingerprints import CAUGHT, Printer
from partywall.detection.fingerprints.winnowing import WINDOW, chosen
from partywall.detection.grams import LONG, SHORT, Grams
from partywall.detection.normal import codes_of, normalised, places_of

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
texts = st.one_of(st.text(max_size=60), st.text(alphabet="aB1 \u200b\u00df\ufdfa\u0130\uff21e\u0301.", max_size=60))


@given(texts)
def test_pieces_normalise_to_what_the_whole_does(text: str) -> None:
    assert "".join(normalised(character) for character in text) == normalised(text)
    assert "".join(map(chr, codes_of(text).tolist())) == normalised(text)
    places = places_of(text).tolist()
    assert len(places) == len(normalised(text))
    assert all(normalised(text[place]) for place in places)
    assert normalised("".join(text[place] for place in dict.fromkeys(places))) == normalised(text)


@given(st.text(alphabet="abcXYZ019", min_size=1, max_size=40), st.integers(0, 10**6))
def test_case_forms_spaces_and_marks_make_no_difference(text: str, seed: int) -> None:
    assert normalised(disguised(random.Random(seed), text)) == normalised(text)


@settings(max_examples=100)
@given(st.text(alphabet="ab", min_size=0, max_size=90), st.text(alphabet="ab\u4e00", max_size=90))
def test_runs_have_equal_hashes_exactly_when_they_are_equal(one: str, other: str) -> None:
    grams = Grams(KEY)
    for length, name in ((SHORT, "short"), (LONG, "long")):
        by_hash: dict[int, str] = {}
        for text in (one, other):
            hashes = getattr(grams.of(codes_of(text)), name)
            assert len(hashes) == max(0, len(text) - length + 1)
            for place, value in enumerate(hashes.tolist()):
                assert by_hash.setdefault(value, text[place : place + length]) == text[place : place + length]
        runs = set(by_hash.values())
        assert len(runs) == len(by_hash)


@given(st.lists(st.integers(0, 6), max_size=60))
def test_a_run_is_chosen_when_it_is_the_least_of_a_window(values: list[int]) -> None:
    windows = [values[place : place + WINDOW] for place in range(len(values) - WINDOW + 1)]
    expected = {
        place + offset
        for place, window in enumerate(windows)
        for offset, value in enumerate(window)
        if value == min(window)
    }
    assert set(chosen(np.array(values, np.uint64) << np.uint64(32)).tolist()) == expected


def test_density_is_two_in_ten() -> None:
    text = prose(random.Random(1), 20_000)
    hashes = Grams(KEY).of(codes_of(text)).long
    assert 0.18 < len(chosen(hashes)) / len(hashes) < 0.22


def test_without_the_key_nothing_can_be_compared() -> None:
    """Two deployments' fingerprints of one text have nothing in common, and none is a hash of the process."""
    text = prose(random.Random(2), 3_000)
    ours, theirs = Printer(KEY).of_text(text), Printer(OTHER_KEY).of_text(text)
    assert len(ours) > 300
    assert not set(ours.tolist()) & set(theirs.tolist())
    assert not set(ours.tolist()) & set(Grams(KEY).of(codes_of(text)).long.tolist())


def test_a_change_in_one_bit_of_a_hash_changes_half_of_the_fingerprint() -> None:
    printer, rng = Printer(KEY), np.random.default_rng(3)
    hashes = np.sort(rng.integers(0, 2**64, WINDOW, np.uint64))
    first = int(printer.of_hashes(hashes).values[0])
    other = hashes.copy()
    other[0] ^= np.uint64(1)  # its upper half stays, so it is still the one that is chosen
    assert 12 <= (first ^ int(printer.of_hashes(other).values[0])).bit_count() <= 52


def test_short_texts_have_none_and_short_keys_are_refused() -> None:
    assert len(Printer(KEY).of_text("a" * (CAUGHT - 1))) == 0
    assert len(Printer(KEY).of_text("abcdefghijklmnopqrstuvwxyz0123456789abcd")) >= 1
    with pytest.raises(ValueError, match="32 bytes"):
        Printer(b"short")
