"""What could still become a match is recognised as such, for every pattern that is accepted."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.detection.pii.labelled import read

from partywall.detection.pii import BUILT_IN, Entity
from partywall.detection.pii.prefixes import UnreadablePattern, begun, shortest

OTHERS = [r"(?i)a(?:bc|de){2,3}f?", r"x.*y+?z", r"(?s:a.b)|[^\dq]{3}", r"a{0}b", r"(?P<n>k)\.\w\s\D", r"(?i:é)[à-ü]+"]


@pytest.mark.parametrize("pattern", OTHERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_beginning_of_a_match_is_one(pattern: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    assume(re2.compile(pattern.encode()).fullmatch(text.encode()))  # `re` has a space (vertical tab) that RE2 hasn't
    beginning = re2.compile(begun(pattern).encode())
    for end in range(len(text) + 1):
        assert beginning.fullmatch(text[:end].encode()) is not None


@pytest.mark.parametrize("entity", BUILT_IN, ids=lambda entity: entity.name)
def test_so_for_all_that_is_built_in(entity: Entity) -> None:
    options = re2.Options()
    options.max_mem = 64 << 20
    whole, beginning = (re2.compile(each.encode(), options) for each in (entity.pattern, begun(entity.pattern)))
    texts = [label.text.encode() for label in read() if label.entity == entity.name]
    matches = [match.group() for text in texts if (match := whole.search(text))]
    assert matches
    for match in matches[:10]:
        text = match.decode()
        assert all(beginning.fullmatch(text[:end].encode()) for end in range(len(text) + 1))


def test_what_leads_nowhere_is_no_beginning() -> None:
    beginning = re2.compile(begun(r"\b\d{3}-\d{2}\b").encode())
    assert [bool(beginning.fullmatch(text)) for text in (b"", b"1", b"123", b"123-4", b"123-45")] == [True] * 5
    assert [bool(beginning.fullmatch(text)) for text in (b"a", b"1234", b"123 ", b"123-456")] == [False] * 4


@pytest.mark.parametrize(
    "pattern",
    [
        r"\pL+",
        r"[[:alpha:]]",
        r"[a[:digit:]]",
        r"a(?=b)",
        r"(?<!a)b",
        r"(a)\1",
        r"\Qa\E",
        r"a\Z",
        "(",
        "a**",
        "(?>a)",
        "a++",
    ],
)
def test_what_both_do_not_read_alike_is_refused(pattern: str) -> None:
    with pytest.raises(UnreadablePattern):
        begun(pattern)


def test_the_shortest_match() -> None:
    assert [shortest(pattern) for pattern in ("a*", "ab?", "(?:ab){2,}|abc")] == [0, 1, 3]
