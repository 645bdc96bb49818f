"""The tool calls of Chat's answers, and the watch over Chat's streams.

Promises: what `tool_watch` does. In Chat a name can come in pieces, so events are held from the first piece until the
name is complete: when its arguments begin, another call begins, its message goes on or its choice ends. A name that
grows after that is reported again, longer, before the growth is released.
"""

from __future__ import annotations

from typing import Final

from partywall.errors import UpstreamUnavailable
from partywall.gateway.wire.shapes import MAX_NAME_CHARS, JsonObject, called_name, objects, unnameable_call
from partywall.gateway.wire.tool_watch import HOLD, MAX_CALLS, RELEASE, Step

__all__ = ["ChatCalls", "names_called", "pieces_of_names"]

_MAX_HELD: Final = 512


def names_called(message: object) -> list[str]:
    """The tools that a whole message of an assistant calls.

    Raises:
        ToolDenied: a call has no name.
    """
    if not isinstance(message, dict):
        return []
    names = [_name(call) for call in _calls(message)]
    legacy = message.get("function_call")
    if legacy is not None:
        names.append(_name_in(legacy))
    return names


def pieces_of_names(delta: object) -> list[str]:
    """The names, or parts of names, in one delta of a streamed message."""
    if not isinstance(delta, dict):
        return []
    bodies = [body for call in objects(delta.get("tool_calls")) for body in (call.get("function"), call.get("custom"))]
    bodies.append(delta.get("function_call"))
    return [name for body in objects(bodies) if isinstance(name := body.get("name"), str) and name]


def _calls(message: JsonObject) -> list[object]:
    calls = message.get("tool_calls")
    if not calls:
        return []
    if not isinstance(calls, list):
        raise unnameable_call("`tool_calls` is no list")
    return calls


def _name(call: object) -> str:
    return _name_in(_body(call))


def _body(call: object) -> object:
    """The part of a call that holds its name. Raises ToolDenied when there could be two."""
    if not isinstance(call, dict):
        raise unnameable_call("an entry of `tool_calls` is no object")
    function, custom = call.get("function"), call.get("custom")
    if function is not None and custom is not None:
        raise unnameable_call("it is a function and a custom tool at once")
    return function if function is not None else custom


def _name_in(body: object) -> str:
    return called_name(body.get("name") if isinstance(body, dict) else None)


Slot = tuple[int, int | str]
"""A choice, and in it the call's index, or its id where the server sends no index."""

_LEGACY: Final = "function_call"
_FIRST: Final = 0


class _Call:
    __slots__ = ("call_id", "complete", "name")

    def __init__(self, call_id: object) -> None:
        self.call_id = call_id
        self.complete = False
        self.name = ""


class ChatCalls:
    """For Chat, where names come in pieces, by index; by id when a server leaves the index out or always sends 0."""

    __slots__ = ("_calls", "_held", "_latest", "_open")

    def __init__(self) -> None:
        self._calls: dict[Slot, _Call] = {}
        self._open: set[Slot] = set()
        self._latest: dict[int, Slot] = {}
        self._held = 0

    def feed(self, event: JsonObject) -> Step:
        names: list[str] = []
        for choice in objects(event.get("choices")):
            self._feed_choice(choice, names)
        if not self._open:
            self._held = 0
            return Step(hold=False, names=tuple(names)) if names else RELEASE
        self._held += 1
        if self._held > _MAX_HELD:
            raise UpstreamUnavailable(f"no name for a tool call in {_MAX_HELD} events")
        return Step(hold=True, names=tuple(names)) if names else HOLD

    def finish(self) -> tuple[str, ...]:
        names: list[str] = []
        for slot in sorted(self._open, key=str):
            self._complete(slot, names)
        return tuple(names)

    def _feed_choice(self, choice: JsonObject, names: list[str]) -> None:
        number = choice.get("index")
        index = number if type(number) is int else _FIRST
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._feed_delta(index, delta, names)
        names += names_called(choice.get("message"))  # a server that sends its whole answer as one event
        if self._open and choice.get("finish_reason") is not None:
            for slot in [slot for slot in self._open if slot[0] == index]:
                self._complete(slot, names)

    def _feed_delta(self, choice: int, delta: JsonObject, names: list[str]) -> None:
        for piece in _calls(delta):
            self._feed_piece(choice, piece, names)
        legacy = delta.get("function_call")
        if legacy is not None:
            self._take((choice, _LEGACY), None, legacy, names)
        if self._open and delta.get("content"):
            self._complete_named(choice, None, names)

    def _feed_piece(self, choice: int, piece: object, names: list[str]) -> None:
        body = _body(piece)
        index, call_id = (piece.get("index"), piece.get("id")) if isinstance(piece, dict) else (None, None)
        self._take(self._slot(choice, index, call_id), call_id, body, names)

    def _slot(self, choice: int, index: object, call_id: object) -> Slot:
        if type(index) is int:
            return choice, index
        if isinstance(call_id, str) and call_id:
            return choice, call_id[:MAX_NAME_CHARS]
        return self._latest.get(choice, (choice, _FIRST))

    def _take(self, slot: Slot, call_id: object, body: object, names: list[str]) -> None:
        call = self._calls.get(slot)
        if call is None or (call_id and call.call_id and call_id != call.call_id):
            call = self._begin(slot, call_id, names)
        call.call_id = call.call_id or call_id
        if body is None:
            return
        if not isinstance(body, dict):
            raise unnameable_call("its function is no object")
        piece = body.get("name")
        if piece:
            self._extend(slot, call, piece, names)
        if call.name and not call.complete and (body.get("arguments") or body.get("input")):
            self._complete(slot, names)

    def _begin(self, slot: Slot, call_id: object, names: list[str]) -> _Call:
        if slot in self._open:  # the same index under a new id: some servers send index 0 for every call
            self._complete(slot, names)
        self._complete_named(slot[0], slot, names)
        if len(self._calls) >= MAX_CALLS and slot not in self._calls:
            raise UpstreamUnavailable(f"the upstream's answer has more than {MAX_CALLS} tool calls")
        call = self._calls[slot] = _Call(call_id)
        self._open.add(slot)
        self._latest[slot[0]] = slot
        return call

    def _extend(self, slot: Slot, call: _Call, piece: object, names: list[str]) -> None:
        piece = called_name(piece)
        if call.complete:
            if piece == call.name:  # some servers repeat the name in every event
                return
            # Clients differ: most append a late piece, some put it in the place of what they had. Report both.
            names.append(piece)
            call.complete = False
            self._open.add(slot)
        call.name = called_name(call.name + piece)

    def _complete_named(self, choice: int, but: Slot | None, names: list[str]) -> None:
        for slot in [slot for slot in self._open if slot[0] == choice and slot != but and self._calls[slot].name]:
            self._complete(slot, names)

    def _complete(self, slot: Slot, names: list[str]) -> None:
        call = self._calls[slot]
        if not call.name:
            raise unnameable_call("the call ended without a name")
        call.complete = True
        self._open.discard(slot)
        names.append(call.name)
