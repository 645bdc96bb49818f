"""Our lists against the types that the installed official clients are made of: what they know, we have decided on."""

from __future__ import annotations

import typing
from typing import Any, get_args, get_type_hints

import openai.types.responses as responses
import pytest
from anthropic.types.beta import beta_tool_union_param
from anthropic.types.beta.message_create_params import MessageCreateParamsStreaming
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsStreaming
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from openai.types.responses.tool_param import ToolParam

from partywall.gateway.wire import WIRES, Api
from partywall.gateway.wire.shapes import squash
from partywall.gateway.wire.strip_list import DOCUMENTED, STRIP_LIST


@pytest.mark.parametrize(
    ("api", "params"),
    [
        (Api.CHAT, ChatParams),
        (Api.COMPLETIONS, CompletionCreateParamsStreaming),
        (Api.EMBEDDINGS, EmbeddingCreateParams),
        (Api.RESPONSES, ResponseCreateParamsStreaming),
        (Api.MESSAGES, MessageCreateParamsStreaming),
    ],
)
def test_every_documented_field_is_known_or_stripped(api: Api, params: Any) -> None:
    undecided = {key for key in params.__annotations__ if squash(key) not in STRIP_LIST} - DOCUMENTED[api]
    assert not undecided


def _example(param: Any) -> dict[str, Any]:
    """The smallest tool of a type: its literals, and a made-up text for what else is required."""
    example: dict[str, Any] = {}
    hints = get_type_hints(param, include_extras=True)
    for name in [name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required or name == "type"]:
        literals = [value for part in _parts(hints[name]) for value in get_args(part) if isinstance(value, str)]
        example[name] = literals[0] if literals else "made_up"
    return example


def _parts(hint: Any) -> list[Any]:
    if typing.get_origin(hint) is typing.Literal:
        return [hint]
    return [part for inner in get_args(hint) for part in _parts(inner)]


@pytest.mark.parametrize("param", get_args(ToolParam), ids=lambda param: param.__name__)
def test_every_tool_of_responses_has_a_name(param: Any) -> None:
    example = _example(param)
    if example["type"] == "namespace":
        example["tools"] = [{"type": "function", "name": "made_up"}]
    assert len(WIRES[Api.RESPONSES].requested_tools({"tools": [example]})) == 1


@pytest.mark.parametrize("param", get_args(beta_tool_union_param.BetaToolUnionParam), ids=lambda param: param.__name__)
def test_every_tool_of_messages_has_a_name(param: Any) -> None:
    example = _example(param)
    if example["type"] == "mcp_toolset":
        example["mcp_server_name"] = "made_up"
    assert len(WIRES[Api.MESSAGES].requested_tools({"tools": [example]})) == 1


@pytest.mark.parametrize(
    "choice",
    [
        responses.ToolChoiceAllowedParam(type="allowed_tools", mode="auto", tools=[]),
        responses.ToolChoiceTypesParam(type="computer_use_preview"),
        responses.ToolChoiceFunctionParam(type="function", name="f"),
        responses.ToolChoiceMcpParam(type="mcp", server_label="crm", name=None),
        responses.ToolChoiceCustomParam(type="custom", name="f"),
        responses.ToolChoiceApplyPatchParam(type="apply_patch"),
        responses.ToolChoiceShellParam(type="shell"),
    ],
    ids=lambda choice: str(choice["type"]),
)
def test_every_choice_of_responses_can_be_read(choice: Any) -> None:
    WIRES[Api.RESPONSES].forced_tool({"tool_choice": choice})


def test_every_call_of_responses_has_the_name_of_its_tool() -> None:
    """What an output item is called must be what its tool is called, or a rule would miss one of the two."""
    tools = {"web_search", "file_search", "code_interpreter", "image_generation", "local_shell", "shell", "apply_patch"}
    tools |= {"tool_search", "computer"}
    for name in tools:
        assert WIRES[Api.RESPONSES].requested_tools({"tools": [{"type": name}]}) == [name]
        assert WIRES[Api.RESPONSES].tool_names_in_answer({"output": [{"type": f"{name}_call"}]}) == [name]
