"""No two field lists encode alike, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.keys.canonical import canonical, field

# Few bytes, so that fields often look like lengths and counts.
FIELDS = st.lists(st.lists(st.sampled_from([0, 1, 2, 4, 97]), max_size=12).map(bytes), max_size=6)


def decode(encoded: bytes) -> list[bytes]:
    """The reference decoder. Raises ValueError for what is no encoding of a list."""
    count, rest = int.from_bytes(encoded[:4], "big"), encoded[4:]
    fields = []
    for _ in range(count):
        length, rest = int.from_bytes(rest[:4], "big"), rest[4:]
        fields.append(rest[:length])
        if len(fields[-1]) != length:
            raise ValueError("a field is cut short")
        rest = rest[length:]
    if rest:
        raise ValueError("bytes are left over")
    return fields


@given(FIELDS)
def test_what_is_encoded_can_be_read_back(fields: list[bytes]) -> None:
    assert decode(canonical(*fields)) == fields


@given(FIELDS, FIELDS)
def test_no_two_lists_encode_alike(one: list[bytes], other: list[bytes]) -> None:
    assert (canonical(*one) == canonical(*other)) == (one == other)


@given(FIELDS)
def test_the_same_bytes_cut_in_another_way_are_another_list(fields: list[bytes]) -> None:
    """The likeliest confusion: one string, its borders elsewhere."""
    whole = b"".join(fields)
    cuts = [canonical(whole[:at], whole[at:]) for at in range(len(whole) + 1)]
    assert len(set(cuts)) == len(cuts)
    assert canonical(whole) not in cuts


@given(FIELDS, FIELDS)
def test_no_encoding_begins_another(one: list[bytes], other: list[bytes]) -> None:
    """So nothing can be appended to a list to make it a longer one."""
    assert one == other or not canonical(*other).startswith(canonical(*one))


@given(FIELDS)
def test_a_list_is_its_count_and_its_fields(fields: list[bytes]) -> None:
    assert canonical(*fields) == len(fields).to_bytes(4, "big") + b"".join(field(value) for value in fields)


@pytest.mark.parametrize(
    ("fields", "encoded"),
    [
        ([], "00000000"),
        ([b""], "00000001 00000000"),
        ([b"", b""], "00000002 00000000 00000000"),
        ([b"ab", b"c"], "00000002 00000002 6162 00000001 63"),
        ([b"a", b"bc"], "00000002 00000001 61 00000002 6263"),
    ],
)
def test_the_encodings_of_the_specification(fields: list[bytes], encoded: str) -> None:
    assert canonical(*fields) == bytes.fromhex(encoded)
