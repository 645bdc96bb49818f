"""The application: the edge where connections end and the pipeline begins.

Promises: every request is either one of the listed public or operator endpoints, or goes through the pipeline. There is
no other way in: nothing is upgraded, and nothing is mounted.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any, Final

from partywall.config.secret_refs import SecretResolver
from partywall.errors import CredentialUnavailable
from partywall.gateway.endpoints import ENDPOINTS, Guard
from partywall.gateway.exchange import Exchange
from partywall.gateway.forward import Forwarder
from partywall.gateway.http import Request, Responder
from partywall.gateway.operator import answer_operator
from partywall.gateway.pipeline import Pipeline
from partywall.gateway.serving import compile_serving
from partywall.platform import Platform, Snapshot
from partywall.upstream.client import UpstreamPool

__all__ = ["Gateway"]

_log = logging.getLogger("partywall.gateway")

_PUBLIC: Final = frozenset(e.path for e in ENDPOINTS if e.guard is Guard.PUBLIC)
_OPERATOR: Final = frozenset(e.path for e in ENDPOINTS if e.guard is Guard.OPERATOR)
_PLAIN: Final = b"content-type: application/json\r\ncache-control: no-store\r\n"


class Gateway:
    """Answers requests over one open `Platform`. Made inside the event loop that runs it."""

    def __init__(self, platform: Platform) -> None:
        server = platform.snapshot.server
        self._platform = platform
        self._serving = compile_serving(platform.snapshot, platform.standing)
        self._secrets = SecretResolver()
        self._pool = UpstreamPool(
            connect_timeout_seconds=server.connect_timeout_seconds,
            idle_timeout_seconds=60.0,
            max_idle_total=2048,
            max_idle_per_key=64,
        )
        self._pipeline = Pipeline(platform, Forwarder(self._pool, self._secrets))
        platform.on_reload(self._reload)

    def warn_of_missing_credentials(self) -> None:
        """Say which targets have no credential now. It is looked for again at each call, so this refuses nothing."""
        for upstream in self._serving.upstreams.values():
            try:
                upstream.credential_headers(self._secrets)
            except CredentialUnavailable as error:
                _log.warning("target `%s`: requests will be refused with 502: %s", upstream.id, error)

    async def aclose(self) -> None:
        """Close the connections to upstreams; scan nothing more."""
        self._pipeline.close()
        await self._pool.aclose()

    def __call__(self, request: Request, responder: Responder) -> Coroutine[Any, Any, None]:
        """What answers one request, whatever it is: to be awaited at once."""
        if request.path in _PUBLIC:
            return self._public(request, responder)
        exchange = Exchange(request, responder, self._serving)
        if request.path in _OPERATOR:
            return answer_operator(exchange, self._platform)
        return self._pipeline.handle(exchange)

    async def _public(self, request: Request, responder: Responder) -> None:
        if request.method not in ("GET", "HEAD"):
            responder.whole(405, _PLAIN + b"allow: GET\r\n", b'{"status":"method not allowed"}')
        elif request.path != "/healthz" and not self._platform.trail.healthy:
            responder.whole(503, _PLAIN, b'{"status":"decisions can not be recorded"}')
        elif request.path != "/healthz" and not self._platform.standing.is_readable():
            responder.whole(503, _PLAIN, b'{"status":"whether tenants are suspended can not be told"}')
        else:
            responder.whole(200, _PLAIN, b'{"status":"ok"}')

    def _reload(self, snapshot: Snapshot) -> None:
        # INVARIANT: an Exchange took the old one by reference; requests under way finish under it.
        self._serving = compile_serving(snapshot, self._platform.standing)
