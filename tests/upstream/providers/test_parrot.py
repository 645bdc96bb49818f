"""The parrot leaks everything, says the same thing twice, and survives any body."""

from __future__ import annotations

import base64
import math
import struct
import tracemalloc
from typing import Any

import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from partywall.upstream.api import Api
from partywall.upstream.providers import ParrotAnswer, Salts, answer, resolve
from partywall.upstream.providers.base import Body

SPOKEN = (Api.CHAT, Api.COMPLETIONS, Api.RESPONSES, Api.MESSAGES)
NEEDS = {
    Api.CHAT: "messages",
    Api.COMPLETIONS: "prompt",
    Api.EMBEDDINGS: "input",
    Api.RESPONSES: "input",
    Api.MESSAGES: "messages",
}
WHOLE: dict[Api, type[BaseModel]] = {
    Api.CHAT: ChatCompletion,
    Api.COMPLETIONS: Completion,
    Api.RESPONSES: Response,
    Api.MESSAGES: Message,
}
EVENT: dict[Api, TypeAdapter[object]] = {
    Api.CHAT: TypeAdapter(ChatCompletionChunk),
    Api.RESPONSES: TypeAdapter(ResponseStreamEvent),
    Api.MESSAGES: TypeAdapter(RawMessageStreamEvent),
}
LAST = {
    Api.CHAT: b"data: [DONE]\n\n",
    Api.COMPLETIONS: b"data: [DONE]\n\n",
    Api.RESPONSES: b"event: response.completed\n",
    Api.MESSAGES: b"event: message_stop\n",
}


def say(api: Api, body: Body) -> ParrotAnswer:
    return answer(api, body, answer_id="0001", created=1_700_000_000)


def asked(api: Api, text: str, **more: object) -> Body:
    turns = text if api is Api.COMPLETIONS else [{"role": "user", "content": text}]
    return {"model": "parrot", NEEDS[api]: turns} | more


def events(api: Api, body: Body) -> list[bytes]:
    said = say(api, body | {"stream": True})
    assert said.status == 200
    assert dict(said.headers)[b"content-type"].startswith(b"text/event-stream")
    assert said.events is not None
    return list(said.events)


def payloads(raw: list[bytes]) -> list[dict[str, Any]]:
    lines = [line for event in raw for line in event.decode().split("\n") if line.startswith("data: {")]
    return [orjson.loads(line.removeprefix("data: ")) for line in lines]


def spoken(api: Api, chunks: list[dict[str, Any]]) -> str:
    """The text (or the arguments) of the first choice, put together again."""
    match api:
        case Api.CHAT:
            deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"] and c["choices"][0]["index"] == 0]
            calls = [call["function"]["arguments"] for d in deltas for call in d.get("tool_calls", [])]
            return "".join(d.get("content") or "" for d in deltas) + "".join(calls)
        case Api.COMPLETIONS:
            return "".join(c["choices"][0]["text"] for c in chunks if c["choices"])
        case Api.RESPONSES:
            return "".join(c["delta"] for c in chunks if c["type"].endswith(".delta"))
        case _:
            deltas = [c["delta"] for c in chunks if c["type"] == "content_block_delta"]
            return "".join(d.get("text", "") + d.get("partial_json", "") for d in deltas)


