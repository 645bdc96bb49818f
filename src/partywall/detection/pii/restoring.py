"""Putting values back where their markers stand.

Promises: exactly the markers that the request gave out are replaced, once, and what is put in is not looked at again.
A stream comes to what the whole text would, however it is cut; it holds back only what may be the beginning of a
marker, so at most the longest marker less one character. However many values there are, one is found at once.

Doesn't promise: to recognise a marker that a model has rewritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["StreamRestorer", "restore"]

_MARKER: Final = re.compile(r"\[[^\[\]]*\]")


def restore(text: str, values: Mapping[str, str], *, in_json: bool = False) -> str:
    """`text` with each marker of `values` replaced by its value. In JSON the value is escaped as a string's part."""
    return StreamRestorer(values, in_json=in_json).end(text)


class StreamRestorer:
    """One stream. A marker is `[`, something without brackets, and `]`."""

    __slots__ = ("_held", "_in_json", "_longest", "_values")

    def __init__(self, values: Mapping[str, str], *, in_json: bool = False) -> None:
        self._values = dict(values)
        self._longest = max(map(len, self._values), default=0)
        self._in_json = in_json
        self._held = ""

    def feed(self, delta: str) -> str:
        """What may go out now."""
        text = self._held + delta
        place = text.rfind("[")
        # INVARIANT: no marker has a second `[` in it, so only the last one can begin a marker that isn't whole yet.
        is_open = place >= 0 and len(text) - place < self._longest and self._begins(text[place:])
        self._held = text[place:] if is_open else ""
        return self._put(text[:place] if is_open else text)

    def end(self, last: str = "") -> str:
        """What is left to go out, with `last` before the end."""
        text, self._held = self._held + last, ""
        return self._put(text)

    def _begins(self, tail: str) -> bool:
        """Whether some marker goes on where `tail` ends."""
        return any(len(tail) < len(marker) and marker.startswith(tail) for marker in self._values)

    def _put(self, text: str) -> str:
        return _MARKER.sub(self._value, text) if self._values else text

    def _value(self, match: re.Match[str]) -> str:
        value = self._values.get(match[0])
        if value is None:
            return match[0]
        return json.dumps(value)[1:-1] if self._in_json else value
