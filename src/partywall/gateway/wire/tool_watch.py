"""Watching a stream for the tools it calls, early enough to stop a call.

Promises: no event that belongs to a tool call is released before that call's name has been reported; what is held and
kept is bounded; past the bound, or for a call that never gets a name, the stream is refused.

Doesn't promise: to see a call that a model writes as plain text because the server in front of it has no parser for it.

    step = watch.feed(event)
    for name in step.names: require(name)      # raises before anything of this event is written
    held.append(raw)
    if not step.hold: write and clear held
    ...
    for name in watch.finish(): require(name)  # then write what is still held
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from partywall.errors import UpstreamUnavailable
from partywall.gateway.wire.shapes import JsonObject, unnameable_call

__all__ = ["HOLD", "MAX_CALLS", "RELEASE", "AnnouncedCalls", "NoCalls", "Step", "ToolWatch"]

MAX_CALLS: Final = 256
"""Most tool calls that one answer may hold."""


class Step(NamedTuple):
    """What to do with the event just fed. First decide on `names`; then hold the event, or release it and all held."""

    hold: bool
    names: tuple[str, ...] = ()


RELEASE: Final = Step(hold=False)
HOLD: Final = Step(hold=True)


class ToolWatch(Protocol):
    """The watch over one stream."""

    def feed(self, event: JsonObject) -> Step:
        """The verdict on `event`. Raises ToolDenied or UpstreamUnavailable when the stream must end here."""
        ...

    def finish(self) -> tuple[str, ...]:
        """The names that were complete only when the stream ended. Raises ToolDenied for a call without one."""
        ...


class NoCalls:
    """For APIs without tools."""

    __slots__ = ()

    def feed(self, event: JsonObject) -> Step:  # noqa: ARG002  # the protocol's signature
        return RELEASE

    def finish(self) -> tuple[str, ...]:
        return ()


class AnnouncedCalls:
    """For APIs that send a call's whole name in one event before its arguments: Responses and Messages.

    Arguments of a call that wasn't announced end the stream; the official clients fail on them too.
    """

    __slots__ = ("_announced", "_announces", "_continues", "_names")

    def __init__(
        self,
        names: Callable[[JsonObject], list[str]],
        announces: Callable[[JsonObject], object],
        continues: Callable[[JsonObject], object],
    ) -> None:
        self._names = names
        self._announces = announces
        self._continues = continues
        self._announced: set[int] = set()

    def feed(self, event: JsonObject) -> Step:
        names = self._names(event)
        begun = self._announces(event)
        if type(begun) is int:
            self._announced.add(begun)
            if len(self._announced) > MAX_CALLS:
                raise UpstreamUnavailable(f"the upstream's answer has more than {MAX_CALLS} parts")
        continued = self._continues(event)
        if continued is not None and (type(continued) is not int or continued not in self._announced):
            raise unnameable_call("arguments came before the call")
        return Step(hold=False, names=tuple(names)) if names else RELEASE

    def finish(self) -> tuple[str, ...]:
        return ()
