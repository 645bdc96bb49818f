from __future__ import annotations

import dataclasses

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trail.records import ALPHA, BETA, RBAC, end, new_record

from partywall.tenancy import TenantId, UserId
from partywall.trail import DecisionRecord, PolicyResult, Verdict
from partywall.trail.codec import decode, encode_admission, encode_completion
from partywall.trail.ids import DecisionId

TEXT = st.text(max_size=40)
COUNTS = st.none() | st.integers(min_value=0, max_value=2**53 - 1)
POLICIES = st.lists(st.builds(PolicyResult, TEXT, TEXT, st.sampled_from(Verdict), TEXT), max_size=4).map(tuple)
RECORDS = st.builds(
    DecisionRecord,
    id=TEXT.map(DecisionId),
    time=st.floats(allow_nan=False, allow_infinity=False),
    method=TEXT,
    path=TEXT,
    tenant=st.sampled_from([None, ALPHA, BETA]),
    verdict=st.sampled_from(Verdict),
    code=st.none() | TEXT,
    reason=TEXT,
    policies=POLICIES,
    user=st.none() | TEXT.map(UserId),
    status=COUNTS,
    tokens_in=COUNTS,
    tokens_out=COUNTS,
    latency_ms=st.none() | st.floats(min_value=0, max_value=1e9),
    outcome=st.none() | TEXT,
)


@given(RECORDS)
def test_what_is_encoded_is_decoded(record: DecisionRecord) -> None:
    assert decode(encode_admission(record), encode_completion(record)) == record


@given(RECORDS, POLICIES)
def test_the_completion_wins_where_both_speak(record: DecisionRecord, later: tuple[PolicyResult, ...]) -> None:
    admission = encode_admission(record)
    record.admitted_policies = record.policies
    record.verdict, record.policies, record.upstream = Verdict.BLOCK, record.policies + later, "fall-back"
    found = decode(admission, encode_completion(record))
    assert (found.verdict, found.policies, found.upstream) == (Verdict.BLOCK, record.policies, "fall-back")


def test_policies_that_did_not_change_are_stored_once() -> None:
    record = end(new_record())
    record.admitted_policies = record.policies
    assert RBAC.reason.encode() in encode_admission(record)
    assert RBAC.reason.encode() not in encode_completion(record)


def test_an_admission_alone_has_not_ended() -> None:
    found = decode(encode_admission(end(new_record())), None)
    assert found.outcome is None
    assert found.status is None


def test_what_json_cannot_hold_is_tamed_and_not_lost() -> None:
    record = end(new_record(path="/v1/\udcff"))
    record.tokens_in = 10**70
    found = decode(encode_admission(record), encode_completion(record))
    assert found.path == "/v1/\\udcff"
    assert found.tokens_in == 2**53 - 1
    assert dataclasses.replace(found, path="", tokens_in=0) == dataclasses.replace(record, path="", tokens_in=0)


def test_a_huge_record_is_clipped_and_stays_a_record() -> None:
    record = new_record(path="/" + "x" * 100_000)
    record.policies = (dataclasses.replace(RBAC, reason="\x00" * 50_000),) * 1000
    stored = encode_admission(record)
    assert len(stored) < 300_000
    found = decode(stored, None)
    assert found.path == record.path[:512]
    assert found.tenant == ALPHA


def test_halves_of_two_records_do_not_make_one() -> None:
    one, other = end(new_record(ALPHA)), end(new_record(BETA))
    with pytest.raises(ValueError, match="belongs to another record"):
        decode(encode_admission(one), encode_completion(other))


def test_a_later_format_is_not_guessed_at() -> None:
    values = orjson.loads(encode_admission(new_record()))
    with pytest.raises(ValueError, match="format `2`"):
        decode(orjson.dumps([2, *values[1:]]), None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT | st.sampled_from(["allow", "dec_"]),
    lambda inner: st.lists(inner, max_size=17) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=30,
)


@given(st.lists(JSON, min_size=16, max_size=16), JSON, st.none() | JSON)
def test_whatever_was_planted_is_refused_with_one_exception(values: object, policies: object, ended: object) -> None:
    completion = None if ended is None else orjson.dumps(ended)
    try:
        found = decode(orjson.dumps([1, values, policies]), completion)
    except ValueError:
        return
    assert isinstance(found.verdict, Verdict)
    assert isinstance(found.path, str)


@pytest.mark.parametrize(
    "stored", [b"", b"null", b"7", b"[]", b"[1]", b"[1,[],[]]", b"\xff", b'{"a":1}', b"[1,{},null]"]
)
def test_what_is_no_admission_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(stored, None)


@pytest.mark.parametrize(("position", "value"), [(2, "soon"), (4, 7), (11, 1.5), (2, None), (0, ["dec_"])])
def test_a_value_of_the_wrong_type_is_refused(position: int, value: object) -> None:
    half = orjson.loads(encode_admission(new_record()))
    half[1][position] = value
    with pytest.raises(ValueError, match="is stored as"):
        decode(orjson.dumps(half), None)


def test_a_read_record_counts_as_admitted() -> None:
    record = new_record(TenantId("gamma"))
    assert not record.admitted
    assert decode(encode_admission(record), None).admitted
