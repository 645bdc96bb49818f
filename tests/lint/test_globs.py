"""Overlap of globs, against what they match."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.lint.globs import is_literal, matches_everything, overlap
from partywall.policy.globs import matcher

WORDS = ["".join(letters) for length in range(5) for letters in product("ab", repeat=length)]
globs = st.lists(st.sampled_from(["a", "b", "?", "*"]), max_size=4).map("".join)


@given(globs, globs)
def test_globs_overlap_when_some_word_matches_both(one: str, other: str) -> None:
    # A shortest common word spends each letter on a part of one of them that is no star.
    longest = sum(len(glob) - glob.count("*") for glob in (one, other))
    words = ["".join(letters) for length in range(longest + 1) for letters in product("ab", repeat=length)]
    meets = any(matcher([one])(word) and matcher([other])(word) for word in words)
    assert overlap(one, other) == meets


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("user_*", "user_delete", True),
        ("user_*", "User_Delete", False),
        ("*_delete", "user_*", True),
        ("[rw]_file", "r_file", True),
        ("[!r]_file", "r_file", False),
        ("[", "[", True),
        ("", "*", True),
        ("", "a", False),
    ],
)
def test_examples(one: str, other: str, *, meet: bool) -> None:
    assert overlap(one, other) is meet
    assert overlap(other, one) is meet


@given(globs)
def test_everything_is_what_matches_every_word(glob: str) -> None:
    if matches_everything(glob):
        assert all(matcher([glob])(word) for word in WORDS if word)


@pytest.mark.parametrize("glob", ["*", "**", "?*", "*?"])
def test_spellings_of_everything(glob: str) -> None:
    assert matches_everything(glob)


@pytest.mark.parametrize("glob", ["a*", "?", "??*", ""])
def test_what_is_less_than_everything(glob: str) -> None:
    assert not matches_everything(glob)


def test_a_literal_has_no_wildcard() -> None:
    assert is_literal("read_report")
    assert not any(map(is_literal, ("read_*", "read_?", "read_[ab]")))
