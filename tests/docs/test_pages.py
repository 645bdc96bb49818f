"""What pages say about files: links lead somewhere, and the files and functions of a trace exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "SECURITY.md", _ROOT / "CHANGELOG.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
_STEP = re.compile(r"^\| `(src/[\w/.]+\.py)` \| `([\w.]+)` \|", re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}"
        if anchor:
            assert anchor in _anchors(target), f"{page.name} links to {path}#{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | {f"{slug}-{number}" for slug in slugs for number in range(1, 5)}


def test_the_trace_of_a_request_names_what_is_there() -> None:
    steps = _STEP.findall((_ROOT / "docs" / "concepts.md").read_text(encoding="utf-8"))
    assert len(steps) > 20
    for file, function in steps:
        assert _defines(_ROOT / file, function.split(".")), f"`{function}` in {file}"


def _defines(file: Path, names: list[str]) -> bool:
    body: list[ast.stmt] = ast.parse(file.read_text(encoding="utf-8")).body
    for name in names:
        found = next((node for node in body if _is_called(node, name)), None)
        if found is None:
            return False
        body = found.body  # type: ignore[attr-defined]  # `_is_called` lets only classes and functions through
    return True


def _is_called(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
