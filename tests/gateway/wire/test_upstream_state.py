"""`strip_request` again: what lies upstream under one account is out of every tenant's reach."""

from __future__ import annotations

import copy

import pytest

from partywall.errors import BadRequest, NotFound
from partywall.gateway.wire import WIRES, Api
from partywall.gateway.wire.shapes import JsonObject


def _input(*items: object) -> JsonObject:
    return {"input": list(items)}


def _turn(*parts: object) -> JsonObject:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def _tool(**tool: object) -> JsonObject:
    return {"tools": [tool]}


REFERENCES: list[tuple[Api, JsonObject, str]] = [
    (Api.RESPONSES, {"previous_response_id": "resp_beta"}, "previous_response_id"),
    (Api.RESPONSES, {"previousResponseId": "resp_beta"}, "previousResponseId"),
    (Api.RESPONSES, {"conversation": "conv_beta"}, "conversation"),
    (Api.RESPONSES, {"conversation": {"id": "conv_beta"}}, "conversation"),
    (Api.RESPONSES, {"prompt": {"id": "pmpt_beta"}}, "prompt"),
    (Api.RESPONSES, {"background_options": {"continuation_id": "x"}}, "background_options.continuation_id"),
    (Api.RESPONSES, _input({"type": "item_reference", "id": "msg_beta"}), "input.id"),
    (Api.RESPONSES, _input({"id": "msg_beta"}), "input.id"),
    (Api.RESPONSES, _input({"type": None, "id": "msg_beta"}), "input.id"),
    (Api.RESPONSES, _input({"type": "reasoning", "id": "rs_beta", "summary": []}), "input.id"),
    (Api.RESPONSES, _input({"type": "reasoning", "id": "rs_beta", "summary": [{"text": "x"}]}), "input.id"),
    (Api.RESPONSES, _input({"type": "image_generation_call", "id": "ig_beta"}), "input.id"),
    (
        Api.RESPONSES,
        _input({"role": "user", "content": [{"type": "input_file", "file_id": "file_beta"}]}),
        "input.file_id",
    ),
    (Api.RESPONSES, _input({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}), "input.file_id"),
    (Api.RESPONSES, _input({"type": "function_call_output", "output": [{"file_id": "f"}]}), "input.file_id"),
    (Api.RESPONSES, _input({"type": "computer_call_output", "output": {"file_id": "f"}}), "input.file_id"),
    (Api.RESPONSES, _input({"type": "code_interpreter_call", "container_id": "c", "code": "1"}), "input.container_id"),
    (Api.RESPONSES, _input({"type": "additional_tools", "tools": [{"container": "c"}]}), "input.container"),
    (Api.RESPONSES, _tool(type="file_search", vector_store_ids=["vs_beta"]), "tools.vector_store_ids"),
    (Api.RESPONSES, _tool(type="code_interpreter", container="cntr_beta"), "tools.container"),
    (Api.RESPONSES, _tool(type="code_interpreter", container={"type": "auto", "file_ids": ["f"]}), "tools.file_ids"),
    (Api.RESPONSES, _tool(type="shell", environment={"container_id": "c"}), "tools.container_id"),
    (Api.RESPONSES, _tool(type="shell", environment={"skills": [{"skill_id": "s"}]}), "tools.skill_id"),
    (Api.RESPONSES, _tool(type="image_generation", input_image_mask={"file_id": "f"}), "tools.file_id"),
    (Api.RESPONSES, _tool(type="mcp", server_label="x", tunnel_id="t"), "tools.tunnel_id"),
    (Api.CHAT, {"data_sources": [{"type": "azure_search"}]}, "data_sources"),
    (Api.CHAT, {"dataSources": [{"type": "azure_search"}]}, "dataSources"),
    (Api.CHAT, _turn({"type": "file", "file": {"file_id": "file_beta"}}), "messages.file_id"),
    (Api.CHAT, {"messages": [{"role": "assistant", "audio": {"id": "audio_beta"}}]}, "messages.audio"),
    (Api.CHAT, {"audio": {"format": "wav", "voice": {"id": "voice_beta"}}}, "audio.voice"),
    (Api.MESSAGES, {"container": "container_beta"}, "container"),
    (Api.MESSAGES, {"container": {"id": "container_beta"}}, "container.id"),
    (Api.MESSAGES, {"container": {"skills": [{"type": "custom", "skill_id": "s"}]}}, "container.skills"),
    (Api.MESSAGES, {"thread": {"type": "continue", "previous_message_id": "msg_beta"}}, "thread"),
    (Api.MESSAGES, _turn({"type": "document", "source": {"type": "file", "file_id": "f"}}), "messages.file_id"),
    (Api.MESSAGES, _turn({"type": "container_upload", "file_id": "f"}), "messages.file_id"),
    (
        Api.MESSAGES,
        _turn({"type": "tool_result", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}),
        "messages.file_id",
    ),
    (
        Api.MESSAGES,
        _turn({"type": "document", "source": {"type": "content", "content": [{"source": {"file_id": "f"}}]}}),
        "messages.file_id",
    ),
]


