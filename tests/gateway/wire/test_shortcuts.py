"""What most requests look like is read by a shortcut; it finds what the full look would have found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.errors import PartywallError
from partywall.gateway.wire import WIRES, Api
from partywall.gateway.wire.shapes import JsonObject
from partywall.gateway.wire.tool_names import _every_name, entry_names

_NAMES = st.sampled_from(["search", "web_search_preview", "mcp", "", " ", "a\n", "x" * 256, "x" * 257])
_ODD: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(0, 2) | _NAMES | st.just([]) | st.just({}) | st.just(["function"])
)
_TYPES = st.sampled_from(
    ["function", "custom", "tool", "namespace", "mcp", "mcp_toolset", "web_search_20250305", "text_editor_20250728"]
)
_MEMBERS = st.sampled_from(
    [
        *(
            "name",
            "type",
            "function",
            "custom",
            "tools",
            "server_label",
            "mcp_server_name",
            "description",
            "parameters",
        ),
        *("strict", "input_schema", "cache_control", "format", "container", "unknown", "Name", "TYPE", "Function"),
    ]
)
_HOLDERS = st.dictionaries(_MEMBERS, _NAMES | _ODD, max_size=4) | st.fixed_dictionaries(
    {"name": _NAMES}, optional={"description": _ODD, "parameters": _ODD, "strict": _ODD}
)
_ENTRIES = st.builds(
    lambda fixed, more: {**fixed, **more},
    st.fixed_dictionaries(
        {},
        optional={"type": _TYPES | _ODD, "function": _HOLDERS | _ODD, "custom": _HOLDERS | _ODD, "name": _NAMES | _ODD},
    ),
    st.just({}) | st.dictionaries(_MEMBERS, _HOLDERS | _ODD, max_size=3),
)


def _outcome(ask: Callable[[Any], object], of: object) -> object:
    try:
        return ask(of)
    except PartywallError as error:
        return type(error), str(error), error.public_message


@settings(max_examples=1000, deadline=None)
@given(entry=_ENTRIES)
def test_a_tool_has_the_same_names_by_the_short_way_and_the_long(entry: JsonObject) -> None:
    short, long = partial(entry_names, where="tools"), partial(_every_name, where="tools")
    assert _outcome(short, entry) == _outcome(long, entry)


_PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "tool_addition", "compaction"]),
        "file_id": _ODD,
        "content_hash": _ODD,
        "tool": st.just({"type": "tool_reference", "name": "search"}),
    },
)
_OF_TURNS: dict[str, st.SearchStrategy[object]] = {
    "role": st.just("user") | _ODD | _PARTS,
    "content": st.just("hello") | st.lists(_PARTS, max_size=2) | _PARTS | _ODD,
    "tools": st.lists(_ENTRIES, max_size=2) | _ODD,
    "audio": st.just({"id": "audio_beta"}) | _ODD,
    "type": st.sampled_from(["message", "item_reference", "reasoning"]),
    "file_id": st.just("file_beta"),
}
_TURNS = st.fixed_dictionaries({}, optional=_OF_TURNS)
_NEARLY_PLAIN = st.sampled_from(sorted(_OF_TURNS)).flatmap(
    lambda member: st.fixed_dictionaries({"role": st.just("user"), "content": st.just("hi"), member: _OF_TURNS[member]})
)


@settings(max_examples=500, deadline=None)
@given(
    api=st.sampled_from([Api.CHAT, Api.RESPONSES, Api.MESSAGES]),
    turns=st.lists(_NEARLY_PLAIN | _TURNS | _ODD, max_size=4),
)
def test_turns_of_two_texts_are_passed_over_and_no_other(api: Api, turns: list[object]) -> None:
    """With a third member, which says nothing, no turn is passed over; and it makes no difference."""
    wire, field = WIRES[api], "input" if api is Api.RESPONSES else "messages"
    long = [{**turn, "seed": 1} if isinstance(turn, dict) else turn for turn in turns]
    bodies: list[JsonObject] = [{"model": "m", field: copy.deepcopy(conversation)} for conversation in (turns, long)]
    for ask in (wire.strip_request, wire.requested_tools):
        short_way, long_way = (_outcome(ask, body) for body in bodies)
        assert short_way == long_way
