"""A gateway in a process of its own, as `partywall serve` starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Served", "serve"]

_LISTENING = re.compile(r"listening on (http://\S+)")


@dataclass(frozen=True)
class Served:
    """A running gateway."""

    url: str
    process: subprocess.Popen[str]
    data_dir: Path
    log: Path


@contextmanager
def serve(document: Path, data_dir: Path, *options: str) -> Iterator[Served]:
    """Start a gateway on a free port; stop it with SIGTERM and insist that it ends well."""
    log = data_dir.parent / f"{data_dir.name}.log"
    command = [sys.executable, "-m", "partywall", "serve", str(document)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--port", "0", "--data-dir", str(data_dir), *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = _LISTENING.search(line)
        if match is None:
            process.wait(10)
            raise RuntimeError(f"the gateway did not start: {line!r} {log.read_text()}")
        yield Served(match[1], process, data_dir, log)
    finally:
        running = process.poll() is None
        if running:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(20)
            assert not running or code == 0, f"it ended with {code}: {log.read_text()}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