@pytest.mark.parametrize(("api", "body", "field"), REFERENCES)
def test_a_reference_is_not_found(api: Api, body: JsonObject, field: str) -> None:
    with pytest.raises(NotFound) as caught:
        WIRES[api].strip_request(copy.deepcopy(body))
    assert caught.value.public_message == f"`{field}` refers to a stored object, and there is none of that id."


def test_an_id_of_ours_and_one_of_another_tenant_get_the_same_answer() -> None:
    answers = set()
    for response_id in ("resp_alpha", "resp_beta", "resp_of_nobody"):
        with pytest.raises(NotFound) as caught:
            WIRES[Api.RESPONSES].strip_request({"previous_response_id": response_id})
        answers.add((caught.value.public_message, str(caught.value)))
    assert len(answers) == 1


@pytest.mark.parametrize("api", [api for api in Api if api is not Api.MODELS])
@pytest.mark.parametrize("field", ["data_sources", "dataSources", "DATA-SOURCES"])
def test_indexes_read_with_the_platforms_own_identity_are_out_of_reach_on_every_api(api: Api, field: str) -> None:
    with pytest.raises(NotFound):
        WIRES[api].strip_request({field: [{"type": "azure_search", "parameters": {"index_name": "of-beta"}}]})


@pytest.mark.parametrize("api", [api for api in Api if api is not Api.MODELS])
@pytest.mark.parametrize("field", ["inference_geo", "inferenceGeo", "Inference-Geo"])
def test_no_client_chooses_a_region_on_any_api(api: Api, field: str) -> None:
    with pytest.raises(BadRequest, match="inference_geo"):
        WIRES[api].strip_request({field: "us"})


@pytest.mark.parametrize(
    ("api", "body", "field"),
    [(Api.RESPONSES, {"background": True}, "background"), (Api.MESSAGES, {"inference_geo": "us"}, "inference_geo")],
)
def test_what_only_a_store_or_another_region_could_serve(api: Api, body: JsonObject, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        WIRES[api].strip_request(body)
    assert field in caught.value.public_message


HARMLESS: list[tuple[Api, JsonObject]] = [
    (Api.RESPONSES, {"previous_response_id": None, "conversation": None, "prompt": None, "background": False}),
    (Api.RESPONSES, {"input": "my file_id is 7"}),
    (Api.RESPONSES, _input({"role": "user", "content": "hello"})),
    (Api.RESPONSES, _input({"type": "message", "id": "msg_1", "role": "assistant", "content": []})),
    (Api.RESPONSES, _input({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"})),
    (Api.RESPONSES, _input({"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"text": "x"}]})),
    (Api.RESPONSES, _input({"type": "image_generation_call", "id": "ig_1", "result": "aGk="})),
    (Api.RESPONSES, _input({"type": "input_file", "role": "user", "content": [{"file_id": None, "file_data": "x"}]})),
    (Api.RESPONSES, _input({"type": "function_call", "name": "f", "arguments": '{"file_id": 1}', "call_id": "c"})),
    (Api.RESPONSES, _tool(type="code_interpreter", container={"type": "auto", "file_ids": []})),
    (Api.RESPONSES, _tool(type="function", name="f", parameters={"properties": {"file_id": {"type": "string"}}})),
    (Api.CHAT, _tool(type="function", function={"name": "f", "parameters": {"file_id": "x"}})),
    (Api.CHAT, _turn({"type": "text", "text": "file_id"}, {"type": "image_url", "image_url": {"url": "data:"}})),
    (Api.CHAT, {"audio": {"voice": "alloy"}, "messages": [{"role": "assistant", "audio": None}]}),
    (Api.MESSAGES, {"container": None, "thread": None, "inference_geo": None}),
    (Api.MESSAGES, {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}}),
    (Api.MESSAGES, _turn({"type": "tool_use", "name": "f", "id": "1", "input": {"file_id": "the model's own"}})),
    (Api.MESSAGES, _tool(name="f", input_schema={"properties": {"container_id": {}}})),
    (Api.MESSAGES, _tool(type="mcp_toolset", mcp_server_name="x", configs={"file_id": {"enabled": True}})),
    (Api.COMPLETIONS, {"prompt": "hello", "input": {"file_id": "x"}}),
    (Api.EMBEDDINGS, {"input": [[1, 2], [3]]}),
]


@pytest.mark.parametrize(("api", "body"), HARMLESS)
def test_harmless(api: Api, body: JsonObject) -> None:
    left = copy.deepcopy(body)
    assert WIRES[api].strip_request(left) == []
    assert left == body | ({"store": False} if api is Api.RESPONSES else {})


def test_an_image_s_cache_key_is_not_the_client_s_to_choose() -> None:
    body = _turn({"type": "image_url", "image_url": {"url": "data:", "content_hash": "of beta's image"}})
    assert WIRES[Api.CHAT].strip_request(body) == ["messages.content_hash"]
    assert body == _turn({"type": "image_url", "image_url": {"url": "data:"}})


def test_depth_is_no_trouble() -> None:
    node: object = {"file_id": "f"}
    for _ in range(5000):
        node = [node]
    with pytest.raises(NotFound):
        WIRES[Api.CHAT].strip_request({"messages": node})
