"""A TCP proxy that can be told to misbehave, between a root and its engine."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Self

__all__ = ["Manner", "Proxy"]

_CHUNK = 1 << 16
_DRIP_SECONDS = 0.1
_DELAY_SECONDS = 0.0005


class Manner(Enum):
    """How it treats what comes and what has come."""

    PASS = auto()
    """Both ways, at once."""
    REFUSE = auto()
    """Nobody listens, and what was open is reset."""
    SILENT = auto()
    """It takes everything and passes nothing on."""
    DRIP = auto()
    """Answers come byte by byte, so that no time-out of a socket ever fires."""
    DELAY = auto()
    """Both ways, each piece after a moment of its own."""
    CUT = auto()
    """The engine gets the request; instead of the answer, the connection ends."""


class Proxy:
    """Listens on a free port of 127.0.0.1, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._manner = Manner.PASS
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._stale: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._do(self._listen())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def behave(self, manner: Manner) -> None:
        """From now on, and for connections that are open."""
        self._do(self._behave(manner))

    def cut_idle(self) -> None:
        """End every connection that is open; listen on."""
        self._do(self._cut())

    def go_stale(self) -> None:
        """End every connection that is open at its next request, as a server does that closes just then; listen on."""
        self._stale |= self._open

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _behave(self, manner: Manner) -> None:
        before, self._manner = self._manner, manner
        self._changed.set()
        self._changed = asyncio.Event()
        if manner is Manner.REFUSE:
            await self._listen_no_more()
            await self._cut()
        elif before is Manner.REFUSE:
            await self._listen()

    async def _listen_no_more(self) -> None:
        # A connection that was accepted just now must get its transport first: asyncio leaves the socket of one open
        # whose server is closed by then.
        assert self._server is not None
        for listener in self._server.sockets:
            self._loop.remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        self._server.close()

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _stop(self) -> None:
        await self._behave(Manner.REFUSE)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except BaseException as error:
            writer.transport.abort()
            self._open.discard(writer)
            if isinstance(error, OSError):
                return
            raise
        self._open.add(back)
        try:
            await asyncio.gather(
                self._pump(reader, back, lambda: self._manner in {Manner.SILENT, Manner.DELAY}),
                self._pump(there, writer, lambda: self._manner is not Manner.PASS),
            )
        finally:
            for each in (writer, back):
                each.transport.abort()
                self._open.discard(each)
                self._stale.discard(each)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, disturbed: Callable[[], bool]
    ) -> None:
        with suppress(OSError):
            while (data := await reader.read(_CHUNK)) and writer not in self._stale:
                if disturbed():
                    data = await self._disturb(data, writer)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _disturb(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """What is left to write once the manners are better."""
        while self._manner is Manner.SILENT:
            await self._changed.wait()
        if self._manner is Manner.DELAY:
            await asyncio.sleep(random.expovariate(1 / _DELAY_SECONDS))
        if self._manner is Manner.CUT:
            writer.transport.abort()
            return b""
        while data and self._manner is Manner.DRIP:
            writer.write(data[:1])
            data = data[1:]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _DRIP_SECONDS)
        return data
