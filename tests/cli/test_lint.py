from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests.cli.helpers import Command
from tests.support.documents import base_document, key_hash, write_document

_SCHEMA = Path(__file__).parents[1] / "lint" / "sarif-schema-2.1.0.json"


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write_document(tmp_path / "clean.yaml", base_document())


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    document = base_document()
    document["consumer_groups"]["groups"][0]["api_keys"] = [key_hash("changeme")]
    return write_document(tmp_path / "faulty.yaml", document)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text("pack: {name: x}\nproviders: [\n")
    return path


def _valid_sarif(text: str) -> dict[str, object]:
    log = json.loads(text)
    jsonschema.validate(log, json.loads(_SCHEMA.read_text()))
    run: dict[str, object] = log["runs"][0]
    return run


def test_a_clean_document_is_zero(partywall: Command, clean: Path) -> None:
    assert partywall("lint", clean).code == 0
    assert partywall("lint", clean, "--format", "json").json["findings"] == []
    assert _valid_sarif(partywall("lint", clean, "--format", "sarif").out)["results"] == []


def test_an_error_is_one(partywall: Command, faulty: Path) -> None:
    ended = partywall("lint", faulty)
    assert ended.code == 1
    assert f"{faulty}:" in ended.out
    assert "[weak-key]" in ended.out
    for form in ("json", "sarif"):
        assert partywall("lint", faulty, "--format", form).code == 1


def test_warnings_alone_are_zero(partywall: Command, tmp_path: Path) -> None:
    document = base_document()
    document["consumer_groups"]["groups"][0]["api_keys"] = [key_hash("sk-alpha")]
    ended = partywall("lint", write_document(tmp_path / "warned.yaml", document), "--format", "json")
    assert ended.json["summary"]["error"] == 0
    assert ended.json["summary"]["warning"] >= 1
    assert ended.code == 0


def test_what_cannot_be_read_is_two(partywall: Command, broken: Path) -> None:
    ended = partywall("lint", broken)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"{broken}:3:1: ")
    assert partywall("lint", "nowhere.yaml").code == 2


def test_what_cannot_be_read_is_still_json(partywall: Command, broken: Path) -> None:
    ended = partywall("lint", broken, "--format", "json")
    assert ended.code == 2
    assert ended.json["source"] == str(broken)
    assert [problem["line"] for problem in ended.json["problems"]] == [3]
    assert partywall("lint", "nowhere.yaml", "--format", "json").json["problems"][0]["line"] is None


def test_what_cannot_be_read_is_still_sarif(partywall: Command, broken: Path) -> None:
    for path in (broken, Path("nowhere.yaml")):
        ended = partywall("lint", path, "--format", "sarif")
        assert ended.code == 2
        run = _valid_sarif(ended.out)
        assert run["results"] == []
        assert run["invocations"][0]["executionSuccessful"] is False  # type: ignore[index]  # JSON of our own making


def test_explain_shows_who_goes_where(partywall: Command, clean: Path) -> None:
    ended = partywall("lint", clean, "--explain")
    assert ended.code == 0
    assert "group alpha-app (tenant alpha)" in ended.out
    assert ended.out.endswith("no findings\n")


def test_explain_as_json_stands_beside_the_findings(partywall: Command, faulty: Path) -> None:
    ended = partywall("lint", faulty, "--explain", "--format", "json")
    assert ended.code == 1
    assert [pair["tenant"] for pair in ended.json["pairs"]] == ["alpha", "beta"]
    assert ended.json["findings"]


def test_explain_has_no_sarif(partywall: Command, clean: Path) -> None:
    ended = partywall("lint", clean, "--explain", "--format", "sarif")
    assert (ended.code, ended.out) == (2, "")
