"""`tool_names_in_answer`, `tool_names_in_event` and `usage`, on every API."""

from __future__ import annotations

import pytest

from partywall.errors import ToolDenied
from partywall.gateway.wire import WIRES, Api, Usage
from partywall.gateway.wire.shapes import JsonObject


def _message(**message: object) -> JsonObject:
    return {"choices": [{"index": 0, "message": message}]}


ANSWERS: list[tuple[Api, JsonObject, list[str]]] = [
    (Api.CHAT, {}, []),
    (Api.CHAT, {"choices": None}, []),
    (Api.CHAT, _message(content="hello", tool_calls=None, function_call=None), []),
    (Api.CHAT, _message(tool_calls=[{"id": "1", "type": "function", "function": {"name": "a"}}]), ["a"]),
    (Api.CHAT, _message(tool_calls=[{"id": "1", "type": "custom", "custom": {"name": "a", "input": "x"}}]), ["a"]),
    (Api.CHAT, _message(function_call={"name": "old", "arguments": "{}"}), ["old"]),
    (
        Api.CHAT,
        {"choices": [{"message": {"tool_calls": [{"function": {"name": n}}]}} for n in "ab"]},
        ["a", "b"],
    ),
    (Api.RESPONSES, {"output": [{"type": "message", "content": []}, {"type": "reasoning"}]}, []),
    (Api.RESPONSES, {"output": [{"type": "function_call", "name": "a"}]}, ["a"]),
    (Api.RESPONSES, {"output": [{"type": "custom_tool_call", "name": "a"}]}, ["a"]),
    (Api.RESPONSES, {"output": [{"type": "mcp_call", "server_label": "crm", "name": "x"}]}, ["mcp:crm"]),
    (Api.RESPONSES, {"output": [{"type": "mcp_list_tools", "server_label": "crm", "tools": []}]}, ["mcp:crm"]),
    (Api.RESPONSES, {"output": [{"type": "mcp_approval_request", "server_label": "crm", "name": "x"}]}, ["mcp:crm"]),
    (Api.RESPONSES, {"output": [{"type": "web_search_call"}, {"type": "computer_call"}]}, ["web_search", "computer"]),
    (Api.RESPONSES, {"output": [{"type": "local_shell_call"}, {"type": "shell_call"}]}, ["local_shell", "shell"]),
    (Api.RESPONSES, {"output": [{"type": "program"}]}, ["programmatic_tool_calling"]),
    (Api.RESPONSES, {"output": [{"type": "future_thing_call"}]}, ["future_thing"]),
    (Api.RESPONSES, {"output": [{"type": "function_call_output"}, {"type": "tool_search_output", "tools": []}]}, []),
    (Api.MESSAGES, {"content": [{"type": "text", "text": "x"}, {"type": "web_search_tool_result"}]}, []),
    (Api.MESSAGES, {"content": [{"type": "tool_use", "name": "a", "input": {}}]}, ["a"]),
    (Api.MESSAGES, {"content": [{"type": "tool_use", "name": "left_click", "toolset_name": "computer"}]}, ["computer"]),
    (Api.MESSAGES, {"content": [{"type": "server_tool_use", "name": "web_search"}]}, ["web_search"]),
    (Api.MESSAGES, {"content": [{"type": "server_tool_use", "name": "bash_code_execution"}]}, ["code_execution"]),
    (Api.MESSAGES, {"content": [{"type": "mcp_tool_use", "server_name": "crm", "name": "x"}]}, ["mcp:crm"]),
    (Api.COMPLETIONS, {"choices": [{"text": "tool_calls"}]}, []),
]


@pytest.mark.parametrize(("api", "answer", "names"), ANSWERS)
def test_names_in_answer(api: Api, answer: JsonObject, names: list[str]) -> None:
    assert WIRES[api].tool_names_in_answer(answer) == names


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        (Api.CHAT, _message(tool_calls=[{}])),
        (Api.CHAT, _message(tool_calls={"function": {"name": "a"}})),
        (Api.CHAT, _message(tool_calls=["a"])),
        (Api.CHAT, _message(tool_calls=[{"function": {"name": ""}}])),
        (Api.CHAT, _message(tool_calls=[{"function": {"name": "a\x1b[2J"}}])),
        (Api.MESSAGES, {"content": [{"type": "tool_use", "name": "x" * 257}]}),
        (Api.CHAT, _message(tool_calls=[{"function": {"name": "a"}, "custom": {"name": "b"}}])),
        (Api.CHAT, _message(function_call={"arguments": "{}"})),
        (Api.RESPONSES, {"output": [{"type": "function_call"}]}),
        (Api.RESPONSES, {"output": [{"type": "mcp_call", "name": "x"}]}),
        (Api.MESSAGES, {"content": [{"type": "tool_use"}]}),
        (Api.MESSAGES, {"content": [{"type": "mcp_tool_use", "name": "x"}]}),
    ],
)
def test_a_call_without_a_name_is_refused(api: Api, answer: JsonObject) -> None:
    with pytest.raises(ToolDenied):
        WIRES[api].tool_names_in_answer(answer)


