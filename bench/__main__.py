"""`python -m bench [SECTION…]`: run the sections, print them, and keep them in docs/benchmarks.md."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich.console import Console

from bench.machine import ROOT, Cores, Machine
from bench.proc import ForeignLoad
from bench.report import Report, markdown, write_document
from bench.sections import SECTIONS
from bench.session import session

__all__ = ["main"]

_DOCUMENT = ROOT / "docs" / "benchmarks.md"


@click.command(help="Measure what partywall costs, beside nginx and others. Linux, two cores, loopback only.")
@click.argument("names", metavar="[SECTION]...", nargs=-1, type=click.Choice([*SECTIONS]))
@click.option("--all", "everything", is_flag=True, help="Install Portkey and LiteLLM under .bench/ and measure them.")
@click.option("--rounds", type=click.IntRange(1, 9), default=3, show_default=True, help="Alternated rounds.")
@click.option("--format", "style", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True)
@click.option("--write/--no-write", default=True, help="Keep the result in docs/benchmarks.md.", show_default=True)
def main(names: Sequence[str], rounds: int, style: str, *, everything: bool, write: bool) -> None:
    console = Console(stderr=True)
    try:
        cores = Cores.choose()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    machine, command = Machine.here(), shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    os.sched_setaffinity(0, {cores.harness})
    # A termination ends the run as Ctrl-C does: the measurement is cancelled and every child is stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    reports = _run(names or [*SECTIONS], cores, rounds, console, everything=everything)
    sections = {report.name: markdown(report, machine.sentence(), command) for report in reports}
    if write:
        write_document(_DOCUMENT, sections)
        console.print(f"written to {_DOCUMENT.relative_to(ROOT)}", highlight=False)
    if style == "json":
        print(_json(machine, command, reports))
    else:
        print("\n".join(sections.values()))


def _run(names: Sequence[str], cores: Cores, rounds: int, console: Console, *, everything: bool) -> list[Report]:
    reports = []
    with tempfile.TemporaryDirectory(prefix="partywall-bench-") as directory:
        for number, name in enumerate(names, 1):
            console.rule(f"{number} of {len(names)}: {name}")
            # A session for each section: nothing that one started is still there when the next one measures.
            folder = Path(directory) / name
            with session(cores, rounds=rounds, everything=everything, directory=folder, console=console) as current:
                others = ForeignLoad()
                report = SECTIONS[name](current)
                reports.append(report.with_foreign_load(others.share()))
    return reports


def _json(machine: Machine, command: str, reports: Sequence[Report]) -> str:
    document = {
        "machine": asdict(machine),
        "command": command,
        "sections": {report.name: report.data for report in reports},
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


if __name__ == "__main__":
    main()
