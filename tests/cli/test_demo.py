from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import anthropic
import openai
import pytest
from tests.cli.helpers import Command, decision, record

from partywall.demo import driver
from partywall.demo.driver import Outcome, Report
from partywall.demo.gateway import DemoFailed, running_gateway
from partywall.demo.scenario import SCENARIO, Row
from partywall.demo.sealed import sealed_rows

_ROOT = Path(__file__).parents[2]
_ABOUT_KEYS = 5


def test_every_row_is_as_expected(partywall: Command, tmp_path: Path) -> None:
    ended = partywall("demo", "--format", "json", "--data-dir", tmp_path / "data")
    assert [row for row in ended.json["outcomes"] if not row["as_expected"]] == []
    assert ended.code == 0
    assert ended.err == ""
    assert ended.json["rows"] == ended.json["as_expected"] == len(SCENARIO) + 3 + _ABOUT_KEYS
    assert set(ended.json["decisions"]) == {"alpha", "beta", ""}
    # What was told to the clients is on record, and can be looked up afterwards as long as its key lives: not alpha's.
    told = {each for row in ended.json["outcomes"] for each in row["decisions"]}
    assert told == {one["id"] for decisions in ended.json["decisions"].values() for one in decisions}
    assert len(told) >= len(SCENARIO)
    kept = partywall("events", "export", "--data-dir", tmp_path / "data", "--format", "json")
    alphas, others = (ended.json["decisions"][owner] for owner in ("alpha", "beta"))
    assert all(one["id"] in kept.out for one in others)
    assert not any(one["id"] in kept.out for one in alphas)
    assert kept.err.startswith(
        "alarm: decisions of tenant `alpha`: decisions are sealed under a key that was destroyed"
    )


def test_the_table_is_for_people(partywall: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "run_demo", lambda *_: _report("403 tenant_mismatch"))
    ended = partywall("demo")
    assert ended.code == 0
    assert "As the neighbour" in ended.out
    assert "✓ 403 tenant_mismatch" in ended.out
    assert "Decisions of alpha" in ended.out
    assert ended.out.splitlines()[-1] == "1 of 1 as expected"


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_surprise_is_a_failure(partywall: Command, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(driver, "run_demo", lambda *_: _report("answered"))
    ended = partywall("demo", "--format", form)
    assert ended.code == 1
    if form == "text":
        assert "✗ answered" in ended.out
        assert ended.out.splitlines()[-1] == "0 of 1 as expected"
    else:
        assert ended.json["as_expected"] == 0


def _report(got: str) -> Report:
    outcome = Outcome("As the neighbour", "alpha", "X-Org-ID: beta", "403 tenant_mismatch", got, ("dec_" + "0" * 32,))
    return Report((outcome,), {"alpha": (decision("alpha"),), None: ()})


def test_without_the_clients_it_says_what_to_install(partywall: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partywall.cli.demo.find_spec", lambda _: None)
    ended = partywall("demo")
    assert (ended.code, ended.out) == (2, "")
    assert "pip install 'partywall[demo]'" in ended.err


def test_it_needs_a_directory_of_its_own(partywall: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ended = partywall("demo", "--data-dir", tmp_path / "data")
    assert (ended.code, ended.out) == (2, "")
    assert "exists already" in ended.err


def test_the_document_is_the_published_example() -> None:
    # The wheel holds no examples/, so the demo has a copy.
    served = (_ROOT / "src/partywall/demo/two-organisations.yaml").read_bytes()
    assert served == (_ROOT / "examples/two-organisations.yaml").read_bytes()


# -- The driver doesn't take anything for granted ------------------------------------------------------------------


def _refusal(
    kind: type[openai.APIStatusError | anthropic.APIStatusError], status: int, body: object
) -> openai.APIError | anthropic.APIError:
    """An error as a client raises it, without the HTTP library that the client happens to use."""
    error = kind.__new__(kind)
    error.status_code, error.body = status, body
    return error


def test_a_refusal_is_told_by_status_and_code() -> None:
    inner = {"code": "tenant_mismatch"}
    ours = _refusal(openai.PermissionDeniedError, 403, inner)
    theirs = _refusal(anthropic.PermissionDeniedError, 403, {"type": "error", "error": inner})
    assert driver._told(ours) == driver._told(theirs) == "403 tenant_mismatch"


def test_the_wrong_exception_shows() -> None:
    wrong = _refusal(openai.BadRequestError, 403, {"code": "tenant_mismatch"})
    assert driver._told(wrong) == "403 tenant_mismatch as BadRequestError"
    bare = _refusal(openai.InternalServerError, 500, "no JSON")
    assert driver._told(bare) == "500 without a code as InternalServerError"


class _Callers:
    def __init__(self) -> None:
        self.decision_ids: list[str] = []


def test_an_attempt_that_breaks_is_a_row_that_failed() -> None:
    def attempt(_: object) -> str:
        raise ValueError("what?")

    row = Row("theme", "alpha", "tries", "answered", attempt)
    outcome = driver._tried(row, _Callers(), lambda _: None)  # type: ignore[arg-type]  # all of Callers that it uses
    assert outcome.got == "ValueError: what?"
    assert not outcome.as_expected


def _outcomes() -> list[Outcome]:
    return [Outcome(row.theme, row.who, row.what, "", "", (f"dec_{n}",)) for n, row in enumerate(SCENARIO)]


def test_decisions_in_the_wrong_file_show() -> None:
    own: dict[str | None, list[str]] = {"alpha": [], "beta": [], None: []}
    for n, row in enumerate(SCENARIO):
        own[row.recorded_for].append(f"dec_{n}")
    right = {owner: tuple(replace(decision(owner), id=one) for one in ids) for owner, ids in own.items()}  # type: ignore[arg-type]  # ids as the test makes them
    assert all(row.as_expected for row in driver._recorded(_outcomes(), right))

    strayed = {**right, "alpha": (*right["alpha"], right["beta"][0]), "beta": right["beta"][1:]}
    alpha, beta, nobody = driver._recorded(_outcomes(), strayed)
    assert alpha.got.endswith("decisions, 1 others")
    assert not alpha.as_expected
    assert not beta.as_expected
    assert nobody.as_expected


class _Keys:
    """An opener that believes whatever it is told: what the rows about keys must not take for sealing."""

    def __init__(self, keys: object) -> None:
        self.keys = keys

    def __call__(self, tenant: object, half: str, record_id: str, sealed: bytes) -> bytes:
        return record_id.encode()

    def run(self, work: object) -> None:
        work.close()  # type: ignore[attr-defined]  # a coroutine, never run


class _Life:
    life: ClassVar[_Life]

    async def destroy(self, tenant: object, *, who: str) -> None:
        """Destroys nothing."""


_Life.life = _Life()


def test_what_lies_in_clear_or_opens_for_anybody_shows(tmp_path: Path) -> None:
    record(tmp_path, mine := decision("alpha", user="ann", reason="because"), other := decision("beta"))
    decisions = {"alpha": (mine,), "beta": (other,)}
    rows = list(sealed_rows(tmp_path, _Keys(_Life()), decisions))  # type: ignore[arg-type]  # a keyring that is none
    assert [row.got for row in rows] == ["user, path, reason", *["nothing is sealed"] * 4]
    assert not any(row.as_expected for row in rows)


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("pack: 1\n")
    with (
        pytest.raises(DemoFailed, match=r"(?s)did not start: .*bad\.yaml:1"),
        running_gateway(tmp_path / "bad.yaml", tmp_path),
    ):
        pytest.fail("it started")
