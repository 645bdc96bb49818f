"""Splitting a stream of server-sent events, exactly as it came.

Promises: the `raw` of all events, `flush` included, joined, is what was fed, byte for byte; the events are the same
wherever the stream was cut into chunks; lines end in LF, CRLF or CR, mixed as the server likes; an event longer than
the bound ends the stream instead of filling the memory.

Doesn't promise: to judge UTF-8. `data` is bytes, for the JSON parser to accept or refuse.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from partywall.errors import UpstreamUnavailable

__all__ = ["MAX_EVENT_BYTES", "SseEvent", "SseSplitter"]

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""Longest event by default. The largest in use are partial images, in base64."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event. Comments and stray blank lines are events with no `data`, so that they can be passed on."""

    raw: bytes
    """Its exact bytes, the blank line that ends it included."""
    name: str
    """The value of its last `event` field; empty when it has none."""
    data: bytes
    """The values of its `data` fields, joined with LF."""


class SseSplitter:
    """The splitter for one stream."""

    __slots__ = ("_at_start", "_buffer", "_line_start", "_max", "_scanned")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._line_start = 0
        self._scanned = 0
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes.

        Raises:
            UpstreamUnavailable: an event exceeds the bound. The splitter can't be used afterwards.
        """
        if not self._buffer and chunk.endswith(b"\n\n") and _is_plain(chunk):
            if chunk.find(b"\n\n") == len(chunk) - 2:  # the common case: one chunk, one event
                return [self._event(chunk)]
            return [self._event(piece + b"\n\n") for piece in chunk[:-2].split(b"\n\n")]
        self._buffer += chunk
        return self._split(at_end=False)

    def flush(self) -> list[SseEvent]:
        """What is left when the stream has ended. An event without its blank line is no event to the specification,
        but clients that read line by line take it for one: decide on it like on any other."""
        events = self._split(at_end=True)
        if self._buffer:
            events.append(self._event(bytes(self._buffer)))
            self._buffer.clear()
            self._line_start = self._scanned = 0
        return events

    def _split(self, *, at_end: bool) -> list[SseEvent]:
        events: list[SseEvent] = []
        buffer = self._buffer
        start = 0
        while (end := _LINE_END.search(buffer, self._scanned)) is not None:
            if end.end() == len(buffer) and end.group() == b"\r" and not at_end:
                self._scanned = end.start()  # half of a CRLF, perhaps: the next byte tells
                break
            blank = end.start() == self._line_start
            self._line_start = self._scanned = end.end()
            if blank:
                events.append(self._event(bytes(buffer[start : end.end()])))
                start = end.end()
        else:
            self._scanned = len(buffer)
        self._forget(start)
        return events

    def _forget(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._line_start -= count
            self._scanned -= count
        if len(self._buffer) > self._max:
            raise self._too_long()

    def _event(self, raw: bytes) -> SseEvent:
        if len(raw) > self._max:
            raise self._too_long()
        if self._at_start:
            self._at_start = False
            return _parse(raw, raw.removeprefix(_BOM))
        return _parse(raw, raw)

    def _too_long(self) -> UpstreamUnavailable:
        return UpstreamUnavailable(f"the upstream sent an event of more than {self._max} bytes")


def _is_plain(chunk: bytes) -> bool:
    """Whether `chunk`, which ends in a blank line, can be cut at LF LF: no CR, and no blank line beyond those."""
    return b"\r" not in chunk and b"\n\n\n" not in chunk and not chunk.startswith(b"\n")


def _parse(raw: bytes, text: bytes) -> SseEvent:
    """Read the fields of `text`, which is `raw` without its byte order mark."""
    last = len(text) - 2
    first = text.find(b"\n")
    if b"\r" not in text:
        if first == last and text.startswith(b"data: "):
            return SseEvent(raw, "", text[6:last])
        data = first + 7
        if text.startswith(b"event: ") and text.startswith(b"data: ", first + 1) and text.find(b"\n", data) == last:
            return SseEvent(raw, text[7:first].decode("utf-8", "replace"), text[data:last])
    return _parse_fields(raw, text)


def _parse_fields(raw: bytes, text: bytes) -> SseEvent:
    name = ""
    data: list[bytes] = []
    for line in _LINE_END.split(text):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return SseEvent(raw, name, b"\n".join(data))
