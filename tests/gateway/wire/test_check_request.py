"""`check_request`: the shapes without which nothing can be decided, on every API."""

from __future__ import annotations

import pytest

from partywall.errors import BadRequest
from partywall.gateway.wire import WIRES, Api, Wire

_WIRES = pytest.mark.parametrize("wire", list(WIRES.values()), ids=lambda wire: wire.api)


@_WIRES
@pytest.mark.parametrize("body", [None, [], "{}", 1, True, [{"model": "m"}]], ids=repr)
def test_the_body_must_be_an_object(wire: Wire, body: object) -> None:
    with pytest.raises(BadRequest) as caught:
        wire.check_request(body)
    assert caught.value.public_message == "The request body must be a JSON object."


@_WIRES
@pytest.mark.parametrize(
    "model", [None, "", 7, ["m"], {"id": "m"}, True, "m" * 257, "m\n", "m\x00", "m\u202e"], ids=repr
)
def test_model_must_be_a_name(wire: Wire, model: object) -> None:
    with pytest.raises(BadRequest, match="`model`") as caught:
        wire.check_request({"model": model})
    assert caught.value.public_message == "`model` must be a string of 1 to 256 printable characters."


@_WIRES
def test_model_must_be_there(wire: Wire) -> None:
    with pytest.raises(BadRequest, match="`model`"):
        wire.check_request({"messages": []})


@_WIRES
@pytest.mark.parametrize("stream", ["true", 1, 0, [], {}, "false"], ids=repr)
def test_stream_must_be_true_or_false(wire: Wire, stream: object) -> None:
    with pytest.raises(BadRequest) as caught:
        wire.check_request({"model": "m", "stream": stream})
    assert caught.value.public_message == "`stream` must be true or false."


@_WIRES
@pytest.mark.parametrize("tools", [None, {}, "web_search", 1, [None], ["x"], [{}, 1], [[]]], ids=repr)
def test_tools_must_be_a_list_of_objects(wire: Wire, tools: object) -> None:
    with pytest.raises(BadRequest) as caught:
        wire.check_request({"model": "m", "tools": tools})
    assert caught.value.public_message == "`tools` must be a list of objects."


@_WIRES
def test_everything_else_passes_untouched(wire: Wire) -> None:
    body = {"model": "m" * 256, "stream": None, "n": "many", "top_k": 5, "x-mine": {"Name": 1}, "temperature": None}
    before = dict(body)
    assert wire.check_request(body) is body
    assert body == before


@pytest.mark.parametrize(
    "key", ["User", "METADATA", "Store", "Prompt_Cache_Options", "Previous_Response_ID", "Audio", "Instructions"]
)
def test_fields_that_we_set_or_refuse_have_no_second_spelling_either(key: str) -> None:
    with pytest.raises(BadRequest, match="lower case"):
        WIRES[Api.CHAT].check_request({"model": "m", key: "beta"})


@pytest.mark.parametrize("key", ["Model", "MODEL", "Tools", "tool_Choice", "\u017ftream", "too\u217cs", "\u212a"])
def test_fields_that_count_are_read_in_one_spelling_only(key: str) -> None:
    """Go's `encoding/json` ignores case and folds the long s: Ollama would take the second model."""
    body = {"model": "allowed", key: "forbidden"}
    if key.casefold() in {"model", "tools", "tool_choice", "stream"}:
        with pytest.raises(BadRequest, match="lower case"):
            WIRES[Api.CHAT].check_request(body)
    else:
        WIRES[Api.CHAT].check_request(body)
