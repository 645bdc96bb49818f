"""Runs a gateway: one process, one event loop, until it is told to stop.

Promises: the whole document is validated before a socket opens; SIGHUP and a changed file reload it; SIGTERM and SIGINT
finish the requests under way first.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from partywall.config import DocumentChanged, DocumentUnreadable, DocumentWatcher
from partywall.errors import ConfigError
from partywall.gateway.app import Gateway
from partywall.gateway.clients import Clients
from partywall.gateway.protocol import GatewayProtocol
from partywall.platform import Platform

__all__ = ["ServeOptions", "serve"]

_GRACE_SECONDS: Final = 30

_log = logging.getLogger("partywall.gateway")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `partywall serve` was told. Port 0 takes a free one."""

    document: Path
    host: str = "127.0.0.1"
    port: int = 8787
    data_dir: Path = Path(".partywall")
    unsafe_without_isolation: bool = False


async def serve(options: ServeOptions, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the gateway's URL once it answers.

    Raises:
        ConfigError: the document can't be served, or the address can't be had.
        KeyboardInterrupt: it was SIGINT, and everything has been closed.
    """
    async with Platform.open(
        options.document,
        data_dir=options.data_dir,
        unsafe_without_isolation=options.unsafe_without_isolation,
    ) as platform:
        gateway = Gateway(platform)
        _settle_collector()
        listener = _listen(options.host, options.port)
        gateway.warn_of_missing_credentials()
        loop = asyncio.get_running_loop()
        clients = Clients(loop)
        with _Stop(loop, clients.cut_off) as stop:
            server = await loop.create_server(lambda: GatewayProtocol(gateway, clients, loop), sock=listener)
            watching = asyncio.create_task(_watch(platform, options.document))
            try:
                ready(_url(options.host, listener))
                await stop.told.wait()
            finally:
                server.close()
                await clients.aclose(grace_seconds=_GRACE_SECONDS)
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await gateway.aclose()
    if stop.interrupted:
        raise KeyboardInterrupt


class _Stop:
    """SIGTERM and SIGINT, for the length of a block: the first ends the serving, a second the waiting for clients."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at_once: Callable[[], None]) -> None:
        self.told = asyncio.Event()
        self.interrupted = False
        """Whether Ctrl-C ended it."""
        self._loop = loop
        self._at_once = at_once

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._tell, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)

    def _tell(self, number: signal.Signals) -> None:
        if self.told.is_set():
            self._at_once()
        self.interrupted = self.interrupted or number is signal.SIGINT
        self.told.set()


def _settle_collector() -> None:
    """Tell the garbage collector that what was loaded stays, and that requests leave few cycles behind.

    Every request makes some hundred containers that reference counting frees. At the default thresholds the collector
    looks through them, and now and then through the whole document, several times in a hundred requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {host}:{port}: {error.strerror or error}; choose another --host or --port"
        ) from error


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


async def _watch(platform: Platform, document: Path) -> None:
    watcher = DocumentWatcher(document, digest=platform.snapshot.digest)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, watcher.poke)
    try:
        async for change in watcher.changes():
            await _reload(platform, change)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _reload(platform: Platform, change: DocumentChanged | DocumentUnreadable) -> None:
    """Serve the new document; keep the old one when the new one is bad, and say so."""
    if isinstance(change, DocumentUnreadable):
        platform.reload_error = change.reason
        _log.error("the document can't be read, the one in use goes on serving: %s", change.reason)
        return
    try:
        await platform.reload(change.data)
    except ConfigError as error:
        _log.error("the new document is refused, the one in use goes on serving:\n%s", error)
    except Exception as error:  # noqa: BLE001  # whatever it is, the watch goes on and the old document serves
        platform.reload_error = f"unexpected {type(error).__name__}"
        _log.exception("the new document could not be loaded, the one in use goes on serving")
    else:
        _log.warning("serving document %s", platform.snapshot.digest[:12])
