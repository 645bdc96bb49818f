"""`docs/threats.md` against the code: each control and each test that it names exists, and nothing is left out.

A renamed test or a control that was moved fails here, so the page can't promise what nobody checks any more.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from partywall.trail import DecisionRecord

_ROOT: Final = Path(__file__).parents[2]
_PAGE: Final = (_ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
_SOURCE, _TESTS = _ROOT / "src" / "partywall", _ROOT / "tests"
_CODE: Final = re.compile(r"`([^`]+)`")
_NOT_BUILT: Final = re.compile(r"not built yet: arrives with `(\w+)`")
_NOT_PROMISED: Final = "not promised"

_ROOMS: Final = {
    *("prompts", "tools", "inference", "lifecycle", "limits", "telemetry"),
    *("documents", "graph"),  # stores to come
}
"""What may still be missing. A room that has come must be taken out of the page."""

_NUMBERED: Final = {"R": 12, "B": 16, "C": 50}
"""How many classes, rules and channels there are; comments in the code name them."""


class _Row(NamedTuple):
    number: str
    threat: str
    control: str
    tests: str


def _rows(page: str) -> Iterator[_Row]:
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(_Row._fields) and re.fullmatch(r"[A-Z]\d+", cells[0]):
            yield _Row(*cells)


ROWS: Final = list(_rows(_PAGE))


def _named(cell: str) -> list[str]:
    """The files, and the names in them, that a cell refers to."""
    return [code for code in _CODE.findall(cell) if ".py" in code]


def _exists(below: Path, reference: str) -> bool:
    path, separator, name = reference.partition("::")
    file = below / path
    if not file.is_file():
        return False
    return not separator or name in _names(file)


@cache
def _names(file: Path) -> frozenset[str]:
    """Everything that a module defines: functions, classes, their methods, and constants."""
    return frozenset(_defined(ast.parse(file.read_text(encoding="utf-8")).body, ""))


def _defined(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _defined(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_each_control_is_there(row: _Row) -> None:
    assert row.control
    missing = [reference for reference in _named(row.control) if not _exists(_SOURCE, reference)]
    assert not missing


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_each_test_is_there(row: _Row) -> None:
    named = _named(row.tests)
    assert all(re.search(r"::(?:Test\w+\.)?test_\w+$", reference) for reference in named)
    missing = [reference for reference in named if not _exists(_TESTS, reference)]
    assert not missing


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_no_control_without_a_test(row: _Row) -> None:
    """A row has tests, or says that there is nothing yet, or that there will be nothing."""
    if _named(row.control):
        assert _named(row.tests)
    elif not _named(row.tests):
        assert _NOT_BUILT.search(row.control) or row.control == _NOT_PROMISED


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_a_room_that_is_announced_has_not_come_yet(row: _Row) -> None:
    for room in _NOT_BUILT.findall(row.control):
        assert room in _ROOMS
        assert not any(path.exists() for path in (_SOURCE / room, _SOURCE / "stores" / f"{room}.py")), (
            f"`{room}` is built: say what {row.number} is now"
        )


def test_every_lesson_has_one_row() -> None:
    numbers = [row.number for row in ROWS]
    assert len(set(numbers)) == len(numbers)
    expected = {f"{letter}{number}" for letter, last in _NUMBERED.items() for number in range(1, last + 1)}
    assert expected <= set(numbers)


def test_numbers_in_comments_have_rows() -> None:
    """`(C19)` beside a line of code leads here."""
    numbers = {row.number for row in ROWS}
    used = re.compile(r"(?:LESSONS |[(,] ?)([RBC]\d{1,2})\b(?=[,);:])")
    for file in _SOURCE.rglob("*.py"):
        assert set(used.findall(file.read_text(encoding="utf-8"))) <= numbers, file


def test_what_lies_in_clear_on_disk_is_all_that_a_record_holds() -> None:
    section = _PAGE.partition("### What can be read on disk")[2]
    line = next(line for line in section.splitlines() if line.startswith("| `tenants/<tenant>/decisions.db`"))
    listed = _CODE.findall(line.split("|")[2])
    assert listed == [field.name for field in fields(DecisionRecord) if field.init]


def test_a_name_that_is_not_there_would_be_noticed() -> None:
    assert _exists(_TESTS, "docs/test_threats.py::test_every_lesson_has_one_row")
    assert _exists(_SOURCE, "trail/record.py::DecisionRecord.admitted")
    assert not _exists(_TESTS, "docs/test_threats.py::test_nothing_of_the_kind")
    assert not _exists(_SOURCE, "trail/record.py::DecisionRecord.forgotten")
    assert not _exists(_SOURCE, "trail/nothing.py")
    assert not _exists(_SOURCE, "trail")
