"""`policy.<kind>`: the settings of each policy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from partywall.config.base import Section
from partywall.config.routing import HeaderName

__all__ = ["AuditLogger", "DataRoutingPolicy", "PiiDetector", "PolicySettings", "PromptInjection", "Rbac", "RoleTools"]

Sensitivity = Literal["public", "internal", "confidential", "restricted"]


class RoleTools(Section):
    """The tools of one role. A denial beats a permission; what neither names is denied."""

    allowed_tools: tuple[str, ...] = Field(default=(), description="Tools it may use (globs). Empty: none.")
    denied_tools: tuple[str, ...] = Field(default=(), description="Tools it may not use (globs), whatever is allowed.")


class RoleData(Section):
    """How sensitive the data may be that a role is shown."""

    max_sensitivity: Sensitivity = Field(description="The highest class it may see.")


class MinimumNecessary(Section):
    """HIPAA's minimum-necessary rule."""

    enabled: bool = Field(default=False, description="Whether it applies.")
    allowed_phi_roles: tuple[str, ...] = Field(
        default=(), description="Roles that may see protected health information."
    )


class Rbac(Section):
    """Who may use which tools, and which identity headers a request must carry."""

    deny_if_missing: tuple[HeaderName, ...] = Field(default=("X-User-ID",), description="Headers that must be present.")
    require_auth: bool = Field(default=False, description="Published; a credential is required here in any case.")
    roles: dict[str, RoleTools] | None = Field(
        default=None, description="Tools per role. Without it, tools aren't restricted."
    )
    data_access: dict[str, RoleData] = Field(default={}, description="Sensitivity per role.")
    minimum_necessary: MinimumNecessary = Field(
        default=MinimumNecessary(), description="HIPAA's minimum-necessary rule."
    )


class AuditLogger(Section):
    """The decision record. Every request leaves one; these settings are about keeping it."""

    immutable: bool = Field(default=True, description="Records are never changed once complete.")
    retention_days: int = Field(default=365, ge=1, le=36_500, description="Days that records are kept at least.")
    hipaa_audit_controls: bool = Field(default=False, description="Published; the record always has these fields.")
    log_all_access: bool = Field(default=True, description="Published; every request is recorded in any case.")


class DataRoutingPolicy(Section):
    """Which promises a target must have made about the data before a request goes there."""

    require_zero_data_retention: bool = Field(default=False, description="Only targets that keep nothing.")
    require_no_training: bool = Field(default=False, description="Only targets that don't train on it.")
    max_retention_days: int | None = Field(default=None, ge=0, description="Only targets that keep it no longer.")
    on_no_compliant_provider: Literal["block"] = Field(default="block", description="What happens when none qualifies.")
    log_provider_selection: bool = Field(default=True, description="Published; the record always names the target.")


class Redaction(Section):
    """What stands in the place of what was removed."""

    marker_format: Literal["label", "asterisks", "partial", "hash"] = Field(
        default="label", description="The marker's form."
    )
    include_metadata: bool = Field(default=True, description="Tell kinds and counts in the decision, never a value.")
    preserve_length: bool = Field(default=False, description="The marker is as long as what it replaces.")
    custom_markers: dict[str, str] = Field(default={}, description="Marker per kind.")


class PiiDetector(Section):
    """Personal data in prompts and answers."""

    action: Literal["redact", "block"] = Field(default="redact", description="What happens on a finding.")
    healthcare_mode: bool = Field(default=False, description="Medical record numbers and the like too.")
    pci_mode: bool = Field(default=True, description="Payment cards too.")
    detect_patterns: tuple[str, ...] = Field(
        default=(), description="Kinds, or further patterns as regular expressions."
    )
    redaction: Redaction = Field(default=Redaction(), description="What stands in its place.")
    restore: bool = Field(default=False, description="Put the values back into the answer to the same request.")


class Encoding(Section):
    """What is undone before looking."""

    decode_base64: bool = Field(default=True, description="Look inside base64.")
    normalize_unicode: bool = Field(default=True, description="Fold compatibility forms.")
    detect_homoglyphs: bool = Field(default=True, description="Fold look-alike letters.")


class Boundaries(Section):
    """Delimiters between instructions and data."""

    enforce_delimiters: bool = Field(default=True, description="Data is always delimited.")
    reject_fake_boundaries: bool = Field(default=True, description="Refuse data that imitates a delimiter.")


class InjectionResponse(Section):
    """What happens on a finding."""

    action: Literal["block", "log", "escalate"] = Field(default="block", description="What happens.")
    message: str | None = Field(default=None, description="What the client is told.")
    log_level: Literal["debug", "info", "warn", "error"] = Field(default="warn", description="Level of the log line.")


class InjectionDetection(Section):
    """Further patterns to look for."""

    attack_patterns: tuple[str, ...] = Field(default=(), description="Regular expressions.")


