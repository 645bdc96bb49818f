"""JSON that two parsers could read in two ways is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.identity.strict_json import parse_object


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b'"x"', "not an object"),
        (b"null", "not an object"),
        (b"{} x", "not JSON"),
        (b'{"a": 1, "a": 1}', "repeats a name"),
        (b'{"a": {"b": 1, "b": 2}}', "repeats a name"),
        (b'{"tenant": "alpha", "\\u0074enant": "beta"}', "repeats a name"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "not JSON"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "4300"),
    ],
)
def test_ambiguous_or_malformed_documents(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_object(raw)


def test_a_refusal_holds_no_content() -> None:
    with pytest.raises(ValueError, match="not JSON") as caught:
        parse_object(b'{"secret": "hunter2"')
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)))
def test_plain_objects_round_trip(value: dict[str, object]) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=True).encode()) == value


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.binary(max_size=60))
def test_bytes_never_raise_anything_else(raw: bytes) -> None:
    try:
        assert isinstance(parse_object(raw), dict)
    except ValueError:
        return
