"""JSON read strictly: what isn't exactly as written is refused, never guessed at.

Promises: a repeated name, an unknown one, a missing one or a value of another type raises ValueError, whose message
names the field and never repeats a value.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Never, TypeVar

__all__ = ["Fields", "parse"]

_T = TypeVar("_T")


def parse(data: bytes) -> Mapping[str, object]:
    """One JSON object.

    Raises:
        ValueError: it isn't one, or a name occurs twice in an object.
    """
    try:
        value: object = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if type(value) is not dict:
        raise ValueError("it is not a JSON object")
    return value


class Fields:
    """The members of an object, taken one by one; `end` refuses what nobody took."""

    __slots__ = ("_left",)

    def __init__(self, value: object) -> None:
        if type(value) is not dict:
            raise ValueError("it holds something else where an object belongs")
        self._left: dict[str, object] = dict(value)

    def _take(self, name: str, kind: type[_T]) -> _T:
        if name not in self._left:
            raise ValueError(f"`{name}` is missing")
        value = self._left.pop(name)
        # By type, not by isinstance: True is no number here.
        if type(value) is not kind:
            raise ValueError(f"`{name}` is not of type {kind.__name__}")
        return value

    def optional(self, name: str, read: Callable[[Mapping[str, object]], _T]) -> _T | None:
        """What `read` makes of an object, or None for null. Leaving it out is refused all the same."""
        if name not in self._left:
            raise ValueError(f"`{name}` is missing")
        value = self._left.pop(name)
        if value is None:
            return None
        if type(value) is not dict:
            raise ValueError(f"`{name}` is no object")
        return read(value)

    def text(self, name: str) -> str:
        return self._take(name, str)

    def number(self, name: str) -> int:
        return self._take(name, int)

    def truth(self, name: str) -> bool:
        return self._take(name, bool)

    def seconds(self, name: str) -> float:
        kind = int if type(self._left.get(name)) is int else float
        value = float(self._take(name, kind))
        if not math.isfinite(value):
            raise ValueError(f"`{name}` is no time")
        return value

    def octets(self, name: str) -> bytes:
        text = self.text(name)
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"`{name}` is not base64") from None
        if base64.b64encode(value).decode() != text:
            raise ValueError(f"`{name}` is not the canonical base64 of its bytes")
        return value

    def many(self, name: str) -> list[object]:
        return self._take(name, list)

    def numbers(self, name: str) -> list[int]:
        return [_typed(name, item, int) for item in self.many(name)]

    def texts(self, name: str) -> list[str]:
        return [_typed(name, item, str) for item in self.many(name)]

    def end(self) -> None:
        if self._left:
            raise ValueError(f"nobody knows `{sorted(self._left)[0][:80]}`")


def _typed(name: str, item: object, kind: type[_T]) -> _T:
    if type(item) is not kind:
        raise ValueError(f"`{name}` holds something that is not of type {kind.__name__}")
    return item


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return value


def _no_constant(name: str) -> Never:
    raise ValueError(f"`{name}` is no JSON")
