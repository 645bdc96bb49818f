"""A bounded number of connections, each one tenant's for as long as it lives.

Promises: never more than `max_connections` are open; the least recently used idle one is closed when another tenant
needs its place. A connection logs in once, as one tenant's user, and is given to that tenant alone; were it given to
another, the server would refuse, for it knows who logged in. A connection on which anything went wrong, a cancellation
included, is cut off and never used again, and so is one on which something lies that nobody asked for: a late answer
meets nobody (R10, C19). redis-py 8.1 disconnects by itself where a send or a read is cancelled or fails; it
is done here again, for whatever else may stand between a question and its answer, and with the transport aborted.

Doesn't promise: to know that a server died before it is asked. A call that changes nothing when it is done twice is
done again, once, when its idle connection turns out to be dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from partywall.errors import ConfigError, CredentialUnavailable, StoreUnavailable
from partywall.stores.backends.valkey.address import SERVING_URL, Address, parse_address
from partywall.stores.backends.valkey.places import COMMON, Identity, user_of
from partywall.stores.backends.valkey.settings import ValkeySettings
from partywall.tenancy import Secret

__all__ = ["FAILURES", "UNREADABLE", "Command", "Connections", "Wire", "told"]

Command: TypeAlias = "tuple[str | bytes | int, ...]"

FAILURES: Final = (RedisError, OSError, TimeoutError)
"""What a driver raises when something is wrong with a server, a command or the way to it."""

UNREADABLE: Final = (ConfigError, CredentialUnavailable)
"""What reading the address anew raises, when what names it was broken or taken away while it is served from."""


def told(error: BaseException) -> str:
    """What went wrong, for operators. The server's errors hold no values; its first line is enough."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:300]


