"""Whatever JSON comes in, what goes out is an answer or a `PartywallError`."""

from __future__ import annotations

import contextlib
import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.errors import PartywallError
from partywall.gateway.wire import WIRES, Api, Passage, Wire
from partywall.gateway.wire.shapes import JsonObject

_WITH_TOOLS = (Api.CHAT, Api.RESPONSES, Api.MESSAGES)
_WIRES = pytest.mark.parametrize("wire", list(WIRES.values()), ids=lambda wire: wire.api)
_TOOL_WIRES = pytest.mark.parametrize("wire", [WIRES[api] for api in _WITH_TOOLS], ids=lambda wire: wire.api)
_SOME = settings(max_examples=50, deadline=None)


def _words(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


_KEYS = _words(
    """model stream tools tool_choice functions function_call messages input content type name function custom mode
    allowed_tools server_label mcp_server_name mcp_servers tool definition tool_changes metadata store container skills
    id role choices delta tool_calls index arguments finish_reason message output item response output_index
    content_block usage prompt_tokens input_tokens cache_salt tenant prompt_cache_options prompt_cache_retention audio
    voice background_options background web_search_options Name toolset_name server_name file_id system prompt
    instructions suffix chat_template_kwargs truncation text"""
)
_WORDS = _words(
    """function custom tool namespace mcp mcp_toolset auto any required none allowed_tools tool_addition compaction
    tool_use mcp_tool_use server_tool_use function_call mcp_call reasoning item_reference input_json_delta
    tool_definition tool_reference web_search_preview response.function_call_arguments.delta get_weather"""
)
_LEAVES = st.none() | st.booleans() | st.integers(-2, 300) | st.floats(allow_nan=False) | _WORDS | st.text(max_size=4)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=6),
    max_leaves=16,
)
_OBJECTS = st.dictionaries(_KEYS, _JSON, max_size=8)


@_WIRES
@_SOME
@given(body=_JSON)
def test_check_request(wire: Wire, body: object) -> None:
    with contextlib.suppress(PartywallError):
        wire.check_request(body)


@_WIRES
@_SOME
@given(body=_OBJECTS)
def test_every_question_about_a_request(wire: Wire, body: JsonObject) -> None:
    for ask in (wire.requested_tools, wire.forced_tool, wire.tenant_hints, wire.strip_request):
        with contextlib.suppress(PartywallError):
            ask(copy.deepcopy(body))


@_WIRES
@_SOME
@given(body=_OBJECTS)
def test_whatever_is_put_into_a_request(wire: Wire, body: JsonObject) -> None:
    with contextlib.suppress(PartywallError):
        wire.put_context(body, [Passage("a document", "of one line")])
    with contextlib.suppress(PartywallError):
        wire.put_instructions(body, ["come first"])


@_TOOL_WIRES
@_SOME
@given(body=_OBJECTS, allowed=st.sets(_WORDS | st.just("mcp:auto")))
def test_after_the_filter_only_allowed_tools_are_offered(wire: Wire, body: JsonObject, allowed: set[str]) -> None:
    try:
        before = wire.requested_tools(copy.deepcopy(body))
        removed = wire.filter_tools(body, allowed.__contains__)
    except PartywallError:
        return
    left = wire.requested_tools(body)
    assert set(left) <= allowed
    assert set(before) - set(left) <= set(removed)
    assert not set(removed) & allowed
    forced = wire.forced_tool(body)
    assert forced is None or forced in allowed
    assert wire.filter_tools(copy.deepcopy(body), allowed.__contains__) == []
    orjson.dumps(body)


@_TOOL_WIRES
@_SOME
@given(body=_OBJECTS)
def test_a_filter_that_allows_all_changes_nothing(wire: Wire, body: JsonObject) -> None:
    before = copy.deepcopy(body)
    with contextlib.suppress(PartywallError):
        assert wire.filter_tools(body, lambda _name: True) == []
        assert body == before


@_WIRES
@_SOME
@given(body=_OBJECTS)
def test_stripping_twice_is_stripping_once(wire: Wire, body: JsonObject) -> None:
    try:
        wire.strip_request(body)
    except PartywallError:
        return
    once = copy.deepcopy(body)
    assert wire.strip_request(body) == []
    assert body == once


@_WIRES
@_SOME
@given(answer=_OBJECTS)
def test_every_question_about_an_answer(wire: Wire, answer: JsonObject) -> None:
    for ask in (wire.tool_names_in_answer, wire.tool_names_in_event):
        with contextlib.suppress(PartywallError):
            assert all(ask(answer))  # no name is empty
    usage = wire.usage(answer)
    assert usage is None or min(usage) >= 0


@_TOOL_WIRES
@_SOME
@given(events=st.lists(_OBJECTS, max_size=4))
def test_a_watch_over_any_stream(wire: Wire, events: list[JsonObject]) -> None:
    watch = wire.watch()
    with contextlib.suppress(PartywallError):
        for event in events:
            watch.feed(event)
        watch.finish()


@pytest.mark.parametrize("api", [Api.RESPONSES, Api.MESSAGES])
@_SOME
@given(events=st.lists(_OBJECTS, max_size=4))
def test_where_calls_are_announced_the_watch_reports_what_the_event_names(api: Api, events: list[JsonObject]) -> None:
    wire = WIRES[api]
    watch = wire.watch()
    with contextlib.suppress(PartywallError):
        for event in events:
            assert list(watch.feed(event).names) == wire.tool_names_in_event(event)
