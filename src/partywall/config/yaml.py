"""The YAML of our documents: the core schema of YAML 1.2, less everything by which a document hides what it says.

Promises: plain data (dict, list, str, int, float, bool, None) out of one document, or `DocumentInvalid` with the
place. Refused with a sentence each: a key given twice (PyYAML would drop the first in silence), anchors, aliases and
merge keys (expansion bombs, and settings that stand where nobody looks), tags, several documents in one file, keys that
aren't strings, numbers that compare with nothing (`.nan`) or everything (`.inf`), characters that show a reviewer
something else than is read, nesting beyond 64 and text beyond 64 MiB.

`no`, `off`, `1:30` and dates are strings here, as YAML 1.2 has it: `region: no` is Norway.

Doesn't promise: that the data fits a model; `loading` sees to that.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn, TypeAlias

import yaml

from partywall.config.events import ILLEGAL_CHARACTER, MAX_DEPTH, Mark, read_events
from partywall.config.masking import MASK, could_be_secret, under_secret
from partywall.config.places import Place, PlaceIndex, place_of_offset
from partywall.config.problems import DocumentInvalid, Problem
from partywall.config.snippets import excerpt

__all__ = ["MAX_BYTES", "Plain", "parse"]

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

MAX_BYTES: Final = 64 * 1024 * 1024

_CONSTANTS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_START: Final = frozenset("0123456789+-.")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER_LIMIT: Final = 1 << 63
_LONGEST_INTEGER: Final = 64
"""Characters: room for any 64-bit number in any base and some zeros. `int` of more would cost quadratic time."""
_UNUSABLE: Final = re.compile("[\x00\ud800-\udfff]")


class _Refusal(Exception):
    """What is wrong at an event; `parse` adds the text's name and the snippet."""

    def __init__(self, event: yaml.Event, message: str, hint: str) -> None:
        super().__init__(message)
        self.place = _place(event.start_mark, event.end_mark)
        self.message = message
        self.hint = hint


def parse(text: str, source: str) -> Plain:
    """The data of `text`, which messages call `source`. An empty text is None. Raises `DocumentInvalid`."""
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    builder = _Builder()
    problem = _unreadable(text) or _unparsed(text, builder)
    if problem is not None:
        raise DocumentInvalid(source, [problem])
    return builder.root


def _unreadable(text: str) -> Problem | None:
    if len(text) > MAX_BYTES:
        return Problem(None, (), f"longer than {MAX_BYTES} bytes", "no document of one platform is that long")
    found = ILLEGAL_CHARACTER.search(text)
    if found is None:
        return None
    code = f"U+{ord(found[0]):04X}"
    hint = "remove it, or write it as an escape in double quotes, where a reader sees it"
    return _problem(text, place_of_offset(text, found.start()), f"the character {code} is not allowed", hint)


def _unparsed(text: str, builder: _Builder) -> Problem | None:
    try:
        for event in read_events(text):
            builder.take(event)
    except _Refusal as refusal:
        return _problem(text, refusal.place, refusal.message, refusal.hint)
    except yaml.MarkedYAMLError as error:
        return _syntax_problem(text, error)
    except yaml.YAMLError as error:
        return Problem(Place(1, 1), (), f"not YAML: {error}")
    return None


def _problem(text: str, place: Place, message: str, hint: str) -> Problem:
    return Problem(place, (), message, hint, PlaceIndex(text).snippet(place))


# -- Building -----------------------------------------------------------------------------------------------------


