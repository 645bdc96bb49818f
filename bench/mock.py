"""A mock OpenAI upstream that costs as little as Python can: `python -m bench.mock PORT`.

Promises: `POST …/chat/completions` gets the same pre-rendered answer each time; with `"stream": true` it gets
`EVENTS` server-sent events, one write each, `EVENT_GAP_SECONDS` apart, as a model that generates would send them.
`GET …/models` lists one model.

Doesn't promise: to check credentials or bodies. Tests have stricter mocks.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import uvloop

from bench.wire import MODEL, answer_body, stream_events

__all__ = ["EVENTS", "EVENT_GAP_SECONDS"]

EVENTS = 200
EVENT_GAP_SECONDS = 0.004  # 250 tokens a second: quick enough for a short run, slow enough that none are merged


def _response(content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _wants_stream(body: bytes) -> bool:
    # Fields stand around the messages, so the middle isn't searched: on 16 KB that took half of the mock's time.
    # Were the field missed, the load generator would miss its events and fail the measurement.
    around = body[:256] + body[-512:]
    return b'"stream":true' in around or b'"stream": true' in around


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


_CHAT = _response("application/json", answer_body())
_MODELS = _response("application/json", b'{"object":"list","data":[{"id":"%s","object":"model"}]}' % MODEL.encode())
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNKS = [_chunk(event) for event in stream_events(EVENTS)]
_CHUNKS[-1] += b"0\r\n\r\n"


class _Upstream(asyncio.Protocol):
    __slots__ = ("_body", "_parser", "_transport")

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if not body:
            self._transport.write(_MODELS)
        elif _wants_stream(body):
            self._transport.write(_STREAM_HEAD)
            self._send_event(0)
        else:
            self._transport.write(_CHAT)

    def _send_event(self, index: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_CHUNKS[index])
        if index + 1 < len(_CHUNKS):
            asyncio.get_running_loop().call_later(EVENT_GAP_SECONDS, self._send_event, index + 1)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
