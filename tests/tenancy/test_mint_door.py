"""Who may name `mint`, by syntax tree: import contracts see modules, and a re-export slips past them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import partywall

ROOT = Path(partywall.__file__).parent
MAY_MINT = {"tenancy/_mint.py", "identity/authenticator.py", "identity/operators.py"}
MAY_NAME_TOKEN = {"tenancy/_mint.py", "tenancy/scope.py"}
TEST_KIT = "testing/"
"""`partywall.testing` may do both; nothing shipped imports it (an import contract says so)."""

MINT_NAMES = {"mint", "_mint"}
TOKEN_NAME = "_MINT_TOKEN"


def names_in(source: str) -> set[str]:
    """Every name that `source` reads, binds, imports or spells as a string, one component at a time."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.arg(arg=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.update((*name.split("."), other or ""))
            case ast.ImportFrom(module=str(module)):
                found.update(module.split("."))
            case ast.Constant(value=str(text)) if text.replace(".", "").isidentifier():
                # `getattr(scope, "_MINT_TOKEN")`, `import_module("partywall.tenancy._mint")`
                found.update(text.split("."))
    return found


def offenders() -> list[str]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(TEST_KIT):
            continue
        names = names_in(path.read_text())
        if names & MINT_NAMES and place not in MAY_MINT:
            found.append(f"{place} names {sorted(names & MINT_NAMES)}")
        if TOKEN_NAME in names and place not in MAY_NAME_TOKEN:
            found.append(f"{place} names {TOKEN_NAME}")
    return found


def test_only_identity_mints() -> None:
    assert offenders() == []


def test_those_who_may_do() -> None:
    """A list that names files which don't exist, or don't mint, would hide a rename."""
    for place in MAY_MINT:
        assert names_in((ROOT / place).read_text()) & MINT_NAMES
    for place in MAY_NAME_TOKEN:
        assert TOKEN_NAME in names_in((ROOT / place).read_text())


@pytest.mark.parametrize(
    "source",
    [
        "from partywall.tenancy._mint import mint",
        "from partywall.tenancy._mint import mint as m",
        "from partywall.tenancy import _mint",
        "import partywall.tenancy._mint",
        "import partywall.tenancy._mint as door",
        "from partywall.identity.authenticator import mint",
        "from partywall.identity import authenticator\nauthenticator.mint(tenant='alpha')",
        "import importlib\nimportlib.import_module('partywall.tenancy._mint')",
        "__import__('partywall.tenancy', fromlist=['_mint'])",
        "from partywall import identity\ngetattr(identity.authenticator, 'mint')",
        "def mint(): ...",
        "x = {}\nx.update(mint=1)",
    ],
)
def test_each_planted_way_in_is_seen(source: str) -> None:
    assert names_in(source) & MINT_NAMES


@pytest.mark.parametrize(
    "source",
    [
        "from partywall.tenancy.scope import _MINT_TOKEN",
        "from partywall.tenancy import scope\nscope._MINT_TOKEN",
        "from partywall.tenancy import scope\ngetattr(scope, '_MINT_TOKEN')",
        "from partywall.tenancy import scope\nvars(scope)['_MINT_TOKEN']",
    ],
)
def test_each_planted_use_of_the_token_is_seen(source: str) -> None:
    assert TOKEN_NAME in names_in(source)


def test_prose_and_other_names_are_no_offence() -> None:
    source = '"""How `mint` works: see partywall.tenancy._mint."""\ndef mint_key(): ...\nname = "mint-key"'
    assert not names_in(source) & {*MINT_NAMES, TOKEN_NAME}
