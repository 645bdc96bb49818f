"""Where an issuer's keys come from: a file, or a URL asked seldom and never trusted for long.

Promises: one fetch at a time per issuer, whoever waits and whoever gives up; keys older than the maximum age verify
nothing, however long the issuer stays unreachable; an unknown `kid` buys at most one fetch in 30 seconds, so that
forged tokens can't turn the gateway against the issuer.

Doesn't promise: to notice a withdrawn key before the next refresh.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from jwt import PyJWK

from partywall.errors import IdentityUnavailable, InvalidCredential
from partywall.identity.jwks import KeySet, parse_key_set
from partywall.identity.settings import IssuerSettings

__all__ = ["Clock", "KeySource"]

Clock = Callable[[], float]

FETCH_TIMEOUT_SECONDS: Final = 5.0
MAX_DOCUMENT_BYTES: Final = 1 << 20
UNKNOWN_KID_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 1 << 16

_log = logging.getLogger(__name__)


class KeySource:
    """The current keys of one issuer. Belongs to one event loop."""

    __slots__ = (
        "_clock",
        "_closed",
        "_document",
        "_failure",
        "_fetching",
        "_issuer",
        "_loaded_at",
        "_refresh_at",
        "_retry_at",
        "_unknown_kid_at",
        "current",
    )

    def __init__(self, issuer: IssuerSettings, clock: Clock) -> None:
        self.current: KeySet | None = None
        """What was read last; it may be past its maximum age, which only `find` checks."""
        self._issuer = issuer
        self._clock = clock
        self._document = _document_of(issuer)
        self._fetching: asyncio.Task[None] | None = None
        self._closed = False
        self._failure = "nothing was fetched yet"
        self._loaded_at = self._refresh_at = self._retry_at = self._unknown_kid_at = float("-inf")

    async def find(self, kid: str, algorithm: str) -> tuple[PyJWK, KeySet]:
        """The key that `kid` names, and the set that it is in.

        Raises:
            InvalidCredential: the issuer has no such key for that algorithm.
            IdentityUnavailable: no set young enough is held, and none could be had.
        """
        was_due = self._is_due()
        if was_due:
            # Held keys that are still young enough may be used, so a slow issuer costs a moment and not a time-out.
            await self._refresh(PATIENCE_SECONDS if self._is_young_enough() else _LONGEST_WAIT_SECONDS)
        keys = self._young_enough()
        if kid not in keys and not was_due and self._may_ask_for_unknown():
            await self._refresh(_LONGEST_WAIT_SECONDS)
            keys = self._young_enough()
        key = keys.find(kid, algorithm)
        if key is None:
            raise InvalidCredential(
                f"issuer `{self._issuer.issuer}`, kid {kid[:80]!a}: {keys.describe(kid, algorithm)}"
            )
        return key, keys

    async def aclose(self) -> None:
        """Stop a fetch that is under way. Nothing is fetched afterwards."""
        self._closed = True
        if self._fetching is not None and not self._fetching.done():
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _is_due(self) -> bool:
        now = self._clock()
        return now >= self._retry_at and (now >= self._refresh_at or self._document.changed())

    def _may_ask_for_unknown(self) -> bool:
        now = self._clock()
        if now < self._unknown_kid_at:
            return False
        self._unknown_kid_at = now + UNKNOWN_KID_SECONDS
        return True

    def _is_young_enough(self) -> bool:
        return self._clock() - self._loaded_at <= self._issuer.jwks_max_age_seconds

    def _young_enough(self) -> KeySet:
        if self.current is None or not self._is_young_enough():
            raise IdentityUnavailable(f"no current keys of issuer `{self._issuer.issuer}`: {self._failure}")
        return self.current

    async def _refresh(self, patience: float) -> None:
        """Wait up to `patience` seconds for the one fetch, starting it when none is under way."""
        if self._closed:
            return
        if self._fetching is None or self._fetching.done():
            # Not in a TaskGroup: a client that hangs up must not kill the fetch for those who wait beside it, nor use
            # up the attempt. This object owns the task, and `aclose` ends it.
            self._fetching = asyncio.get_running_loop().create_task(self._load())
        # `wait`, unlike `await`, leaves the task alone when the waiter is cancelled or has waited long enough.
        await asyncio.wait({self._fetching}, timeout=patience)

    async def _load(self) -> None:
        started = self._clock()
        try:
            keys = await asyncio.to_thread(self._read)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._failure = f"{type(error).__name__}: {error}"
            self._retry_at = self._clock() + RETRY_SECONDS
            _log.warning("keys of issuer `%s` can't be refreshed: %s", self._issuer.issuer, self._failure)
            return
        # Age counts from before the fetch: what it brought may already have been old when it arrived.
        self.current, self._loaded_at = keys, started
        self._refresh_at = started + self._issuer.jwks_refresh_seconds

    def _read(self) -> KeySet:
        return parse_key_set(self._document.read(), self._issuer.algorithms)


class _Document(Protocol):
    def changed(self) -> bool:
        """Whether it is known to differ from what `read` last returned."""

    def read(self) -> bytes:
        """Its bytes now. Blocks. Raises OSError, ValueError or HTTPException."""


class _File:
    """A key set on disk, read again when its modification time, size or inode changes."""

    __slots__ = ("_path", "_seen")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        try:
            return self._signature() != self._seen
        except OSError:
            return True

    def read(self) -> bytes:
        # Signed before it is read: a write in between shows as a change next time, instead of never.
        self._seen = self._signature()
        with self._path.open("rb") as file:
            return _limited(file.read(MAX_DOCUMENT_BYTES + 1))

    def _signature(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino


class _Url:
    """A key set behind https, or http on this machine (the settings refuse anything else)."""

    __slots__ = ("_opener", "_url")

    def __init__(self, url: str) -> None:
        self._url = url
        # Built from two handlers alone. With no redirect handler the URL in the document is the only place that speaks
        # for the issuer; with no file or ftp handler nothing else can be read.
        self._opener = urllib.request.OpenerDirector()
        if urlsplit(url).scheme == "https":
            self._opener.add_handler(urllib.request.ProxyHandler())
            self._opener.add_handler(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
        else:
            # No proxy: clear text stays on this machine.
            self._opener.add_handler(urllib.request.HTTPHandler())

    def changed(self) -> bool:
        return False

    def read(self) -> bytes:
        deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
        request = urllib.request.Request(  # noqa: S310  # the settings admit https, and http to loopback, alone
            self._url, headers={"Accept": "application/jwk-set+json, application/json"}
        )
        with self._opener.open(request, timeout=FETCH_TIMEOUT_SECONDS) as response:
            if response.status != http.HTTPStatus.OK:
                raise ValueError(f"status {response.status}; redirects are not followed")
            return _limited(_read_before(response, deadline))


def _document_of(issuer: IssuerSettings) -> _Document:
    if issuer.jwks_file is not None:
        return _File(issuer.jwks_file)
    if issuer.jwks_url is not None:
        return _Url(issuer.jwks_url)
    raise ValueError(f"issuer `{issuer.issuer}` has no key set")


def _read_before(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body, in pieces: the socket's time-out restarts with each byte that a slow server drips."""
    body = bytearray()
    while len(body) <= MAX_DOCUMENT_BYTES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the key set took longer than {FETCH_TIMEOUT_SECONDS:g} s")
        piece = response.read1(_CHUNK_BYTES)
        if not piece:
            break
        body += piece
    return bytes(body)


def _limited(document: bytes) -> bytes:
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"the key set exceeds {MAX_DOCUMENT_BYTES} bytes")
    return document
