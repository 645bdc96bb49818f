"""`filter_tools`: what a role may not use is gone, and what is left is a request that its API takes."""

from __future__ import annotations

import copy

import pytest

from partywall.errors import ToolDenied
from partywall.gateway.wire import WIRES, Api
from partywall.gateway.wire.shapes import JsonObject


def _allowed(name: str) -> bool:
    return not name.startswith(("wipe", "mcp:evil", "web_search"))


def _chat(name: str) -> JsonObject:
    return {"type": "function", "function": {"name": name}}


def _flat(name: str) -> JsonObject:
    return {"type": "function", "name": name}


def _adding(name: str) -> JsonObject:
    block: JsonObject = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": name}}
    return {"role": "system", "content": [block]}


CASES: list[tuple[str, Api, JsonObject, JsonObject, list[str]]] = [
    (
        "nothing to take",
        Api.CHAT,
        {"tools": [_chat("a")], "tool_choice": "auto"},
        {"tools": [_chat("a")], "tool_choice": "auto"},
        [],
    ),
    ("an empty list stays", Api.CHAT, {"tools": [], "tool_choice": "auto"}, {"tools": [], "tool_choice": "auto"}, []),
    ("one of two", Api.CHAT, {"tools": [_chat("wipe"), _chat("a")]}, {"tools": [_chat("a")]}, ["wipe"]),
    (
        "each name once",
        Api.CHAT,
        {"tools": [_chat("wipe"), _chat("wipe"), _chat("a")]},
        {"tools": [_chat("a")]},
        ["wipe"],
    ),
    (
        "none left",
        Api.CHAT,
        {"tools": [_chat("wipe")], "tool_choice": "auto", "parallel_tool_calls": True, "n": 1},
        {"n": 1},
        ["wipe"],
    ),
    (
        "older functions",
        Api.CHAT,
        {"functions": [{"name": "wipe"}, {"name": "a"}]},
        {"functions": [{"name": "a"}]},
        ["wipe"],
    ),
    ("no older function left", Api.CHAT, {"functions": [{"name": "wipe"}], "function_call": "auto"}, {}, ["wipe"]),
    (
        "functions gone, tools stay",
        Api.CHAT,
        {"functions": [{"name": "wipe"}], "function_call": "auto", "tools": [_chat("a")], "tool_choice": "auto"},
        {"tools": [_chat("a")], "tool_choice": "auto"},
        ["wipe"],
    ),
    (
        "search options",
        Api.CHAT,
        {"web_search_options": {}, "tools": [_chat("a")]},
        {"tools": [_chat("a")]},
        ["web_search"],
    ),
    (
        "search in both places",
        Api.CHAT,
        {"web_search_options": {}, "search_parameters": {}, "tools": [{"type": "web_search"}]},
        {},
        ["web_search"],
    ),
    (
        "tools of a message",
        Api.CHAT,
        {"messages": [{"role": "system", "tools": [_chat("wipe"), _chat("a")]}]},
        {"messages": [{"role": "system", "tools": [_chat("a")]}]},
        ["wipe"],
    ),
    (
        "two names, one denied",
        Api.CHAT,
        {"tools": [{**_chat("a"), "name": "wipe"}, _chat("b")]},
        {"tools": [_chat("b")]},
        ["wipe"],
    ),
    (
        "a narrowed choice",
        Api.CHAT,
        {
            "tools": [_chat("a"), _chat("wipe")],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [_chat("a"), _chat("wipe")]},
            },
        },
        {
            "tools": [_chat("a")],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_chat("a")]}},
        },
        ["wipe"],
    ),
    (
        "a choice with nothing left means none, not all",
        Api.CHAT,
        {
            "tools": [_chat("a"), _chat("wipe")],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_chat("wipe")]}},
        },
        {"tools": [_chat("a")], "tool_choice": "none"},
        ["wipe"],
    ),
    (
        "a choice names what isn't offered",
        Api.RESPONSES,
        {
            "tools": [_flat("a")],
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [_flat("a"), _flat("wipe")]},
        },
        {"tools": [_flat("a")], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [_flat("a")]}},
        ["wipe"],
    ),
    (
        "built-in",
        Api.RESPONSES,
        {"tools": [{"type": "web_search_preview"}, _flat("a")]},
        {"tools": [_flat("a")]},
        ["web_search"],
    ),
    (
        "MCP server",
        Api.RESPONSES,
        {"tools": [{"type": "mcp", "server_label": "evil"}, {"type": "mcp", "server_label": "crm"}]},
        {"tools": [{"type": "mcp", "server_label": "crm"}]},
        ["mcp:evil"],
    ),
    (
        "inside a namespace",
        Api.RESPONSES,
        {"tools": [{"type": "namespace", "name": "n", "tools": [_flat("wipe"), _flat("a")]}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [_flat("a")]}]},
        ["wipe"],
    ),
    (
        "a namespace with nothing left",
        Api.RESPONSES,
        {"tools": [{"type": "namespace", "tools": [_flat("wipe")]}]},
        {},
        ["wipe"],
    ),
    (
        "an empty namespace stays",
        Api.RESPONSES,
        {"tools": [{"type": "namespace", "tools": []}]},
        {"tools": [{"type": "namespace", "tools": []}]},
        [],
    ),
    (
        "tools of an input item",
        Api.RESPONSES,
        {"input": [{"type": "additional_tools", "tools": [_flat("wipe"), _flat("a")]}], "tool_choice": "auto"},
        {"input": [{"type": "additional_tools", "tools": [_flat("a")]}], "tool_choice": "auto"},
        ["wipe"],
    ),
    ("Messages", Api.MESSAGES, {"tools": [{"name": "wipe"}, {"name": "a"}]}, {"tools": [{"name": "a"}]}, ["wipe"]),
    ("Messages, none left", Api.MESSAGES, {"tools": [{"name": "wipe"}], "tool_choice": {"type": "auto"}}, {}, ["wipe"]),
    (
        "an MCP server and its toolset",
        Api.MESSAGES,
        {
            "mcp_servers": [{"type": "url", "name": "evil"}],
            "tools": [{"type": "mcp_toolset", "mcp_server_name": "evil"}, {"name": "a"}],
        },
        {"tools": [{"name": "a"}]},
        ["mcp:evil"],
    ),
    (
        "a disguised server tool",
        Api.MESSAGES,
        {"tools": [{"name": "calculator", "type": "web_search_20250305"}, {"name": "a"}]},
        {"tools": [{"name": "a"}]},
        ["web_search"],
    ),
    ("an allowed addition", Api.MESSAGES, {"messages": [_adding("a")]}, {"messages": [_adding("a")]}, []),
]


