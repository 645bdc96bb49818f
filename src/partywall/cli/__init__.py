"""The `partywall` command: arguments and printing, no decisions."""

from __future__ import annotations

import click

from partywall.cli.serve import serve_command
from partywall.errors import PartywallError

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="partywall")
def cli() -> None:
    """Keep every organisation on its own side of the wall, and prove it."""


cli.add_command(serve_command)


def main() -> None:
    """Run the command; an error of ours is a sentence, never a stack trace."""
    try:
        cli(standalone_mode=True)
    except PartywallError as error:
        click.echo(f"partywall: {error}", err=True)
        raise SystemExit(2) from None