class PromptInjection(Section):
    """Instructions where only data should be."""

    embedding_threshold: float | None = Field(
        default=None, ge=0, le=1, description="Similarity that counts as an attack."
    )
    threshold: float | None = Field(default=None, ge=0, le=1, description="Score that counts as an attack.")
    action: Literal["block", "log", "escalate"] | None = Field(default=None, description="Short for `response.action`.")
    backend: Literal["local"] = Field(default="local", description="Where detection runs.")
    attack_patterns: tuple[str, ...] = Field(
        default=(), description="Published synonym of `detection.attack_patterns`."
    )
    detection: InjectionDetection = Field(default=InjectionDetection(), description="Further patterns.")
    encoding: Encoding = Field(default=Encoding(), description="What is undone before looking.")
    boundaries: Boundaries = Field(default=Boundaries(), description="Delimiters between instructions and data.")
    response: InjectionResponse = Field(default=InjectionResponse(), description="What happens on a finding.")


class Catalogued(BaseModel):
    """Settings of a published kind that partywall doesn't build: kept as they are, and refused by `serve` if used."""

    model_config = ConfigDict(frozen=True, extra="allow")


class PolicySettings(Section):
    """The settings of each kind, by its published name."""

    rbac: Rbac | None = Field(
        default=None, description="Who may use which tools, and which identity headers a request must carry."
    )
    audit_logger: AuditLogger | None = Field(default=None, alias="audit-logger", description="The decision record.")
    data_routing_policy: DataRoutingPolicy | None = Field(
        default=None, alias="data-routing-policy", description="Promises that a target must have made."
    )
    pii_detector: PiiDetector | None = Field(
        default=None, alias="pii-detector", description="Personal data in prompts and answers."
    )
    prompt_injection: PromptInjection | None = Field(
        default=None, alias="prompt-injection", description="Instructions where only data should be."
    )
    dlp_filter: Catalogued | None = Field(
        default=None, alias="dlp-filter", description="In the published catalogue; not built."
    )
    agent_firewall: Catalogued | None = Field(
        default=None, alias="agent-firewall", description="In the published catalogue; not built."
    )
    safety_filter: Catalogued | None = Field(
        default=None, alias="safety-filter", description="In the published catalogue; not built."
    )
    human_oversight: Catalogued | None = Field(
        default=None, alias="human-oversight", description="In the published catalogue; not built."
    )
    quality_scorer: Catalogued | None = Field(
        default=None, alias="quality-scorer", description="In the published catalogue; not built."
    )
    citation_verifier: Catalogued | None = Field(
        default=None, alias="citation-verifier", description="In the published catalogue; not built."
    )
    hipaa_phi_detector: Catalogued | None = Field(
        default=None, alias="hipaa-phi-detector", description="In the published catalogue; not built."
    )
    healthcare_compliance: Catalogued | None = Field(
        default=None, alias="healthcare-compliance", description="In the published catalogue; not built."
    )
    financial_compliance: Catalogued | None = Field(
        default=None, alias="financial-compliance", description="In the published catalogue; not built."
    )
    language_validator: Catalogued | None = Field(
        default=None, alias="language-validator", description="In the published catalogue; not built."
    )
    bot_detector: Catalogued | None = Field(
        default=None, alias="bot-detector", description="In the published catalogue; not built."
    )
    external_moderation: Catalogued | None = Field(
        default=None, alias="external-moderation", description="In the published catalogue; not built."
    )
    embedding_detector: Catalogued | None = Field(
        default=None, alias="embedding-detector", description="In the published catalogue; not built."
    )
    content_extractor: Catalogued | None = Field(
        default=None, alias="content-extractor", description="In the published catalogue; not built."
    )
    cjis_mode: Catalogued | None = Field(
        default=None, alias="cjis-mode", description="In the published catalogue; not built."
    )
    student_privacy: Catalogued | None = Field(
        default=None, alias="student-privacy", description="In the published catalogue; not built."
    )
    case_privacy: Catalogued | None = Field(
        default=None, alias="case-privacy", description="In the published catalogue; not built."
    )
    itar_ear_filter: Catalogued | None = Field(
        default=None, alias="itar-ear-filter", description="In the published catalogue; not built."
    )
    entity_list_filter: Catalogued | None = Field(
        default=None, alias="entity-list-filter", description="In the published catalogue; not built."
    )
    dual_use_filter: Catalogued | None = Field(
        default=None, alias="dual-use-filter", description="In the published catalogue; not built."
    )
    flagged_review: Catalogued | None = Field(
        default=None, alias="flagged-review", description="In the published catalogue; not built."
    )

    def settings_of_rbac(self) -> Rbac:
        """Settings of `rbac`; its defaults when the document gives none."""
        return self.rbac if self.rbac is not None else Rbac()

    def settings_of_data_routing(self) -> DataRoutingPolicy:
        """Settings of `data-routing-policy`; its defaults when the document gives none."""
        return self.data_routing_policy if self.data_routing_policy is not None else DataRoutingPolicy()
