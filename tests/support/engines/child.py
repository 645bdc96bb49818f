"""A server in a process of its own, which ends with the tests however they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Child", "free_port", "wait_until"]

# The shell waits for its standard input to close, which the kernel sees to even when pytest is killed.
_KEEPER = (
    '"$@" </dev/null >>"$CHILD_LOG" 2>&1 & echo $!; read -r _; kill -9 $! 2>/dev/null; wait $! 2>/dev/null; exit 0'
)
_PATIENCE_SECONDS = 30.0


class Child:
    """A running command. Its output goes to `log`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: dict[str, str] | None = None,
        *,
        user: int | None = None,
    ) -> None:
        """`user` is the uid it runs under; by default ours."""
        self.log = log
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {}), "CHILD_LOG": str(log)},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline())

    def suspend(self) -> None:
        """Let it hang: its sockets stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without a farewell."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait(20)
        self._keeper.stdout.close()

    def wait_until_up(self, answers: Callable[[], bool]) -> None:
        """Return once `answers`; fail with the log when it takes too long."""
        try:
            wait_until(answers)
        except TimeoutError:
            self.kill()
            raise RuntimeError(f"the engine did not start: {self.log.read_text()[-4000:]}") from None


def wait_until(answers: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    """Ask again and again, until the answer is yes or the patience over."""
    end = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