def whole_text(api: Api, body: Body) -> str:
    said = orjson.loads(say(api, body).body)
    match api:
        case Api.CHAT:
            message = said["choices"][0]["message"]
            return str(message["content"] or message["tool_calls"][0]["function"]["arguments"])
        case Api.COMPLETIONS:
            return str(said["choices"][0]["text"])
        case Api.RESPONSES:
            item = said["output"][0]
            return str(item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"])
        case _:
            return str(said["content"][0].get("text", said["content"][0].get("input")))


# -- It leaks ---


@pytest.mark.parametrize("api", SPOKEN)
def test_everything_given_is_in_the_answer(api: Api) -> None:
    body = asked(
        api,
        'SAID "quoted"\nand ünïcode',
        system="SYSTEM",
        instructions="INSTRUCTED",
        tools=[{"type": "function", "function": {"name": "TOOL", "description": "DESCRIBED"}}],
        tool_choice="auto",
        x_unknown={"KEY": {"deep": [["DEEP"], 42, None, True]}},
    )
    said = whole_text(api, body)
    for secret in ('SAID "quoted"\nand ünïcode', "SYSTEM", "INSTRUCTED", "TOOL", "DESCRIBED", "KEY", "DEEP", "42"):
        assert secret in said


@pytest.mark.parametrize("api", SPOKEN)
def test_it_shows_the_salts_of_the_server_and_not_the_clients(api: Api) -> None:
    salts = Salts(cache="a" * 64, user="b" * 64)
    body = asked(api, "hello", cache_salt="salt-of-beta", user="user-of-beta")
    resolve("parrot").salt(api, body, salts)
    said = whole_text(api, body)
    assert salts.cache in said
    assert salts.user in said
    assert "of-beta" not in said


def test_it_ignores_limits() -> None:
    body = asked(Api.MESSAGES, "long " * 500, max_tokens=1, stop_sequences=["long"])
    assert whole_text(Api.MESSAGES, body).count("long") >= 500


# -- Shapes, against the clients' own models, validated strictly enough to miss a field ---


@pytest.mark.parametrize("tail", ["hello", "call:delete_everything"])
@pytest.mark.parametrize("api", SPOKEN)
def test_whole_answers_validate(api: Api, tail: str) -> None:
    WHOLE[api].model_validate_json(say(api, asked(api, tail)).body)


@pytest.mark.parametrize("tail", ["hello", "call:delete_everything", "call:one call:two"])
@pytest.mark.parametrize("api", EVENT)
def test_streamed_events_validate_and_end_right(api: Api, tail: str) -> None:
    raw = events(api, asked(api, tail))
    assert raw[-1].startswith(LAST[api])
    assert all(event.endswith(b"\n\n") for event in raw)
    chunks = [chunk for chunk in payloads(raw) if chunk.get("type") != "ping"]
    assert len(chunks) > 5
    for chunk in chunks:
        EVENT[api].validate_python(chunk)


@pytest.mark.parametrize("text", ["hello", "x" * 100_000])
@pytest.mark.parametrize("api", SPOKEN)
def test_a_stream_says_what_the_whole_answer_says(api: Api, text: str) -> None:
    raw = events(api, asked(api, text))
    said = spoken(api, payloads(raw))
    assert said.replace("stream: true", "") == whole_text(api, asked(api, text) | {"stream": False}).replace(
        "stream: false", ""
    )
    assert 5 < len(raw) < 90
    assert raw[-1].startswith(LAST[api])


def test_responses_end_with_the_whole_response_and_number_their_events() -> None:
    chunks = payloads(events(Api.RESPONSES, asked(Api.RESPONSES, "hello")))
    assert [chunk["sequence_number"] for chunk in chunks] == list(range(len(chunks)))
    whole = orjson.loads(say(Api.RESPONSES, asked(Api.RESPONSES, "hello", stream=True) | {"stream": 1}).body)
    assert chunks[-1]["response"].keys() == whole.keys()
    assert chunks[-1]["response"]["status"] == "completed"
    assert chunks[-1]["response"]["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("wanted", [True, False, None])
@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS])
def test_usage_is_streamed_when_asked_for(api: Api, wanted: bool | None) -> None:
    options: Body = {} if wanted is None else {"stream_options": {"include_usage": wanted}}
    chunks = payloads(events(api, asked(api, "hello") | options))
    with_usage = [chunk for chunk in chunks if chunk.get("usage")]
    assert len(with_usage) == (1 if wanted else 0)
    if wanted:
        assert chunks[-1]["choices"] == []
        usage = with_usage[0]["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_several_choices() -> None:
    said = orjson.loads(say(Api.CHAT, asked(Api.CHAT, "hello", n=3)).body)
    assert [choice["index"] for choice in said["choices"]] == [0, 1, 2]
    chunks = payloads(events(Api.CHAT, asked(Api.CHAT, "hello", n=2)))
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1}
    prompts = orjson.loads(say(Api.COMPLETIONS, {"prompt": ["one", "two"], "n": 2}).body)
    assert len(prompts["choices"]) == 4
    assert len(orjson.loads(say(Api.COMPLETIONS, {"prompt": [1, 2, 3]}).body)["choices"]) == 1
    assert len(orjson.loads(say(Api.CHAT, asked(Api.CHAT, "hello", n=10**9)).body)["choices"]) == 8


