"""What a document may ask for that this build can't honour yet.

Promises: `serve` refuses a document that asks for any of it, with the place and a plain sentence. Nothing that the
document states is silently ignored. Each room that is built takes its lines out of here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from partywall.config.document import Document
from partywall.config.kinds import PolicyKind
from partywall.config.routing import ChainEntry, Stage

__all__ = ["BUILT_KINDS", "Unbuilt", "unbuilt"]

BUILT_KINDS: Final = frozenset(
    {PolicyKind.RBAC, PolicyKind.AUDIT_LOGGER, PolicyKind.DATA_ROUTING_POLICY, PolicyKind.PII_DETECTOR}
)
"""The policy kinds that run. A chain that names another can't be honoured."""

_LATE: Final = (Stage.POST_REQUEST, Stage.POST_RESPONSE)

Path = tuple[str | int, ...]


class Unbuilt(NamedTuple):
    """One thing that the document asks for in vain: its place, and why that matters."""

    path: Path
    message: str


def unbuilt(document: Document) -> Iterator[Unbuilt]:
    """Everything in `document` that this build can't honour, in document order."""
    yield from _chains(document)
    yield from _rbac(document)
    yield from _sections(document)
    yield from _retrieval(document)
    yield from _multi_tenant(document)
    yield from _groups(document)
    yield from _targets(document)
    yield from _fixed(document)


def _chains(document: Document) -> Iterator[Unbuilt]:
    yield from _kinds(("policies", "chain"), document.policies.chain)
    for index, group in enumerate(document.consumer_groups.groups):
        yield from _kinds(("consumer_groups", "groups", index, "chain"), group.chain)
    for index, route in enumerate(document.routes):
        yield from _kinds(("routes", index, "chain"), route.chain)


def _kinds(path: Path, chain: tuple[ChainEntry, ...]) -> Iterator[Unbuilt]:
    for index, entry in enumerate(chain):
        if entry.kind not in BUILT_KINDS:
            yield Unbuilt(
                (*path, index), f"the policy `{entry.kind}` is not built yet; nothing would check what it promises"
            )
        elif entry.kind is PolicyKind.PII_DETECTOR and entry.stage in _LATE:
            message = f"`{entry.kind}` looks at `pre-request` and `pre-response`; at `{entry.stage}` it is too late"
            yield Unbuilt((*path, index, "stage"), message)


def _rbac(document: Document) -> Iterator[Unbuilt]:
    rbac = document.policy.rbac
    if rbac is None:
        return
    if rbac.data_access:
        yield Unbuilt(("policy", "rbac", "data_access"), "no store labels data with a sensitivity yet")
    if rbac.minimum_necessary.enabled:
        yield Unbuilt(("policy", "rbac", "minimum_necessary"), "no store knows protected health information yet")


def _sections(document: Document) -> Iterator[Unbuilt]:
    asked = {
        "tools": (document.tools is not None, "the tool broker is not built yet"),
        "limits": (document.limits is not None, "nothing counts requests or tokens against a limit yet"),
        "telemetry": (document.telemetry is not None, "no spans or metrics are exported yet"),
        "workers": (document.workers is not None, "partywall runs no model workers yet"),
    }
    for section, (is_asked, why) in asked.items():
        if is_asked:
            yield Unbuilt((section,), why)
    if document.prompts is not None and document.prompts.directory is not None:
        yield Unbuilt(("prompts", "directory"), "templates are not read yet")
    if document.storage.cache != "embedded" and document.encryption is None:
        yield Unbuilt(("storage", "cache"), "what lies there is sealed under tenants' keys; state `encryption`")
    if document.storage.vectors not in ("memory", "pgvector") and document.encryption is None:
        yield Unbuilt(("storage", "vectors"), "documents are sealed under their tenants' keys; state `encryption`")
    for tenant, settings in document.tenants.items():
        if settings.root_key is not None and document.encryption is None:
            yield Unbuilt(("tenants", tenant, "root_key"), "without `encryption`, nothing is sealed under it")


