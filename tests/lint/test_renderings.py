"""The report as text, JSON and SARIF, and the reference of the rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from partywall.lint import RULES, Level, Rule, lint_bytes, render_json, render_rules_markdown, render_sarif, render_text

from .documents import digest, judged

HERE = Path(__file__).parent
BROKEN = f"""\
consumer_groups:
  groups:
    - {{name: alpha, api_keys: [{digest("test")}], upstream: alpha-llm}}
    - {{name: beta, api_keys: [{digest("secret")}], upstream: beta-llm}}
policies: {{chain: [rbac]}}
telemetry: {{tenant_metric_labels: true}}
"""


@pytest.fixture(scope="module")
def sarif_schema() -> jsonschema.Draft4Validator:
    schema = json.loads((HERE / "sarif-schema-2.1.0.json").read_text())
    jsonschema.Draft4Validator.check_schema(schema)
    return jsonschema.Draft4Validator(schema)


# -- Text ---


def test_text_shows_place_caret_reason_and_mend() -> None:
    text = render_text(judged(BROKEN), source="partywall.yaml")
    lines = text.splitlines()
    assert lines[0] == (
        "partywall.yaml:3:32: error: this is the digest of `test`, which anybody tries "
        "(at `consumer_groups.groups[0].api_keys[0]`) [weak-key]"
    )
    assert lines[1].startswith("    3 |     - {name: alpha, api_keys: [sha256:9f86d081…]")
    assert lines[2] == "      |                                ^~~~~~~~~~~~~~~~"
    assert lines[3].startswith("      = why:  The document keeps digests")
    assert lines[4] == "              guesses the key is the tenant."
    assert lines[5] == "      = mend: Mint a random key: `partywall tenants mint-key`."
    assert text.endswith("partywall.yaml: 2 errors, 3 notes\n")


def test_reasons_are_said_once() -> None:
    text = render_text(judged(BROKEN))
    assert text.count("[weak-key]") == 2
    assert text.count("= mend: Mint a random key") == 1


def test_a_clean_report_says_so() -> None:
    assert render_text(judged()) == "partywall.yaml: no findings\n"
    assert not judged().has_errors


def test_nothing_of_the_document_can_command_a_terminal() -> None:
    report = judged('policy: {rbac: {roles: {"\\e[31mroot\\n": {allowed_tools: ["*"]}}}}\n')
    text = render_text(report)
    assert "[role-allows-everything]" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "root\n" not in text


# -- JSON ---


def test_json_has_everything_a_program_needs() -> None:
    answer = json.loads(render_json(judged(BROKEN), source="x.yaml"))
    assert answer["source"] == "x.yaml"
    assert answer["summary"] == {"error": 2, "warning": 0, "note": 3}
    first = answer["findings"][0]
    assert {key: first[key] for key in ("rule", "level", "line", "column", "path")} == {
        "rule": "weak-key",
        "level": "error",
        "line": 3,
        "column": 32,
        "path": "consumer_groups.groups[0].api_keys[0]",
    }
    assert first["why"]
    assert first["mend"]


# -- SARIF ---


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_sarif_of_every_bad_example_validates(rule: Rule, sarif_schema: jsonschema.Draft4Validator) -> None:
    sarif_schema.validate(json.loads(render_sarif(lint_bytes(rule.bad.encode(), Path("bad.yaml")))))


def test_sarif_of_a_clean_document_validates(sarif_schema: jsonschema.Draft4Validator) -> None:
    log = json.loads(render_sarif(judged()))
    sarif_schema.validate(log)
    assert log["runs"][0]["results"] == []


def test_the_schema_refuses_what_is_not_sarif(sarif_schema: jsonschema.Draft4Validator) -> None:
    log = json.loads(render_sarif(judged(BROKEN)))
    log["runs"][0]["results"][0]["level"] = "catastrophe"
    with pytest.raises(jsonschema.ValidationError):
        sarif_schema.validate(log)


def test_sarif_points_at_rules_and_regions() -> None:
    run: dict[str, Any] = json.loads(render_sarif(judged(BROKEN)))["runs"][0]
    rules, first = run["tool"]["driver"]["rules"], run["results"][0]
    assert rules[first["ruleIndex"]]["id"] == first["ruleId"] == "weak-key"
    assert {rule["defaultConfiguration"]["level"] for rule in rules} == {level.value for level in Level}
    physical = first["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "partywall.yaml"
    assert physical["region"] == {"startLine": 3, "startColumn": 32, "endLine": 3, "endColumn": 105}
    assert run["columnKind"] == "unicodeCodePoints"


def test_the_address_of_a_file_is_a_uri(tmp_path: Path) -> None:
    report, absolute = judged(BROKEN), tmp_path / "c d.yaml"
    for source, uri in (("a b/ü.yaml", "a%20b/%C3%BC.yaml"), (str(absolute), absolute.as_uri())):
        run = json.loads(render_sarif(report, source=source))["runs"][0]
        assert run["artifacts"][0]["location"]["uri"] == uri


def fingerprints(text: str) -> list[str]:
    run = json.loads(render_sarif(judged(text)))["runs"][0]
    return [result["partialFingerprints"]["partywallFinding/v1"] for result in run["results"]]


def test_fingerprints_outlive_lines_and_items_above_them() -> None:
    grown = "# a comment\n" + BROKEN.replace(
        "  groups:\n",
        "  groups:\n    - {name: gamma, api_keys: [OPERATOR_KEY], upstream: gamma-llm}\n",
    )
    grown += "providers: {targets: [{id: gamma-llm, provider: parrot}, {id: alpha-llm, provider: parrot},"
    grown += " {id: beta-llm, provider: parrot}]}\n"
    before, after = fingerprints(BROKEN), fingerprints(grown)
    assert len(set(before)) == len(before)
    assert set(before) == set(after)


# -- The reference ---


def test_docs_lint_md_is_up_to_date() -> None:
    written = (HERE.parents[1] / "docs" / "lint.md").read_text(encoding="utf-8")
    assert written == render_rules_markdown(), "write it anew: partywall.lint.render_rules_markdown()"


def test_the_reference_names_every_rule_and_both_examples() -> None:
    text = render_rules_markdown()
    for rule in RULES:
        assert f"### `{rule.id}`\n" in text
    assert text.count("\nBad:\n") == text.count("\nGood:\n") == len(RULES)
    assert "ALPHA_KEY" not in text
