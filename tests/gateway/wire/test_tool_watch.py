"""`watch`: nothing of a tool call is released before its name was decided on."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.errors import PartywallError, ToolDenied, UpstreamUnavailable
from partywall.gateway.wire import HOLD, RELEASE, WIRES, Api, Step
from partywall.gateway.wire.shapes import JsonObject
from partywall.gateway.wire.tool_watch import MAX_CALLS


def _delta(*calls: JsonObject, choice: int = 0, finish: str | None = None, **delta: object) -> JsonObject:
    if calls:
        delta["tool_calls"] = list(calls)
    return {"choices": [{"index": choice, "delta": delta, "finish_reason": finish}]}


def _call(index: int | None = 0, call_id: str | None = None, **function: object) -> JsonObject:
    piece: JsonObject = {} if index is None else {"index": index}
    if call_id is not None:
        piece["id"] = call_id
    return {**piece, "function": function}


def _feed(*events: JsonObject, api: Api = Api.CHAT) -> list[Step]:
    watch = WIRES[api].watch()
    return [watch.feed(event) for event in events]


TEXT = _delta(content="hello")
END = _delta(finish="tool_calls")


def test_text_is_released_at_once() -> None:
    assert _feed(_delta(role="assistant"), TEXT, _delta(finish="stop"), {"choices": [], "usage": {}}) == [RELEASE] * 4


def test_a_name_in_one_piece_is_complete_when_arguments_begin() -> None:
    steps = _feed(_delta(_call(call_id="1", name="a", arguments="")), _delta(_call(arguments="{")), END)
    assert steps == [HOLD, Step(False, ("a",)), RELEASE]


def test_a_name_with_arguments_in_the_same_event() -> None:
    assert _feed(_delta(_call(name="a", arguments="{}")), END) == [Step(False, ("a",)), RELEASE]


def test_a_name_in_pieces() -> None:
    steps = _feed(
        _delta(_call(name="get_")), _delta(_call(name="wea")), _delta(_call(name="ther")), _delta(_call(arguments="{"))
    )
    assert steps == [HOLD, HOLD, HOLD, Step(False, ("get_weather",))]


def test_a_call_without_arguments_is_complete_at_the_end_of_its_choice() -> None:
    assert _feed(_delta(_call(name="a")), END) == [HOLD, Step(False, ("a",))]


def test_a_call_is_complete_when_text_goes_on() -> None:
    assert _feed(_delta(_call(name="a")), TEXT) == [HOLD, Step(False, ("a",))]


def test_a_call_is_complete_when_another_begins() -> None:
    steps = _feed(_delta(_call(0, name="a")), _delta(_call(1, name="b")), END)
    assert steps == [HOLD, Step(True, ("a",)), Step(False, ("b",))]


def test_two_calls_in_one_event() -> None:
    assert _feed(_delta(_call(0, name="a", arguments="{}"), _call(1, name="b", arguments="{}"))) == [
        Step(False, ("a", "b"))
    ]


def test_choices_are_told_apart() -> None:
    steps = _feed(_delta(_call(name="a")), _delta(_call(name="b"), choice=1), _delta(choice=1, finish="stop"), END)
    assert steps == [HOLD, HOLD, Step(True, ("b",)), Step(False, ("a",))]


def test_while_a_name_is_open_everything_waits_in_order() -> None:
    assert _feed(_delta(_call(name="a")), _delta(content="other choice", choice=1), END) == [
        HOLD,
        HOLD,
        Step(False, ("a",)),
    ]


def test_index_0_for_every_call_and_ids_apart() -> None:
    """Dynamo did so; the official client would glue the names together."""
    steps = _feed(_delta(_call(0, "1", name="a", arguments="{}")), _delta(_call(0, "2", name="b", arguments="{}")), END)
    assert steps == [Step(False, ("a",)), Step(False, ("b",)), RELEASE]


def test_no_index_at_all() -> None:
    """Gemini's compatible endpoint did so."""
    steps = _feed(
        _delta(_call(None, "1", name="a")), _delta(_call(None, arguments="{}")), _delta(_call(None, "2", name="b")), END
    )
    assert steps == [HOLD, Step(False, ("a",)), HOLD, Step(False, ("b",))]


