"""Anthropic's Messages.

Tools are offered in `tools`, as whole servers in `mcp_servers`, and in the middle of a conversation by `tool_addition`
blocks (also kept in `compaction` blocks). Calls are blocks of the content; a stream starts each with its whole name.

Instructions are the first block of `system`; blocks of the client's follow as they are, with their `cache_control`.
"""

from __future__ import annotations

from typing import Final

import orjson

from partywall.errors import PartywallError
from partywall.gateway.wire import refusals
from partywall.gateway.wire.base import Wire
from partywall.gateway.wire.instructions import turns_of
from partywall.gateway.wire.material import beside_question
from partywall.gateway.wire.refusals import Header
from partywall.gateway.wire.shapes import JsonObject, Usage, called_name, malformed, objects, token_count
from partywall.gateway.wire.tool_filter import Shelf, shelf_at
from partywall.gateway.wire.tool_names import builtin_name, entry_names, mcp_name, server_names
from partywall.gateway.wire.tool_watch import AnnouncedCalls, ToolWatch
from partywall.upstream.api import Api

__all__ = ["MessagesWire"]

_USE: Final = "tool_use"


class MessagesWire(Wire):
    """`/v1/messages`."""

    __slots__ = ()
    takes_instructions = True

    def __init__(self) -> None:
        super().__init__(Api.MESSAGES)

    def tool_names_in_answer(self, answer: JsonObject) -> list[str]:
        return [name for block in objects(answer.get("content")) if (name := _called(block)) is not None]

    def tool_names_in_event(self, event: JsonObject) -> list[str]:
        block = event.get("content_block")
        if isinstance(block, dict):
            name = _called(block)
            return [] if name is None else [name]
        message = event.get("message")
        return self.tool_names_in_answer(message) if isinstance(message, dict) else []

    def watch(self) -> ToolWatch:
        return AnnouncedCalls(self.tool_names_in_event, _announces, _continues)

    def usage(self, message: JsonObject) -> Usage | None:
        """`input_tokens` leaves out what came from or went to the prompt cache; here it is counted in."""
        begun = message.get("message")
        usage = (begun if isinstance(begun, dict) else message).get("usage")
        if not isinstance(usage, dict):
            return None
        tokens_in = (
            token_count(usage.get("input_tokens"))
            + token_count(usage.get("cache_creation_input_tokens"))
            + token_count(usage.get("cache_read_input_tokens"))
        )
        return Usage(tokens_in, token_count(usage.get("output_tokens")))

    def error_body(self, error: PartywallError, request_id: str) -> tuple[list[Header], bytes]:
        return refusals.headers(error, request_id), orjson.dumps(refusals.anthropic_error(error, request_id))

    def error_events(self, error: PartywallError, request_id: str) -> bytes:
        """An `error` event ends a stream of Messages; nothing follows it."""
        return refusals.sse(refusals.anthropic_error(error, request_id), b"error")

    def _shelves(self, body: JsonObject) -> list[Shelf]:
        shelves = shelf_at(body, "tools")
        for shelf in shelf_at(body, "mcp_servers"):
            shelves.append(Shelf(shelf.entries, shelf.where, server_names))
        added = _added_tools(body)
        if added:
            shelves.append(Shelf(added, "messages.tool_addition", _added_names, fixed=True))
        return shelves

    def _put_first(self, body: JsonObject, text: str) -> None:
        turns_of(Api.MESSAGES, body, "messages")
        theirs = body.get("system")
        if isinstance(theirs, str):
            theirs = [{"type": "text", "text": theirs}] if theirs else []
        elif theirs is None:
            theirs = []
        elif not isinstance(theirs, list) or len(objects(theirs)) != len(theirs):
            raise malformed("`system` must be a text or a list of objects")
        body["system"] = [{"type": "text", "text": text}, *theirs]

    def _put_material(self, body: JsonObject, text: str) -> None:
        messages = turns_of(Api.MESSAGES, body, "messages")
        body["messages"] = beside_question(messages, text, {"type": "text", "text": text})


def _added_tools(body: JsonObject) -> list[object]:
    """The tools that blocks of the conversation add to those offered."""
    added: list[object] = []
    for message in objects(body.get("messages")):
        content = message.get("content")
        for block in objects(content) if isinstance(content, list) else ():
            kind = block.get("type")
            if kind == "tool_addition":
                added.append(block.get("tool"))
            elif kind == "compaction":
                changes = objects(block.get("tool_changes"))
                added += [change.get("tool") for change in changes if change.get("type") == "tool_addition"]
    return added


def _added_names(tool: object, where: str) -> tuple[str, ...]:
    """How an added tool is called: it refers to one, to an MCP server, or carries a definition."""
    if not isinstance(tool, dict):
        raise malformed(f"each `{where}` must hold an object `tool`")
    kind = tool.get("type")
    if kind == "tool_definition":
        return entry_names(tool.get("definition"), where)
    if kind in ("mcp_tool_reference", "mcp_toolset_reference"):
        return (mcp_name(tool.get("server_name"), where),)
    if kind == "tool_reference":
        return entry_names({"name": tool.get("name")}, where)
    raise malformed(f"each `{where}` must refer to a tool or define one")


def _called(block: JsonObject) -> str | None:
    """The tool that a content block calls; None for blocks that call none.

    Raises:
        ToolDenied: it calls one without a name.
    """
    kind = block.get("type")
    if not isinstance(kind, str) or not kind.endswith(_USE):
        return None
    if kind == "mcp_tool_use":
        return f"mcp:{called_name(block.get('server_name'))}"
    toolset = block.get("toolset_name")  # `left_click` of the toolset that was offered as `computer`
    return builtin_name(called_name(block.get("name"))) if kind != _USE else called_name(toolset or block.get("name"))


def _announces(event: JsonObject) -> object:
    block = event.get("content_block")
    return event.get("index") if isinstance(block, dict) and _called(block) is not None else None


def _continues(event: JsonObject) -> object:
    delta = event.get("delta")
    if not isinstance(delta, dict) or delta.get("type") != "input_json_delta":
        return None
    return event.get("index", -1)