def _retrieval(document: Document) -> Iterator[Unbuilt]:
    rag, detection = document.rag, document.leakage_detection
    if rag is not None and "tenant_offboarding" in rag.model_fields_set:
        yield Unbuilt(("rag", "tenant_offboarding"), "no tenant is offboarded by partywall yet")
    if rag is not None and document.encryption is None:
        yield Unbuilt(("rag",), "documents are sealed under their tenants' keys; state `encryption`")
    if detection is None or not detection.enabled:
        return
    for key in ("cross_tenant_output_scan", "isolation_audit"):
        if getattr(detection, key) is not None:
            yield Unbuilt(("leakage_detection", key), "nothing scans for other tenants' content yet")
    if detection.context_validation is not None and not detection.context_validation.validate_all_context_items:
        path = ("leakage_detection", "context_validation", "validate_all_context_items")
        yield Unbuilt(path, "each item is verified before it is returned; that can't be switched off")


def _multi_tenant(document: Document) -> Iterator[Unbuilt]:
    asked = document.multi_tenant
    if asked.conversation_isolation is not None and asked.conversation_isolation.storage_key_prefix is not None:
        path = ("multi_tenant", "conversation_isolation", "storage_key_prefix")
        yield Unbuilt(path, "records are found by keyed hashes with their tenant inside; a prefix of text is not used")
    if asked.session_validation.session_token_binding:
        yield Unbuilt(("multi_tenant", "session_validation", "session_token_binding"), "there are no sessions yet")
    if not asked.session_validation.verify_tenant_on_every_request:
        path = ("multi_tenant", "session_validation", "verify_tenant_on_every_request")
        yield Unbuilt(path, "the tenant is verified on every request; that can't be switched off")
    if asked.on_isolation_breach is not None:
        yield Unbuilt(("multi_tenant", "on_isolation_breach"), "nothing acts on a breach yet")


def _groups(document: Document) -> Iterator[Unbuilt]:
    for index, group in enumerate(document.consumer_groups.groups):
        for key in ("limits", "rate_limits"):
            if getattr(group, key) is not None:
                path = ("consumer_groups", "groups", index, key)
                yield Unbuilt(path, "nothing counts requests or tokens against a limit yet")


def _fixed(document: Document) -> Iterator[Unbuilt]:
    """What can't be switched off or chosen, though the vocabulary has a word for it."""
    audit = document.policy.audit_logger
    if audit is not None and not audit.immutable:
        yield Unbuilt(("policy", "audit-logger", "immutable"), "records are never changed; that can't be switched off")
    isolation = document.multi_tenant.conversation_isolation
    if isolation is not None and not isolation.system_prompt.tenant_cannot_override_base:
        path: Path = ("multi_tenant", "conversation_isolation", "system_prompt", "tenant_cannot_override_base")
        yield Unbuilt(path, "the platform's prompt comes first; that can't be switched off")
    for key in ("dsn_ref", "owner_dsn_ref", "vectors_url_ref", "cache_url_ref", "cache_owner_url_ref"):
        ref = getattr(document.storage, key)
        if ref is not None and (ref.vault is not None or ref.store is not None):
            yield Unbuilt(("storage", key), "secrets are read from `env` or `file` only, so far")
    if document.providers.strategy == "single" and document.providers.fallback is not None:
        yield Unbuilt(("providers", "strategy"), "`single` contradicts `fallback`; state one of them")


def _targets(document: Document) -> Iterator[Unbuilt]:
    for index, target in enumerate(document.providers.targets):
        if target.provider_type is not None and target.provider_type != target.vendor:
            path: Path = ("providers", "targets", index, "provider_type")
            yield Unbuilt(path, f"`provider` says `{target.vendor}`; a target of another kind says so in `format`")
        ref = target.secret_key_ref
        if ref is not None and (ref.vault is not None or ref.store is not None):
            yield Unbuilt(
                ("providers", "targets", index, "secret_key_ref"), "secrets are read from `env` or `file` only, so far"
            )
