"""Streams of choices: Chat and Completions.

A text ends with its choice, wherever in a delta it stands, and so does a call, or when another call takes its index.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from partywall.errors import UpstreamUnavailable
from partywall.gateway.scanning.channels import Event, EventScan, place_of
from partywall.gateway.scanning.parts import Steps, fed_parts, part_at
from partywall.gateway.scanning.texts import Texts
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import objects

__all__ = ["ChoicesScan"]

_LEGACY: Final = "function_call"
_KEPT_WHOLE: Final = frozenset({"role", "id"})
_ARGUMENTS: Final = (("function", "arguments"), ("custom", "input"), (_LEGACY, "arguments"))
_Slot = tuple[int | str, int | str]
"""A choice, and a call in it."""


class _Call:
    """One call, held until it is complete."""

    __slots__ = ("call_id", "name", "pieces")

    def __init__(self, call_id: object) -> None:
        self.call_id = call_id
        self.name = ""
        self.pieces: list[JsonObject] = []


class ChoicesScan(EventScan):
    """The scan of a stream of Chat, or of Completions. A server's logprobs, which tell a text again, are left out."""

    def __init__(self, texts: Texts) -> None:
        super().__init__(texts)
        self._calls: dict[_Slot, _Call] = {}
        self._latest: dict[int | str, int | str] = {}
        self._base: JsonObject = {}
        self._name = b""

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        choices = event.pop("choices", None)
        event = self._walked(event)
        self._name, self._base = name, {key: value for key, value in event.items() if key != "usage"}
        if not isinstance(choices, list):
            return [(name, event if choices is None else {**event, "choices": self._walk.value("", choices)})]
        before: list[Event] = []
        told = [new for choice in objects(choices) if (new := self._choice(choice, before)) is not None]
        if choices and not told and event.get("usage") is None:
            return before
        return [*before, (name, {**event, "choices": told})]

    def finish(self) -> list[Event]:
        places = {key[0] for key in self._channels if isinstance(key, tuple)} | {slot[0] for slot in self._calls}
        return [each for place in sorted(places, key=str) for each in self._end(place)]

    def _choice(self, choice: JsonObject, before: list[Event]) -> JsonObject | None:
        """A choice as it may go out; None for one with nothing left to say. `before` gets what goes out first."""
        place = place_of(choice.get("index"))
        delta, text = choice.get("delta"), choice.get("text")
        rest = {key: value for key, value in choice.items() if key not in ("delta", "text")}
        said = self._walked(rest)
        is_quiet = set(choice) <= {"index", "delta", "text", "logprobs", "finish_reason"}
        if isinstance(text, str):
            said["text"] = self._fed((place, "text"), text)
            is_quiet = is_quiet and bool(text) and not said["text"]
        if "delta" in choice and not isinstance(delta, dict):
            said["delta"] = None
        elif isinstance(delta, dict):
            said["delta"], is_silent = self._delta(place, delta, before)
            is_quiet = is_quiet and is_silent
        if choice.get("finish_reason") is not None:
            self._end_here(place, said, before)
            before += self._end(place)
            return said
        return None if is_quiet and ("delta" in said or "text" in said) else said

    def _end_here(self, place: int | str, said: JsonObject, before: list[Event]) -> None:
        """The rest of the texts that the choice's last event goes on with stands behind what it says of them."""
        delta = said.get("delta")
        if isinstance(delta, dict) and (parts := {key: delta[key] for key in delta if _is_parted(delta[key])}):
            before.append(self._made(place, {"delta": parts}))
            said["delta"] = {key: value for key, value in delta.items() if key not in parts}
        for holder in (said, said.get("delta")):
            for field, text in list(holder.items()) if isinstance(holder, dict) else ():
                if isinstance(text, str) and isinstance(holder, dict):
                    holder[field] = text + self._ended((place, field))

    def _delta(self, place: int | str, delta: JsonObject, before: list[Event]) -> tuple[JsonObject, bool]:
        """A delta as it may go out, and whether nothing is left of it."""
        said: JsonObject = {}
        is_silent = bool(delta)
        for key, value in delta.items():
            if key == "tool_calls" and isinstance(value, list):
                for piece in objects(value):
                    self._take(place, piece, before)
            elif key == _LEGACY and isinstance(value, dict):
                self._keep((place, _LEGACY), {_LEGACY: value}, value)
            elif isinstance(value, str) and key not in _KEPT_WHOLE:
                said[key] = released = self._fed((place, key), value)
                is_silent = is_silent and bool(value) and not released
            else:
                said[key] = fed_parts(self._walk, partial(self._fed_part, place), value, (key,))
                is_silent = False
        return said, is_silent

    def _fed_part(self, place: int | str, steps: Steps, text: str) -> str:
        return self._fed((place, steps), text)

    def _take(self, place: int | str, piece: JsonObject, before: list[Event]) -> None:
        """Keep a piece of a call."""
        index, call_id = piece.get("index"), piece.get("id")
        if type(index) is int:
            number: int | str = index
        elif isinstance(call_id, str) and call_id:
            number = call_id
        else:
            number = self._latest.get(place, 0)
        known = self._calls.get((place, number))
        if known is not None and call_id and known.call_id and call_id != known.call_id:
            before += self._complete((place, number))  # some servers send index 0 for every call
        self._latest[place] = number
        self._keep((place, number), piece, *(piece.get(kind) for kind, _ in _ARGUMENTS))

    def _keep(self, slot: _Slot, piece: JsonObject, *bodies: object) -> None:
        call = self._calls.get(slot)
        if call is None:
            self._hold(slot, "")
            call = self._calls[slot] = _Call(piece.get("id"))
        call.call_id = call.call_id or piece.get("id")
        for body in objects(list(bodies)):
            for field in ("arguments", "input"):
                if isinstance(text := body.get(field), str):
                    self._hold(slot, text)
                    body[field] = ""
            if isinstance(name := body.get("name"), str):
                call.name += name
        if not call.pieces or _says_something(piece):
            call.pieces.append(piece)
        if len(call.pieces) > 10_000:
            raise UpstreamUnavailable("a tool call of the upstream's has no end")

    def _end(self, place: int | str) -> list[Event]:
        """What is left of a choice."""
        out: list[Event] = []
        for key in [key for key in self._channels if isinstance(key, tuple) and key[0] == place]:
            if rest := self._ended(key):
                field = key[1]
                delta = part_at(field, rest) if isinstance(field, tuple) else {field: rest}
                out.append(self._made(place, {"text": rest} if field == "text" else {"delta": delta}))
        for slot in [slot for slot in self._calls if slot[0] == place]:
            out += self._complete(slot)
        return out

    def _complete(self, slot: _Slot) -> list[Event]:
        """A call that is complete: its pieces, and its arguments in the last of them."""
        call = self._calls.pop(slot)
        self._texts.look_at(call.name)
        pieces = [self._walked(piece) for piece in call.pieces]
        if arguments := self._let_go(slot):
            _put(pieces[-1], arguments)
        deltas = [piece if _LEGACY in piece else {"tool_calls": [piece]} for piece in pieces]
        return [self._made(slot[0], {"delta": delta}) for delta in deltas]

    def _made(self, place: int | str, fields: JsonObject) -> Event:
        choice = {"index": place, **fields, "finish_reason": None}
        return self._name, {**self._base, "choices": [choice]}


def _is_parted(value: object) -> bool:
    return isinstance(value, list | dict) and bool(value)


def _put(piece: JsonObject, arguments: str) -> None:
    """Put a call's arguments into a piece of it."""
    for kind, field in _ARGUMENTS:
        body = piece.get(kind)
        if isinstance(body, dict):
            piece[kind] = {**body, field: arguments}
            return
    piece["function"] = {"arguments": arguments}


def _says_something(piece: JsonObject) -> bool:
    """Whether a piece of a call, its arguments apart, says anything but where it belongs."""
    for key, value in piece.items():
        if isinstance(value, dict):
            if any(each for field, each in value.items() if field not in ("arguments", "input")):
                return True
        elif key not in ("index", "type") and value:
            return True
    return False
