"""Where a run took place: which two cores it used, and the facts a reader needs to judge its figures."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["ROOT", "Cores", "Machine", "free_port"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the gateway under test, another for the mock upstream and the load generator."""

    gateway: int
    harness: int

    @classmethod
    def choose(cls) -> Cores:
        """The first two cores that this process may run on.

        Raises:
            RuntimeError: this isn't Linux, or there is only one core; figures would mean nothing.
        """
        if not hasattr(os, "sched_getaffinity"):
            raise RuntimeError("the benchmarks read /proc and pin processes to cores; that needs Linux")
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise RuntimeError("the benchmarks need two cores: one for the gateway, one for the load")
        return cls(usable[0], usable[1])


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts printed under each table."""

    cpu: str
    cores: int
    kernel: str
    python: str
    date: str

    @classmethod
    def here(cls) -> Machine:
        return cls(
            cpu=_cpu_model(),
            cores=os.cpu_count() or 1,
            kernel=platform.release(),
            python=platform.python_version(),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )

    def sentence(self) -> str:
        return f"{self.cpu}, {self.cores} cores; Linux {self.kernel}; CPython {self.python}; {self.date}."


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
