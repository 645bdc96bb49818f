"""The slots of llama.cpp servers, between the forwarder and a request: proved, lent, given back.

Promises: a request to a target with `slots` is always sent to one of them, so that none lands beside its tenant; a
server that isn't proved to keep slots apart, or that failed since, gets requests that reuse nothing.

Doesn't promise: speed while a server is being proved. Others wait for nothing; they go to the last slot meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from partywall.config.secret_refs import SecretResolver
from partywall.errors import PartywallError
from partywall.gateway.answer import Answer
from partywall.gateway.wire import Api
from partywall.tenancy import TenantScope
from partywall.upstream.client import Origin, PoolKey, UpstreamPool
from partywall.upstream.providers.base import Body
from partywall.upstream.slot_proof import Ask, why_not_apart
from partywall.upstream.slots import Lease, SlotTable
from partywall.upstream.targets import Upstream

__all__ = ["PinnedAnswer", "Slots"]

_PROOF_SECONDS: Final = 60.0
"""For the whole of a proof, and between two that failed."""
_MOST_BYTES: Final = 1024 * 1024
_COMPLETIONS: Final = b"/v1/completions"
_log = logging.getLogger("partywall.gateway")


class Slots:
    """Every server's table. One per process, whatever document is in force: slots outlive a reload."""

    def __init__(self, pool: UpstreamPool, secrets: SecretResolver) -> None:
        self._pool = pool
        self._secrets = secrets
        self._tables: dict[Origin, SlotTable] = {}
        self._next_proof: dict[SlotTable, float] = {}

    async def lease(self, scope: TenantScope, api: Api, body: Body, upstream: Upstream) -> Lease | None:
        """A place for one request, written into `body`; None when the target has no slots.

        Raises:
            BadRequest: it asks for more than one slot.
        """
        if not upstream.slots or upstream.origin is None or api not in upstream.provider.partitioned:
            return None
        table = self._table(upstream, upstream.origin)
        if not table.is_proved and self._next_proof.get(table, 0.0) <= time.monotonic():
            await self._prove(scope, upstream, upstream.origin, table)
        lease = table.take(scope.tenant, body)
        lease.pin(body)
        return lease

    def failed(self, upstream: Upstream) -> None:
        """The server couldn't be reached, or failed; another may answer in its place."""
        table = None if upstream.origin is None else self._tables.get(upstream.origin)
        if table is not None:
            table.doubt_the_server()
            self._next_proof.pop(table, None)

    def _table(self, upstream: Upstream, origin: Origin) -> SlotTable:
        table = self._tables.get(origin)
        if table is None or table.slot_ids != upstream.slots:
            # Where another document lent other slots, its requests may still be under way in them.
            is_doubted = table is not None
            if table is not None:
                self._next_proof.pop(table, None)
            table = self._tables[origin] = SlotTable(upstream.slots, is_doubted=is_doubted)
        return table

    async def _prove(self, scope: TenantScope, upstream: Upstream, origin: Origin, table: SlotTable) -> None:
        self._next_proof[table] = time.monotonic() + _PROOF_SECONDS
        try:
            async with asyncio.timeout(_PROOF_SECONDS):
                ask = self._ask(scope, upstream, origin)
                wrong = await why_not_apart(ask, upstream.slots, upstream.model or "default")
        except (TimeoutError, PartywallError) as error:
            wrong = f"it can't be asked ({type(error).__name__})"
        if wrong is None:
            table.is_proved = True
        else:
            _log.warning("target `%s`: no prompt is reused, and all wait for one slot: %s", upstream.id, wrong)

    def _ask(self, scope: TenantScope, upstream: Upstream, origin: Origin) -> Ask:
        root = upstream.paths[Api.COMPLETIONS].removesuffix(_COMPLETIONS)

        async def ask(method: bytes, path: bytes, body: bytes) -> tuple[int, bytes]:
            answer = await self._pool.send(
                PoolKey(scope.tenant, upstream.id),
                origin,
                method=method,
                path=root + path,
                headers=(),
                fixed_headers=upstream.credential_headers(self._secrets).fixed,
                body=body,
                head_timeout_seconds=_PROOF_SECONDS,
                allow_private=upstream.allow_private,
            )
            try:
                return answer.status, await answer.read(_MOST_BYTES)
            finally:
                answer.abort()

        return ask


class PinnedAnswer:
    """An answer that gives its request's slot back in the end (`Answer.abort`)."""

    __slots__ = ("_answer", "_is_whole", "_lease", "headers", "status")

    def __init__(self, answer: Answer, lease: Lease) -> None:
        self._answer = answer
        self._lease = lease
        self._is_whole = False
        self.status = answer.status
        self.headers = answer.headers

    def read_at_once(self, limit_bytes: int) -> bytes | None:
        """The whole body, if it has come."""
        body = self._answer.read_at_once(limit_bytes)
        self._is_whole = body is not None
        return body

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body."""
        body = await self._answer.read(limit_bytes)
        self._is_whole = True
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        async for chunk in self._answer.chunks():
            yield chunk
        self._is_whole = True

    def abort(self) -> None:
        """Drop what wasn't read, and say how it ended."""
        self._answer.abort()
        if self.status != 200:
            self._lease.refused()
        elif self._is_whole:
            self._lease.answered()
        else:
            self._lease.lost()
