"""Child processes of a run: started on a core, waited for, stopped with their whole process group."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.machine import ROOT

__all__ = ["Child", "ChildFailed", "answers", "running"]

_STOP_SECONDS = 8.0


class ChildFailed(Exception):
    """A child ended early or never became ready. The message ends with what it printed last."""


@dataclass(frozen=True, slots=True)
class Child:
    """A started process; `started` is from `time.monotonic()`, just before the start."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, ready: Callable[[], bool], *, seconds: float, pause: float = 0.02) -> float:
        """Poll `ready` and return the seconds since the start.

        Raises:
            ChildFailed: the process ended, or `seconds` went by.
        """
        while not ready():
            if self.process.poll() is not None:
                raise ChildFailed(f"ended with status {self.process.returncode}: {self._last_words()}")
            if time.monotonic() - self.started > seconds:
                raise ChildFailed(f"not ready within {seconds:.0f} s: {self._last_words()}")
            time.sleep(pause)
        return time.monotonic() - self.started

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(line.strip() for line in lines[-3:])[-400:] or "it printed nothing"

    def stop(self) -> None:
        """Ask the process group to end, then end whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(
    argv: Sequence[str], *, core: int, directory: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Child]:
    """Run `argv` on `core` for the block, its output in `directory`/output.log."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "output.log"
    launcher = [sys.executable, "-I", "-S", str(ROOT / "bench" / "pinned.py"), str(core)]
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [*launcher, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd or directory,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    child = Child(process, log, started)
    try:
        yield child
    finally:
        child.stop()


def answers(
    port: int, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One request to loopback; status 0 when nobody listens there yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
