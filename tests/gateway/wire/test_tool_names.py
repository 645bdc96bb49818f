"""`requested_tools` and `forced_tool`: a tool has one name, wherever it stands."""

from __future__ import annotations

import pytest

from partywall.errors import BadRequest
from partywall.gateway.wire import WIRES, Api
from partywall.gateway.wire.shapes import JsonObject
from partywall.gateway.wire.tool_names import builtin_name

FUNCTION = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
FLAT = {"type": "function", "name": "get_weather", "parameters": {}, "strict": True}


def _adding(tool: JsonObject) -> JsonObject:
    return {"messages": [{"role": "system", "content": [{"type": "tool_addition", "tool": tool}]}]}


OFFERED: list[tuple[Api, JsonObject, list[str]]] = [
    (Api.CHAT, {}, []),
    (Api.CHAT, {"tools": []}, []),
    (Api.CHAT, {"tools": [FUNCTION]}, ["get_weather"]),
    (Api.CHAT, {"tools": [FUNCTION, FUNCTION]}, ["get_weather"]),
    (Api.CHAT, {"tools": [{"type": "custom", "custom": {"name": "sql"}}]}, ["sql"]),
    (Api.CHAT, {"tools": [{"function": {"name": "untyped"}}]}, ["untyped"]),
    (Api.CHAT, {"tools": [{"type": "web_search_preview"}]}, ["web_search"]),
    (Api.CHAT, {"tools": [{"type": "openrouter:web_search"}]}, ["openrouter:web_search"]),
    (Api.CHAT, {"functions": [{"name": "old"}]}, ["old"]),
    (Api.CHAT, {"tools": [FUNCTION], "functions": [{"name": "old"}]}, ["get_weather", "old"]),
    (Api.CHAT, {"web_search_options": {}}, ["web_search"]),
    (Api.CHAT, {"web_search_options": None}, []),
    (Api.CHAT, {"search_parameters": {"mode": "on"}}, ["web_search"]),
    # SGLang reads the tools of a single message.
    (Api.CHAT, {"messages": [{"role": "system", "content": "x", "tools": [FUNCTION]}]}, ["get_weather"]),
    (Api.CHAT, {"messages": [{"role": "system", "content": "x", "tools": None}, "odd", None]}, []),
    # Servers that know only functions read `function.name` whatever the type says: both names count.
    (Api.CHAT, {"tools": [{"type": "web_search", "function": {"name": "wipe"}}]}, ["wipe", "web_search"]),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": "a"}, "name": "b"}]}, ["b", "a"]),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": "a"}, "custom": {"name": "b"}}]}, ["a", "b"]),
    (Api.CHAT, {"tools": [{"type": "mcp", "server_label": "crm", "function": {"name": "a"}}]}, ["a", "mcp:crm"]),
    (Api.RESPONSES, {"tools": [FLAT]}, ["get_weather"]),
    (Api.RESPONSES, {"tools": [{"type": "custom", "name": "sql"}]}, ["sql"]),
    (Api.RESPONSES, {"tools": [{"type": "web_search"}]}, ["web_search"]),
    (Api.RESPONSES, {"tools": [{"type": "web_search_2025_08_26"}]}, ["web_search"]),
    (Api.RESPONSES, {"tools": [{"type": "web_search_preview_2025_03_11"}]}, ["web_search"]),
    (Api.RESPONSES, {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, ["file_search"]),
    (Api.RESPONSES, {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, ["code_interpreter"]),
    (Api.RESPONSES, {"tools": [{"type": "image_generation"}]}, ["image_generation"]),
    (Api.RESPONSES, {"tools": [{"type": "computer"}]}, ["computer"]),
    (Api.RESPONSES, {"tools": [{"type": "computer_use_preview"}]}, ["computer"]),
    (Api.RESPONSES, {"tools": [{"type": "local_shell"}, {"type": "shell"}]}, ["local_shell", "shell"]),
    (Api.RESPONSES, {"tools": [{"type": "apply_patch"}, {"type": "tool_search"}]}, ["apply_patch", "tool_search"]),
    (Api.RESPONSES, {"tools": [{"type": "programmatic_tool_calling"}]}, ["programmatic_tool_calling"]),
    (Api.RESPONSES, {"tools": [{"type": "mcp", "server_label": "crm", "server_url": "https://x"}]}, ["mcp:crm"]),
    (Api.RESPONSES, {"tools": [{"type": "namespace", "name": "ns", "tools": [FLAT]}]}, ["get_weather"]),
    (Api.RESPONSES, {"tools": [{"type": "namespace", "name": "ns", "tools": []}]}, []),
    (Api.RESPONSES, {"input": "hello"}, []),
    (Api.RESPONSES, {"input": [{"type": "additional_tools", "role": "developer", "tools": [FLAT]}]}, ["get_weather"]),
    (Api.RESPONSES, {"input": [{"type": "tool_search_output", "tools": [FLAT], "call_id": "c"}]}, ["get_weather"]),
    (Api.RESPONSES, {"input": [{"type": "some_future_item", "tools": [FLAT]}]}, ["get_weather"]),
    (Api.RESPONSES, {"input": [{"type": "mcp_list_tools", "server_label": "crm", "tools": [{"name": "x"}]}]}, []),
    (Api.MESSAGES, {"tools": [{"name": "get_weather", "input_schema": {}}]}, ["get_weather"]),
    (Api.MESSAGES, {"tools": [{"name": "sql", "type": "custom", "input_schema": {}}]}, ["sql"]),
    (Api.MESSAGES, {"tools": [{"name": "web_search", "type": "web_search_20250305"}]}, ["web_search"]),
    (Api.MESSAGES, {"tools": [{"name": "bash", "type": "bash_20250124"}]}, ["bash"]),
    (Api.MESSAGES, {"tools": [{"name": "computer", "type": "computer_20251124"}]}, ["computer"]),
    (Api.MESSAGES, {"tools": [{"type": "computer_toolset_20260801"}]}, ["computer"]),
    (Api.MESSAGES, {"tools": [{"name": "advisor", "type": "advisor_20260301", "model": "m"}]}, ["advisor"]),
    (
        Api.MESSAGES,
        {"tools": [{"name": "str_replace_based_edit_tool", "type": "text_editor_20250728"}]},
        ["str_replace_based_edit_tool"],
    ),
    (
        Api.MESSAGES,
        {"tools": [{"name": "tool_search_tool_bm25", "type": "tool_search_tool_bm25_20251119"}]},
        ["tool_search_tool_bm25"],
    ),
    # A server tool under an innocent name: the type counts too.
    (Api.MESSAGES, {"tools": [{"name": "calculator", "type": "web_fetch_20260318"}]}, ["calculator", "web_fetch"]),
    (Api.MESSAGES, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "crm"}]}, ["mcp:crm"]),
    (Api.MESSAGES, {"mcp_servers": [{"type": "url", "url": "https://x", "name": "crm"}]}, ["mcp:crm"]),
    (Api.MESSAGES, _adding({"type": "tool_reference", "name": "w"}), ["w"]),
    (Api.MESSAGES, _adding({"type": "mcp_toolset_reference", "server_name": "crm"}), ["mcp:crm"]),
    (
        Api.MESSAGES,
        _adding({"type": "tool_definition", "definition": {"name": "w", "type": "bash_20250124"}}),
        ["w", "bash"],
    ),
    (Api.MESSAGES, {"messages": [{"content": [{"type": "tool_removal", "tool": {"type": "tool_reference"}}]}]}, []),
    (
        Api.MESSAGES,
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "compaction",
                            "tool_changes": [
                                {
                                    "type": "tool_addition",
                                    "tool": {"type": "mcp_tool_reference", "server_name": "crm", "name": "x"},
                                },
                            ],
                        }
                    ],
                }
            ]
        },
        ["mcp:crm"],
    ),
    (Api.COMPLETIONS, {"tools": [FUNCTION]}, []),
    (Api.EMBEDDINGS, {}, []),
]


