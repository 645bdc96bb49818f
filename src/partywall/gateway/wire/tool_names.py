"""What a tool is called, in every place where an API names one.

Promises: a tool has the same name when it is offered, when it is forced and when it is called, so that one rule of a
role covers all three:

- a function or custom tool: the name its caller gave it, inside a namespace too;
- a built-in: its type without `_preview`, `_toolset` and date, so `web_search_preview_2025_03_11` and
  `web_search_20250305` are both `web_search`; what runs inside another is that other (`bash_code_execution` is
  `code_execution`); a computer is `computer` whatever the age of the API;
- an MCP server: `mcp:` and its label.

An entry that different servers would read differently has several names, and each of them must be allowed. An entry
without a name, or with a member respelt in another case for a parser that ignores case, is refused.

Doesn't promise: that an MCP label says which server is meant. The label is the caller's word, and so is the URL.
"""

from __future__ import annotations

import re
from typing import Final

from partywall.gateway.wire.shapes import MAX_NAME_CHARS, JsonObject, is_name, malformed

__all__ = ["builtin_name", "entry_names", "is_namespace", "mcp_name", "nested_tools", "server_names"]

_NAMED_BY_CALLER: Final = frozenset({"function", "custom", "tool", "namespace"})
"""Types that say nothing about the tool itself."""

_READ: Final = frozenset({"custom", "function", "mcp_server_name", "name", "server_label", "tools", "type"})
"""The members that decide what an entry is called."""

_USUAL: Final = _READ | {
    "allowed_callers",
    "cache_control",
    "container",
    "description",
    "format",
    "input_schema",
    "parameters",
    "strict",
}

_PLAIN: Final = _USUAL - {"custom", "function"}
"""The usual members of an entry that has its name in one place."""

_UNDATED: Final = re.compile(r"(?:_preview)?(?:_toolset)?(?:_20\d\d_?\d\d_?\d\d)?\Z", re.ASCII)

_SAME_AS: Final = {
    "computer_use": "computer",
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "program": "programmatic_tool_calling",
}

_TEXT_EDITOR: Final = "text_editor"
"""The one built-in of Anthropic whose name isn't its type: callers know it as `str_replace_based_edit_tool`."""


def builtin_name(kind: str) -> str:
    """The name of the built-in of type `kind`."""
    name = _UNDATED.sub("", kind, count=1) or kind
    return _SAME_AS.get(name, name)


def mcp_name(label: object, where: str) -> str:
    """The name of the MCP server that its caller labels `label`.

    Raises:
        BadRequest: it has no label.
    """
    if not isinstance(label, str) or not label:
        raise malformed(f"each MCP server in `{where}` needs a label")
    return _checked(f"mcp:{label}", where)


def entry_names(entry: object, where: str) -> tuple[str, ...]:
    """Every name under which a server might read `entry`, an offered or a chosen tool; at least one.

    Raises:
        BadRequest: it isn't an object, or it has no name.
    """
    if not isinstance(entry, dict):
        raise malformed(f"each entry of `{where}` must be an object")
    # A shortcut for what nearly every client sends, and no rule of its own: the full look finds the same name.
    kind = entry.get("type")
    if kind is None or kind == "function" or kind == "custom":
        holder = entry.get("function", entry) if kind is not None and len(entry) == 2 else entry
        if isinstance(holder, dict) and _PLAIN.issuperset(holder):
            name = holder.get("name")
            if is_name(name):
                return (name,)
    return _every_name(entry, where)


def _every_name(entry: JsonObject, where: str) -> tuple[str, ...]:
    _refuse_respelt(entry, where)
    names = _given_names(entry, where)
    names += _type_names(entry, names, where)
    if not names:
        raise malformed(f"each entry of `{where}` must name its tool")
    return tuple(dict.fromkeys(names))


def server_names(entry: object, where: str) -> tuple[str, ...]:
    """The name of an entry of Anthropic's `mcp_servers`."""
    if not isinstance(entry, dict):
        raise malformed(f"each entry of `{where}` must be an object")
    _refuse_respelt(entry, where)
    return (mcp_name(entry.get("name"), where),)


def is_namespace(entry: object) -> bool:
    """Whether `entry` only groups other tools, as in the Responses API."""
    return isinstance(entry, dict) and entry.get("type") == "namespace"


def nested_tools(entry: JsonObject, where: str) -> list[object]:
    """The tools that the namespace `entry` groups.

    Raises:
        BadRequest: they aren't a list, or a namespace stands in a namespace.
    """
    _refuse_respelt(entry, where)
    nested = entry.get("tools")
    if not isinstance(nested, list):
        raise malformed(f"each namespace in `{where}` must list its tools")
    if any(is_namespace(tool) for tool in nested):
        raise malformed(f"a namespace in `{where}` can't hold another")
    return nested


def _given_names(entry: JsonObject, where: str) -> list[str]:
    """The names that the caller chose: flat in Responses and Messages, one level down in Chat.

    All of them count: a server that knows only functions reads `function.name` whatever the type says.
    """
    kind = entry.get("type")
    # The `name` beside an MCP label is a tool of that server, and a namespace's own is no tool.
    names = [] if kind == "mcp" or kind == "namespace" else _name_of(entry, where)
    for member in ("function", "custom"):
        inner = entry.get(member)
        if isinstance(inner, dict):
            _refuse_respelt(inner, where)
            names += _name_of(inner, where)
    return names


def _name_of(holder: JsonObject, where: str) -> list[str]:
    name = holder.get("name")
    return [] if name is None else [_checked(name, where)]


def _type_names(entry: JsonObject, given: list[str], where: str) -> list[str]:
    """The name that the entry's type says, if any."""
    kind = entry.get("type")
    if kind is None or (isinstance(kind, str) and kind in _NAMED_BY_CALLER):
        return []
    if kind == "mcp":
        return [mcp_name(entry.get("server_label"), where)]
    if kind == "mcp_toolset":
        return [mcp_name(entry.get("mcp_server_name"), where)]
    name = builtin_name(_checked(kind, where))
    return [] if given and name == _TEXT_EDITOR else [name]


def _checked(name: object, where: str) -> str:
    if not is_name(name):
        raise malformed(f"each entry of `{where}` must name its tool in 1 to {MAX_NAME_CHARS} printable characters")
    return name


def _refuse_respelt(entry: JsonObject, where: str) -> None:
    """Refuse `Name` beside or instead of `name`: a Go server (Ollama) would read it, and we wouldn't."""
    if _USUAL.issuperset(entry):
        return
    for key in entry:
        if key not in _READ and key.casefold() in _READ:
            raise malformed(f"members of an entry of `{where}` must be spelled in lower case")
