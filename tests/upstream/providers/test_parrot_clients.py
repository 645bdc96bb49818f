"""The official clients read the parrot over a real socket: typed, streamed, with their helpers."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam
from openai import OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel


class Context(BaseModel):
    context: str


TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "look_up",
        "strict": True,
        "parameters": Context.model_json_schema() | {"additionalProperties": False},
    },
}


@pytest.fixture
def gpt(parrot_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{parrot_url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(parrot_url: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=parrot_url, api_key="k", max_retries=0) as client:
        yield client


# -- openai: chat ---


def test_chat(gpt: OpenAI) -> None:
    said = gpt.chat.completions.create(model="m", messages=[{"role": "user", "content": "SAID"}])
    assert said.choices[0].message.content is not None
    assert "SAID" in said.choices[0].message.content
    assert said.choices[0].finish_reason == "stop"
    assert said.id == "chatcmpl-0001"
    assert said.usage is not None
    assert said.usage.completion_tokens > 0


def test_chat_streamed(gpt: OpenAI) -> None:
    stream = gpt.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "SAID"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "SAID" in said
    assert len(chunks) > 4
    assert chunks[-1].usage is not None
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_chat_stream_helper(gpt: OpenAI) -> None:
    with gpt.chat.completions.stream(model="m", messages=[{"role": "user", "content": "SAID"}]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content is not None
    assert "SAID" in final.choices[0].message.content


def test_chat_stream_helper_with_a_tool(gpt: OpenAI) -> None:
    with gpt.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "SAID"}], tools=[TOOL], tool_choice="required"
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.name for call in calls] == ["look_up"]
    assert isinstance(calls[0].function.parsed_arguments, dict)
    assert "SAID" in calls[0].function.parsed_arguments["context"]
    assert final.choices[0].finish_reason == "tool_calls"


def test_chat_parse(gpt: OpenAI) -> None:
    said = gpt.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "SAID"}], response_format=Context
    )
    assert said.choices[0].message.parsed is not None
    assert "SAID" in said.choices[0].message.parsed.context


def test_chat_two_calls_streamed(gpt: OpenAI) -> None:
    stream = gpt.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "call:one call:two"}], stream=True
    )
    arguments: dict[int, str] = {}
    names: dict[int, str] = {}
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            if call.function.name:
                names[call.index] = call.function.name
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert names == {0: "one", 1: "two"}
    assert "call:one call:two" in Context.model_validate_json(arguments[1]).context


# -- openai: completions, embeddings ---


def test_completions(gpt: OpenAI) -> None:
    assert "SAID" in gpt.completions.create(model="m", prompt="SAID").choices[0].text
    chunks = list(gpt.completions.create(model="m", prompt="SAID", stream=True))
    assert "SAID" in "".join(chunk.choices[0].text for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_embeddings(gpt: OpenAI) -> None:
    """The client asks for base64 by itself and decodes it."""
    packed = gpt.embeddings.create(model="m", input=["SAID", "other"]).data
    plain = gpt.embeddings.create(model="m", input=["SAID", "other"], encoding_format="float").data
    assert [len(item.embedding) for item in packed] == [64, 64]
    assert packed[0].embedding == pytest.approx(plain[0].embedding, rel=1e-6)
    assert packed[0].embedding != packed[1].embedding


# -- openai: responses ---


def test_responses(gpt: OpenAI) -> None:
    said = gpt.responses.create(model="m", input="SAID", instructions="TOLD")
    assert "SAID" in said.output_text
    assert "TOLD" in said.output_text
    assert said.status == "completed"
    assert said.usage is not None
    assert said.usage.output_tokens > 0


def test_responses_streamed(gpt: OpenAI) -> None:
    events = list(gpt.responses.create(model="m", input="SAID", stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "SAID" in "".join(event.delta for event in events if event.type == "response.output_text.delta")


def test_responses_stream_helper(gpt: OpenAI) -> None:
    with gpt.responses.stream(model="m", input="SAID") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds
    assert "SAID" in final.output_text


def test_responses_stream_helper_with_calls(gpt: OpenAI) -> None:
    with gpt.responses.stream(model="m", input="SAID call:one call:two") as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} <= kinds
    calls = [item for item in final.output if isinstance(item, ResponseFunctionToolCall)]
    assert [call.name for call in calls] == ["one", "two"]
    assert "SAID" in Context.model_validate_json(calls[1].arguments).context


def test_responses_parse(gpt: OpenAI) -> None:
    said = gpt.responses.parse(model="m", input="SAID", text_format=Context)
    assert said.output_parsed is not None
    assert "SAID" in said.output_parsed.context


# -- anthropic ---

SAID: list[MessageParam] = [{"role": "user", "content": "SAID"}]
CLAUDE_TOOL: ToolParam = {"name": "look_up", "input_schema": {"type": "object", "properties": {}}}


def test_messages(claude: Anthropic) -> None:
    said = claude.messages.create(model="m", max_tokens=5, system="TOLD", messages=SAID)
    assert said.content[0].type == "text"
    assert "SAID" in said.content[0].text
    assert "TOLD" in said.content[0].text
    assert said.stop_reason == "end_turn"
    assert said.usage.output_tokens > 0


def test_messages_streamed(claude: Anthropic) -> None:
    events = list(claude.messages.create(model="m", max_tokens=5, messages=SAID, stream=True))
    assert events[0].type == "message_start"
    assert events[-1].type == "message_stop"


def test_messages_stream_helper(claude: Anthropic) -> None:
    with claude.messages.stream(model="m", max_tokens=5, messages=SAID) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 2
    assert final.content[0].type == "text"
    assert final.content[0].text == "".join(pieces)
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 1


def test_messages_stream_helper_with_a_forced_tool(claude: Anthropic) -> None:
    with claude.messages.stream(
        model="m", max_tokens=5, messages=SAID, tools=[CLAUDE_TOOL], tool_choice={"type": "tool", "name": "look_up"}
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    assert "input_json" in kinds
    assert final.stop_reason == "tool_use"
    block = final.content[0]
    assert block.type == "tool_use"
    assert block.name == "look_up"
    assert isinstance(block.input, dict)
    assert "SAID" in str(block.input["context"])


def test_messages_two_calls_whole_and_streamed(claude: Anthropic) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "call:one call:two"}]
    whole = claude.messages.create(model="m", max_tokens=5, messages=messages)
    with claude.messages.stream(model="m", max_tokens=5, messages=messages) as stream:
        final = stream.get_final_message()
    for said in (whole, final):
        assert [block.name for block in said.content if block.type == "tool_use"] == ["one", "two"]


# -- refusals ---


def test_the_clients_raise_their_own_exceptions(gpt: OpenAI, claude: Anthropic) -> None:
    with pytest.raises(openai.BadRequestError, match="`messages` is required"):
        gpt.chat.completions.create(model="m", messages=[])
    with pytest.raises(anthropic.BadRequestError, match="`messages` is required"):
        claude.messages.create(model="m", max_tokens=1, messages=[])