@pytest.mark.parametrize(
    ("api", "body", "left", "removed"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_filter(api: Api, body: JsonObject, left: JsonObject, removed: list[str]) -> None:
    body = copy.deepcopy(body)
    assert WIRES[api].filter_tools(body, _allowed) == removed
    assert body == left


DENIED: list[tuple[Api, JsonObject]] = [
    (Api.CHAT, {"tools": [_chat("wipe")], "tool_choice": "required"}),
    (Api.CHAT, {"tools": [_chat("wipe")], "tool_choice": "any"}),
    (Api.CHAT, {"tools": [_chat("a"), _chat("wipe")], "tool_choice": _chat("wipe")}),
    (Api.CHAT, {"tools": [_chat("wipe")], "tool_choice": _chat("a")}),
    (Api.CHAT, {"tool_choice": _chat("wipe")}),
    (Api.CHAT, {"functions": [{"name": "wipe"}], "function_call": {"name": "wipe"}}),
    (
        Api.CHAT,
        {
            "tools": [_chat("a"), _chat("wipe")],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [_chat("wipe")]}},
        },
    ),
    (Api.RESPONSES, {"tools": [_flat("wipe")], "tool_choice": "required"}),
    (Api.RESPONSES, {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search_preview"}}),
    (Api.RESPONSES, {"tool_choice": {"type": "mcp", "server_label": "evil", "name": "innocent"}}),
    (Api.MESSAGES, {"tools": [{"name": "wipe"}], "tool_choice": {"type": "any"}}),
    (Api.MESSAGES, {"tools": [{"name": "wipe"}, {"name": "a"}], "tool_choice": {"type": "tool", "name": "wipe"}}),
    (Api.MESSAGES, {"messages": [_adding("wipe")]}),
]


@pytest.mark.parametrize(("api", "body"), DENIED)
def test_denied(api: Api, body: JsonObject) -> None:
    with pytest.raises(ToolDenied):
        WIRES[api].filter_tools(copy.deepcopy(body), _allowed)


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES, Api.MESSAGES])
def test_a_role_without_tools_gets_none(api: Api) -> None:
    body: JsonObject = {"tools": [{"name": "a"}, {"name": "b"}], "model": "m"}
    assert WIRES[api].filter_tools(body, lambda _name: False) == ["a", "b"]
    assert body == {"model": "m"}
