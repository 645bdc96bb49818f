"""`multi_tenant`, `rag` and `leakage_detection`: the published isolation vocabulary."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from partywall.config.base import Name, PerTenant, Section

__all__ = ["Embedding", "IsolationModel", "LeakageDetection", "MultiTenant", "Rag"]

Cron = Annotated[str, StringConstraints(pattern=r"^\S+( +\S+){4}$")]


class IsolationModel(StrEnum):
    """How far isolation goes."""

    STRICT = "strict"
    PERMISSIVE = "permissive"
    NONE = "none"


class SystemPrompt(Section):
    """Who writes the system prompt."""

    per_tenant_config: bool = Field(default=False, description="Each tenant adds its own, from its store.")
    tenant_cannot_override_base: bool = Field(default=True, description="The platform's comes first and stays.")


class ConversationIsolation(Section):
    """Where conversations are kept."""

    storage_key_prefix: PerTenant | None = Field(default=None, description="Template of the storage key.")
    cross_tenant_context: Literal["deny"] = Field(
        default="deny", description="Context of another tenant is never used."
    )
    system_prompt: SystemPrompt = Field(default=SystemPrompt(), description="Who writes the system prompt.")


class SessionValidation(Section):
    """What is checked of a session."""

    verify_tenant_on_every_request: bool = Field(default=True, description="The tenant is verified each time.")
    session_token_binding: bool = Field(default=False, description="A session works for its own tenant only.")


class OnIsolationBreach(Section):
    """What happens when a wall is seen to have fallen."""

    action: Literal["terminate_all_tenant_sessions", "block_tenant", "alert_only"] = Field(
        default="alert_only", description="What happens to the tenants concerned."
    )
    alert: Literal["immediate"] = Field(default="immediate", description="When the alert goes out.")
    log_forensic: bool = Field(default=False, description="Keep a sealed bundle of what led to it.")


class MultiTenant(Section):
    """How tenants are told apart and kept apart."""

    isolation_model: IsolationModel = Field(
        default=IsolationModel.STRICT,
        description="`permissive` turns named refusals into alerts; `none` needs a flag that names the danger.",
    )
    tenant_id_source: Literal["jwt_claim", "api_key"] | None = Field(
        default=None,
        description="Published. Both kinds of credential count where the document configures them, and must agree.",
    )
    tenant_id_claim: str = Field(default="tenant_id", min_length=1, description="The JWT claim that names the tenant.")
    conversation_isolation: ConversationIsolation | None = Field(
        default=None, description="Where conversations are kept."
    )
    session_validation: SessionValidation = Field(
        default=SessionValidation(), description="What is checked of a session."
    )
    on_isolation_breach: OnIsolationBreach | None = Field(default=None, description="What happens when a wall fell.")


class NamespaceConfig(Section):
    """How a tenant's part of a shared index is named."""

    namespace_key: str = Field(default="tenant_id", min_length=1, description="Name of the field.")
    namespace_format: PerTenant = Field(default="t_{tenant_id}", description="Template of the name.")
    enforce_at: Literal["vector_db_client"] = Field(default="vector_db_client", description="Where it is set.")


class RetrievalValidation(Section):
    """What is checked of what a search returned."""

    verify_namespace_before_return: bool = Field(default=True, description="Each item's tenant is checked.")
    on_namespace_mismatch: Literal["drop_and_alert"] = Field(
        default="drop_and_alert", description="What happens otherwise."
    )


class TenantOffboarding(Section):
    """What is done when a tenant leaves."""

    delete_namespace: bool = Field(default=True, description="Its documents are deleted.")
    verification_scan: bool = Field(default=True, description="A scan proves it.")


class Embedding(Section):
    """The model that turns text into vectors."""

    target: Name = Field(
        description="The target that is asked, by its `id`; a tenant whose texts may not go there is refused."
    )
    model: str | None = Field(default=None, max_length=200, description="The model; without it, the target's own.")
    dimensions: int = Field(
        ge=1, le=8192, description="How many numbers its vectors have. An answer of another length is refused."
    )


class Parsing(Section):
    """How much one file may cost."""

    largest_file_bytes: int = Field(default=32 * 2**20, ge=1024, le=2**28, description="Largest file.")
    seconds: float = Field(
        default=30, gt=0, le=600, description="Time for reading one file, after which it is refused."
    )
    memory_bytes: int = Field(
        default=768 * 2**20, ge=2**27, le=2**34, description="Memory of the process that reads one file."
    )


class Rag(Section):
    """Documents and their retrieval."""

    isolation_strategy: Literal["namespace", "separate_collection", "separate_db"] = Field(
        default="separate_db",
        description="How far apart tenants' documents are. On SQLite each tenant has files of its own, which is all three.",
    )
    embedding: Embedding | None = Field(
        default=None, description="The model that embeds; without it, a small one that needs no network."
    )
    parsing: Parsing = Field(default=Parsing(), description="How much one file may cost.")
    namespace_config: NamespaceConfig = Field(default=NamespaceConfig(), description="How a tenant's part is named.")
    retrieval_validation: RetrievalValidation = Field(default=RetrievalValidation(), description="What is checked.")
    tenant_offboarding: TenantOffboarding = Field(default=TenantOffboarding(), description="What is done on leaving.")


class OutputScan(Section):
    """Looks for other tenants' passages in answers."""

    fingerprint_check: bool = Field(default=True, description="Compare with other tenants' fingerprints.")
    fingerprint_store: Literal["embedded", "redis"] = Field(
        default="embedded", description="Where fingerprints are kept."
    )
    action_on_detect: Literal["block_and_alert_security"] = Field(
        default="block_and_alert_security", description="On a hit."
    )


class ContextValidation(Section):
    """Looks at each item before it enters a prompt."""

    validate_all_context_items: bool = Field(default=True, description="Each item's tenant is checked.")
    on_foreign_item: Literal["remove_and_log"] = Field(
        default="remove_and_log", description="What happens to a foreign one."
    )


class StatisticalMonitoring(Section):
    """Counts namespaces in results."""

    track_namespace_distribution: bool = Field(default=True, description="Count them.")
    alert_threshold: int = Field(default=0, ge=0, description="Alert above this many foreign items.")


class IsolationAudit(Section):
    """A scheduled proof with canaries."""

    schedule: Cron = Field(default="0 2 * * 0", description="When, as a cron expression in UTC.")
    test: Literal["inject_canary_documents_per_tenant"] = Field(
        default="inject_canary_documents_per_tenant", description="What is planted."
    )
    on_canary_detected_cross_tenant: Literal["critical_alert"] = Field(
        default="critical_alert", description="On a hit."
    )


class LeakageDetection(Section):
    """Watches for what the walls should have made impossible."""

    enabled: bool = Field(default=True, description="Whether any of it runs.")
    cross_tenant_output_scan: OutputScan | None = Field(default=None, description="Other tenants' passages in answers.")
    context_validation: ContextValidation | None = Field(default=None, description="Foreign items in prompts.")
    statistical_monitoring: StatisticalMonitoring | None = Field(
        default=None, description="Foreign namespaces in results."
    )
    isolation_audit: IsolationAudit | None = Field(default=None, description="A scheduled proof with canaries.")
