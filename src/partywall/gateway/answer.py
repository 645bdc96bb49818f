"""An upstream's answer, wherever it comes from.

Promises: the parrot's answers look like any other upstream's to the pipeline, so that what is proved with the parrot
holds for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from partywall.errors import UpstreamUnavailable
from partywall.upstream.providers import ParrotAnswer

__all__ = ["Answer", "LocalAnswer", "is_event_stream"]

_EVENT_STREAM: Final = b"text/event-stream"


class Answer(Protocol):
    """Status, headers, and a body to be read once: whole or in chunks.

    `abort` drops what wasn't read. Whoever was given an answer calls it in the end.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[bytes, bytes]]: ...
    def read_at_once(self, limit_bytes: int) -> bytes | None: ...
    async def read(self, limit_bytes: int) -> bytes: ...
    def chunks(self) -> AsyncIterator[bytes]: ...
    def abort(self) -> None: ...


def is_event_stream(answer: Answer) -> bool:
    """Whether `answer` says that it is a stream of server-sent events."""
    for name, value in answer.headers:
        if name == b"content-type":
            return value.startswith(_EVENT_STREAM)
    return False


class LocalAnswer:
    """The parrot's answer."""

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: ParrotAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = list(answer.headers)

    def read_at_once(self, limit_bytes: int) -> bytes:
        """The whole body: there is nothing to wait for."""
        answer = self._answer
        body = answer.body if answer.events is None else b"".join(answer.events)
        if len(body) > limit_bytes:
            raise UpstreamUnavailable(f"the answer is longer than {limit_bytes} bytes")
        return body

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body."""
        return self.read_at_once(limit_bytes)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, an event at a time; other requests get their turn in between."""
        if self._answer.events is None:
            yield self._answer.body
            return
        for event in self._answer.events:
            yield event
            await asyncio.sleep(0)

    def abort(self) -> None:
        """Nothing is held that could be dropped."""
