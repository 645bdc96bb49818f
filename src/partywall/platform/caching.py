"""From the document's `cache` and `tenants.<t>.cache` to each tenant's rule.

Promises: a document in which nobody's mode is `semantic` needs no extra; another is refused where nothing could
compare a tenant's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from partywall.config.document import Document
from partywall.errors import ConfigError
from partywall.stores.caching import CacheRule, MemoryBounds
from partywall.stores.documents.extras import require
from partywall.tenancy import TenantId

__all__ = ["Cached"]


@dataclass(frozen=True, slots=True)
class Cached:
    """Whose answers are kept, and how."""

    rule: CacheRule | None
    """For tenants that have none of their own; None: not at all."""
    own: Mapping[TenantId, CacheRule | None]
    memory: MemoryBounds
    """How much the embedded cache keeps."""

    @classmethod
    def of(cls, document: Document) -> Cached:
        """What this document says, or leaves at its defaults.

        Raises:
            ConfigError: a tenant's mode is `semantic`, and what compares its words isn't installed.
        """
        _require_comparison(document)
        own = document.tenants.items()
        return cls(
            _rule(document, document.cache.mode),
            {TenantId(tenant): _rule(document, each.cache) for tenant, each in own if each.cache is not None},
            MemoryBounds(document.cache.bytes_per_tenant, document.cache.most_bytes),
        )

    def rule_of(self, tenant: TenantId) -> CacheRule | None:
        """The tenant's; None when nothing is kept for it."""
        return self.own.get(tenant, self.rule)


def _require_comparison(document: Document) -> None:
    shared = document.rag is not None and document.rag.embedding is not None
    for tenant in document.tenant_ids():
        settings = document.tenants.get(tenant)
        own = None if settings is None else settings.cache
        if (own or document.cache.mode) != "semantic":
            continue
        asks_upstream = shared or (settings is not None and settings.embedding is not None)
        try:
            require("numpy", *(() if asks_upstream else ("wordllama",)))
        except ConfigError as error:
            place = "cache.mode" if own is None else f"tenants.{tenant}.cache"
            raise ConfigError(f"{place}: `semantic` compares words as documents are compared: {error}") from error


def _rule(document: Document, mode: str) -> CacheRule | None:
    if mode == "off":
        return None
    cache = document.cache
    return CacheRule(
        semantic=mode == "semantic",
        ttl_seconds=cache.ttl_seconds,
        threshold=cache.threshold,
        per_user=cache.per_user,
        largest_answer_bytes=cache.largest_answer_bytes,
        candidates=cache.candidates,
    )
