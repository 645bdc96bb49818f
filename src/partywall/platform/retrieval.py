"""From the document's `rag` and `leakage_detection` to what the stores are told.

Doesn't promise: a change of it without a restart (`Platform.reload` refuses one). Pieces that lie there say which
namespace they are of; with another `namespace_format`, none of them would be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from partywall.config.document import Document
from partywall.config.isolation import Embedding, LeakageDetection, Rag
from partywall.platform.upstream_embedding import EmbeddingModel
from partywall.stores import Limits, Retrieval
from partywall.tenancy import TenantId

__all__ = ["Retrieved"]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a document says about documents."""

    settings: Retrieval
    model: EmbeddingModel | None
    """The upstream's that embeds; None: the one that needs no network."""
    models: Mapping[TenantId, EmbeddingModel]
    """Of tenants that have another."""

    @classmethod
    def of(cls, document: Document) -> Retrieved:
        """What this document says, or leaves at its defaults."""
        rag = document.rag or Rag()
        limits = Limits(
            file_bytes=rag.parsing.largest_file_bytes,
            parse_seconds=rag.parsing.seconds,
            parse_memory_bytes=rag.parsing.memory_bytes,
        )
        return cls(
            Retrieval(
                namespace_key=rag.namespace_config.namespace_key,
                namespace_format=rag.namespace_config.namespace_format,
                verify_namespace=rag.retrieval_validation.verify_namespace_before_return,
                alert_threshold=_alert_threshold(document.leakage_detection),
                limits=limits,
                vectors_in_partition=document.storage.vectors != "memory",
                vectors_engine="" if document.storage.vectors in {"memory", "pgvector"} else document.storage.vectors,
            ),
            _model(rag.embedding),
            {
                TenantId(tenant): model
                for tenant, settings in document.tenants.items()
                if (model := _model(settings.embedding)) is not None
            },
        )


def _alert_threshold(detection: LeakageDetection | None) -> int | None:
    if detection is None or not detection.enabled or detection.statistical_monitoring is None:
        return None
    monitoring = detection.statistical_monitoring
    return monitoring.alert_threshold if monitoring.track_namespace_distribution else None


def _model(embedding: Embedding | None) -> EmbeddingModel | None:
    if embedding is None:
        return None
    return EmbeddingModel(embedding.target, embedding.model, embedding.dimensions)
