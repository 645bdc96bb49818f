"""What the harness needs to know of a gateway: how to get it, start it and call it."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench.machine import ROOT

__all__ = ["CACHE", "Gateway", "Launch", "Unavailable", "output_of"]

CACHE = ROOT / ".bench"
"""Contenders are installed here and nowhere else; git ignores it."""


class Unavailable(Exception):
    """This gateway can't take part. The message says why and goes into the table."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that serves in the foreground, on loopback, with one worker, and what its callers send."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    callers: Sequence[Mapping[str, str]] = ({},)
    """Headers beside the usual ones. Connections take them in turn."""


class Gateway(ABC):
    """One contender. Stateless: ports and folders come as arguments."""

    name: ClassVar[str]
    does: ClassVar[str]
    """What it does for each request, so that readers compare like with like."""
    start_seconds: ClassVar[float] = 20.0

    @abstractmethod
    def prepare(self) -> None:
        """Make sure that it is installed.

        Raises:
            Unavailable: it isn't, and can't be.
        """

    @abstractmethod
    def version(self) -> str:
        """What the installed program calls itself."""

    @abstractmethod
    def launch(self, port: int, upstream_port: int, directory: Path) -> Launch:
        """Write the configuration into `directory` and say how to start."""


def output_of(argv: Sequence[str], *, seconds: float = 30, cwd: Path | None = None) -> str:
    """Run a command and return what it printed, both streams.

    Raises:
        Unavailable: it isn't there, fails or takes too long; the message ends with its last line.
    """
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, cwd=cwd, check=False
        )
    except FileNotFoundError:
        raise Unavailable(f"`{Path(argv[0]).name}` is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{Path(argv[0]).name}` took longer than {seconds:.0f} s") from None
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        last = text.splitlines()[-1].strip() if text else "no output"
        raise Unavailable(f"`{Path(argv[0]).name}` failed: {last[:200]}")
    return text
