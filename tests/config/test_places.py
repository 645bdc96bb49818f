from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partywall.config.places import Place, PlaceIndex, locate, place_of_offset, render_snippet

_KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(0, 99) | _KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=30,
)

TEXT = """\
pack: {name: alpha, tags: [x, "yy"]}   # a comment
groups:
  - name: alpha
    upstream: one
    note: |
      several
      lines
  -
    name: beta
    empty:
"""


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        (("pack", "name"), False, Place(1, 14, 1, 19)),
        (("pack", "name"), True, Place(1, 8, 1, 12)),
        (("pack", "tags", 1), False, Place(1, 31, 1, 35)),
        (("pack",), False, Place(1, 1, 1, 5)),  # the key stands for the whole mapping
        (("groups", 0), False, Place(3, 5, 8, 1)),
        (("groups", 0, "upstream"), False, Place(4, 15, 4, 18)),
        (("groups", 0, "note"), False, Place(5, 11, 8, 1)),
        (("groups", 1), False, Place(9, 5, 10, 11)),
        (("groups", 1, "name"), True, Place(9, 5, 9, 9)),
        (("groups", 1, "empty"), True, Place(10, 5, 10, 10)),
        (("groups", 0, "missing"), False, Place(3, 5, 8, 1)),
        (("groups", 7, "name"), False, Place(2, 1, 2, 7)),
        (("nothing",), False, Place(1, 1, 10, 11)),
        ((), False, Place(1, 1, 10, 11)),
    ],
)
def test_places_are_exact(path: tuple[str | int, ...], key: bool, place: Place) -> None:
    assert locate(TEXT, path, key=key) == place


def test_a_path_written_for_the_long_form_finds_the_short_one() -> None:
    text = "consumer_groups:\n  - name: alpha\n    chain:\n      - rbac: {stage: x}\n"
    index = PlaceIndex(text)
    assert index.place(("consumer_groups", "groups", 0, "name")).line == 2
    assert index.place(("consumer_groups", "groups", 0, "chain", 0, "stage")) == Place(4, 23, 4, 24)


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "a: 'open", "[", "\t", "? [a]\n: b\n", "a: &x 1\nb: *x\n", "\ud800"]
)
def test_a_text_that_is_no_document_has_places_all_the_same(text: str) -> None:
    index = PlaceIndex(text)
    place = index.place(("a", 0, "b"))
    assert place.line == 1
    assert index.snippet(place).count("\n") == 1


def test_of_a_key_given_twice_the_first_is_known() -> None:
    assert locate("a: 1\nb: 2\na: 3\n", ("a",), key=True).line == 1


@pytest.mark.parametrize(("text", "place"), [("a\r\nb\rc\nd", Place(4, 1, 4, 2)), ("d", Place(1, 1, 1, 2))])
def test_lines_end_the_three_ways_of_yaml(text: str, place: Place) -> None:
    assert place_of_offset(text, text.index("d")) == place


@given(data=_DATA)
@example(data={"": [{"": {"": 1}}]})
def test_places_point_at_the_line_of_random_documents(emit: Callable[[object], Any], data: object) -> None:
    written = emit(data)
    index = PlaceIndex(written.text)
    for path, line in written.keys.items():
        assert index.place(path, key=True).line == line
    for path, line in written.values.items():
        keyed_collection = path in written.keys and any(
            longer[: len(path)] == path != longer for longer in written.values
        )
        assert index.place(path).line == (written.keys[path] if keyed_collection else line)


# -- Snippets ---------------------------------------------------------------------------------------------------------


def _carets(text: str, place: Place) -> tuple[str, str]:
    line, carets = render_snippet(text, place).split("\n")
    return line.split(" | ", 1)[1], carets.split(" | ", 1)[1]


def test_the_caret_stands_under_the_place() -> None:
    assert render_snippet(TEXT, locate(TEXT, ("groups", 0, "upstream"))) == (
        "    4 |     upstream: one\n      |               ^~~"
    )


@pytest.mark.parametrize(
    ("line", "carets"),
    [
        ("\tkey: bad", "         ^~~"),  # a tab is shown as four spaces
        ("日本語: bad", "        ^~~"),  # each of these is two columns wide
        ("cafe\u0301: bad", "      ^~~"),  # and a combining accent none
        ("\u00a0key: bad", "      ^~~"),  # a space that isn't one is shown as U+FFFD
    ],
)
def test_carets_allow_for_tabs_and_width(line: str, carets: str) -> None:
    column = line.index("bad") + 1
    assert _carets(line, Place(1, column, 1, column + 3))[1] == carets


def test_a_place_over_several_lines_is_marked_to_the_end_of_its_first() -> None:
    assert _carets(TEXT, locate(TEXT, ("groups", 0)))[1] == "    ^~~~~~~~~~~"


def test_a_place_past_the_end_is_clamped() -> None:
    assert _carets("a: 1", Place(9, 9, 9, 99))[1].endswith("^")
    assert render_snippet("", Place(1, 1)) == "    1 |\n      | ^"


def test_a_line_of_a_megabyte_is_cut_around_the_place() -> None:
    text = "[" + "a, " * 400_000 + "bad, " + "a, " * 10_000 + "]"
    column = text.index("bad") + 1
    line, carets = _carets(text, Place(1, column, 1, column + 3))
    assert len(line) < 130
    assert line[carets.index("^") : carets.rindex("~") + 1] == "bad"
    assert line[0] == line[-1] == "…"


@pytest.mark.parametrize(
    ("text", "shown", "carets"),
    [
        ("{api_key: hunter2, upstrem: x}", "{api_key: **********, upstrem: x}", "                      ^~~~~~~"),
        ("{upstrem: x, api_keys: [hunter2, 'b']}", "{upstrem: x, api_keys: [**********, **********]}", " ^~~~~~~"),
        ("{upstrem: x, token: {a: {hunter2: c}}}", "{upstrem: x, token: {a: {**********: **********}}}", " ^~~~~~~"),
        ("{upstrem: x, note: sk-live-abcdefgh1234}", "{upstrem: x, note: **********}", " ^~~~~~~"),
        ("{upstrem: x, url: 'https://u:pw@host/'}", "{upstrem: x, url: 'https**********host/'}", " ^~~~~~~"),
        ("{upstrem: x, max_tokens: 5}", "{upstrem: x, max_tokens: 5}", " ^~~~~~~"),
    ],
)
def test_secrets_are_masked_wherever_they_stand_in_the_line(text: str, shown: str, carets: str) -> None:
    assert _carets(text, locate(text, ("upstrem",), key=True)) == (shown, carets)


def test_a_masked_place_is_marked_by_its_mask() -> None:
    text = "api_key: hunter2-which-is-much-longer-than-its-mask\n"
    assert _carets(text, locate(text, ("api_key",))) == ("api_key: **********", "         ^~~~~~~~~~")


def test_a_digest_keeps_the_beginning_that_people_know_it_by() -> None:
    text = f"api_keys: ['sha256:{'0123456789abcdef' * 4}']"
    assert _carets(text, locate(text, ("api_keys", 0)))[0] == "api_keys: [sha256:01234567…]"


def test_every_line_of_a_secret_block_is_masked() -> None:
    text = "private_key: |\n  first line\n  second line\nname: alpha\n"
    index = PlaceIndex(text)
    shown = "\n".join(index.snippet(Place(line, 3)) for line in range(1, 5))
    assert "first" not in shown
    assert "second" not in shown
    assert "alpha" in shown
