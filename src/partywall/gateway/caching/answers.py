"""Upstreams' answers that are being kept, and kept ones that stand in for an upstream's.

Promises: both are `Answer`s, so that a kept answer goes out by the same way, through the same checks, as the first. A
stream is given again as a stream and a whole answer whole. Ids are new each time and the clock is now's, so that two
answers can't be told to be one; what was used is what the first asker was told.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator
from typing import Final

import orjson

from partywall.errors import UpstreamUnavailable
from partywall.gateway.answer import Answer, is_event_stream
from partywall.gateway.wire import JsonObject, SseSplitter
from partywall.gateway.wire.refusals import sse
from partywall.gateway.wire.streaming import DONE
from partywall.stores.caching import KeptAnswer

__all__ = ["Keeping", "Replayed"]

_IDS: Final = frozenset({"id", "item_id", "response_id", "message_id"})
_CLOCKS: Final = frozenset({"created", "created_at", "completed_at"})
_NOT_OURS: Final = frozenset(
    {"input", "arguments", "metadata", "tools", "parameters", "text", "content_filter_results"}
)
"""Members whose own members somebody else named: an argument `id` is no id of the answer's."""
_PREFIX: Final = re.compile(r"[A-Za-z]{1,16}(?:-[a-z]{1,8})?[-_]")
_AT_ONCE_BYTES: Final = 16_384
_HEADERS: Final = {
    True: [(b"content-type", b"text/event-stream; charset=utf-8")],
    False: [(b"content-type", b"application/json")],
}


class Keeping:
    """An upstream's answer, and what has been read of it."""

    __slots__ = ("_answer", "_most", "_read", "headers", "status", "streamed")

    def __init__(self, answer: Answer, most_bytes: int) -> None:
        self._answer = answer
        self._most = most_bytes
        self._read: bytearray | None = bytearray()
        self.status = answer.status
        self.headers = answer.headers
        self.streamed = is_event_stream(answer)

    def body(self) -> bytes | None:
        """All that was read; None when that was too much."""
        return None if self._read is None else bytes(self._read)

    def read_at_once(self, limit_bytes: int) -> bytes | None:
        """See `Answer`."""
        body = self._answer.read_at_once(limit_bytes)
        if body is not None:
            self._note(body)
        return body

    async def read(self, limit_bytes: int) -> bytes:
        """See `Answer`."""
        body = await self._answer.read(limit_bytes)
        self._note(body)
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Answer`."""
        async for chunk in self._answer.chunks():
            self._note(chunk)
            yield chunk

    def abort(self) -> None:
        """See `Answer`."""
        self._answer.abort()

    def _note(self, chunk: bytes) -> None:
        if self._read is None:
            return
        if len(self._read) + len(chunk) > self._most:
            self._read = None
        else:
            self._read += chunk


class Replayed:
    """A kept answer, given again."""

    __slots__ = ("_kept", "_renewed", "headers", "status")

    def __init__(self, kept: KeptAnswer) -> None:
        self._kept = kept
        self._renewed = _Renewed()
        self.status = 200
        self.headers = _HEADERS[kept.streamed]

    def read_at_once(self, limit_bytes: int) -> bytes:
        """See `Answer`: there is nothing to wait for."""
        body = orjson.dumps(self._renewed(orjson.loads(self._kept.text)))
        if len(body) > limit_bytes:
            raise UpstreamUnavailable(f"the answer is longer than {limit_bytes} bytes")
        return body

    async def read(self, limit_bytes: int) -> bytes:
        """See `Answer`."""
        return self.read_at_once(limit_bytes)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Answer`: some events at a time; other requests get their turn in between."""
        splitter = SseSplitter()
        out = bytearray()
        for event in [*splitter.feed(self._kept.text.encode()), *splitter.flush()]:
            if not event.data or event.data == DONE:
                out += event.raw
            else:
                out += sse(self._renewed(orjson.loads(event.data)), event.name.encode())
            if len(out) > _AT_ONCE_BYTES:
                yield bytes(out)
                out.clear()
                await asyncio.sleep(0)
        if out:
            yield bytes(out)

    def abort(self) -> None:
        """Nothing is held that could be dropped."""


class _Renewed:
    """Writes new ids over those of one answer, the same one for the same, and the time over its times."""

    __slots__ = ("_ids", "_now")

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._now = int(time.time())

    def __call__(self, value: JsonObject) -> JsonObject:
        self._walk(value)
        return value

    def _walk(self, root: object) -> None:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, list):
                waiting += node
            elif isinstance(node, dict):
                for name, value in node.items():
                    if name in _IDS:
                        if isinstance(value, str) and value:
                            node[name] = self._id(value)
                    elif name in _CLOCKS:
                        if type(value) in (int, float):
                            node[name] = self._now
                    elif name not in _NOT_OURS and isinstance(value, dict | list):
                        waiting.append(value)

    def _id(self, old: str) -> str:
        new = self._ids.get(old)
        if new is None:
            prefix = _PREFIX.match(old)
            new = self._ids[old] = (prefix.group() if prefix else "") + secrets.token_hex(16)
        return new