class _Builder:
    """Builds data out of events, one collection within another, without recursion."""

    __slots__ = ("_above", "_begun", "_here", "_keys", "root")

    def __init__(self) -> None:
        self.root: Plain = None
        self._begun = False
        self._here: _Mapping | _List | None = None
        self._above: list[_Mapping | _List | None] = []
        self._keys: dict[str, str] = {}  # one string per distinct key: a document has thirty, fifty thousand times

    def take(self, event: yaml.Event) -> None:
        """Take the next event. Raises `_Refusal`."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._here = self._above.pop()
        elif isinstance(event, yaml.AliasEvent):
            _refuse_alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._document(event)

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        if self._begun:
            raise _Refusal(event, "a second document begins here", "a file holds one document; remove this `---`")
        if event.version is not None and event.version != (1, 2):
            version = ".".join(map(str, event.version))
            hint = "remove the `%YAML` line; `yes`, `no`, `on` and `off` are strings here, not booleans"
            raise _Refusal(event, f"the document declares YAML {version}, and is read as YAML 1.2", hint)
        self._begun = True

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        _refuse_properties(event)
        value = event.value if event.style else _resolve(event)
        if event.style == '"' and _UNUSABLE.search(event.value):
            raise _Refusal(event, "the string holds a NUL or half a surrogate pair", "remove the escape")
        here = self._here
        if here is None:
            self.root = value
        elif isinstance(here, _Mapping) and not here.awaits_value:
            self._key(here, event, value)
        else:
            here.put(value)

    def _key(self, here: _Mapping, event: yaml.ScalarEvent, resolved: Plain) -> None:
        if event.value == "<<" and not event.style:
            raise _Refusal(event, "merge keys (`<<`) are not allowed", "write the keys out where they apply")
        key = self._keys.setdefault(event.value, event.value)
        if not isinstance(resolved, str):
            shown = self._shown(key or "~")
            hint = f"put `{shown}` in quotes if it is a name" if key else "give the key a name"
            raise _Refusal(event, f"a key must be a string, and `{shown}` is {_kind(resolved)}", hint)
        first = here.take_key(key, event.start_mark)
        if first is not event.start_mark:
            place = _place(first, None)
            hint = f"the first is at line {place.line} column {place.column}; keep one, whose value then counts"
            raise _Refusal(event, f"the key `{self._shown(key)}` is given twice", hint)

    def _shown(self, key: str) -> str:
        above = [here.key for here in self._above if isinstance(here, _Mapping)]
        return MASK if under_secret(above) or could_be_secret(key) else excerpt(key)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        _refuse_properties(event)
        here = self._here
        collection = _Mapping() if isinstance(event, yaml.MappingStartEvent) else _List()
        if here is None:
            self.root = collection.data
        elif isinstance(here, _Mapping) and not here.awaits_value:
            raise _Refusal(event, "a key must be a string, not a mapping or a list", "put it in quotes")
        else:
            here.put(collection.data)
        self._above.append(here)
        self._here = collection
        if len(self._above) > MAX_DEPTH:
            raise _Refusal(event, f"nested deeper than {MAX_DEPTH}", "no setting of a document stands that deep")


class _List:
    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data: list[Plain] = []

    def put(self, value: Plain) -> None:
        self.data.append(value)


class _Mapping:
    __slots__ = ("_marks", "awaits_value", "data", "key")

    def __init__(self) -> None:
        self.data: dict[str, Plain] = {}
        self.key = ""
        self.awaits_value = False
        self._marks: dict[str, Mark | None] = {}

    def take_key(self, key: str, mark: Mark | None) -> Mark | None:
        """Take the next key; returns where it first stood, which is `mark` unless it is there already."""
        self.key, self.awaits_value = key, True
        return self._marks.setdefault(key, mark)

    def put(self, value: Plain) -> None:
        self.data[self.key] = value
        self.awaits_value = False


def _kind(value: Plain) -> str:
    if value is None:
        return "nothing"
    return "a boolean" if isinstance(value, bool) else "a number"


def _refuse_alias(event: yaml.AliasEvent) -> NoReturn:
    raise _Refusal(event, "aliases (`*`) are not allowed", "write the value out where it applies")


def _refuse_properties(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.anchor is not None:
        raise _Refusal(event, "anchors (`&`) are not allowed", "write the value out where it applies")
    if event.tag is not None:
        raise _Refusal(event, "tags (`!`) are not allowed", "leave the tag out; a string goes in quotes")


# -- Scalars ------------------------------------------------------------------------------------------------------


def _resolve(event: yaml.ScalarEvent) -> Plain:
    """The value of a plain scalar by the core schema (YAML 1.2.2, section 10.3.2)."""
    text = event.value
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if "\t" in text:
        raise _Refusal(event, _TAB, _NO_TAB)
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(event, text)
    if _FLOAT.fullmatch(text):
        return _finite(event, float(text))
    if _NOT_FINITE.fullmatch(text):
        return _finite(event, float("inf"))
    return text


def _integer(event: yaml.ScalarEvent, text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = int(text[2:] if base != 10 else text, base) if len(text) <= _LONGEST_INTEGER else _INTEGER_LIMIT
    if not -_INTEGER_LIMIT <= number < _INTEGER_LIMIT:
        raise _Refusal(event, "the number does not fit into 64 bits", "put it in quotes if it is a name or a digest")
    return number


def _finite(event: yaml.ScalarEvent, number: float) -> float:
    if abs(number) == float("inf"):
        hint = "a limit that is infinite or not a number never holds; leave the key out to have no limit"
        raise _Refusal(event, "the number is not finite", hint)
    return number


# -- Syntax errors ------------------------------------------------------------------------------------------------

_TAB: Final = "a tab where only spaces may stand"
_NO_TAB: Final = "indent with spaces, and put a value that has a tab in it in quotes"
_SYNTAX: Final = (
    ("tab character", _TAB, _NO_TAB),
    ("cannot start any token", "this character can't begin a value", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a `:` where no key can stand",
        "quote a value with `: ` in it, or mend the indent",
    ),
    ("could not find expected ':'", "a key without its `:`", "write `key: value`, with a space after the colon"),
    ("end of stream", "a quote or bracket is opened and never closed", "close it where the value ends"),
    ("escape", "an escape that YAML doesn't have", "double each backslash, or use single quotes"),
    ("flow", "a comma or a closing bracket is missing", "between brackets, values are separated by commas"),
    ("document start", "something follows the end of the document", "remove what comes after `...`"),
    ("node content", "a value should begin here", "quote it if it begins with a bracket, brace or comma"),
    ("block", "this does not belong where its indentation puts it", "mend the indentation, or quote the value above"),
)
"""Words in libyaml's or PyYAML's own message, what we say instead, and what to do."""


def _syntax_problem(text: str, error: yaml.MarkedYAMLError) -> Problem:
    said = f"{error.context or ''} {error.problem or ''}".strip().lower()
    mark = error.problem_mark or error.context_mark
    at_end = mark is not None and not text[mark.index :].strip()
    if mark is not None and "cannot start any token" in said and text[mark.index : mark.index + 1] == "\t":
        said = "tab character"
    if error.context_mark is not None and at_end and ("flow" in said or "quoted" in said):
        # The place that was opened is worth more than the end of the file.
        mark, said = error.context_mark, "end of stream"
    for words, message, hint in _SYNTAX:
        if words in said:
            return _problem(text, _place(mark, None), message, hint)
    return _problem(text, _place(mark, None), f"not YAML: {said}", "")


def _place(start: Mark | None, end: Mark | None) -> Place:
    if start is None:  # PyYAML's types allow it; its parsers always set it
        return Place(1, 1)
    if end is None:
        return Place(start.line + 1, start.column + 1)
    return Place(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