@pytest.mark.parametrize(("api", "body", "names"), OFFERED)
def test_offered(api: Api, body: JsonObject, names: list[str]) -> None:
    assert WIRES[api].requested_tools(body) == names


UNNAMEABLE: list[tuple[Api, JsonObject]] = [
    (Api.CHAT, {"tools": None}),
    (Api.CHAT, {"tools": "x"}),
    (Api.CHAT, {"tools": [1]}),
    (Api.CHAT, {"tools": [{}]}),
    (Api.CHAT, {"tools": [{"type": "function"}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": {}}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": ""}}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": 7}}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": "x" * 257}}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": "a\nb"}}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": ["name"]}]}),
    (Api.CHAT, {"tools": [{"type": ["function"], "function": {"name": "a"}}]}),
    (Api.CHAT, {"tools": [{"type": {}, "function": {"name": "a"}}]}),
    (Api.CHAT, {"tools": [{"googleSearch": {}}]}),
    (Api.CHAT, {"tools": [{"type": ""}]}),
    # Respelt for a parser that ignores case.
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": "ok", "Name": "wipe"}}]}),
    (Api.CHAT, {"tools": [{"type": "function", "function": {"name": "ok"}, "Function": {"name": "wipe"}}]}),
    (Api.CHAT, {"functions": None}),
    (Api.CHAT, {"functions": [{"description": "x"}]}),
    (Api.CHAT, {"functions": {"name": "x"}}),
    (Api.CHAT, {"messages": [{"tools": "x"}]}),
    (Api.CHAT, {"messages": [{"tools": [{}]}]}),
    (Api.RESPONSES, {"tools": [{"type": "mcp"}]}),
    (Api.RESPONSES, {"tools": [{"type": "mcp", "server_label": ""}]}),
    (Api.RESPONSES, {"tools": [{"type": "mcp", "server_label": 1}]}),
    (Api.RESPONSES, {"tools": [{"type": "namespace", "name": "ns"}]}),
    (Api.RESPONSES, {"tools": [{"type": "namespace", "name": "ns", "tools": [{}]}]}),
    (Api.RESPONSES, {"tools": [{"type": "namespace", "tools": [{"type": "namespace", "tools": []}]}]}),
    (Api.RESPONSES, {"tools": [{"type": "namespace", "tools": [], "Tools": [{"name": "wipe"}]}]}),
    (Api.RESPONSES, {"input": [{"type": "additional_tools", "tools": {}}]}),
    (Api.MESSAGES, {"tools": [{"input_schema": {}}]}),
    (Api.MESSAGES, {"tools": [{"type": "mcp_toolset"}]}),
    (Api.MESSAGES, {"mcp_servers": {}}),
    (Api.MESSAGES, {"mcp_servers": [{"url": "https://x"}]}),
    (Api.MESSAGES, {"mcp_servers": ["crm"]}),
    (Api.MESSAGES, {"messages": [{"content": [{"type": "tool_addition"}]}]}),
    (Api.MESSAGES, {"messages": [{"content": [{"type": "tool_addition", "tool": {"type": "x", "name": "a"}}]}]}),
    (Api.MESSAGES, {"messages": [{"content": [{"type": "tool_addition", "tool": {"type": "tool_reference"}}]}]}),
]


