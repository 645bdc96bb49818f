"""One exchange of uvicorn's, with a short way out for whole answers.

Promises: `AnswerWriter` is an ASGI `send`; its `whole` writes status, headers and body at once, where ASGI's two
messages cost two writes and a check of every header with two regular expressions. The headers of a whole answer are
ours alone (`tenant_headers`, `refusals.headers`): no byte of a client's or an upstream's is among them but the request
id, which we made.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from partywall.gateway.http import ASGIApp, ClientGone, Header, Message

__all__ = ["WRITE_SECONDS", "AnswerWriter", "run"]

WRITE_SECONDS: Final = 60.0
"""How long a client may leave what was written unread, before it counts as gone."""

_log = logging.getLogger("partywall.gateway")


class AnswerWriter:
    """ASGI's `send` for one exchange, and `whole`."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    async def __call__(self, message: Message) -> None:
        if self._cycle.flow.write_paused and not self._cycle.disconnected:
            await self._until_read()
        await self._cycle.send(message)  # type: ignore[arg-type]  # uvicorn spells the message types out

    async def whole(self, status: int, headers: list[Header], body: bytes) -> None:
        """Write a complete answer; `headers` lack the length."""
        cycle = self._cycle
        if cycle.response_started:
            raise RuntimeError("an answer has begun already")
        if cycle.flow.write_paused and not cycle.disconnected:
            await self._until_read()
        if cycle.disconnected:
            return
        parts = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"content-length: %d\r\n" % len(body))
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        if cycle.scope["method"] != "HEAD":
            parts.append(body)
        self._finish(b"".join(parts))

    async def _until_read(self) -> None:
        """Wait while the client reads slowly; one that doesn't read at all gives up its connection."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._cycle.flow.drain()
        except TimeoutError:
            self._cycle.transport.abort()
            raise ClientGone from None

    def _finish(self, data: bytes) -> None:
        cycle = self._cycle
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(data)
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


async def run(app: ASGIApp, cycle: RequestResponseCycle) -> None:
    """Answer one request. What escapes the application, which answers everything, closes the connection."""
    try:
        await app(cycle.scope, cycle.receive, AnswerWriter(cycle))  # type: ignore[arg-type]  # as above
        if not cycle.response_complete and not cycle.disconnected:
            cycle.transport.close()
    except BaseException:
        cycle.transport.close()
        _log.exception("the application failed")
        raise
    finally:
        cycle.on_response = _nothing


def _nothing() -> None:
    return None
