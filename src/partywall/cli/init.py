"""`partywall init`: a starter document with fresh keys, and the root key of everything that is sealed.

Promises: callers' keys are printed once and written nowhere. An existing document is left alone unless told otherwise;
an existing root key always, for all it wrapped would be lost.
"""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from partywall.cli.console import plain_table, terminal
from partywall.cli.options import format_option
from partywall.cli.starter import ROOT_KEY_FILE, STARTER_TENANTS, starter_document
from partywall.errors import ConfigError
from partywall.identity import new_api_key
from partywall.keys import FileRoot
from partywall.tenancy import Secret

__all__ = ["init_command"]


@click.command("init")
@click.argument("path", default="partywall.yaml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite an existing document; its keys stop working.")
@format_option("text", "json")
def init_command(path: Path, force: bool, form: str) -> None:  # noqa: FBT001  # click passes flags by position
    """Write a starter document with fresh keys.

    It goes to PATH (partywall.yaml), and has two organisations and an operator. Their keys are shown once; the document
    holds their digests. Beside it goes partywall-root.key, the root key of what is sealed; one that is there already
    is never overwritten.
    """
    root_key = path.with_name(ROOT_KEY_FILE)
    if root_key.exists() and not force:
        raise ConfigError(f"{root_key}: exists already; with --force, the new document uses it and leaves it as it is")
    if not force and (path.exists() or path.is_symlink()):
        raise _exists(path)
    # The root key is first: where it can't be made, no document is left behind that names it.
    if not root_key.exists():
        FileRoot.create(root_key)
    keys = {owner: new_api_key() for owner in (*STARTER_TENANTS, "operator")}
    _write(path, starter_document({owner: digest for owner, (_, digest) in keys.items()}), overwrite=force)
    if form == "json":
        made = [
            {"for": owner, "api_key": key.reveal(), "api_key_digest": digest} for owner, (key, digest) in keys.items()
        ]
        files = {"document": str(path), "root_key_file": str(root_key)}
        click.echo(orjson.dumps(files | {"keys": made}, option=orjson.OPT_INDENT_2))
    else:
        _show(path, root_key, {owner: key for owner, (key, _) in keys.items()})


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    try:
        # "x" decides and creates in one step: a file that appears in between is not overwritten.
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(path) from None


def _exists(path: Path) -> ConfigError:
    return ConfigError(f"{path}: exists already; choose another name, or --force to overwrite it")


def _show(path: Path, root_key: Path, keys: dict[str, Secret]) -> None:
    table = plain_table()
    table.add_column("for", no_wrap=True)
    table.add_column("key, shown this once", no_wrap=True, overflow="fold")
    for owner, key in keys.items():
        table.add_row(owner, key.reveal())
    out = terminal()
    out.print(f"Wrote {path}: two organisations, each with a parrot for a model.\n", soft_wrap=True)
    out.print(table)
    out.print("\nKeep the keys where you keep passwords; the document has their digests only.\n")
    out.print(
        f"Everything sealed hangs on {root_key}. Copy it now, and keep the copy apart from copies of the data;\n"
        "it belongs in no repository and in no image. Next:\n",
        soft_wrap=True,
    )
    out.print(f"  partywall lint {path}\n  partywall serve {path}", soft_wrap=True)
