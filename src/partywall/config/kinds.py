"""The policy kinds that a chain may name: the published catalogue.

Promises: a kind that isn't listed is an error at its place in the document, so a misspelt policy is never a missing
one. A kind that is listed but not built makes `serve` refuse the document (see `unbuilt`).
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PolicyKind"]


class PolicyKind(StrEnum):
    """Names as published."""

    RBAC = "rbac"
    AUDIT_LOGGER = "audit-logger"
    DATA_ROUTING_POLICY = "data-routing-policy"
    PII_DETECTOR = "pii-detector"
    PROMPT_INJECTION = "prompt-injection"
    DLP_FILTER = "dlp-filter"
    AGENT_FIREWALL = "agent-firewall"
    SAFETY_FILTER = "safety-filter"
    HUMAN_OVERSIGHT = "human-oversight"
    QUALITY_SCORER = "quality-scorer"
    CITATION_VERIFIER = "citation-verifier"
    HIPAA_PHI_DETECTOR = "hipaa-phi-detector"
    HEALTHCARE_COMPLIANCE = "healthcare-compliance"
    FINANCIAL_COMPLIANCE = "financial-compliance"
    LANGUAGE_VALIDATOR = "language-validator"
    BOT_DETECTOR = "bot-detector"
    EXTERNAL_MODERATION = "external-moderation"
    EMBEDDING_DETECTOR = "embedding-detector"
    CONTENT_EXTRACTOR = "content-extractor"
    CJIS_MODE = "cjis-mode"
    STUDENT_PRIVACY = "student-privacy"
    CASE_PRIVACY = "case-privacy"
    ITAR_EAR_FILTER = "itar-ear-filter"
    ENTITY_LIST_FILTER = "entity-list-filter"
    DUAL_USE_FILTER = "dual-use-filter"
    FLAGGED_REVIEW = "flagged-review"
