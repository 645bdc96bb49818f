"""Filters take away, in the way they say, or are refused; and metadata names no tenant (R3, R5, R7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.errors import BadRequest
from partywall.stores import Comparison, Compound, Filter, parse_filter
from partywall.stores.documents.filters import matches
from partywall.stores.documents.metadata import Value, check_metadata

KEYS = ("a", "b", "c")
values = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.sampled_from(["", "x", "y"]))
numbers = st.one_of(st.integers(-3, 3), st.floats(-3, 3))
metadatas = st.dictionaries(st.sampled_from(KEYS), values)
keys = st.sampled_from(KEYS)


def _comparison(kind: str, key: str, value: object) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


comparisons = st.one_of(
    st.builds(_comparison, st.sampled_from(["eq", "ne"]), keys, values),
    st.builds(_comparison, st.sampled_from(["gt", "gte", "lt", "lte"]), keys, numbers),
    st.builds(_comparison, st.sampled_from(["in", "nin"]), keys, st.lists(values, min_size=1, max_size=3)),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["and", "or"]), "filters": st.lists(inner, min_size=1, max_size=3)}
    ),
    max_leaves=6,
)


def model(condition: dict[str, Any], metadata: dict[str, Value]) -> bool:
    """The same, as one would write it down."""

    def same(one: object, other: object) -> bool:
        return bool(one == other) and (type(one) is bool) == (type(other) is bool)

    kind: str = condition["type"]
    if kind in ("and", "or"):
        found = [model(each, metadata) for each in condition["filters"]]
        return all(found) if kind == "and" else any(found)
    is_there, value = condition["key"] in metadata, metadata.get(condition["key"])
    wanted = condition["value"]
    if kind in ("eq", "ne"):
        return (is_there and same(value, wanted)) is (kind == "eq")
    if kind in ("in", "nin"):
        return (is_there and any(same(value, one) for one in wanted)) is (kind == "in")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return bool({"gt": value > wanted, "gte": value >= wanted, "lt": value < wanted, "lte": value <= wanted}[kind])


@given(filters, metadatas)
def test_a_filter_means_what_it_says(condition: dict[str, Any], metadata: dict[str, Value]) -> None:
    try:
        parsed = parse_filter(condition)
    except BadRequest:
        assert _depth(condition) > 8
        return
    assert matches(parsed, metadata) is model(condition, metadata)


def _depth(condition: dict[str, Any]) -> int:
    return 1 + max((_depth(each) for each in condition.get("filters", ())), default=0)


RESERVED = (
    *("tenant", "tenant_id", "Tenant-ID", "TENANTID", "org_id", "organization", "x-org-id", "X_Tenant_Id", "namespace"),
    *(" tenant", "ten_ant", "tenan\u0442id"[:6] + "_id", "name-space"),
)
DEEP: dict[str, Any] = _comparison("eq", "a", 1)
for _ in range(9):
    DEEP = {"type": "and", "filters": [DEEP]}

REFUSED: dict[str, object] = {
    "an unknown operator": _comparison("like", "a", "%"),
    "an operator of another database": _comparison("$ne", "a", None),
    "no operator": {"key": "a", "value": 1},
    "an operator that is no text": {"type": ["eq"], "key": "a", "value": 1},
    "something besides": _comparison("eq", "a", 1) | {"tenant": "beta"},
    "a key that is no text": _comparison("eq", {"$ne": 1}, 1),  # type: ignore[arg-type]  # on purpose
    "an empty key": _comparison("eq", "", 1),
    "a null": _comparison("eq", "a", None),
    "a mapping": _comparison("eq", "a", {"$gt": ""}),
    "a list where one is wanted": _comparison("eq", "a", ["x"]),
    "one where a list is wanted": _comparison("in", "a", "x"),
    "an empty list": _comparison("nin", "a", []),
    "a list of lists": _comparison("in", "a", [["x"]]),
    "more than infinity": _comparison("lt", "a", float("inf")),
    "not a number": _comparison("eq", "a", float("nan")),
    "an order of texts": _comparison("gt", "a", "x"),
    "an order of truths": _comparison("gte", "a", value=True),
    "an empty and": {"type": "and", "filters": []},
    "an or without filters": {"type": "or"},
    "filters that are none": {"type": "or", "filters": ["1=1"]},
    "too deep": DEEP,
    "too many": {"type": "or", "filters": [_comparison("eq", "a", 1)] * 65},
    "too many below": {"type": "or", "filters": [{"type": "or", "filters": [_comparison("eq", "a", 1)] * 60}] * 60},
    "a text": "tenant_id = 'beta' OR 1=1",
    "a list": [],
    "nothing": {},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_known_is_refused_and_not_ignored(what: str) -> None:
    with pytest.raises(BadRequest):
        parse_filter(REFUSED[what])


@pytest.mark.parametrize("name", [*RESERVED, "customer", "Customer-"])
def test_no_metadata_and_no_filter_names_a_tenant(name: str) -> None:
    """Also under the name that the document gives the namespace; a Cyrillic twin is another name."""
    if not name.isascii():
        assert check_metadata({name: "alpha"}, "customer") == {name: "alpha"}
        return
    with pytest.raises(BadRequest):
        check_metadata({name: "alpha"}, "customer")
    if "ustomer" not in name:
        with pytest.raises(BadRequest):
            parse_filter(_comparison("eq", name, "alpha"))


@pytest.mark.parametrize(
    "metadata", [{"a": None}, {"a": []}, {"a": 2**60}, {"": "x"}, {"a\n": 1}, {"a": "\ud800"}, {1: 2}]
)
def test_metadata_that_would_not_come_back_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        check_metadata(metadata, "tenant_id")


def test_too_much_metadata_is_refused() -> None:
    assert len(check_metadata({f"n{number}": number for number in range(16)}, "tenant_id")) == 16
    for much in ({f"n{number}": number for number in range(17)}, {"n" * 65: 1}, {"n": "x" * 2049}):
        with pytest.raises(BadRequest):
            check_metadata(much, "tenant_id")


def test_a_filter_made_by_hand_is_held_to_the_same() -> None:
    one: Filter = Comparison("eq", "a", 1)
    for _ in range(7):
        one = Compound("and", (one,))
    with pytest.raises(BadRequest):
        Compound("and", (one,))
    with pytest.raises(BadRequest):
        Comparison("eq", "tenant", "beta")
