"""Where in a document a value stands, found again only when there is something to say about it.

Positions aren't kept beside the data: a gateway holds its document for weeks, and shows a place perhaps never.
`PlaceIndex` reads the text once more and then answers for as many paths as asked.

Promises: lines and columns start at 1 and count characters; a path that isn't in the document gets the place of the
nearest thing above it; a text that isn't YAML is indexed as far as it goes; snippets hide secrets.

Doesn't promise: that the text is a valid document. Of a key given twice it knows the first.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from partywall.config.events import ILLEGAL_CHARACTER, MAX_DEPTH, read_events
from partywall.config.masking import masks_key, may_hold_secrets, names_secret
from partywall.config.snippets import Span, draw

__all__ = ["Place", "PlaceIndex", "locate", "place_of_offset", "render_snippet"]

_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
_REST_OF_LINE: Final = 1 << 31
_NO_KEY: Final = (0, 0, 0, 0)

Path = Sequence[str | int]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of a document: 1-based, in characters, `end_column` being the first column behind it."""

    line: int
    column: int
    end_line: int | None = None
    end_column: int | None = None


def locate(text: str, path: Path, *, key: bool = False) -> Place:
    """The place of the value at `path`, or of its key. For several lookups, keep a `PlaceIndex`."""
    return PlaceIndex(text).place(path, key=key)


def render_snippet(text: str, place: Place) -> str:
    """The line that `place` is in, with carets under it and secrets masked, as two lines without a final break."""
    return PlaceIndex(text).snippet(place)


def place_of_offset(text: str, offset: int) -> Place:
    """The place of the character at `offset` (0-based) of `text`."""
    lines = _LINE_BREAK.split(text[:offset])
    line, column = len(lines), len(lines[-1]) + 1
    return Place(line, column, line, column + 1)


class PlaceIndex:
    """The places of everything in one text. Costs about as much as parsing it; drop it after use."""

    __slots__ = ("_is_sound", "_lines", "_nodes")

    def __init__(self, text: str) -> None:
        text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        self._lines = _LINE_BREAK.split(text)
        # A character that the document may not hold is replaced by one it may, one for one, so that the places of the
        # rest are still known.
        plain = ILLEGAL_CHARACTER.sub("_", text)
        self._nodes = _Nodes(plain)
        self._is_sound = self._nodes.whole and plain == text

    def place(self, path: Path, *, key: bool = False) -> Place:
        """The place of the value at `path`; of its key with `key`, if it has one.

        When the path leads out of the document, the place of the last thing on it that exists: its key, or its start.
        Of a mapping or list that has a key, the key stands for all of it.
        """
        node, missing = self._nodes.find(path)
        return self._nodes.place(node, key=key or missing or self._nodes.is_collection(node))

    def hide(self, path: Path) -> None:
        """Mask the value at `path` in every snippet from now on, whatever it is called."""
        node, missing = self._nodes.find(path)
        if not missing:
            self._nodes.hide(node)

    def snippet(self, place: Place) -> str:
        """The line that `place` is in, with carets under it and secrets masked."""
        number = min(place.line, len(self._lines)) - 1
        line = self._lines[number]
        return draw(line, number + 1, _columns(place, line), self._masks(number))

    def _masks(self, number: int) -> Sequence[Span]:
        if self._is_sound:
            return self._nodes.secrets.get(number, ())
        line = self._lines[number]
        return [(len(line) - len(line.lstrip()), len(line))] if may_hold_secrets(self._lines) else ()


class _Collection:
    """A mapping or list that is being read."""

    __slots__ = ("is_mapping", "key", "key_span", "length", "node", "secret", "value_is_next")

    def __init__(self, node: int, *, is_mapping: bool, secret: bool) -> None:
        self.node = node
        self.is_mapping = is_mapping
        self.secret = secret
        self.length = 0
        self.key: str | None = None
        self.key_span = _NO_KEY
        self.value_is_next = False

    @property
    def value_is_secret(self) -> bool:
        return self.secret or (self.key is not None and names_secret(self.key))


