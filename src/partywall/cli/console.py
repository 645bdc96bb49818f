"""Tables and colours for people.

Promises: escape sequences are written to a terminal only, colours not under `NO_COLOR`; what comes from outside can't
move a terminal's cursor. Without a terminal, tables are as wide as they need to be up to `PLAIN_COLUMNS`.
"""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["PLAIN_COLUMNS", "plain_table", "printable", "terminal"]

PLAIN_COLUMNS: Final = 160


def terminal(*, stderr: bool = False) -> Console:
    """A console on standard output or error. It takes text as it is: no markup, no emoji names, no guessed colours."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_COLUMNS
    return console


def plain_table(title: str | None = None) -> Table:
    """A table with a line under its header and none elsewhere."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def printable(text: str, style: str = "") -> Text:
    """`text` with everything that a terminal could obey spelled out."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return Text(text, style)
