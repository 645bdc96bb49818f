"""Texts within what a delta of a stream holds: in lists of parts, in parts of parts, in objects.

Promises: each text has a place, which says how it is reached, and every piece that is reached alike is of the same
text; `part_at` makes what goes on with the text of a place. A list's part is known by its type and its index alone, so
that what comes piece by piece is put together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from partywall.gateway.scanning.places import Walk, is_text, is_word
from partywall.gateway.wire import JsonObject

__all__ = ["Steps", "fed_parts", "part_at"]

_COMES_WHOLE: Final = frozenset({"annotations", "citations", "images", "input", "logprobs"})
"""What is never told piece by piece."""

_Head = tuple[tuple[str, int | str], ...]
Steps = tuple[str | _Head, ...]
"""Names of fields, and for a part of a list what it is known by."""


def fed_parts(walk: Walk, feed: Callable[[Steps, str], str], value: object, steps: Steps) -> object:
    """`value`, which `steps` lead to, with its texts fed to their places and the rest walked."""
    key = next((step for step in reversed(steps) if isinstance(step, str)), "")
    if isinstance(value, str) and is_text(key):
        return feed(steps, value)
    if isinstance(value, dict) and key not in _COMES_WHOLE:
        for each in value:
            walk.key(each)
        return {each: fed_parts(walk, feed, inner, (*steps, each)) for each, inner in value.items()}
    if isinstance(value, list) and key not in _COMES_WHOLE:
        return [fed_parts(walk, feed, each, (*steps, _head(each))) for each in value]
    return walk.value(key, value)


def part_at(steps: Steps, text: str) -> JsonObject:
    """A delta that goes on with the text that `steps` lead to."""
    made: object = text
    for step in reversed(steps):
        if not isinstance(step, str):
            made = [{**dict(step), **made} if isinstance(made, dict) else made]
            continue
        made = {step: made}
    return made if isinstance(made, dict) else {}


def _head(part: object) -> _Head:
    if not isinstance(part, dict):
        return ()
    kind, index = part.get("type"), part.get("index")
    known: list[tuple[str, int | str]] = []
    if isinstance(kind, str) and is_word(kind):
        known.append(("type", kind))
    if type(index) is int:
        known.append(("index", index))
    return tuple(known)
