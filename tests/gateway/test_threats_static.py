"""Nothing that a request reaches can start a process, evaluate code or revive an object from bytes.

Read from the source, so that it holds for paths that no test takes. The command line and the demo, which start a
gateway as a process, are not reached by requests; nothing of a gateway may import them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import partywall

SOURCE = Path(partywall.__file__).parent
ROOMS = sorted({folder.name for folder in SOURCE.iterdir() if folder.is_dir()} - {"__pycache__", "cli", "demo", "lint"})
MODULES = {
    "code", "codeop", "ctypes", "dill", "imp", "importlib", "marshal", "multiprocessing", "pickle", "pty", "runpy",
    "shelve", "subprocess",
}  # fmt: skip
NAMES = {"ProcessPoolExecutor", "__import__", "compile", "eval", "exec"}
OF_OS = ("exec", "fork", "popen", "posix_spawn", "spawn", "startfile", "system")


def offences(source: str) -> Iterator[str]:
    """What in a module could run a program, or code that came as data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.ImportFrom):
            starts = OF_OS if node.module == "os" else ("ProcessPool",)
            yield from (alias.name for alias in node.names if alias.name.startswith(starts))
        elif isinstance(node, ast.Name) and node.id in NAMES:
            yield node.id
        elif isinstance(node, ast.Attribute) and _starts_something(node):
            yield f".{node.attr}"


def _starts_something(node: ast.Attribute) -> bool:
    if isinstance(node.value, ast.Name) and node.value.id == "os":
        return node.attr.startswith(OF_OS)
    return node.attr.startswith(("create_subprocess", "subprocess_", "ProcessPool"))


HARMLESS = {
    # It loads the room's own modules, from a table in the source, when one of their names is first asked for.
    "keys/__init__.py: importlib",
    # They look for an extra of a fixed name, and load it when something is embedded.
    "stores/documents/extras.py: importlib.util",
    "stores/documents/wordllama.py: importlib",
    # They look for an extra of a fixed name, and load the standard library's own reader of patterns.
    "detection/__init__.py: importlib.util",
    "detection/pii/prefixes.py: importlib",
    # An uploaded file is read by a process of its own: our interpreter and our script, isolated, with limits, without
    # our environment. Nothing of a request is in its command but which of two known kinds the file is.
    "stores/documents/parsing.py: .create_subprocess_exec",
}


@pytest.mark.parametrize("room", ROOMS)
def test_no_request_reaches_a_process_or_an_interpreter(room: str) -> None:
    """LESSONS B6: elsewhere an HTTP endpoint configured a command that the gateway then ran."""
    found = {
        f"{file.relative_to(SOURCE)}: {offence}"
        for file in (SOURCE / room).rglob("*.py")
        for offence in offences(file.read_text(encoding="utf-8"))
    }
    assert found <= HARMLESS


@pytest.mark.parametrize(
    "planted",
    [
        "import subprocess",
        "from subprocess import run",
        "import importlib.util",
        "import os\nos.system('id')",
        "from os import popen",
        "eval('1')",
        "run = exec",
        "__import__('os')",
        "import pickle",
        "from concurrent.futures import ProcessPoolExecutor",
        "import concurrent.futures as f\nf.ProcessPoolExecutor()",
        "async def f():\n    await asyncio.create_subprocess_exec('id')",
    ],
)
def test_each_planted_way_is_seen(planted: str) -> None:
    assert list(offences(planted))


def test_the_rooms_of_a_request_are_looked_at() -> None:
    assert set(ROOMS) >= {"config", "gateway", "identity", "platform", "policy", "tenancy", "trail"}
