"""Chat completions.

Tools are offered in `tools`, in the older `functions`, in the `tools` of a single message (an extension of SGLang), and
by fields that switch a search on.

Instructions are the first system message, and one with those that the client put at the beginning: some chat templates
take the first system message only, some the last only, and some refuse a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from partywall.gateway.wire.chat_calls import ChatCalls, names_called, pieces_of_names
from partywall.gateway.wire.instructions import turns_of
from partywall.gateway.wire.material import beside_question
from partywall.gateway.wire.openai_family import OpenAIWire
from partywall.gateway.wire.shapes import JsonObject, malformed, objects
from partywall.gateway.wire.tool_choice import Choice, read_choice, read_function_call
from partywall.gateway.wire.tool_filter import Shelf, offered_names, shelf_at
from partywall.gateway.wire.tool_watch import ToolWatch
from partywall.upstream.api import Api

__all__ = ["ChatWire"]

_SWITCHES: Final = {
    "web_search_options": "web_search",  # OpenAI
    "search_parameters": "web_search",  # xAI
    "enable_search": "web_search",  # DashScope
    "search_options": "web_search",
}
"""Fields whose presence is a tool."""


class ChatWire(OpenAIWire):
    """`/v1/chat/completions`."""

    __slots__ = ()
    takes_instructions = True

    def __init__(self) -> None:
        super().__init__(Api.CHAT)

    def requested_tools(self, body: JsonObject) -> list[str]:
        names = offered_names(self._shelves(body))
        if not _SWITCHES.keys().isdisjoint(body):
            names += [name for name in _switched_on(body).values() if name not in names]
        return names

    def filter_tools(self, body: JsonObject, allowed: Callable[[str], bool]) -> list[str]:
        removed = super().filter_tools(body, allowed)
        for field, name in _switched_on(body).items():
            if not allowed(name):
                del body[field]
                removed.append(name)
        return list(dict.fromkeys(removed))

    def tool_names_in_answer(self, answer: JsonObject) -> list[str]:
        return [name for choice in objects(answer.get("choices")) for name in names_called(choice.get("message"))]

    def tool_names_in_event(self, event: JsonObject) -> list[str]:
        names = []
        for choice in objects(event.get("choices")):
            names += pieces_of_names(choice.get("delta")) + names_called(choice.get("message"))
        return names

    def watch(self) -> ToolWatch:
        return ChatCalls()

    def _shelves(self, body: JsonObject) -> list[Shelf]:
        shelves = shelf_at(body, "tools")
        if "functions" in body:
            shelves += shelf_at(body, "functions")
        messages = body.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict) and message.get("tools") is not None:
                shelves += shelf_at(message, "tools", "messages.tools")
        return shelves

    def _put_first(self, body: JsonObject, text: str) -> None:
        messages = turns_of(Api.CHAT, body, "messages")
        behind, content = 0, _Content(text)
        while behind < len(messages) and _is_plain_system(messages[behind]):
            content.add(messages[behind]["content"])
            behind += 1
        body["messages"] = [{"role": "system", "content": content.value}, *messages[behind:]]

    def _put_material(self, body: JsonObject, text: str) -> None:
        messages = turns_of(Api.CHAT, body, "messages")
        body["messages"] = beside_question(messages, text, {"type": "text", "text": text})

    def _choice(self, body: JsonObject) -> Choice:
        choice = read_choice(body)
        if "function_call" not in body:
            return choice
        older = read_function_call(body)
        if choice.forced is not None and older.forced is not None and choice.forced != older.forced:
            raise malformed("`tool_choice` and `function_call` can't force two tools")
        return Choice(choice.must_call or older.must_call, choice.forced or older.forced)


class _Content:
    """The content of one message: a text, or a list of parts as soon as one of the client's is."""

    __slots__ = ("value",)

    def __init__(self, text: str) -> None:
        self.value: str | list[object] = text

    def add(self, more: object) -> None:
        if isinstance(more, list) or isinstance(self.value, list):
            self.value = _as_parts(self.value) + _as_parts(more)
        elif more:
            self.value = f"{self.value}\n\n{more}"


def _as_parts(content: object) -> list[object]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _is_plain_system(message: JsonObject) -> bool:
    """Whether it is a system message of nothing but text."""
    # Not `developer`: where the two differ, that would be a promotion.
    if message.get("role") != "system" or len(message) != len(("role", "content")):
        return False
    content = message.get("content")
    if isinstance(content, list):
        return all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content)
    return isinstance(content, str)


def _switched_on(body: JsonObject) -> dict[str, str]:
    return {field: name for field, name in _SWITCHES.items() if body.get(field) is not None}