def test_arguments_before_the_name_wait_for_it() -> None:
    """SGLang did so."""
    steps = _feed(_delta(_call(0, "1", arguments="{")), _delta(_call(arguments="}")), _delta(_call(name="a")), END)
    assert steps == [HOLD, HOLD, HOLD, Step(False, ("a",))]


def test_a_name_repeated_in_every_event_is_one_name() -> None:
    steps = _feed(*[_delta(_call(name="a", arguments="{"))] * 3)
    assert steps == [Step(False, ("a",)), RELEASE, RELEASE]


def test_a_name_that_grows_late_is_decided_again() -> None:
    """`get` is allowed, `get_secret` isn't, and a client appends whatever comes."""
    steps = _feed(_delta(_call(name="get", arguments="{")), _delta(_call(name="_secret")), _delta(_call(arguments="}")))
    assert steps == [Step(False, ("get",)), Step(True, ("_secret",)), Step(False, ("get_secret",))]


def test_the_older_function_call() -> None:
    steps = _feed(
        _delta(function_call={"name": "a"}), _delta(function_call={"arguments": "{"}), _delta(finish="function_call")
    )
    assert steps == [HOLD, Step(False, ("a",)), RELEASE]


def test_a_custom_tool() -> None:
    event = _delta({"index": 0, "custom": {"name": "a"}})
    assert _feed(event, _delta({"index": 0, "custom": {"input": "x"}})) == [HOLD, Step(False, ("a",))]


def test_a_whole_message_in_one_event() -> None:
    event: JsonObject = {"choices": [{"message": {"tool_calls": [{"function": {"name": "a"}}]}}]}
    assert _feed(event) == [Step(False, ("a",))]


def test_the_end_of_the_stream_completes_a_name() -> None:
    watch = WIRES[Api.CHAT].watch()
    watch.feed(_delta(_call(0, name="a")))
    assert watch.finish() == ("a",)
    assert watch.finish() == ()


@pytest.mark.parametrize(
    "events",
    [
        [_delta({"index": 0, "id": "1"}), END],
        [_delta(_call(arguments="{}")), END],
        [_delta(_call(name=None)), END],
        [_delta(_call(0, "1", arguments="{}")), _delta(_call(0, "2", name="b"))],
    ],
)
def test_a_call_that_gets_no_name_ends_the_stream(events: list[JsonObject]) -> None:
    with pytest.raises(ToolDenied):
        _feed(*events)


@pytest.mark.parametrize(
    "event",
    [
        _delta(tool_calls={"function": {"name": "a"}}),
        _delta(tool_calls=["a"]),
        _delta(tool_calls=[{"index": 0, "function": "a"}]),
        _delta(tool_calls=[{"index": 0, "function": {"name": ["a"]}}]),
        _delta(tool_calls=[{"index": 0, "function": {"name": "x" * 257}}]),
        _delta(tool_calls=[{"index": 0, "function": {"name": "a"}, "custom": {"name": "b"}}]),
        _delta(function_call="a"),
    ],
)
def test_a_call_that_can_t_be_read_ends_the_stream(event: JsonObject) -> None:
    with pytest.raises(ToolDenied):
        _feed(event)


def test_a_name_can_t_grow_for_ever() -> None:
    with pytest.raises(ToolDenied):
        _feed(*[_delta(_call(name="xxxxxxxx"))] * 40)


def test_what_is_held_is_bounded() -> None:
    with pytest.raises(UpstreamUnavailable):
        _feed(_delta(_call(0, "1")), *[_delta(_call(arguments="x"))] * 600)


