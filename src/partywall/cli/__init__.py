"""The `partywall` command: arguments and printing, no decisions.

Promises: what goes wrong is one line or a few, never a stack trace; 0 is success, 2 means that the command couldn't do
its work (bad arguments, a document or directory that can't be used), 1 is what a command says it is. Colours and
progress bars appear on a terminal only, and colours not under `NO_COLOR`.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Final, NoReturn

import click

from partywall.cli.lazy import LazyCommand, LazyGroup
from partywall.errors import PartywallError

__all__ = ["cli", "main"]

_TRACEBACK: Final = "PARTYWALL_TRACEBACK"

_COMMANDS: Final = (
    LazyCommand("init", "partywall.cli.init:init_command", "Write a starter document with fresh keys."),
    LazyCommand("lint", "partywall.cli.lint:lint_command", "Look for isolation faults in the document CONFIG."),
    LazyCommand("serve", "partywall.cli.serve:serve_command", "Serve the document CONFIG until told to stop."),
    LazyCommand("events", "partywall.cli.events:events_group", "Read the decisions that a gateway has recorded."),
    LazyCommand("keys", "partywall.cli.keys:keys_group", "Look after every tenant's keys, and destroy them."),
    LazyCommand("tenants", "partywall.cli.tenants:tenants_group", "Look after organisations and their keys."),
    LazyCommand("documents", "partywall.cli.documents:documents_group", "Put documents into a tenant's collections."),
    LazyCommand("prompts", "partywall.cli.prompts:prompts_group", "Look after what a tenant has models told first."),
    LazyCommand(
        "storage",
        "partywall.cli.storage:storage_group",
        "Look after the servers that keep tenants' rows (PostgreSQL), and sessions and counters (Valkey).",
    ),
    LazyCommand("demo", "partywall.cli.demo:demo_command", "Watch two organisations try to get at each other."),
)


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="partywall")
def cli() -> None:
    """Keep every organisation on its own side of the wall, and prove it."""


def main() -> None:
    """Run the command and exit."""
    _print_whatever_comes()
    try:
        cli()
    except PartywallError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except Exception as error:
        # The edge. What gets here is a bug of ours, and a trace is for those who ask.
        if os.environ.get(_TRACEBACK):
            raise
        _fail(f"unexpected {type(error).__name__}: {error}\nthat is a bug; {_TRACEBACK}=1 shows where it happened")


def _print_whatever_comes() -> None:
    """A terminal in another encoding than UTF-8 gets escapes for what it can't show, instead of a stack trace."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(2) from None
