"""Putting values back where their markers stand.

Promises: exactly the markers that the request gave out are replaced, once, and what is put in is not looked at again.
A stream comes to what the whole text would, however it is cut; it holds back only what may be the beginning of a
marker, so at most the longest marker less one character.

Doesn't promise: to recognise a marker that a model has rewritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

__all__ = ["StreamRestorer", "restore"]


def restore(text: str, values: Mapping[str, str], *, in_json: bool = False) -> str:
    """`text` with each marker of `values` replaced by its value. In JSON the value is escaped as a string's part."""
    return StreamRestorer(values, in_json=in_json).end(text)


class StreamRestorer:
    """One stream. A marker is `[`, something without brackets, and `]`."""

    __slots__ = ("_held", "_pattern", "_values")

    def __init__(self, values: Mapping[str, str], *, in_json: bool = False) -> None:
        self._values = {marker: json.dumps(value)[1:-1] if in_json else value for marker, value in values.items()}
        self._pattern = re.compile("|".join(map(re.escape, self._values)) or r"(?!)")
        self._held = ""

    def feed(self, delta: str) -> str:
        """What may go out now."""
        text = self._held + delta
        place = text.rfind("[")
        tail = text[place:] if place >= 0 else ""
        # INVARIANT: no marker has a second `[` in it, so only the last one can begin a marker that isn't whole yet.
        is_open = bool(tail) and any(len(tail) < len(marker) and marker.startswith(tail) for marker in self._values)
        self._held = tail if is_open else ""
        return self._put(text[:place] if is_open else text)

    def end(self, last: str = "") -> str:
        """What is left to go out, with `last` before the end."""
        text, self._held = self._held + last, ""
        return self._put(text)

    def _put(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._values[match[0]], text)