EVENTS: list[tuple[Api, JsonObject, list[str]]] = [
    (Api.CHAT, {"choices": [{"delta": {"content": "x"}}]}, []),
    (Api.CHAT, {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "a"}}]}}]}, ["a"]),
    (Api.CHAT, {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}]}, []),
    (Api.CHAT, {"choices": [{"delta": {"function_call": {"name": "old"}}}]}, ["old"]),
    (Api.CHAT, {"choices": [{"message": {"tool_calls": [{"function": {"name": "a"}}]}}]}, ["a"]),
    (Api.RESPONSES, {"type": "response.output_text.delta", "delta": "x"}, []),
    (Api.RESPONSES, {"type": "response.output_item.added", "item": {"type": "function_call", "name": "a"}}, ["a"]),
    (Api.RESPONSES, {"type": "response.output_item.done", "item": {"type": "function_call", "name": "a"}}, ["a"]),
    (Api.RESPONSES, {"type": "response.web_search_call.searching", "output_index": 0}, ["web_search"]),
    (Api.RESPONSES, {"type": "response.code_interpreter_call_code.delta", "delta": "x"}, ["code_interpreter"]),
    (Api.RESPONSES, {"type": "response.shell_call_command.delta"}, ["shell"]),
    (
        Api.RESPONSES,
        {"type": "response.completed", "response": {"output": [{"type": "function_call", "name": "a"}]}},
        ["a"],
    ),
    (Api.MESSAGES, {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "a"}}, ["a"]),
    (Api.MESSAGES, {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, []),
    (Api.MESSAGES, {"type": "message_start", "message": {"content": [{"type": "tool_use", "name": "a"}]}}, ["a"]),
    (Api.MESSAGES, {"type": "ping"}, []),
]


@pytest.mark.parametrize(("api", "event", "names"), EVENTS)
def test_names_in_event(api: Api, event: JsonObject, names: list[str]) -> None:
    assert WIRES[api].tool_names_in_event(event) == names


USAGES: list[tuple[Api, JsonObject, Usage | None]] = [
    (Api.CHAT, {}, None),
    (Api.CHAT, {"usage": None}, None),
    (Api.CHAT, {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}, Usage(7, 3)),
    (Api.CHAT, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}, Usage(7, 3)),
    (Api.CHAT, {"usage": {"prompt_tokens": -1, "completion_tokens": "3"}}, Usage(0, 0)),
    (Api.CHAT, {"usage": {"prompt_tokens": True, "completion_tokens": 1.5}}, Usage(0, 0)),
    (Api.EMBEDDINGS, {"usage": {"prompt_tokens": 7, "total_tokens": 7}}, Usage(7, 0)),
    (Api.COMPLETIONS, {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}, Usage(7, 3)),
    (Api.RESPONSES, {"usage": {"input_tokens": 7, "output_tokens": 3}}, Usage(7, 3)),
    (
        Api.RESPONSES,
        {"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 3}}},
        Usage(7, 3),
    ),
    (Api.RESPONSES, {"type": "response.created", "response": {"usage": None}}, None),
    (Api.MESSAGES, {"usage": {"input_tokens": 7, "output_tokens": 3}}, Usage(7, 3)),
    (
        Api.MESSAGES,
        {
            "usage": {
                "input_tokens": 7,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 100,
                "output_tokens": 3,
            }
        },
        Usage(127, 3),
    ),
    (
        Api.MESSAGES,
        {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
        Usage(7, 1),
    ),
    (Api.MESSAGES, {"type": "message_delta", "usage": {"output_tokens": 3}}, Usage(0, 3)),
    (Api.MESSAGES, {"type": "ping"}, None),
]


@pytest.mark.parametrize(("api", "message", "usage"), USAGES)
def test_usage(api: Api, message: JsonObject, usage: Usage | None) -> None:
    assert WIRES[api].usage(message) == usage


def test_usage_over_a_stream() -> None:
    assert Usage(7, 1).most(Usage(0, 3)).most(None) == Usage(7, 3)