def test_json_when_json_is_asked_for() -> None:
    for api, more in (
        (Api.CHAT, {"response_format": {"type": "json_object"}}),
        (Api.RESPONSES, {"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}}),
        (Api.MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
    ):
        assert "hello" in orjson.loads(whole_text(api, asked(api, "hello") | more))["context"]


# -- Tools ---

OPENAI_TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("first", "second")]
FLAT_TOOLS = [{"type": "function", "name": name} for name in ("first", "second")]
ALLOWED = {"mode": "required", "tools": [{"type": "function", "function": {"name": "second"}}]}


@pytest.mark.parametrize(
    ("api", "choice", "called"),
    [
        (Api.CHAT, {"type": "function", "function": {"name": "second"}}, "second"),
        (Api.CHAT, {"type": "function", "function": {"name": "not_offered"}}, "not_offered"),
        (Api.CHAT, "required", "first"),
        (Api.CHAT, {"type": "allowed_tools", "allowed_tools": ALLOWED}, "second"),
        (Api.CHAT, {"type": "allowed_tools", "allowed_tools": ALLOWED | {"mode": "auto"}}, None),
        (Api.CHAT, "auto", None),
        (Api.CHAT, "none", None),
        (Api.RESPONSES, {"type": "function", "name": "second"}, "second"),
        (Api.RESPONSES, "required", "first"),
        (Api.RESPONSES, {"type": "allowed_tools", "mode": "required", "tools": FLAT_TOOLS[1:]}, "second"),
        (Api.MESSAGES, {"type": "tool", "name": "second"}, "second"),
        (Api.MESSAGES, {"type": "any"}, "first"),
        (Api.MESSAGES, {"type": "auto"}, None),
        (Api.MESSAGES, {"type": "none"}, None),
    ],
)
def test_tool_choice(api: Api, choice: object, called: str | None) -> None:
    tools = OPENAI_TOOLS if api is Api.CHAT else FLAT_TOOLS
    names, reason = calls_of(api, asked(api, "SAID", tools=tools, tool_choice=choice))
    assert names == ([called] if called else [])
    assert (
        reason
        == {
            Api.CHAT: "tool_calls" if called else "stop",
            Api.RESPONSES: "completed",
            Api.MESSAGES: "tool_use" if called else "end_turn",
        }[api]
    )


def calls_of(api: Api, body: Body) -> tuple[list[str], str]:
    said = orjson.loads(say(api, body).body)
    match api:
        case Api.CHAT:
            choice = said["choices"][0]
            calls = choice["message"].get("tool_calls", [])
            assert all("SAID" in orjson.loads(call["function"]["arguments"])["context"] for call in calls)
            return [call["function"]["name"] for call in calls], choice["finish_reason"]
        case Api.RESPONSES:
            items = [item for item in said["output"] if item["type"] == "function_call"]
            assert all("SAID" in orjson.loads(item["arguments"])["context"] for item in items)
            return [item["name"] for item in items], said["status"]
        case _:
            blocks = [block for block in said["content"] if block["type"] == "tool_use"]
            assert all("SAID" in block["input"]["context"] for block in blocks)
            return [block["name"] for block in blocks], said["stop_reason"]


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES, Api.MESSAGES])
def test_it_misbehaves_when_told_to(api: Api) -> None:
    body = asked(api, "SAID please call:db.drop_table. And call:send-mail!", tool_choice="none")
    assert calls_of(api, body)[0] == ["db.drop_table", "send-mail"]
    parts = [{"type": "text", "text": "SAID"}, "odd", {"type": "text", "text": "call:rm"}]
    assert calls_of(api, {NEEDS[api]: [{"role": "user", "content": parts}]})[0] == ["rm"]
    assert len(calls_of(api, asked(api, "SAID" + " call:x" * 100))[0]) == 8


@pytest.mark.parametrize(
    ("api", "result"),
    [
        (Api.CHAT, {"role": "tool", "tool_call_id": "1", "content": "call:rm"}),
        (Api.RESPONSES, {"type": "function_call_output", "call_id": "1", "output": "call:rm"}),
        (
            Api.MESSAGES,
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "call:rm"}]},
        ),
    ],
)
def test_a_tools_result_ends_the_loop(api: Api, result: Body) -> None:
    body: Body = {NEEDS[api]: [{"role": "user", "content": "call:rm"}, result]}
    assert calls_of(api, body)[0] == []


# -- Embeddings ---


def test_embeddings_are_unit_vectors_of_the_text_alone() -> None:
    body: Body = {"model": "e", "input": ["one", "two", "one"]}
    said = CreateEmbeddingResponse.model_validate_json(say(Api.EMBEDDINGS, body).body)
    one, two, again = (item.embedding for item in said.data)
    assert one == again != two
    assert len(one) == 64
    assert math.isclose(sum(x * x for x in one), 1)
    assert one == embedded({"input": "one", "user": "somebody", "model": "f"})[0]


def embedded(body: Body) -> list[Any]:
    return [item["embedding"] for item in orjson.loads(say(Api.EMBEDDINGS, body).body)["data"]]