@pytest.mark.parametrize(("api", "body"), UNNAMEABLE)
def test_unnameable(api: Api, body: JsonObject) -> None:
    with pytest.raises(BadRequest):
        WIRES[api].requested_tools(body)
    with pytest.raises(BadRequest):
        WIRES[api].filter_tools(body, lambda _name: True)


FORCED: list[tuple[Api, JsonObject, str | None]] = [
    (Api.CHAT, {"tool_choice": "none"}, None),
    (Api.CHAT, {"tool_choice": "required"}, None),
    (Api.RESPONSES, {"tool_choice": "auto"}, None),
    (Api.RESPONSES, {"tool_choice": "required"}, None),
    (Api.CHAT, {}, None),
    (Api.CHAT, {"tool_choice": None}, None),
    (Api.CHAT, {"tool_choice": "any"}, None),
    (Api.CHAT, {"tool_choice": {"type": "function", "function": {"name": "f"}}}, "f"),
    (Api.CHAT, {"tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "f"),
    (Api.CHAT, {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}, None),
    (Api.CHAT, {"function_call": "auto"}, None),
    (Api.CHAT, {"function_call": {"name": "f"}}, "f"),
    (Api.CHAT, {"function_call": {"name": "f"}, "tool_choice": {"type": "function", "function": {"name": "f"}}}, "f"),
    (Api.RESPONSES, {"tool_choice": {"type": "function", "name": "f"}}, "f"),
    (Api.RESPONSES, {"tool_choice": {"type": "custom", "name": "f"}}, "f"),
    (Api.RESPONSES, {"tool_choice": {"type": "file_search"}}, "file_search"),
    (Api.RESPONSES, {"tool_choice": {"type": "web_search_preview_2025_03_11"}}, "web_search"),
    (Api.RESPONSES, {"tool_choice": {"type": "computer_use"}}, "computer"),
    (Api.RESPONSES, {"tool_choice": {"type": "mcp", "server_label": "crm"}}, "mcp:crm"),
    (Api.RESPONSES, {"tool_choice": {"type": "mcp", "server_label": "crm", "name": "create"}}, "mcp:crm"),
    (Api.RESPONSES, {"tool_choice": {"type": "shell"}}, "shell"),
    (Api.RESPONSES, {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [FLAT]}}, None),
    (Api.MESSAGES, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, None),
    (Api.MESSAGES, {"tool_choice": {"type": "any"}}, None),
    (Api.MESSAGES, {"tool_choice": {"type": "none"}}, None),
    (Api.MESSAGES, {"tool_choice": {"type": "tool", "name": "f"}}, "f"),
]


@pytest.mark.parametrize(("api", "body", "forced"), FORCED)
def test_forced(api: Api, body: JsonObject, forced: str | None) -> None:
    assert WIRES[api].forced_tool(body) == forced


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES, Api.MESSAGES])
@pytest.mark.parametrize(
    "choice",
    [
        *(5, True, [], ["f"], "get_weather", "", {}),
        *({"type": kind} for kind in ("function", "tool", "mcp", 7)),
        {"type": "function", "function": {"name": "a"}, "name": "b"},
        {"type": "function", "function": {"name": "a", "NAME": "b"}},
        {"type": "auto", "name": "wipe"},
    ],
    ids=repr,
)
def test_odd_demands(api: Api, choice: object) -> None:
    with pytest.raises(BadRequest):
        WIRES[api].forced_tool({"tool_choice": choice})


@pytest.mark.parametrize("call", [5, [], "f", {}, {"name": 1}, {"name": ""}], ids=repr)
def test_odd_function_calls(call: object) -> None:
    with pytest.raises(BadRequest):
        WIRES[Api.CHAT].forced_tool({"function_call": call})


def test_two_forced_tools() -> None:
    with pytest.raises(BadRequest):
        WIRES[Api.CHAT].forced_tool({"function_call": {"name": "a"}, "tool_choice": {"function": {"name": "b"}}})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("web_search", "web_search"),
        ("bash_code_execution", "code_execution"),
        ("text_editor_code_execution", "code_execution"),
        ("tool_search_tool_regex_20251119", "tool_search_tool_regex"),
        ("browser_toolset_20260801", "browser"),
        ("preview_of_things", "preview_of_things"),
        ("room_2025", "room_2025"),
        ("_preview", "_preview"),
    ],
)
def test_builtin_name(kind: str, name: str) -> None:
    assert builtin_name(kind) == name
