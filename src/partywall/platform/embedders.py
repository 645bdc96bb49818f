"""Whose model a tenant's documents are embedded with: the tenant's own, the document's, or the offline one.

Promises: the document that serves decides, at each call. No upstream is asked that it doesn't name for this tenant.

Doesn't promise: to embed anew what was embedded with another model; a collection that was refuses the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

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

_IDLE_SECONDS: Final = 60.0
_MOST_IDLE: Final = 64


class Embedders:
    """An `EmbedderOf`."""

    def __init__(self, snapshot: Callable[[], Snapshot], offline: Callable[[], Embedder], salter: Salter) -> None:
        """`snapshot` is the one that serves; `offline` is the model that needs no network, or raises."""
        self._snapshot = snapshot
        self._offline = offline
        self._salter = salter
        self._secrets = SecretResolver()
        self._pool: UpstreamPool | None = None
        self._compiled: tuple[Snapshot, Mapping[str, Upstream]] | None = None

    def __call__(self, scope: TenantScope) -> Embedder:
        """The model of the scope's tenant.

        Raises:
            ConfigError: it is the offline one, and that isn't installed.
        """
        snapshot = self._snapshot()
        model = snapshot.embeddings.get(scope.tenant, snapshot.embedding)
        return self._offline() if model is None else self._upstream(snapshot, model)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()

    def _upstream(self, snapshot: Snapshot, model: EmbeddingModel) -> UpstreamEmbedder:
        server = snapshot.server
        if self._pool is None:
            self._pool = UpstreamPool(
                connect_timeout_seconds=server.connect_timeout_seconds,
                idle_timeout_seconds=_IDLE_SECONDS,
                max_idle_total=_MOST_IDLE,
                max_idle_per_key=2,
            )
        return UpstreamEmbedder(
            model,
            self._permitted,
            lambda scope: self._salter.salts_of(scope.tenant),
            self._pool,
            self._secrets,
            timeout_seconds=server.answer_timeout_seconds,
        )

    def _permitted(self, scope: TenantScope, target: str) -> tuple[TargetRule, Upstream]:
        """See `UpstreamFor`. The document that serves now has the say, also over an embedder that was made before."""
        snapshot = self._snapshot()
        rule = permitted_target(snapshot.rules, scope, target)
        if self._compiled is None or self._compiled[0] is not snapshot:
            self._compiled = snapshot, compile_targets(snapshot.targets)
        return rule, self._compiled[1][rule.id]
