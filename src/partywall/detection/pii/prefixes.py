r"""The pattern of everything that could still become a match of a pattern.

Promises: `begun(pattern)` matches every beginning of every match of `pattern`, the empty one and the whole included.
Before the end of a text (`(?:…)\z`), its leftmost match is therefore the first place at which more text could complete
a match. A stream that holds back from there on holds what it must, and misses nothing.

Doesn't promise: to match beginnings only: assertions such as `\b` are left out, which holds back a little more.

The standard library's own parser of regular expressions reads the pattern (it has no public name). A pattern that it
reads differently from RE2, or not at all, is refused: `\p{…}`, `[[:alpha:]]`, look-around, back references.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["UnreadablePattern", "begun", "shortest"]

_parser: Any = importlib.import_module("re._parser")
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_FLAGS: Final = ((re.IGNORECASE, "i"), (re.DOTALL, "s"), (re.MULTILINE, "m"))
_REFUSED: Final = re.compile(r"\\[pPQECzZAB]|\[:\^?\w+:\]|\(\?\w*U")
_Nodes = Sequence[tuple[Any, Any]]


class UnreadablePattern(ValueError):
    """A pattern outside of what RE2 and this module read alike."""


def begun(pattern: str) -> str:
    """A pattern of all beginnings of what `pattern` matches. Raises UnreadablePattern."""
    tree = _parse(pattern)
    return f"{_flags(tree.state.flags & ~re.UNICODE.value)}(?:{_begun(tree)})"


def shortest(pattern: str) -> int:
    """The length of the shortest match. Raises UnreadablePattern."""
    return int(_parse(pattern).getwidth()[0])


def _parse(pattern: str) -> Any:
    if found := _REFUSED.search(pattern):
        raise UnreadablePattern(f"`{found[0]}` is not supported")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise UnreadablePattern(str(error)) from None


def _flags(flags: int, removed: int = 0) -> str:
    letters = "".join(letter for flag, letter in _FLAGS if flags & flag)
    without = "".join(letter for flag, letter in _FLAGS if removed & flag)
    return f"(?{letters}{'-' + without if without else ''})" if letters or without else ""


def _begun(nodes: _Nodes) -> str:
    """`abc` begins with nothing, a beginning of `a`, or `a` and a beginning of `bc`."""
    written = ""
    for node in reversed(nodes):
        first = _begun_by_one(*node)
        written = f"(?:{_whole_one(*node)}{written}|{first})" if written else first
    return written or "(?:)"


def _begun_by_one(kind: Any, value: Any) -> str:
    match str(kind):
        case "MAX_REPEAT" | "MIN_REPEAT":
            _, most, inner = value
            before = "*" if most == _parser.MAXREPEAT else f"{{0,{max(0, most - 1)}}}"
            return f"(?:(?:{_whole(inner)}){before}{_begun(inner)})" if most else "(?:)"
        case "SUBPATTERN":
            _, added, removed, inner = value
            return f"(?:{_flags(added, removed)}{_begun(inner)})"
        case "BRANCH":
            return "(?:" + "|".join(_begun(inner) for inner in value[1]) + ")"
        case _:
            return f"(?:{_whole_one(kind, value)}|)"


def _whole(nodes: _Nodes) -> str:
    return "".join(_whole_one(*node) for node in nodes)


def _whole_one(kind: Any, value: Any) -> str:
    match str(kind):
        case "LITERAL":
            return _character(value)
        case "NOT_LITERAL":
            return f"[^{_character(value)}]"
        case "ANY":
            return "."
        case "IN":
            return "[" + "".join(_member(*each) for each in value) + "]"
        case "CATEGORY":
            return _CATEGORIES[str(value)]
        case "AT":
            return ""
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, inner = value
            return f"(?:{_whole(inner)}){{{least},{'' if most == _parser.MAXREPEAT else most}}}"
        case "SUBPATTERN":
            _, added, removed, inner = value
            return f"(?:{_flags(added, removed)}{_whole(inner)})"
        case "BRANCH":
            return "(?:" + "|".join(_whole(inner) for inner in value[1]) + ")"
        case other:
            raise UnreadablePattern(f"{other} is not supported")


def _member(kind: Any, value: Any) -> str:
    match str(kind):
        case "NEGATE":
            return "^"
        case "RANGE":
            return f"{_character(value[0])}-{_character(value[1])}"
        case "CATEGORY":
            return _CATEGORIES[str(value)]
        case _:
            return _character(value)


def _character(code: int) -> str:
    return f"\\x{{{code:x}}}"
