"""`sse`: the same events wherever the stream was cut, and every byte accounted for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.errors import UpstreamUnavailable
from partywall.gateway.wire import SseEvent, SseSplitter

_PIECES = st.sampled_from(
    [
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"),
        *(b"data: ", b"data:", b"data", b"event: ", b": ", b"id: 7", b"retry: 1"),
        *(b"x", b"{}", b" ", b"\xc3\xa9", b"\xff", b"\x00", b"\xef\xbb\xbf", b"[DONE]", b"\xe2\x80\xa8", b"\x0b\x0c"),
    ]
)
_STREAMS = st.lists(_PIECES, max_size=40).map(b"".join)


def _split(*chunks: bytes) -> list[SseEvent]:
    splitter = SseSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.flush()


@settings(deadline=None)
@given(_STREAMS)
def test_cut_at_every_byte_the_events_are_the_same(stream: bytes) -> None:
    whole = _split(stream)
    assert b"".join(event.raw for event in whole) == stream
    for at in range(len(stream) + 1):
        assert _split(stream[:at], stream[at:]) == whole
    assert _split(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@settings(deadline=None)
@given(_STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_cut_in_many_places_the_events_are_the_same(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert _split(*chunks) == _split(stream)


@pytest.mark.parametrize(
    ("stream", "name", "data"),
    [
        (b"data: a\n\n", "", b"a"),
        (b"data:a\n\n", "", b"a"),
        (b"data:  a\n\n", "", b" a"),
        (b"data: a\r\n\r\n", "", b"a"),
        (b"data: a\r\r", "", b"a"),
        (b"data: a\n\r\n", "", b"a"),
        (b"data: a\ndata: b\n\n", "", b"a\nb"),
        (b"data: a\r\ndata: b\n\n", "", b"a\nb"),
        (b"data\n\n", "", b""),
        (b"data: a\ndata\n\n", "", b"a\n"),
        (b"event: error\ndata: a\n\n", "error", b"a"),
        (b"data: a\nevent: error\n\n", "error", b"a"),
        (b"event: one\nevent: two\ndata: a\n\n", "two", b"a"),
        (b"event:\ndata: a\n\n", "", b"a"),
        (b": a comment\n\n", "", b""),
        (b": a comment\ndata: a\n\n", "", b"a"),
        (b"id: 7\nretry: 10\ndata: a\n\n", "", b"a"),
        (b"\xef\xbb\xbfdata: a\n\n", "", b"a"),
        (b"\xef\xbb\xbfevent: x\ndata: a\n\n", "x", b"a"),
        (b"datax: a\n\n", "", b""),
        (b" data: a\n\n", "", b""),
        ("data: \u2028\x85\x0b\n\n".encode(), "", "\u2028\x85\x0b".encode()),
        (b"event: \xff\ndata: a\n\n", "\ufffd", b"a"),
    ],
)
def test_one_event(stream: bytes, name: str, data: bytes) -> None:
    assert _split(stream) == [SseEvent(stream, name, data)]


def test_several_events_in_one_chunk() -> None:
    assert [event.data for event in SseSplitter().feed(b"data: a\n\ndata: b\n\ndata: [DONE]\n\n")] == [
        b"a",
        b"b",
        b"[DONE]",
    ]


def test_an_event_is_given_out_as_soon_as_its_blank_line_is_there() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b"data: a\n") == []
    assert [event.data for event in splitter.feed(b"\ndata: b")] == [b"a"]
    assert [event.data for event in splitter.feed(b"\r\n\r\n")] == [b"b"]


def test_a_byte_order_mark_counts_only_at_the_start() -> None:
    first, second = _split(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n")
    assert (first.data, second.data) == (b"a", b"")


def test_what_is_left_at_the_end_is_an_event_too() -> None:
    """Clients that read line by line take it for one, so it must pass the same checks."""
    splitter = SseSplitter()
    splitter.feed(b'data: a\n\ndata: {"name": "wipe"}')
    assert splitter.flush() == [SseEvent(b'data: {"name": "wipe"}', "", b'{"name": "wipe"}')]
    assert splitter.flush() == []


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 100 + b"\n\n", b"data: " + b"x" * 100, b"x\n" * 60, b"x\r\n" * 60]
)
def test_an_event_has_a_bound(stream: bytes) -> None:
    with pytest.raises(UpstreamUnavailable):
        SseSplitter(max_event_bytes=64).feed(stream)
    splitter = SseSplitter(max_event_bytes=64)
    with pytest.raises(UpstreamUnavailable):
        [splitter.feed(stream[i : i + 1]) for i in range(len(stream))]


def test_many_short_events_don_t_add_up() -> None:
    splitter = SseSplitter(max_event_bytes=16)
    assert len(splitter.feed(b"data: abc\r\n\r\n" * 50)) == 50
