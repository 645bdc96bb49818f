"""An emitter of simple YAML that knows on which line it wrote what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import yaml

from partywall.config import events

Path = tuple[str | int, ...]


@dataclass
class Emitted:
    """The text, and for every path the 1-based line of its key (if it has one) and of its value."""

    lines: list[str] = field(default_factory=list)
    keys: dict[Path, int] = field(default_factory=dict)
    values: dict[Path, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def with_key_twice(self, path: Path) -> str:
        """The text with the key at `path` written once more, on the line above."""
        number = self.keys[path] - 1
        indent = " " * (len(self.lines[number]) - len(self.lines[number].lstrip()))
        again = f"{indent}{quoted(str(path[-1]))}: 1"
        return "\n".join([*self.lines[:number], again, *self.lines[number:]])


def quoted(text: str) -> str:
    """`text` in double quotes, with every character that isn't plain ASCII escaped."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else f"\\U{ord(character):08X}"


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value) if isinstance(value, float) else json.dumps(value)


def _block(out: Emitted, value: object, path: Path, indent: str) -> None:
    out.values[path] = len(out.lines) + 1
    entries: Iterator[tuple[str | int, object]] = iter(value.items() if isinstance(value, dict) else enumerate(value))  # type: ignore[arg-type]  # only dict and list get here
    for step, inner in entries:
        lead = f"{indent}{quoted(step)}:" if isinstance(step, str) else f"{indent}-"
        below: Path = (*path, step)
        if isinstance(step, str):
            out.keys[below] = len(out.lines) + 1
        if isinstance(inner, dict | list) and inner:
            out.lines.append(f"{lead}  # what follows belongs here")
            out.lines.append("")
            _block(out, inner, below, indent + "  ")
        else:
            out.lines.append(f"{lead} {_scalar(inner)}")
            out.values[below] = len(out.lines)


def _emit(value: object) -> Emitted:
    out = Emitted()
    if isinstance(value, dict | list) and value:
        _block(out, value, (), "")
    else:
        out.lines.append(_scalar(value))
        out.values[()] = 1
    return out


@pytest.fixture(scope="session")
def emit() -> Callable[[object], Emitted]:
    """Writes data as YAML in block style."""
    return _emit


@pytest.fixture(params=["libyaml", "python"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with libyaml's parser and with PyYAML's own."""
    name: str = request.param
    if name == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    chosen = yaml.CBaseLoader if name == "libyaml" else yaml.BaseLoader
    monkeypatch.setattr(events, "parser_class", lambda: chosen)
    return name
