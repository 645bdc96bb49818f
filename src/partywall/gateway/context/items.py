"""Items of a conversation between a client, its tenant's store and a model.

Promises: a client's item is kept with its members as they came; nothing is kept at a client's word that points into a
vendor's account, and nothing that does is sent to a model, whoever wrote it. No id of ours is sent either.
"""

from __future__ import annotations

from typing import Final

from partywall.errors import PartywallError
from partywall.gateway.wire import WIRES, Api, JsonObject
from partywall.gateway.wire.shapes import malformed, objects
from partywall.gateway.wire.upstream_state import refuse_upstream_state
from partywall.stores import Item

__all__ = ["items_of_input", "kept_items", "sent_item", "shown_item", "text_part", "without_ids"]

_ROLES: Final = frozenset({"assistant", "critic", "developer", "discriminator", "system", "tool", "unknown", "user"})
_SENT_ROLES: Final = ("assistant", "developer", "system", "user")
_TYPES: Final = frozenset(
    {
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search_call",
        "function_call",
        "function_call_output",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "message",
        "program",
        "program_output",
        "reasoning",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""What a conversation may hold (the official client's `ConversationItem`)."""
_WITH_TOOLS: Final = ("additional_tools", "mcp_list_tools", "tool_search_output")
"""Those with a documented member `tools`."""


def kept_items(items: list[object], where: str) -> list[JsonObject]:
    """A client's items as they are kept. `where` is their field, for messages.

    Raises:
        BadRequest: one is no item of a known type, a message without role or content, or offers what no request may.
        NotFound: one refers to an object that a vendor keeps.
    """
    kept = [_kept(item, where) for item in items]
    _refuse_unsendable(kept)
    return kept


def shown_item(item: Item, *, with_results: bool) -> JsonObject:
    """An item as a client sees it; `with_results` when it asked for what a search found."""
    shown: JsonObject = {"id": item.id, **item.body}
    if shown.get("type") == "file_search_call" and not with_results:
        shown["results"] = None
    return shown


def items_of_input(said: object) -> list[JsonObject]:
    """The `input` of a request as items to be kept; what is no item is left to the model's API to refuse."""
    if isinstance(said, str):
        return [_message({"role": "user", "content": said}, "input")]
    items: list[JsonObject] = []
    for item in said if isinstance(said, list) else ():
        if not isinstance(item, dict):
            continue
        content = item.get("content")
        if "role" in item and isinstance(content, str):
            item = {**item, "content": [text_part(item["role"], content)]}
        items.append({"type": "message", "status": "completed", **item} if "type" not in item else item)
    return items


def without_ids(said: object) -> object:
    """The `input` of a request without the ids of its items, which are ours and mean nothing elsewhere."""
    if not isinstance(said, list):
        return said
    return [
        {name: value for name, value in item.items() if name != "id"}
        if isinstance(item, dict) and "id" in item
        else item
        for item in said
    ]


def sent_item(item: Item) -> JsonObject | None:
    """A stored item as a model is sent it; None for one that means nothing to it, or points into an account."""
    sent = dict(item.body)
    if sent.get("type") == "file_search_call":
        return None
    if sent.get("type") not in _WITH_TOOLS:
        sent.pop("tools", None)  # it means nothing there, and would be refused each time
    if sent.get("type") == "message":
        if sent.get("role") not in _SENT_ROLES:
            return None
        content = sent.get("content")
        parts = [text_part(sent["role"], content)] if isinstance(content, str) else objects(content)
        sent["content"] = [_without_sources(part) for part in parts]
    try:
        _refuse_unsendable([sent])
    except PartywallError:
        return None
    return sent


def _refuse_unsendable(items: list[JsonObject]) -> None:
    """Refuse items that every request with them would be refused for."""
    request: JsonObject = {"input": items}
    refuse_upstream_state(Api.RESPONSES, request, ())
    WIRES[Api.RESPONSES].requested_tools(request)


def _without_sources(part: JsonObject) -> JsonObject:
    return {**part, "annotations": []} if part.get("annotations") else part


def _kept(item: object, where: str) -> JsonObject:
    if not isinstance(item, dict):
        raise malformed(f"each of `{where}` must be an object")
    kind = item.get("type", "message" if "role" in item else None)
    if not isinstance(kind, str) or (kind not in _TYPES and kind != "item_reference"):
        raise malformed(f"each of `{where}` must have a known `type`")
    return _message(item, where) if kind == "message" else item


def _message(item: JsonObject, where: str) -> JsonObject:
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str) or role not in _ROLES:
        raise malformed(f"a message in `{where}` needs a known `role`")
    if isinstance(content, str):
        content = [text_part(role, content)]
    if not isinstance(content, list) or not all(_is_part(part) for part in content):
        raise malformed(f"the `content` of a message in `{where}` must be a text, or a list of typed parts")
    return {**item, "type": "message", "status": item.get("status", "completed"), "content": content}


def text_part(role: object, text: str) -> JsonObject:
    """A text as a part of a message's content."""
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def _is_part(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str)
