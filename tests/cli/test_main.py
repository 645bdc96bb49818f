from __future__ import annotations

import subprocess
import sys

import click
import pytest
from tests.cli.helpers import Command

from partywall import cli as root
from partywall.cli import cli
from partywall.cli.lazy import LazyCommand, LazyGroup


def test_help_lists_every_command(partywall: Command) -> None:
    ended = partywall("--help")
    assert ended.code == 0
    for name in ("init", "lint", "serve", "events", "tenants", "demo"):
        assert f"\n  {name} " in ended.out


def test_the_summaries_are_those_of_the_commands() -> None:
    assert isinstance(cli, LazyGroup)
    context = click.Context(cli)
    for name, lazy in cli.lazy.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert (command.help or "").splitlines()[0] == lazy.summary


def test_help_and_serve_import_nothing_that_they_do_not_need() -> None:
    # `serve` keeps for weeks what it imports once.
    script = """if True:
        import sys
        from partywall.cli import cli
        assert not {"pydantic", "uvloop"} & set(sys.modules), "the bare command imports the gateway"
        import partywall.cli.serve
        heavy = {"rich", "openai", "anthropic", "partywall.lint", "partywall.demo"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("serve",), ("lint", "a", "b"), ("events", "tail", "--limit", "x")]
)
def test_wrong_arguments_are_two(partywall: Command, arguments: tuple[str, ...]) -> None:
    ended = partywall(*arguments)
    assert ended.code == 2
    assert "Usage: partywall" in ended.err


def _command_that_raises(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(root, "broken", click.Command("broken", callback=fail), raising=False)
    monkeypatch.setitem(cli.lazy, "broken", LazyCommand("broken", "partywall.cli:broken", ""))


def test_the_system_saying_no_is_one_line(partywall: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _command_that_raises(monkeypatch, PermissionError(13, "Permission denied", "/var/lib/partywall"))
    ended = partywall("broken")
    assert (ended.code, ended.err) == (2, "/var/lib/partywall: Permission denied\n")


def test_a_bug_of_ours_is_two_lines(partywall: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _command_that_raises(monkeypatch, ZeroDivisionError("division by zero"))
    ended = partywall("broken")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "unexpected ZeroDivisionError: division by zero",
        "that is a bug; PARTYWALL_TRACEBACK=1 shows where it happened",
    ]


def test_a_bug_of_ours_shows_its_trace_when_asked(partywall: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _command_that_raises(monkeypatch, ZeroDivisionError())
    monkeypatch.setenv("PARTYWALL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        partywall("broken")


def test_an_encoding_without_our_marks_is_no_stack_trace() -> None:
    command = [sys.executable, "-m", "partywall", "events", "tail", "--data-dir", "nŏwhere"]
    ended = subprocess.run(command, check=False, capture_output=True, env={"PYTHONIOENCODING": "latin-1"})
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"n\\u014fwhere: no such directory")
