"""Keys and their uses as people read them: one table each, and a receipt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.table import Table

from partywall.cli.console import plain_table, printable
from partywall.keys import KeyStatus, KeyUse, Operation, Receipt

__all__ = ["LIFE_EVENTS", "keys_table", "receipt_lines", "uses_table", "utc"]

LIFE_EVENTS: Final = frozenset(
    {
        Operation.CREATE,
        Operation.ROTATE,
        Operation.REWRAP,
        Operation.ROTATE_ROOT,
        Operation.SET_MINIMUM,
        Operation.DESTROY,
    }
)
"""What changes a key, as opposed to using it."""


def keys_table(statuses: Iterable[KeyStatus]) -> Table:
    """A row for everybody who has a key or had one."""
    table = plain_table()
    for heading in ("tenant", "versions", "current since", "root", "minimum"):
        table.add_column(heading, no_wrap=True)
    table.add_column("state", overflow="fold")
    for status in statuses:
        table.add_row(printable(status.tenant), *_facts(status), printable(*_state(status)))
    return table


def _facts(status: KeyStatus) -> list[str]:
    """Versions, since when the last one seals, its root, and the minimum."""
    if not status.versions:
        destroyed = [] if status.receipt is None else list(status.receipt.versions)
        return [_numbers(destroyed), "-", ", ".join(status.receipt.roots) if status.receipt else "-", "-"]
    current = status.versions[-1]
    numbers = [version.number for version in status.versions]
    return [_numbers(numbers), utc(current.created), current.root, str(status.min_decryption_version)]


def _numbers(numbers: Sequence[int]) -> str:
    """`1-3`; versions follow one another but where one was destroyed."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ", ".join(map(str, numbers)) or "-"


def _state(status: KeyStatus) -> tuple[str, str]:
    """In words, and the style of them."""
    if status.unreadable is not None:
        return f"unreadable: {status.unreadable}", "bold red"
    if status.receipt is not None:
        receipt = status.receipt
        root = "" if receipt.root_confirmed else "; its root has not confirmed, so destroy it again"
        return f"destroyed {utc(receipt.time)} by {receipt.who}{root}", "red"
    return ("rewrap due", "yellow") if status.rewrap_due else ("in use", "green")


def uses_table(uses: Iterable[KeyUse], *, with_tenant: bool) -> Table:
    """A row for each kind of use; refusals are marked `!`, and what changed a key `*`."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("first, UTC", no_wrap=True)
    table.add_column("last", no_wrap=True)
    if with_tenant:
        table.add_column("tenant", no_wrap=True)
    table.add_column("operation", no_wrap=True)
    table.add_column("times", no_wrap=True, justify="right")
    table.add_column("who", overflow="fold")
    table.add_column("store", no_wrap=True)
    table.add_column("version", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for use in uses:
        mark, style = _stands_out(use)
        table.add_row(
            printable(mark, style),
            utc(use.first),
            utc(use.last)[11:],
            *([printable(use.tenant)] if with_tenant else []),
            printable(use.operation, style),
            str(use.count),
            printable(f"{use.service}, {use.requestor}"),
            printable(use.store or "-"),
            str(use.key_version or "-"),
            printable(use.detail, style),
        )
    return table


def _stands_out(use: KeyUse) -> tuple[str, str]:
    if use.operation is Operation.REFUSED:
        return "!", "bold red"
    return ("*", "bold yellow") if use.operation in LIFE_EVENTS else ("", "")


def receipt_lines(receipt: Receipt) -> list[str]:
    """A receipt for people."""
    hashes = zip(receipt.versions, receipt.wrapped_sha256, strict=True)
    return [
        f"tenant    {receipt.tenant}",
        f"when      {utc(receipt.time)} UTC",
        f"who       {receipt.who}",
        *(f"version   {number}, wrapped key with SHA-256 {digest}" for number, digest in hashes),
        f"root      {receipt.root}",
        f"keys in   {receipt.key_store}",
    ]


def utc(seconds: float) -> str:
    """Date and time of Unix seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
