"""Every rule: its two examples, its words, and that no fault goes without a rule."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from partywall.config import integrity
from partywall.config.document import Document
from partywall.config.loading import load_bytes
from partywall.lint import RULES, Level, Rule, lint_bytes
from partywall.lint.examples import example

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def rules_found(text: str) -> set[str]:
    return {finding.rule for finding in lint_bytes(text.encode(), Path("example.yaml")).findings}


@each_rule
def test_the_bad_example_gives_this_finding_and_only_those_it_announces(rule: Rule) -> None:
    assert rules_found(rule.bad) == {rule.id} | rule.also


@each_rule
def test_the_good_example_gives_nothing_but_what_is_not_built(rule: Rule) -> None:
    assert rules_found(rule.good) <= {"not-built"} - {rule.id}


@each_rule
def test_a_finding_has_the_level_and_the_place_of_what_is_wrong(rule: Rule) -> None:
    for finding in lint_bytes(rule.bad.encode(), Path("example.yaml")).findings:
        if finding.rule == rule.id:
            assert finding.level is rule.level
            assert finding.place is not None
            assert finding.snippet.startswith(f"{finding.place.line:>5} | ")


@each_rule
def test_examples_have_two_tenants(rule: Rule) -> None:
    for text in (rule.bad, rule.good):
        document = load_bytes(Document, text.encode(), Path("example.yaml")).document
        assert rule.id == "name-twice" or len({group.tenant_id for group in document.consumer_groups.groups}) > 1


@each_rule
def test_a_rule_is_written_for_people(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.id)
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.mend.endswith(".")
    assert len(rule.why) < 260


def test_ids_are_unique_and_there_are_enough_of_them() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES) >= 20
    assert {rule.level for rule in RULES} == set(Level)


def test_the_common_document_is_clean() -> None:
    assert rules_found(example()) == set()


def test_every_structural_fault_has_a_rule() -> None:
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(integrity))) if isinstance(node, ast.Call)]
    faults = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Fault" and isinstance(call.args[0], ast.Constant)
    }
    assert "key-in-two-groups" in faults
    assert faults <= {rule.id for rule in RULES}
