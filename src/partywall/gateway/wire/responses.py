"""Responses.

Tools are offered in `tools`, and in the `tools` of input items (`additional_tools`, the output of a client's own tool
search). Calls are items of the output; a stream announces each with its whole name before its arguments.

Instructions are the beginning of `instructions`, which comes before every item of the input.
"""

from __future__ import annotations

from typing import Final

from partywall.errors import PartywallError
from partywall.gateway.wire import refusals
from partywall.gateway.wire.instructions import turns_of
from partywall.gateway.wire.material import beside_question
from partywall.gateway.wire.openai_family import OpenAIWire
from partywall.gateway.wire.shapes import JsonObject, Usage, called_name, malformed, objects, token_count
from partywall.gateway.wire.tool_filter import Shelf, shelf_at
from partywall.gateway.wire.tool_names import builtin_name
from partywall.gateway.wire.tool_watch import AnnouncedCalls, ToolWatch
from partywall.upstream.api import Api

__all__ = ["ResponsesWire"]

_CALL: Final = "_call"
_NAMED_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
_MCP_ITEMS: Final = frozenset({"mcp_call", "mcp_list_tools", "mcp_approval_request"})

_BUILTIN_EVENTS: Final = {
    f"response.{kind}.{state}": builtin_name(kind.removesuffix("_code").removesuffix("_command").removesuffix(_CALL))
    for kind, states in {
        "code_interpreter_call": ("in_progress", "interpreting", "completed"),
        "code_interpreter_call_code": ("delta", "done"),
        "file_search_call": ("in_progress", "searching", "completed"),
        "image_generation_call": ("in_progress", "generating", "partial_image", "completed"),
        "shell_call_command": ("added", "delta", "done"),
        "web_search_call": ("in_progress", "searching", "completed"),
    }.items()
    for state in states
}
"""Events of built-ins, which say by their type which one runs."""

_ARGUMENT_EVENTS: Final = frozenset(
    f"response.{kind}.{state}"
    for kind in ("function_call_arguments", "custom_tool_call_input", "mcp_call_arguments")
    for state in ("delta", "done")
)


class ResponsesWire(OpenAIWire):
    """`/v1/responses`."""

    __slots__ = ()
    takes_instructions = True

    def __init__(self) -> None:
        super().__init__(Api.RESPONSES)

    def tool_names_in_answer(self, answer: JsonObject) -> list[str]:
        return [name for item in objects(answer.get("output")) if (name := _called(item)) is not None]

    def tool_names_in_event(self, event: JsonObject) -> list[str]:
        names = []
        item = event.get("item")
        if isinstance(item, dict) and (name := _called(item)) is not None:
            names.append(name)
        response = event.get("response")
        if isinstance(response, dict):
            names += self.tool_names_in_answer(response)
        kind = event.get("type")
        if isinstance(kind, str) and (builtin := _BUILTIN_EVENTS.get(kind)) is not None:
            names.append(builtin)
        return names

    def watch(self) -> ToolWatch:
        return AnnouncedCalls(self.tool_names_in_event, _announces, _continues)

    def usage(self, message: JsonObject) -> Usage | None:
        response = message.get("response")
        usage = (response if isinstance(response, dict) else message).get("usage")
        if not isinstance(usage, dict):
            return None
        return Usage(token_count(usage.get("input_tokens")), token_count(usage.get("output_tokens")))

    def error_events(self, error: PartywallError, request_id: str) -> bytes:
        """The error is nested: OpenAI's client yields a flat `error` event like any other, and raises nothing."""
        event: JsonObject = {
            "type": "error",
            "sequence_number": 0,
            "code": error.code,
            "message": error.public_message,
            "param": None,
            **refusals.openai_error(error),
        }
        failed = refusals.responses_failure(error, request_id)
        return refusals.sse(event, b"error") + refusals.sse(failed, b"response.failed")

    def _shelves(self, body: JsonObject) -> list[Shelf]:
        shelves = shelf_at(body, "tools")
        for item in objects(body.get("input")):
            # A listing of an MCP server's tools is history; the server itself stands in `tools`.
            if item.get("tools") is not None and item.get("type") != "mcp_list_tools":
                shelves += shelf_at(item, "tools", "input.tools")
        return shelves

    def _put_first(self, body: JsonObject, text: str) -> None:
        theirs = body.get("instructions")
        if theirs is not None and not isinstance(theirs, str):
            raise malformed("`instructions` must be a text")
        if not isinstance(body.get("input"), str | None):
            turns_of(Api.RESPONSES, body, "input")
        body["instructions"] = f"{text}\n\n{theirs}" if theirs else text

    def _put_material(self, body: JsonObject, text: str) -> None:
        said = body.get("input")
        if said is None or isinstance(said, str):
            body["input"] = f"{text}\n\n{said}" if said else text
        else:
            items = turns_of(Api.RESPONSES, body, "input")
            body["input"] = beside_question(items, text, {"type": "input_text", "text": text})


def _called(item: JsonObject) -> str | None:
    """The tool that an output item calls; None for items that call none.

    Raises:
        ToolDenied: it calls one without a name.
    """
    kind = item.get("type")
    if not isinstance(kind, str):
        return None
    if kind in _NAMED_CALLS:
        return called_name(item.get("name"))
    if kind in _MCP_ITEMS:
        return f"mcp:{called_name(item.get('server_label'))}"
    if kind.endswith(_CALL) or kind == "program":
        return builtin_name(kind.removesuffix(_CALL))
    return None


def _announces(event: JsonObject) -> object:
    item = event.get("item")
    return event.get("output_index") if isinstance(item, dict) and _called(item) is not None else None


def _continues(event: JsonObject) -> object:
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in _ARGUMENT_EVENTS:
        return None
    return event.get("output_index", -1)
