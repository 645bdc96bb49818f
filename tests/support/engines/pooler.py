"""A pooler by transactions, as PgBouncer is one: many clients, one connection to the server, handed on at each commit.

What a client leaves on the session, the next one finds there. Only what the test needs: no passwords, no cancellation.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

__all__ = ["Pooler"]

_SSL_REQUEST = 80877103
_CANCEL_REQUEST = 80877102
_PROTOCOL = 196608


class Pooler:
    """Listens on a free port of 127.0.0.1, on the running event loop."""

    def __init__(self, socket: Path, database: str, user: str) -> None:
        self._socket = socket
        self._startup = f"user\0{user}\0database\0{database}\0\0".encode()
        self._turn = asyncio.Lock()
        self._greeting = b""
        self.port = 0
        self.turns: list[int] = []
        """Whose transaction came when, by the number of the client."""
        self._clients = 0
        self._holder: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        """Connect to the server, and listen."""
        await self._connect()
        self._answering = asyncio.create_task(self._answer())
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        self._server.close()
        self._answering.cancel()
        await asyncio.wait([self._answering])
        self._writer.close()

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(str(self._socket))
        self._writer.write(struct.pack("!ii", len(self._startup) + 8, _PROTOCOL) + self._startup)
        greeting = []
        while not (message := await _message(self._reader)).startswith(b"Z"):
            greeting.append(message)
        self._greeting = b"".join([*greeting, message])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        number = self._clients
        try:
            if not await _started(reader, writer):
                return
            writer.write(self._greeting)
            while not (message := await _message(reader)).startswith(b"X"):
                if self._holder is not writer:
                    await self._turn.acquire()
                    self._holder = writer
                    self.turns.append(number)
                self._writer.write(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _answer(self) -> None:
        """Hand the server's answers to whoever has the turn, and end the turn with the transaction."""
        while True:
            message = await _message(self._reader)
            assert self._holder is not None
            self._holder.write(message)
            if message.startswith(b"Z") and message[5:6] == b"I":
                self._holder = None
                self._turn.release()


async def _started(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a client came to stay."""
    while True:
        length, code = struct.unpack("!ii", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        if code != _SSL_REQUEST:
            return bool(code != _CANCEL_REQUEST)
        writer.write(b"N")


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
