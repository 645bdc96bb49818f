from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.transcript import Session, blocks, commands, matches

_README = Path(__file__).parents[2] / "README.md"
_COMMENTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    try:
        yield session
    finally:
        session.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour calls the gateway with curl")
def test_the_tour_goes_as_it_says(session: Session) -> None:
    steps = [command for block in blocks(_README, "console") for command in commands(block)]
    assert len(steps) >= 8
    for step in steps:
        session.run(step)
    scripts = blocks(_README, "python")
    assert scripts
    for script in scripts:
        said = _COMMENTED.findall(script)
        assert said
        assert session.python(script).splitlines() == said


def test_what_stands_for_anything() -> None:
    assert matches("a…c\n", "abc\n")
    assert matches("a\n…\nd\n", "a\nb\nc\nd\n")
    assert matches("a\n…\nd\n", "a\nd\n")
    assert matches("a\n", "a  \n")
    assert matches('{"a"}\n', '{"a"}')
    assert matches("", "")


def test_what_does_not_match() -> None:
    assert not matches("a…c\n", "ab\n")
    assert not matches("a…c\n", "a\nc\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a\nb\n", "a\n")
    assert not matches("a.c\n", "abc\n")
    assert not matches("", "a\n")


def test_commands_are_told_from_what_they_print() -> None:
    found = commands("$ one \\\n    more\nsaid\nand said\n$ two\n")
    assert [(each.line, each.expected) for each in found] == [("one \\\n    more", "said\nand said\n"), ("two", "")]
