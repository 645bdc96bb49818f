"""A gateway in a process of its own, started as anybody would start it."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from partywall.errors import PartywallError

__all__ = ["DemoFailed", "running_gateway"]

_LISTENING: Final = re.compile(r"listening on (http://\S+)")
_START_SECONDS: Final = 20
_STOP_SECONDS: Final = 20


class DemoFailed(PartywallError):
    """The gateway didn't start or didn't stop; the message holds what it said."""


@contextmanager
def running_gateway(document: Path, data_dir: Path) -> Iterator[str]:
    """Serve `document` on a free port of this machine for the length of the block; gives the URL."""
    command = [sys.executable, "-m", "partywall", "serve", str(document), "--port", "0", "--data-dir", str(data_dir)]
    log = data_dir / "gateway.log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603  # our own interpreter and fixed arguments
    with process:  # waits for it and closes its pipe, whatever happens
        try:
            yield _url(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            _await_end(process)


def _url(process: subprocess.Popen[str], log: Path) -> str:
    line = _first_line(process.stdout)
    match = _LISTENING.search(line)
    if match is None:
        raise DemoFailed(f"the gateway did not start: {log.read_text(encoding='utf-8').strip() or 'it said nothing'}")
    return match[1]


def _first_line(output: IO[str] | None) -> str:
    """What it says first; empty when it ends or says nothing in time."""
    if output is None or not select.select([output], [], [], _START_SECONDS)[0]:
        return ""
    return output.readline()


def _await_end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise DemoFailed(f"the gateway did not stop within {_STOP_SECONDS} s") from None
