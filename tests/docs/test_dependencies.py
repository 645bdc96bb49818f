from __future__ import annotations

import re
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `([\w.-]+)` \|", re.MULTILINE)
_NAME = re.compile(r"[\w.-]+")


def _listed(heading: str) -> list[str]:
    """The packages of one section of the page."""
    page = (_ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    return _ROW.findall(page.split(f"\n## {heading}\n")[1].split("\n## ")[0])


def _names(requirements: list[str]) -> list[str]:
    found = (_NAME.match(requirement) for requirement in requirements)
    return [match[0] for match in found if match is not None]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert _listed("At run time") == _names(project["project"]["dependencies"])
    assert _listed("For the demo") == _names(project["project"]["optional-dependencies"]["demo"])
    extras = project["project"]["optional-dependencies"]
    assert _listed("For documents") == _names(extras["documents"])
    assert _listed("For detection") == _names(extras["detection"])
    assert _listed("For PostgreSQL") == _names(extras["postgres"])
    engines = [_names(extras[name]) for name in ("qdrant", "valkey")]
    assert _listed("For shared engines") == [name for each in engines for name in each]
    assert _listed("For root keys elsewhere") == _names(extras["aws"]) + _names(extras["vault"])
    assert _listed("For building and testing") == _names(project["dependency-groups"]["dev"])
    assert set(_names(project["build-system"]["requires"])) <= set(_listed("For building and testing"))


def test_the_lock_pins_every_one_by_hash_and_names_no_registry() -> None:
    lock = (_ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {name.lower() for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    page = (_ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert {name.lower() for name in _ROW.findall(page)} <= pinned
    for requirement in re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]
    assert "://" not in lock
    assert "--index-url" not in lock
