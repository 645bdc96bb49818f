"""Runs the commands of a page and compares what they print.

A ```console block holds commands after `$ `, continued by a backslash, each followed by what it prints: `…` stands for
any text, on a line or, with nothing else on it, for any lines. A command that ends in `&` is left running. In
`export ALPHA_KEY=pw_…`, the key is the one that `init` printed for alpha. The port 8787 is replaced by a free one.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Command", "Session", "blocks", "commands", "matches"]

PORT: Final = "8787"
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXPORT: Final = re.compile(r"export (\w+)=(\S+)")
_KEY: Final = re.compile(r"^(\w+) +(pw_\S+)", re.MULTILINE)
_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Command:
    """One command, and what it must print."""

    line: str
    expected: str


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [text for found, text in _FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(block: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        found.append(Command("".join(lines[:end]).rstrip("\n"), "".join(lines[end:])))
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether `printed` is what a page says, but for trailing space and what `…` stands for."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r" *\n"
        for line in expected.splitlines()
    )
    return re.fullmatch(pattern, printed if not printed or printed.endswith("\n") else printed + "\n") is not None


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@dataclass
class Session:
    """A directory in which the commands of one page run, one after another."""

    directory: Path
    port: str = field(default_factory=_free_port)
    environment: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    """Everything so far."""
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        scripts = str(Path(sys.executable).parent)
        self.environment |= {
            name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")
        }
        self.environment |= {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}

    def run(self, command: Command) -> None:
        """Run one command, and insist on what it prints."""
        if export := _EXPORT.fullmatch(command.line):
            self.environment[export[1]] = self._filled_in(export[1], export[2])
            return
        line, expected = (text.replace(PORT, self.port) for text in (command.line, command.expected))
        printed = self._start(line[:-1], expected.count("\n")) if line.endswith("&") else self._finish(line)
        self.printed += printed
        assert matches(expected, printed), f"$ {line}\n{printed}\n--- the page says:\n{expected}"

    def python(self, script: str) -> str:
        """Run a script; what it printed."""
        return self._finish_command([sys.executable, "-c", script])

    def close(self) -> None:
        """Stop what is still running."""
        for process in self._running:
            process.terminate()
            process.wait(_SECONDS)
            if process.stdout is not None:
                process.stdout.close()

    def _filled_in(self, name: str, value: str) -> str:
        owner = name.removesuffix("_KEY").lower()
        keys = {found: key for found, key in _KEY.findall(self.printed) if "…" not in key}
        return keys[owner] if value == "pw_…" else value

    def _finish(self, line: str) -> str:
        return self._finish_command(["sh", "-c", line])

    def _finish_command(self, command: list[str]) -> str:
        ended = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}"
        return ended.stdout

    def _start(self, line: str, lines: int) -> str:
        """Leave it running once it has printed so many lines."""
        process = subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self._running.append(process)
        assert process.stdout is not None
        printed, until = b"", time.monotonic() + _SECONDS
        while printed.count(b"\n") < lines and time.monotonic() < until:
            if select.select([process.stdout], [], [], 0.1)[0]:
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                printed += piece
        return printed.decode()
