"""What stands in the place of a value.

Promises: `label`, `asterisks` and `hash` tell nothing of a value but its kind; a hash is keyed, so that nobody without
the tenant's key can try values against it. `partial` shows the last four characters of values of eight or more, and
never any of a credential. Numbered markers are one to one with values within a request.

Doesn't promise: that a marker of the same length hides how long the value was.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from partywall.detection.pii.entities import Entity

__all__ = ["LITERAL", "MarkerFormat", "Markers"]

MarkerFormat = Literal["label", "asterisks", "partial", "hash"]
_SHOWN: Final = 4
_STARS: Final = 8
_HASH_DIGITS: Final = 12
_HALF: Final = re.compile("[\ud800-\udfff]")

LITERAL: Final = Entity("literal", "custom", r"\[[A-Z0-9_]{1,48}_[0-9a-f]{1,12}\]", len)
"""What looks like one of our numbered markers and isn't: it is given a marker too, so that none is ambiguous."""


@dataclass(slots=True)
class Markers:
    """The markers of one request."""

    style: MarkerFormat
    key: bytes
    families: Mapping[str, str]
    custom: Mapping[str, str] = field(default_factory=dict)
    preserve_length: bool = False
    is_numbered: bool = False
    values: dict[str, str] = field(default_factory=dict)
    """With `is_numbered`: the value behind each marker that was given out, but for those with half a character."""
    _given: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def marker(self, entity: str, value: str) -> str:
        """What stands for `value`."""
        if self.is_numbered:
            return self._numbered(entity, value)
        marker = self.custom.get(entity) or self.custom.get(self.families.get(entity, "")) or self._plain(entity, value)
        if not self.preserve_length:
            return marker
        return marker.ljust(len(value), "*") if len(marker) <= len(value) else "*" * len(value)

    def _plain(self, entity: str, value: str) -> str:
        match self.style:
            case "label":
                return f"[{entity.upper()}]"
            case "hash":
                return f"[{entity.upper()}_{self._hash(entity, value)}]"
            case "partial" if len(value) >= 2 * _SHOWN and self.families.get(entity) != "secret":
                return "*" * (len(value) - _SHOWN if self.preserve_length else _SHOWN) + value[-_SHOWN:]
            case _:
                return "*" * (len(value) if self.preserve_length else _STARS)

    def _numbered(self, entity: str, value: str) -> str:
        marker = self._given.get((entity, value))
        if marker is None:
            if self.style == "hash" and entity != LITERAL.name:
                marker = self._plain(entity, value)
            else:
                self._counts[entity] = number = self._counts.get(entity, 0) + 1
                marker = f"[{entity.upper()}_{number}]"
            self._given[entity, value] = marker
            if not _HALF.search(value):  # which no answer could be written with
                self.values[marker] = value
        return marker

    def _hash(self, entity: str, value: str) -> str:
        message = f"partywall/pii-marker/v1\0{entity}\0{value}".encode(errors="surrogatepass")
        return hmac.digest(self.key, message, "sha256").hex()[:_HASH_DIGITS]
