"""The house stands as drawn: floors, doors and sizes, and each rule is seen to catch what it forbids.

import-linter sees modules. A copy of the sources with violations planted in it shows that each contract of
`pyproject.toml` would notice; `tests/tenancy/test_mint_door.py` looks for what a re-export could hide from it.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import partywall

SOURCES = Path(partywall.__file__).parent
REPOSITORY = Path(__file__).parents[1]
LONGEST_FUNCTION = 60
LONGEST_FILE = 450

FILES = sorted(SOURCES.rglob("*.py"))
ROOMS = sorted(path.name for path in SOURCES.iterdir() if (path / "__init__.py").exists())


def place(path: Path) -> str:
    return path.relative_to(SOURCES).as_posix()


# -- Contracts -------------------------------------------------------------------------------------------------------


def lint_imports(root: Path) -> tuple[int, str]:
    """Run import-linter with the configuration in `root` over the sources in `root`/src."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources, with the repository's own contracts."""
    shutil.copytree(SOURCES, tmp_path / "src" / "partywall", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def plant(root: Path, where: str, line: str) -> None:
    """Add one line of code at the end of a module."""
    path = root / "src" / "partywall" / where
    path.write_text(f"{path.read_text()}\n\n{line}\n")


def broken(report: str) -> str:
    """What import-linter says of broken contracts; the list of all contracts comes before."""
    return report.partition("Broken contracts")[2]


def test_the_contracts_hold(copy: Path) -> None:
    status, report = lint_imports(copy)
    assert status == 0, report
    assert " 0 broken." in report


PLANTED = {
    "up a floor": ("policy/globs.py", "import partywall.platform", "Floors"),
    "up several floors": ("errors.py", "import partywall.cli", "Floors"),
    "from a lazy import in a function": ("trail/ids.py", "def f():\n    import partywall.gateway.app", "Floors"),
    "between strangers": ("lint/findings.py", "import partywall.gateway.wire", "Floors"),
    "identity and policy": ("policy/globs.py", "import partywall.identity", "Floors"),
    "minting in policy": ("policy/globs.py", "from partywall.tenancy._mint import mint", "Only identity mints"),
    "minting in the gateway": ("gateway/app.py", "from partywall.tenancy import _mint", "Only identity mints"),
    "minting in the platform": ("platform/salts.py", "import partywall.tenancy._mint", "Only identity mints"),
    "a database in the gateway": ("gateway/app.py", "import sqlite3", "Databases"),
    "a database in identity": ("identity/claims.py", "from sqlite3 import connect", "Databases"),
    "a database in keys": ("keys/__init__.py", "import sqlite3", "Databases"),
    "minting in keys": ("keys/__init__.py", "from partywall.tenancy._mint import mint", "Only identity mints"),
    "keys and trail": ("keys/__init__.py", "import partywall.trail", "Floors"),
    "trail and keys": ("trail/ids.py", "import partywall.keys", "Floors"),
    "keys reading the document": ("keys/__init__.py", "import partywall.config", "Keys are told"),
    "cryptography in keys outside hazmat": ("keys/__init__.py", "import cryptography.fernet", "Cryptography"),
    "cryptography in trail": ("trail/ids.py", "from cryptography.hazmat.primitives import hashes", "Cryptography"),
    "hazmat in the gateway": ("gateway/app.py", "import partywall.keys.hazmat", "Keys alone"),
    "cryptography in lint": ("lint/findings.py", "import cryptography.fernet", "Cryptography"),
    "a library in tenancy": ("tenancy/ids.py", "import orjson", "Tenancy, errors"),
    "a library in errors": ("errors.py", "import pydantic", "Tenancy, errors"),
    "stores below policy": ("policy/globs.py", "import partywall.stores", "Floors"),
    "stores reaching for the platform": ("stores/collection.py", "import partywall.platform", "Floors"),
    "a database in a store": ("stores/collection.py", "import sqlite3", "Databases"),
    "a database in the platform": ("platform/source.py", "import sqlite3", "Databases"),
    "minting in a store": ("stores/walls.py", "from partywall.tenancy._mint import mint", "Only identity mints"),
    "hazmat in a store": ("stores/walls.py", "import partywall.keys.hazmat", "Keys alone"),
    "a backend with keys": ("stores/backends/sqlite.py", "from partywall.keys import StoreKeys", "A backend knows"),
    "a backend with a store": ("stores/backends/base.py", "import partywall.stores.collection", "In stores"),
    "a store with another": ("stores/memory.py", "import partywall.stores.vault", "In stores"),
    "documents with another store": ("stores/documents/search.py", "import partywall.stores.vault", "In stores"),
    "the platform behind the walls": ("platform/source.py", "import partywall.stores.backends.sqlite", "Backends are"),
    "the gateway behind the walls": ("gateway/app.py", "import partywall.stores.collection", "Backends are"),
    "a library under the files": ("owned_files.py", "import orjson", "Tenancy, errors"),
    "detection in a policy": ("policy/globs.py", "import partywall.detection", "Floors"),
    "policy in detection": ("detection/spans.py", "import partywall.policy", "Detection is pure"),
    "an event loop in detection": ("detection/leaks.py", "import asyncio", "Detection is pure"),
    "a verdict below what is looked for": ("detection/canaries.py", "import partywall.detection.leaks", "In detection"),
    "hazmat in detection": ("detection/grams.py", "import partywall.keys.hazmat", "Keys alone"),
    "a socket in policy": ("policy/globs.py", "import socket", "Sockets"),
    "an event loop in the platform": ("platform/source.py", "import uvloop", "Sockets"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_import_is_caught(copy: Path, what: str) -> None:
    where, line, contract = PLANTED[what]
    plant(copy, where, line)
    status, report = lint_imports(copy)
    assert status != 0
    assert contract in broken(report)
    module = where.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"partywall.{module}" in broken(report)


def test_a_room_without_a_floor_is_caught(copy: Path) -> None:
    room = copy / "src" / "partywall" / "attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room that nobody has drawn."""\n')
    status, report = lint_imports(copy)
    assert status != 0
    assert "partywall.attic" in broken(report)


def test_every_room_is_bound_by_the_contracts_about_doors(copy: Path) -> None:
    """A new room is given a floor, or the test above fails; that it may also not mint is easily forgotten."""
    allowed = {
        "from partywall.tenancy._mint import mint": {"identity", "tenancy"},
        "import sqlite3": {"trail", "tenancy", "errors"},
        "import partywall.keys.hazmat": {"keys"},
    }
    for line, rooms in allowed.items():
        for room in ROOMS:
            if room in rooms:
                continue
            module = copy / "src" / "partywall" / room / "planted.py"
            module.write_text(f'"""Planted."""\n\n{line}\n')
        _, report = lint_imports(copy)
        missed = [room for room in ROOMS if room not in rooms and f"partywall.{room}.planted" not in broken(report)]
        assert missed == [], f"no contract forbids `{line}` there"


# -- Sizes and manners -------------------------------------------------------------------------------------------------


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_are_short() -> None:
    long = [
        f"{place(path)}:{node.lineno} {node.name}: {length} lines"
        for path in FILES
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


def test_files_are_short() -> None:
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_every_module_says_what_it_promises() -> None:
    silent = [place(path) for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []


_MACHINE = re.compile(r"(?<![\w.:/*}])/(?:home|root|Users|work|workspace|tmp|mnt|opt|private)/[\w.-]")


def test_no_path_of_somebody_s_machine() -> None:
    found = [
        f"{place(path)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if _MACHINE.search(line)
    ]
    assert found == []
    assert _MACHINE.search('open("/home/somebody/notes")')
    assert not _MACHINE.search("https://example.com/home/page")


_IGNORE = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)\b(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\])?(?P<rest>.*)"
)


def without_reason(line: str) -> bool:
    """Whether `line` silences a tool and doesn't say why. A second silencer is no reason."""
    found = _IGNORE.search(line)
    return found is not None and re.match(r"\s*(?:#|-)\s+\S+ \S+", _IGNORE.sub("", found["rest"])) is None


def test_each_silenced_warning_has_its_reason() -> None:
    found = [
        f"{place(path)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if without_reason(line)
    ]
    assert found == []


def test_a_silenced_warning_without_a_reason_is_seen() -> None:
    for line in ("x = 1  # noqa", "x = 1  # noqa: E501", "x = 1  # type: ignore[misc]", "x  # noqa: E501  # why"):
        assert without_reason(line)
    for line in ("x = 1", "x = 1  # noqa: E501  # one long URL", "x = 1  # type: ignore[misc]  # bound at once"):
        assert not without_reason(line)
