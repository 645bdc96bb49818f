"""A group whose commands are imported when they are called.

`partywall serve` runs for weeks, and what its process imports it keeps in memory: rich, lint and the demo with two
vendors' clients are none of its business. `partywall --help` needs none of them either, so the summaries are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click

__all__ = ["LazyCommand", "LazyGroup"]


class LazyCommand(NamedTuple):
    """A command, where it is (`module:attribute`), and the first line of its help."""

    name: str
    where: str
    summary: str


class LazyGroup(click.Group):
    """Shows its commands in the order given, which is the order in which people need them."""

    def __init__(self, *args: object, lazy: Sequence[LazyCommand], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own options, passed on
        self.lazy = {command.name: command for command in lazy}

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(self.lazy)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        found = self.lazy.get(cmd_name)
        if found is None:
            return None
        module, _, attribute = found.where.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.summary) for command in self.lazy.values()])
