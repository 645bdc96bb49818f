from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trail.records import ALPHA, end, new_record
from tests.trail.test_codec import RECORDS

from partywall.tenancy import UserId
from partywall.trail import DecisionRecord, PolicyResult, Verdict
from partywall.trail.export import CSV_COLUMNS, to_csv_header, to_csv_row, to_json, to_text

AT = 1_767_225_600.25  # 2026-01-01T00:00:00.250Z


def read_csv(*records: DecisionRecord) -> list[dict[str, str]]:
    text = to_csv_header() + "".join(to_csv_row(record) for record in records)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_is_one_line_with_every_field() -> None:
    record = end(new_record(ALPHA, at=AT, path="/v1/\nchat"))
    text = to_json(record)
    assert "\n" not in text
    found = json.loads(text)
    assert found["time"] == "2026-01-01T00:00:00.250Z"
    assert (found["tenant"], found["verdict"], found["tokens_in"]) == ("alpha", "allow", 12)
    assert found["policies"][0]["kind"] == "rbac"
    assert found["code"] is None
    assert set(found) == set(CSV_COLUMNS)
    assert "admitted_policies" not in found


@given(RECORDS)
def test_every_record_can_be_shown(record: DecisionRecord) -> None:
    assert json.loads(to_json(record))["id"] == record.id
    assert to_text(record).isprintable()
    assert len(read_csv(record)) == 1


@given(RECORDS)
def test_no_csv_cell_starts_a_formula(record: DecisionRecord) -> None:
    [row] = read_csv(record)
    for name, cell in row.items():
        if isinstance(getattr(record, name), str):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_a_formula_is_defused_and_still_readable(start: str) -> None:
    record = new_record(ALPHA, at=AT, path=start)
    record.user = UserId(f'{start},"x"')
    [row] = read_csv(record)
    assert (row["path"], row["user"]) == (f"'{start}", f'\'{start},"x"')


def test_numbers_in_csv_stay_numbers() -> None:
    record = end(new_record(ALPHA, at=AT))
    record.policies += (PolicyResult("pii-detector", "pre-response", Verdict.REDACT, "2 findings"),)
    [row] = read_csv(record)
    assert (row["tokens_in"], row["latency_ms"], row["code"], row["time"]) == (
        "12",
        "56.5",
        "",
        "2026-01-01T00:00:00.250Z",
    )
    assert row["policies"].endswith("; pii-detector@pre-response: redact (2 findings)")


def test_a_line_for_people() -> None:
    record = end(new_record(ALPHA, at=AT))
    record.id = type(record.id)("dec_1")
    assert to_text(record) == (
        "2026-01-01T00:00:00.250Z ALLOW    alpha POST /v1/chat model=gpt-4o-mini upstream=openai-eu user=u-17 "
        "role=agent status=200 completed tokens=12/34 took=56.5ms reason=allowed dec_1"
    )


def test_a_line_for_people_of_a_refusal_and_of_a_running_request() -> None:
    refused = DecisionRecord(id=new_record().id, time=AT, method="GET", path="/", code="missing_identity", status=401)
    refused.outcome = "refused"
    assert to_text(refused) == (
        f"2026-01-01T00:00:00.250Z BLOCK    (no tenant) GET / status=401 refused code=missing_identity {refused.id}"
    )
    assert " running " in to_text(new_record())


@given(st.text())
def test_nothing_a_client_sent_moves_a_terminals_cursor(text: str) -> None:
    for hostile in (text, f"\x1b[2J{text}", f"{text}\r\n", f"\u202e{text}", f"{text}\u2028"):
        assert to_text(new_record(ALPHA, at=AT, path=hostile)).isprintable()


@pytest.mark.parametrize("at", [1e18, -1e18, float("inf")])
def test_a_time_beyond_the_calendar_is_shown_as_a_number(at: float) -> None:
    assert to_text(new_record(ALPHA, at=at)).startswith(str(at))
