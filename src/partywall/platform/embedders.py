"""Whose model embeds a tenant's documents and questions.

Promises: a tenant for which the document names a model is embedded with that one or not at all; nothing falls back to
another. Whether its texts may go there is asked of the present document, at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from partywall.config.secret_refs import SecretResolver
from partywall.platform.salts import Salter
from partywall.platform.snapshot import Snapshot
from partywall.platform.upstream_embedding import EmbeddingModel, UpstreamEmbedder
from partywall.policy import TargetRule, permitted_target
from partywall.stores import Embedder
from partywall.tenancy import TenantScope
from partywall.upstream.client import UpstreamPool
from partywall.upstream.targets import Upstream, compile_targets

__all__ = ["Embedders"]

_IDLE_SECONDS = 60.0
_MARKERS = "pii-marker"


class Embedders:
    """An `EmbedderOf`. Made inside the event loop that uses it."""

    def __init__(self, snapshot: Callable[[], Snapshot], salter: Salter, offline: Callable[[], Embedder]) -> None:
        """`snapshot` gives the present one; `offline` the model that needs no network."""
        self._snapshot = snapshot
        self._salter = salter
        self._offline = offline
        self._secrets = SecretResolver()
        self._pool: UpstreamPool | None = None
        self._made: dict[EmbeddingModel, UpstreamEmbedder] = {}
        self._compiled: tuple[Snapshot, dict[str, Upstream]] | None = None

    def __call__(self, scope: TenantScope) -> Embedder:
        """The scope's tenant's."""
        retrieved = self._snapshot().retrieved
        model = retrieved.models.get(scope.tenant, retrieved.model)
        if model is None:
            return self._offline()
        if model not in self._made:
            self._made[model] = self._embedder(model)
        return self._made[model]

    async def aclose(self) -> None:
        """Close the connections to upstreams."""
        if self._pool is not None:
            await self._pool.aclose()

    def _embedder(self, model: EmbeddingModel) -> UpstreamEmbedder:
        server = self._snapshot().server
        if self._pool is None:
            self._pool = UpstreamPool(
                connect_timeout_seconds=server.connect_timeout_seconds,
                idle_timeout_seconds=_IDLE_SECONDS,
                max_idle_total=256,
                max_idle_per_key=4,
            )
        return UpstreamEmbedder(
            model,
            self._upstream_for,
            lambda scope: self._salter.salts_of(scope.tenant),
            self._pool,
            self._secrets,
            self._outward,
            timeout_seconds=server.answer_timeout_seconds,
        )

    async def _outward(self, scope: TenantScope, texts: Sequence[str]) -> Sequence[str]:
        scanned = self._snapshot().scanned
        if scanned is None:
            return texts
        return await scanned.outward(self._salter.salt(_MARKERS, scope.tenant).encode(), texts)

    def _upstream_for(self, scope: TenantScope, target: str) -> tuple[TargetRule, Upstream]:
        snapshot = self._snapshot()
        rule = permitted_target(snapshot.rules, scope, target)
        if self._compiled is None or self._compiled[0] is not snapshot:
            self._compiled = (snapshot, compile_targets(snapshot.targets))
        return rule, self._compiled[1][target]
