"""A progress bar on standard error, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from partywall.cli.console import printable, terminal

__all__ = ["progress_bar"]


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """What it gives takes how much is done, of how much, and whose that is."""
    err = terminal(stderr=True)
    if not err.is_terminal:
        yield lambda _done, _total, _whose: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(done: int, total: int, whose: str) -> None:
            progress.update(task, completed=done, total=total, description=printable(whose).plain)

        yield tell