def test_the_number_of_calls_is_bounded() -> None:
    with pytest.raises(UpstreamUnavailable):
        _feed(*(_delta(_call(i, name="a", arguments="{}")) for i in range(MAX_CALLS + 1)))


# -- The property: whoever follows the protocol never shows a forbidden name ---------------------------------------

_FORBIDDEN = "wipe_disk"


def _pipeline(events: list[JsonObject]) -> list[JsonObject]:
    """What a client gets to see, with the protocol of `tool_watch` around `events`."""
    watch, held, released = WIRES[Api.CHAT].watch(), list[JsonObject](), list[JsonObject]()
    with contextlib.suppress(PartywallError):
        for event in events:
            step = watch.feed(event)
            if _FORBIDDEN in step.names:
                return released
            held.append(event)
            if not step.hold:
                released += held
                held.clear()
        if _FORBIDDEN not in watch.finish():
            released += held
    return released


def _as_clients_read(events: list[JsonObject]) -> set[str]:
    """Every name that the official clients put together: they append, by index."""
    names: dict[object, str] = {}
    for event in events:
        for choice in event["choices"]:  # type: ignore[attr-defined]  # made by the strategy below
            for call in choice["delta"].get("tool_calls", ()):
                names[call["index"]] = names.get(call["index"], "") + call["function"].get("name", "")
    return set(names.values())


_CALLS = st.builds(
    _call,
    index=st.sampled_from([0, 1]),
    call_id=st.none(),
    name=st.sampled_from(["", "wipe", "_disk", "wipe_disk", "get"]),
    arguments=st.sampled_from(["", "{", "}"]),
)
_EVENTS = st.lists(
    st.one_of(
        st.builds(_delta, _CALLS),
        st.builds(_delta, _CALLS, _CALLS),
        st.just(TEXT),
        st.just(END),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(_EVENTS)
def test_no_client_reads_a_forbidden_name(events: list[JsonObject]) -> None:
    assert _FORBIDDEN not in _as_clients_read(_pipeline(events))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([_delta(_call(0, name="get", arguments="{")), TEXT, END]), max_size=12))
def test_what_is_allowed_arrives_whole(events: list[JsonObject]) -> None:
    assert _pipeline(events) == events


# -- APIs that announce a call --------------------------------------------------------------------------------------


def test_responses() -> None:
    steps = _feed(
        {"type": "response.created", "response": {"output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "name": "a"}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
        {"type": "response.completed", "response": {"output": [{"type": "function_call", "name": "a"}]}},
        api=Api.RESPONSES,
    )
    assert steps == [RELEASE, RELEASE, Step(False, ("a",)), RELEASE, Step(False, ("a",))]


def test_messages() -> None:
    steps = _feed(
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "a", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "message_stop"},
        api=Api.MESSAGES,
    )
    assert steps == [RELEASE, RELEASE, RELEASE, Step(False, ("a",)), RELEASE, RELEASE]


@pytest.mark.parametrize(
    ("api", "event"),
    [
        (Api.RESPONSES, {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}),
        (Api.RESPONSES, {"type": "response.function_call_arguments.done", "arguments": "{}"}),
        (Api.RESPONSES, {"type": "response.mcp_call_arguments.delta", "output_index": [], "delta": "{"}),
        (Api.RESPONSES, {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call"}}),
        (Api.MESSAGES, {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta"}}),
        (Api.MESSAGES, {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use"}}),
    ],
)
def test_arguments_without_an_announced_call_end_the_stream(api: Api, event: JsonObject) -> None:
    with pytest.raises(ToolDenied):
        _feed(event, api=api)


@pytest.mark.parametrize("api", [Api.COMPLETIONS, Api.EMBEDDINGS, Api.MODELS])
def test_apis_without_tools(api: Api) -> None:
    assert _feed({"choices": [{"text": "x"}]}, api=api) == [RELEASE]
    assert WIRES[api].watch().finish() == ()
