"""Which documents a search may find: conditions on their metadata, in the shape of OpenAI's API.

Promises: an operator, shape or type that isn't listed here is refused, never ignored (R5); so is a name that could say
whose something is (R7). Depth and number are bounded. A filter is evaluated on values that were opened and verified;
nothing of it becomes text of a query. It can only take away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from partywall.errors import BadRequest
from partywall.stores.documents.metadata import Value, check_name, check_value

__all__ = ["Comparison", "Compound", "Filter", "keys_of", "matches", "parse_filter"]

_DEEPEST: Final = 8
_MOST_CONDITIONS: Final = 64
_MOST_VALUES: Final = 256

Values: TypeAlias = Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One name of the metadata against a value, or against several for `in` and `nin`."""

    type: str
    key: str
    value: Values

    def __post_init__(self) -> None:
        """Refuse what isn't known.

        Raises:
            BadRequest: see `parse_filter`.
        """
        check_name(self.key)
        if self.type in _LISTS:
            if not isinstance(self.value, tuple) or not 1 <= len(self.value) <= _MOST_VALUES:
                raise _refused(f"`in` and `nin` take a list of 1 to {_MOST_VALUES} values")
            for value in self.value:
                check_value(value)
            return
        if self.type not in _SINGLE:
            raise _refused("a filter's `type` is one of " + ", ".join((*_SINGLE, *_LISTS, *_COMPOUND)))
        check_value(self.value)
        if self.type in _ORDERED and (isinstance(self.value, bool) or not isinstance(self.value, int | float)):
            raise _refused("`gt`, `gte`, `lt` and `lte` compare with a number")


@dataclass(frozen=True, slots=True)
class Compound:
    """Several filters, of which all (`and`) or any (`or`) must hold."""

    type: str
    filters: tuple[Filter, ...]

    def __post_init__(self) -> None:
        """Refuse what isn't known.

        Raises:
            BadRequest: see `parse_filter`.
        """
        if self.type not in _COMPOUND:
            raise _refused("a compound filter is `and` or `or`")
        # An empty `and` would hold for everything (R4).
        if not self.filters:
            raise _refused("a compound filter has filters")
        if not all(isinstance(each, Comparison | Compound) for each in self.filters):
            raise _refused("a compound filter holds filters")
        _check_size(self)


Filter: TypeAlias = Comparison | Compound


def parse_filter(value: object) -> Filter:
    """The filter that JSON means: `{"type": "eq", "key": …, "value": …}` or `{"type": "and", "filters": […]}`.

    Raises:
        BadRequest: another shape, an unknown operator, a reserved name, a value of the wrong type, or too much of it.
    """
    return _parse(value, _DEEPEST)


def matches(condition: Filter, metadata: Mapping[str, Value]) -> bool:
    """Whether the metadata fulfils it. A name that isn't there fulfils `ne` and `nin` alone."""
    if isinstance(condition, Compound):
        each = (matches(one, metadata) for one in condition.filters)
        return all(each) if condition.type == "and" else any(each)
    wanted = condition.value
    if isinstance(wanted, tuple):
        found = condition.key in metadata and any(_same(metadata[condition.key], one) for one in wanted)
        return found is (condition.type == "in")
    if condition.key not in metadata:
        return condition.type == "ne"
    return _SINGLE[condition.type](metadata[condition.key], wanted)


def keys_of(condition: Filter) -> Iterator[str]:
    """Every name that it asks about."""
    if isinstance(condition, Comparison):
        yield condition.key
    else:
        for each in condition.filters:
            yield from keys_of(each)


def _same(one: Value, other: Value) -> bool:
    """Equality without Python's `True == 1`."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _number(value: Value) -> float | None:
    return None if isinstance(value, bool | str) else value


def _ordered(holds: Callable[[float, float], bool]) -> Callable[[Value, Value], bool]:
    def compare(one: Value, other: Value) -> bool:
        left, right = _number(one), _number(other)
        return left is not None and right is not None and holds(left, right)

    return compare


_ORDERED: Final[Mapping[str, Callable[[Value, Value], bool]]] = {
    "gt": _ordered(lambda one, other: one > other),
    "gte": _ordered(lambda one, other: one >= other),
    "lt": _ordered(lambda one, other: one < other),
    "lte": _ordered(lambda one, other: one <= other),
}
_SINGLE: Final[Mapping[str, Callable[[Value, Value], bool]]] = {
    "eq": _same,
    "ne": lambda one, other: not _same(one, other),
    **_ORDERED,
}
_LISTS: Final = ("in", "nin")
_COMPOUND: Final = ("and", "or")


def _parse(value: object, depth: int) -> Filter:
    if depth == 0:
        raise _refused(f"filters are nested {_DEEPEST} deep at most")
    if not isinstance(value, Mapping):
        raise _refused("a filter is a mapping")
    kind = value.get("type")
    if type(kind) is not str:
        raise _refused("a filter's `type` is a text")
    if kind in _COMPOUND:
        return Compound(kind, tuple(_parse(each, depth - 1) for each in _members(value, "filters")))
    if set(value) != {"type", "key", "value"}:
        raise _refused("a comparison has `type`, `key` and `value`, and nothing else")
    wanted = value["value"]
    return Comparison(kind, value["key"], tuple(wanted) if isinstance(wanted, list) else wanted)


def _members(value: Mapping[str, object], name: str) -> list[object]:
    if set(value) != {"type", name}:
        raise _refused(f"a compound filter has `type` and `{name}`, and nothing else")
    found = value[name]
    if not isinstance(found, list) or len(found) > _MOST_CONDITIONS:
        raise _refused(f"`{name}` is a list of at most {_MOST_CONDITIONS}")
    return found


def _check_size(compound: Compound) -> None:
    """Depth and number, for filters that weren't parsed."""
    level: list[Filter] = [compound]
    count = depth = 0
    while level:
        depth += 1
        count += len(level)
        if depth > _DEEPEST or count > 2 * _MOST_CONDITIONS:
            raise _refused(f"a filter has {_MOST_CONDITIONS} conditions, nested {_DEEPEST} deep, at most")
        level = [each for one in level if isinstance(one, Compound) for each in one.filters]


def _refused(why: str) -> BadRequest:
    return BadRequest(f"a filter was refused: {why}", public_message=f"The filter was refused: {why}.")