def test_embeddings_in_base64_are_the_same_numbers() -> None:
    packed = embedded({"input": "one", "encoding_format": "base64"})[0]
    numbers = struct.unpack("<64f", base64.b64decode(packed))
    assert numbers == pytest.approx(embedded({"input": "one"})[0], rel=1e-6)


def test_inputs_of_embeddings() -> None:
    assert len(embedded({"input": [1, 2, 3]})) == 1
    assert len(embedded({"input": [[1, 2], [3]]})) == 2
    assert embedded({"input": [1, 2]}) == embedded({"input": [[1, 2]]})
    assert len(embedded({"input": "one", "dimensions": 1536})[0]) == 1536
    assert len(embedded({"input": "one", "dimensions": 10**9})[0]) == 64
    assert len(embedded({"input": ["x"] * 5000})) == 2048


# -- It is a function, and it lives ---


@pytest.mark.parametrize("api", SPOKEN)
def test_the_same_body_makes_the_same_answer(api: Api) -> None:
    """Non-interference starts here: what alpha said in between changes nothing for beta."""
    first = say(api, asked(api, "beta")).body
    say(api, asked(api, "alpha"))
    assert say(api, asked(api, "beta")).body == first
    assert events(api, asked(api, "beta")) == events(api, asked(api, "beta"))


@pytest.mark.parametrize("api", SPOKEN)
def test_ids_come_from_the_answer_id(api: Api) -> None:
    body = asked(api, "call:a call:b")
    one = answer(api, body, answer_id="0001", created=1).body
    assert answer(api, body, answer_id="0002", created=1).body == one.replace(b"0001", b"0002")


@pytest.mark.parametrize("api", NEEDS)
@pytest.mark.parametrize("empty", [{}, None, [], ""])
def test_nothing_asked_is_a_400_in_the_apis_shape(api: Api, empty: object) -> None:
    body: Body = {} if empty == {} else {NEEDS[api]: empty}
    said = say(api, body)
    assert said.status == 400
    assert orjson.loads(said.body)["error"]["type"] == "invalid_request_error"


def test_models_is_not_its_business() -> None:
    with pytest.raises(ValueError, match="doesn't speak"):
        say(Api.MODELS, {})


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8)
shallow = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=4), scalars, max_size=2)
names = st.sampled_from(["role", "content", "type", "text", "name", "function", "custom", "allowed_tools", "mode",
                         "tools", "format", "include_usage"])  # fmt: skip
words = st.sampled_from(["user", "any", "required", "allowed_tools", "json_object", "base64", "call:x", ""])
objects = st.dictionaries(
    names, shallow | words | st.lists(st.dictionaries(names, shallow | words, max_size=2), max_size=2)
)
FIELDS = ["messages", "input", "prompt", "tools", "tool_choice", "n", "stream_options", "response_format", "text",
          "model", "dimensions", "encoding_format", "system", "output_config"]  # fmt: skip
bodies = st.dictionaries(
    st.sampled_from(FIELDS), shallow | words | objects | st.lists(objects | scalars, max_size=3), max_size=6
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(api=st.sampled_from(sorted(NEEDS)), body=bodies, stream=st.booleans())
def test_no_body_breaks_it(api: Api, body: Body, stream: bool) -> None:
    said = say(api, body | {"stream": stream})
    if said.events is not None:
        assert list(said.events)[-1].startswith(LAST[api])
    else:
        orjson.loads(said.body)


@pytest.mark.parametrize("odd", [{}, [], {"x": []}, 0, True, None])
def test_odd_values_where_words_are_expected(odd: object) -> None:
    """Found by the property above: `type` may be unhashable."""
    for more in ({"response_format": {"type": odd}}, {"tool_choice": {"type": odd}}, {"tools": [{"name": odd}]}):
        assert say(Api.CHAT, asked(Api.CHAT, "x", tool_choice="required") | more).status == 200
    assert say(Api.CHAT, {"messages": [{"role": odd, "content": odd}], "model": odd, "n": odd}).status == 200


def test_depth_and_breadth_cost_no_more_than_their_size() -> None:
    deep: object = ["bottom"] * 5_000
    for _ in range(900):
        deep = [deep]
    wide: object = {"k" * 100_000: [["x"]] * 50_000}
    tracemalloc.start()
    try:
        bottom = whole_text(Api.CHAT, asked(Api.CHAT, "x", deep=deep))
        assert bottom.count("bottom") == 5_000
        assert len(bottom) < 200_000
        assert len(whole_text(Api.CHAT, asked(Api.CHAT, "x", wide=wide))) < 2_000_000
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
