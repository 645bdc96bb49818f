"""A stream's events, scanned: what all APIs share.

Promises: each text of a stream (a choice, a part, a block) is a channel of its own; the arguments of a call are held
until they are complete, scanned decoded, and released in one piece; an upstream that opens channels or keeps arguments
without end is given up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Final

from partywall.errors import UpstreamUnavailable
from partywall.gateway.scanning.places import Walk
from partywall.gateway.scanning.texts import Channel, Texts
from partywall.gateway.wire import JsonObject

__all__ = ["Event", "EventScan", "place_of"]

Event = tuple[bytes, JsonObject]
"""A server-sent event: its name, empty where it has none, and its data."""

_MOST_CHANNELS: Final = 1024
_MOST_HELD: Final = 8 * 2**20


class EventScan(ABC):
    """The scan of one stream."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._walk = Walk(texts, is_answer=True)
        self._channels: dict[Hashable, Channel] = {}
        self._held: dict[Hashable, list[str]] = {}
        self._held_chars = 0

    @abstractmethod
    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        """What may go out now that `event` has come. It is changed in place.

        Raises:
            UpstreamUnavailable: it isn't what the API promises, or too much would have to be held.
        """

    @abstractmethod
    def finish(self) -> list[Event]:
        """What is left to go out before the stream's last event."""

    def _fed(self, key: Hashable, delta: str) -> str:
        """What of a text may go out now."""
        channel = self._channels.get(key)
        if channel is None:
            self._check_room()
            channel = self._channels[key] = self._texts.channel()
        return channel.feed(delta)

    def _ended(self, key: Hashable) -> str:
        """The rest of a text that has ended."""
        channel = self._channels.pop(key, None)
        return "" if channel is None else channel.end()

    def _hold(self, key: Hashable, piece: str) -> None:
        """Keep a piece of a call's arguments."""
        if key not in self._held:
            self._check_room()
        self._held.setdefault(key, []).append(piece)
        self._held_chars += len(piece)
        if self._held_chars > _MOST_HELD:
            raise UpstreamUnavailable(f"the arguments of calls exceed {_MOST_HELD} characters")

    def _let_go(self, key: Hashable) -> str:
        """The arguments of a call that is complete, scanned."""
        text = "".join(self._held.pop(key, ()))
        self._held_chars -= len(text)
        return self._walk.json_text(text) if text else ""

    def _walked(self, value: JsonObject) -> JsonObject:
        """What isn't a piece of a text, as it may go out."""
        made = self._walk.value("", value)
        return made if isinstance(made, dict) else value

    def _check_room(self) -> None:
        if len(self._channels) + len(self._held) >= _MOST_CHANNELS:
            raise UpstreamUnavailable(f"the upstream's answer has more than {_MOST_CHANNELS} parts")


def place_of(value: object) -> int | str:
    """`value` as the number of a choice, a part or a call.

    Raises:
        UpstreamUnavailable: it can't be one.
    """
    if value is None:
        return 0
    if type(value) is int or isinstance(value, str):
        return value
    raise UpstreamUnavailable("a part of the upstream's answer has no place")