class _Nodes:
    """Every value of a text: its children by key or index, the span of its key and its own.

    Spans live in one flat array, eight numbers a value, because there are a hundred thousand of them.
    """

    __slots__ = ("_children", "_is_plain", "_last_end", "_open", "_spans", "secrets", "whole")

    def __init__(self, text: str) -> None:
        self.secrets: dict[int, list[Span]] = {}
        """By line (0-based), what to mask in it."""
        self.whole = False
        """Whether all of the text was read and is what it seems. A tag, an anchor or a tab is more often a slip of the
        hand, and then the key beside it may not be the key it was."""
        self._children: dict[int, dict[str | int, int]] = {}
        self._spans = array("I")
        self._open: list[_Collection] = []
        self._last_end = (0, 0)
        self._is_plain = True
        try:
            self.whole = all(self._take(event) for event in read_events(text)) and self._is_plain
        except yaml.YAMLError:
            self.whole = False

    def find(self, path: Path) -> tuple[int, bool]:
        """The deepest value on `path`, and whether the path goes on beyond it.

        `path` may be written for the long form of what the document says in short: a step that a list can't have is
        skipped (`groups` where `consumer_groups` is a bare list), and the only key of a mapping is passed through
        (`when`, where `{rbac: {when: …}}` stands for `{kind: rbac, when: …}`).
        """
        node, missing = 0, False
        for step in path:
            child = self._child(node, step)
            node, missing = (node, True) if child is None else (child, False)
        return node, missing

    def _child(self, node: int, step: str | int) -> int | None:
        children = self._children.get(node, {})
        if step in children or not isinstance(step, str) or len(children) != 1:
            return children.get(step)
        ((only, child),) = children.items()
        return self._children.get(child, {}).get(step) if isinstance(only, str) else None

    def is_collection(self, node: int) -> bool:
        """Whether the value is a mapping or list with anything in it."""
        return node in self._children

    def place(self, node: int, *, key: bool) -> Place:
        """The place of a value, or of its key when it has one."""
        numbers = self._spans[node * 8 : node * 8 + 8]
        if not numbers:
            return Place(1, 1)
        spans = (numbers[:4], numbers[4:])
        line, column, end_line, end_column = spans[0] if key and any(spans[0]) else spans[1]
        return Place(line + 1, column + 1, end_line + 1, end_column + 1)

    def hide(self, node: int) -> None:
        """Add the value's span to `secrets`."""
        line, column, end_line, end_column = self._spans[node * 8 + 4 : node * 8 + 8]
        self._hide((line, column, end_line, end_column))

    def _take(self, event: yaml.Event) -> bool:
        """Note one event; false when the rest isn't worth reading."""
        if isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(event)
        elif isinstance(event, yaml.NodeEvent):
            self._leaf(event)
        self._is_plain = self._is_plain and not _is_odd(event)
        return len(self._open) <= MAX_DEPTH

    def _leaf(self, event: yaml.NodeEvent) -> None:
        span = _span(event)
        self._last_end = span[2:]
        above = self._open[-1] if self._open else None
        text = event.value if isinstance(event, yaml.ScalarEvent) else None
        if above is not None and above.is_mapping and not above.value_is_next:
            above.key, above.key_span, above.value_is_next = text, span, True
            if text is not None and masks_key(text, below_secret=above.secret):
                self._hide(span)
            return
        if above is not None and above.value_is_secret:
            self._hide(span)
        self._add(span)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        above = self._open[-1] if self._open else None
        secret = above is not None and above.value_is_secret
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if above is not None and above.is_mapping and not above.value_is_next:  # a mapping as a key: no path leads in
            above.key, above.key_span, above.value_is_next = None, _span(event), True
            self._open.append(_Collection(self._append(_NO_KEY, _span(event)), is_mapping=is_mapping, secret=secret))
            return
        self._open.append(_Collection(self._add(_span(event)), is_mapping=is_mapping, secret=secret))

    def _end(self, event: yaml.CollectionEndEvent) -> None:
        span = _span(event)
        # A block ends where the next thing begins, which is no place to point at: take the end of its last value.
        if span[:2] != span[2:]:
            self._last_end = span[2:]
        at = self._open.pop().node * 8
        self._spans[at + 6 : at + 8] = array("I", self._last_end)

    def _add(self, span: tuple[int, int, int, int]) -> int:
        if not self._open:
            return self._append(_NO_KEY, span)
        above = self._open[-1]
        node = self._append(above.key_span, span)
        step = above.key if above.is_mapping else above.length
        if step is not None:
            self._children.setdefault(above.node, {}).setdefault(step, node)
        above.length += 1
        above.key, above.key_span, above.value_is_next = None, _NO_KEY, False
        return node

    def _append(self, key_span: tuple[int, int, int, int], span: tuple[int, int, int, int]) -> int:
        self._spans.extend(key_span)
        self._spans.extend(span)
        return len(self._spans) // 8 - 1

    def _hide(self, span: tuple[int, int, int, int]) -> None:
        first, start, last, end = span
        for number in range(first, last + 1):
            from_ = start if number == first else 0
            to = end if number == last else _REST_OF_LINE
            self.secrets.setdefault(number, []).append((from_, to))


def _is_odd(event: yaml.Event) -> bool:
    """Whether it has a tag, an anchor (an alias has the one it repeats) or, unquoted, a tab."""
    if isinstance(event, yaml.ScalarEvent) and not event.style and "\t" in event.value:
        return True
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        return True
    return isinstance(event, yaml.NodeEvent) and event.anchor is not None


def _columns(place: Place, line: str) -> Span:
    start = place.column - 1
    if place.end_line is None or place.end_column is None:
        return start, start + 1
    return start, place.end_column - 1 if place.end_line == place.line else len(line.rstrip())


def _span(event: yaml.Event) -> tuple[int, int, int, int]:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:  # PyYAML's types allow it; its parsers always set both
        return _NO_KEY
    return start.line, start.column, end.line, end.column
