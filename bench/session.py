"""One run: its cores, its mock upstream, the gateways it has started, and what it tells the person who waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench.children import Child, answers, running
from bench.gateways.base import Launch
from bench.machine import ROOT, Cores, free_port

__all__ = ["Serving", "Session", "session"]


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway that is up."""

    port: int
    child: Child
    launch: Launch


@dataclass(frozen=True, slots=True)
class Session:
    """What every section is given. `everything` also installs and measures the large contenders."""

    cores: Cores
    rounds: int
    everything: bool
    directory: Path
    upstream: Serving
    console: Console
    children: ExitStack

    def say(self, text: str) -> None:
        """One line for the person who waits; never on stdout, which belongs to the result."""
        self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    def reason(self, error: Exception) -> str:
        """Why something failed, fit for a public document: without this machine's folders."""
        text = str(error) or type(error).__name__
        return text.replace(f"{self.directory}/", "").replace(f"{ROOT}/", "")

    def folder(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, launch: Launch, port: int, folder: Path) -> Serving:
        """Start a gateway on its core. It runs until the session ends; idle ones cost nothing that is measured."""
        child = running(launch.argv, core=self.cores.gateway, directory=folder, env=launch.env)
        return Serving(port, self.children.enter_context(child), launch)


@contextmanager
def session(cores: Cores, *, rounds: int, everything: bool, directory: Path, console: Console) -> Iterator[Session]:
    """Start the mock upstream; at the end, however it comes, stop all that was started."""
    with ExitStack() as children:
        port = free_port()
        launch = Launch([sys.executable, "-m", "bench.mock", str(port)])
        mock = children.enter_context(running(launch.argv, core=cores.harness, directory=directory / "mock", cwd=ROOT))
        mock.wait_until(lambda: answers(port, "GET", "/v1/models")[0] == 200, seconds=15)
        upstream = Serving(port, mock, launch)
        yield Session(cores, rounds, everything, directory, upstream, console, children)
