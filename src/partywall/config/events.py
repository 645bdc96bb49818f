"""YAML text as a stream of events, read by libyaml where it is built in and by PyYAML's own parser where not.

Promises: a text that both parsers accept means the same to both, and no exception but `yaml.YAMLError` leaves here.

Doesn't promise: that both accept the same texts; libyaml takes a few that the other refuses. Nor meaning: `yaml` turns events into data and refuses what a document may not hold; `places` turns them
into line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

import yaml

__all__ = ["ILLEGAL_CHARACTER", "MAX_DEPTH", "Mark", "parser_class", "read_events"]

MAX_DEPTH: Final = 64
"""Mappings and lists within one another. A hundred thousand of them would cost the reader its stack or its evening."""


# Line breaks to some YAML readers and not to others (U+0085, U+2028, U+2029), so that a reviewer and a parser would
# see two documents; direction overrides, which show a line in another order than it is read ("Trojan Source",
# CVE-2021-42574); a byte-order mark past the start; and every other control character.
ILLEGAL_CHARACTER: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


class Mark(Protocol):
    """A point of the text as either parser describes it, counted from 0 in characters."""

    index: int
    line: int
    column: int


def parser_class() -> type[yaml.CBaseLoader | yaml.BaseLoader]:
    """The parser in use: libyaml's, unless PyYAML was built without it."""
    return yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader


def read_events(text: str) -> Iterator[yaml.Event]:
    """The events of `text`, in order. Raises `yaml.YAMLError` where the text stops being YAML."""
    try:
        yield from yaml.parse(text, Loader=parser_class())
    except (ValueError, OverflowError) as error:
        # PyYAML's own parser lets `chr` and `int` refuse an escape or a version for it, and UnicodeEncodeError is
        # libyaml being handed a lone surrogate.
        raise yaml.YAMLError(f"a character, escape or version number that YAML doesn't have: {error}") from None