class Wire(Connection):
    """One connection of one user, in one database."""

    def __init__(self, address: Address, user: str, password: Secret, database: int, timeout_seconds: float) -> None:
        self._tls = address.tls()
        super().__init__(
            host=address.host,
            port=address.port,
            username=user,
            password=password.reveal(),
            db=database,
            protocol=2,  # its log-in is AUTH, which no rule of the ACL can take away or need grant
            driver_info=None,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
        )

    def _connection_arguments(self) -> dict[str, object]:
        arguments: dict[str, object] = {"host": self.host, "port": self.port}
        return arguments if self._tls is None else {**arguments, "ssl": self._tls}

    def abort(self) -> None:
        """Cut it off, with whatever is still on its way in either direction."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.transport.abort()

    async def open(self) -> None:
        """Connect and log in. Raises FAILURES; nothing stays open then."""
        try:
            await self.connect()  # type: ignore[no-untyped-call] # redis-py says nothing of it
        except BaseException:
            self.abort()
            raise

    async def is_clean(self) -> bool:
        """Whether it is open, and nothing lies on it that nobody asked for."""
        try:
            return self.is_connected and not await self.can_read()
        except FAILURES:
            return False

    async def each(self, commands: Sequence[Command]) -> list[object]:
        """Send commands one behind the other; their replies, with what the server refused as errors among them."""
        await self.send_packed_command(self.pack_commands(commands), check_health=False)
        replies: list[object] = []
        for _ in commands:
            try:
                replies.append(await self.read_response())
            except ResponseError as error:
                replies.append(error)
        return replies

    async def at_once(self, commands: Sequence[Command]) -> list[object]:
        """Do one command, or several as one step. Raises FAILURES if any of them is refused."""
        if len(commands) == 1:
            replies = results = await self.each(commands)
        else:
            replies = await self.each([("MULTI",), *commands, ("EXEC",)])
            *before, done = replies
            results = done if isinstance(done, list) else [done]
            replies = [*replies, *results]
            if not any(isinstance(reply, Exception) for reply in replies) and (
                before != [b"OK", *[b"QUEUED"] * len(commands)] or len(results) != len(commands)
            ):
                raise InvalidResponse("the replies are not those of what was asked")
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return results


class Connections:
    """All of one backend's. They belong to the event loop that uses them first."""

    def __init__(self, settings: ValkeySettings) -> None:
        self._settings = settings
        self._permits = asyncio.Semaphore(settings.max_connections)
        self._used = 0
        self._idle: list[tuple[Identity, Wire]] = []  # least recently used first
        self._closed = False

    @property
    def open_connections(self) -> int:
        """How many there are, and are being opened."""
        return self._used + len(self._idle)

    async def ask(self, who: Identity, *commands: Command, once: bool = False) -> list[object]:
        """Do these commands as one step, as `who`. `once`: never a second time, even if nobody knows of the first.

        Raises:
            StoreUnavailable: it can't be done, or nobody knows whether it was.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                if not once and (replies := await self._ask_idle(who, commands)) is not None:
                    return replies
                async with self.lease(who, fresh=not once) as wire:
                    return await wire.at_once(commands)
        except (*FAILURES, *UNREADABLE) as error:
            raise StoreUnavailable(f"the cache server, for `{who.name or 'the gateway'}`: {told(error)}") from error

    async def _ask_idle(self, who: Identity, commands: Sequence[Command]) -> list[object] | None:
        """As `ask`, over a connection that is there already; None when there is none, or it was dead."""
        if not any(owner == who for owner, _ in self._idle):
            return None
        try:
            async with self.lease(who) as wire:
                return await wire.at_once(commands)
        except LostConnection:
            return None

    @asynccontextmanager
    async def lease(self, who: Identity, *, fresh: bool = False) -> AsyncIterator[Wire]:
        """A connection of `who`, nobody else's meanwhile. It lives on only if the block ends well.

        Raises:
            StoreUnavailable: the backend was closed.
            FAILURES: whatever the driver meets.
        """
        if self._closed:
            raise StoreUnavailable("the cache was closed")
        async with self._permits:
            self._used += 1
            wire: Wire | None = None
            try:
                wire = (None if fresh else await self._take(who)) or await self._opened(who)
                yield wire
            except BaseException:
                # INVARIANT: what was interrupted, however, is never used again; there may be an answer on its way.
                if wire is not None:
                    wire.abort()
                raise
            else:
                self._keep(who, wire)
            finally:
                self._used -= 1

    async def _take(self, who: Identity) -> Wire | None:
        """The idle connection of `who` that was used last."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place][0] == who:
                wire = self._idle.pop(place)[1]
                try:
                    if await wire.is_clean():
                        return wire
                except BaseException:
                    wire.abort()
                    raise
                wire.abort()
                return None
        return None

    async def _opened(self, who: Identity) -> Wire:
        while self._idle and self.open_connections > self._settings.max_connections:
            self._idle.pop(0)[1].abort()
        wire = self.wire_of(who)
        await wire.open()
        return wire

    def wire_of(self, who: Identity) -> Wire:
        """A connection of `who`, not open yet.

        Raises:
            ConfigError: the address or a certificate can't be used.
            CredentialUnavailable: the address can't be read.
        """
        settings, address = self._settings, parse_address(self._settings.url(), SERVING_URL)
        if not who.name:
            return Wire(address, address.user, address.password, COMMON, settings.timeout_seconds)
        password = settings.password_of(who.name)
        return Wire(address, user_of(who.name), password, who.database, settings.timeout_seconds)

    def _keep(self, who: Identity, wire: Wire) -> None:
        if self._closed:
            wire.abort()
        elif wire.is_connected:
            self._idle.append((who, wire))

    async def aclose(self) -> None:
        """Refuse what comes, wait for what is under way, and close."""
        self._closed = True
        for _ in range(self._settings.max_connections):
            await self._permits.acquire()
        while self._idle:
            self._idle.pop()[1].abort()
        await asyncio.sleep(0)  # the transports close on the loop's next turn
