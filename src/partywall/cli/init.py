"""`partywall init`: a starter document with fresh keys.

Promises: the keys are printed once and written nowhere; an existing file is left alone unless told otherwise.
"""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from partywall.cli.console import plain_table, terminal
from partywall.cli.options import format_option
from partywall.cli.starter import STARTER_TENANTS, starter_document
from partywall.errors import ConfigError
from partywall.identity import new_api_key
from partywall.tenancy import Secret

__all__ = ["init_command"]


@click.command("init")
@click.argument("path", default="partywall.yaml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite an existing document; its keys stop working.")
@format_option("text", "json")
def init_command(path: Path, force: bool, form: str) -> None:  # noqa: FBT001  # click passes flags by position
    """Write a starter document with fresh keys.

    It goes to PATH (partywall.yaml), and has two organisations and an operator. Their keys are shown once; the document
    holds their digests.
    """
    keys = {owner: new_api_key() for owner in (*STARTER_TENANTS, "operator")}
    _write(path, starter_document({owner: digest for owner, (_, digest) in keys.items()}), overwrite=force)
    if form == "json":
        made = [
            {"for": owner, "api_key": key.reveal(), "api_key_digest": digest} for owner, (key, digest) in keys.items()
        ]
        click.echo(orjson.dumps({"document": str(path), "keys": made}, option=orjson.OPT_INDENT_2))
    else:
        _show(path, {owner: key for owner, (key, _) in keys.items()})


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    try:
        # "x" decides and creates in one step: a file that appears in between is not overwritten.
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: exists already; choose another name, or --force to overwrite it") from None


def _show(path: Path, keys: dict[str, Secret]) -> None:
    table = plain_table()
    table.add_column("for", no_wrap=True)
    table.add_column("key, shown this once", no_wrap=True, overflow="fold")
    for owner, key in keys.items():
        table.add_row(owner, key.reveal())
    out = terminal()
    out.print(f"Wrote {path}: two organisations, each with a parrot for a model.\n", soft_wrap=True)
    out.print(table)
    out.print("\nKeep the keys where you keep passwords; the document has their digests only. Next:\n")
    out.print(f"  partywall lint {path}\n  partywall serve {path}", soft_wrap=True)
