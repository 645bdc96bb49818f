"""Globs mean what `fnmatch` says, whichever way they were compiled."""

from __future__ import annotations

import fnmatch

from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.policy.globs import matcher

_TEXTS = st.text("ab*?[]!-.\\\n", max_size=5)


@settings(max_examples=1000, deadline=None)
@given(globs=st.lists(_TEXTS, max_size=4), name=_TEXTS)
def test_a_list_matches_what_any_of_its_globs_matches(globs: list[str], name: str) -> None:
    assert matcher(globs)(name) is any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def test_an_empty_list_matches_nothing_and_an_empty_glob_only_the_empty_name() -> None:
    assert not matcher([])("")
    assert matcher([""])("")
    assert not matcher([""])("a")
    assert matcher(["*"])("")


def test_case_counts() -> None:
    for glob in ("Search", "Search*", "Sear?h"):
        assert matcher([glob])("Search")
        assert not matcher([glob])("search")
