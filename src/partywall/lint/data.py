"""Rules about the walls around stored data: keys, names of namespaces, checks on retrieval, what is left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from partywall.lint.examples import example
from partywall.lint.findings import Level, Path
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject

__all__ = ["RULES"]

_PLACEHOLDER: Final = re.compile(r"(\{[^{}]*\})")
_DIVIDES: Final = re.compile(r"[^A-Za-z0-9_-]")
"""A character that no tenant id has, so that it ends one."""
_NOT_BUILT: Final = frozenset({"not-built"})


def _templates(subject: Subject) -> Iterator[tuple[Path, str]]:
    document = subject.document
    conversations = document.multi_tenant.conversation_isolation
    if conversations is not None and conversations.storage_key_prefix is not None:
        path: Path = ("multi_tenant", "conversation_isolation", "storage_key_prefix")
        yield path, conversations.storage_key_prefix
    if document.rag is not None:
        yield ("rag", "namespace_config", "namespace_format"), document.rag.namespace_config.namespace_format
    if document.encryption is not None and document.encryption.vault_config is not None:
        template = document.encryption.vault_config.key_path_template
        yield ("encryption", "vault_config", "key_path_template"), template


def _ambiguous(subject: Subject) -> Iterator[Hit]:
    for path, template in _templates(subject):
        # Split with a group: texts at even places, placeholders between them.
        parts = _PLACEHOLDER.split(template)
        for at in range(1, len(parts), 2):
            if parts[at] != "{tenant_id}":
                continue
            neighbours = [between for between, one in _beside(parts, at) if one and not _DIVIDES.search(between)]
            if neighbours:
                message = f"two tenants can come to one name by `{template}`: nothing ends the id that an id can't hold"
                yield Hit(path, message)
                break


def _beside(parts: list[str], at: int) -> Iterator[tuple[str, str]]:
    """The text between the placeholder at `at` and the next on each side, and that one, if there is one."""
    yield parts[at - 1], parts[at - 2] if at >= 2 else ""
    yield parts[at + 1], parts[at + 2] if at + 2 < len(parts) else ""


def _open_prefix(subject: Subject) -> Iterator[Hit]:
    for path, template in _templates(subject):
        if path[-1] == "storage_key_prefix" and template.endswith("{tenant_id}"):
            message = f"the prefix `{template}` of a tenant `acme` is also that of `acme-2`"
            yield Hit(path, message)


def _nothing_sealed(subject: Subject) -> Iterator[Hit]:
    encryption = subject.document.encryption
    if encryption is not None and not encryption.encrypted_per_tenant:
        yield Hit(("encryption", "encrypted_per_tenant"), "the section asks for keys per tenant, and seals nothing")


def _shared_unsealed(subject: Subject) -> Iterator[Hit]:
    storage = subject.document.storage
    if subject.document.encryption is not None:
        return
    for key, value, alone in (("backend", storage.backend, "sqlite"), ("cache", storage.cache, "embedded")):
        if value != alone:
            yield Hit(("storage", key), f"all tenants' records lie in one {value}, and none is sealed with its own key")


def _retrieval_unverified(subject: Subject) -> Iterator[Hit]:
    rag = subject.document.rag
    if rag is not None and not rag.retrieval_validation.verify_namespace_before_return:
        path = ("rag", "retrieval_validation", "verify_namespace_before_return")
        yield Hit(path, "what a search returns is handed on without a look at whose it is")


def _left_behind(subject: Subject) -> Iterator[Hit]:
    rag = subject.document.rag
    for key, what in (("delete_namespace", "its documents stay"), ("verification_scan", "nobody looks what is left")):
        if rag is not None and not getattr(rag.tenant_offboarding, key):
            yield Hit(("rag", "tenant_offboarding", key), f"when a tenant leaves, {what}")


def _use_unrecorded(subject: Subject) -> Iterator[Hit]:
    encryption = subject.document.encryption
    if encryption is not None and not encryption.key_access_logging:
        yield Hit(("encryption", "key_access_logging"), "a tenant's key can be used without a trace")


RULES = (
    Rule(
        id="ambiguous-template",
        level=Level.ERROR,
        title="A name in which two tenants can meet",
        why="Without a separator that ids can't hold, tenant `a` with `b_c` and tenant `a_b` with `c` get one name, "
        "and with it one record.",
        mend="Put `:` or `/` between `{tenant_id}` and what stands beside it.",
        bad=example("""\
multi_tenant:
  conversation_isolation: {storage_key_prefix: "{tenant_id}_{session_id}:"}
"""),
        good=example("""\
multi_tenant:
  conversation_isolation: {storage_key_prefix: "{tenant_id}:{session_id}:"}
"""),
        check=_ambiguous,
        also=_NOT_BUILT,
    ),
    Rule(
        id="prefix-without-end",
        level=Level.WARNING,
        title="A key prefix that doesn't end the tenant's id",
        why="Lists, permissions and deletions go by prefix. Without an end, those of one tenant take in every tenant "
        "whose id begins alike (Open WebUI CVE-2026-44557).",
        mend="End the prefix with a character that ids can't hold: `tenant:{tenant_id}:`.",
        bad=example("""\
multi_tenant:
  conversation_isolation: {storage_key_prefix: "tenant:{tenant_id}"}
"""),
        good=example("""\
multi_tenant:
  conversation_isolation: {storage_key_prefix: "tenant:{tenant_id}:"}
"""),
        check=_open_prefix,
        also=_NOT_BUILT,
    ),
    Rule(
        id="nothing-sealed",
        level=Level.ERROR,
        title="Encryption that seals nothing",
        why="The section is there, so a reviewer counts on it. `encrypted_per_tenant` is empty, so no record is "
        "sealed.",
        mend="List what is sealed, or remove the section.",
        bad=example("""\
encryption: {key_strategy: per_tenant}
"""),
        good=example("""\
encryption: {key_strategy: per_tenant, encrypted_per_tenant: [conversation_logs, agent_memory, audit_logs]}
"""),
        check=_nothing_sealed,
    ),
    Rule(
        id="shared-store-unsealed",
        level=Level.WARNING,
        title="A store for all tenants, without keys of their own",
        why="In one database only its permissions keep tenants apart. One missing filter, one restored dump or one "
        "administrator, and there is nothing left between them.",
        mend="Add `encryption` with what is stored there in `encrypted_per_tenant`.",
        bad=example("""\
storage: {backend: postgres, dsn_ref: {env: DATABASE_URL}}
"""),
        good=example("""\
storage: {backend: postgres, dsn_ref: {env: DATABASE_URL}}
encryption: {encrypted_per_tenant: [conversation_logs, agent_memory, cache]}
"""),
        check=_shared_unsealed,
    ),
    Rule(
        id="retrieval-unverified",
        level=Level.ERROR,
        title="What retrieval returns isn't checked",
        why="Adapters have dropped filters in silence (mem0 #3887, LlamaIndex #17857). The check of what comes back "
        "is the wall that notices.",
        mend="Leave `verify_namespace_before_return` on.",
        bad=example("""\
rag:
  retrieval_validation: {verify_namespace_before_return: false}
"""),
        good=example("""\
rag:
  retrieval_validation: {verify_namespace_before_return: true}
"""),
        check=_retrieval_unverified,
        also=_NOT_BUILT,
    ),
    Rule(
        id="offboarding-leaves-data",
        level=Level.WARNING,
        title="A tenant that leaves leaves its documents behind",
        why="What isn't deleted is found by the next tenant with that name, or by the next bug; what isn't scanned "
        "for was often not deleted (mem0 #4957: 48 of 148 records left).",
        mend="Leave `delete_namespace` and `verification_scan` on.",
        bad=example("""\
rag:
  tenant_offboarding: {delete_namespace: true, verification_scan: false}
"""),
        good=example("""\
rag:
  tenant_offboarding: {delete_namespace: true, verification_scan: true}
"""),
        check=_left_behind,
        also=_NOT_BUILT,
    ),
    Rule(
        id="key-use-unrecorded",
        level=Level.WARNING,
        title="Keys are used without a record",
        why="A tenant asks who has opened its data. Without the record of each use there is no answer.",
        mend="Leave `key_access_logging` on.",
        bad=example("""\
encryption: {encrypted_per_tenant: [agent_memory], key_access_logging: false}
"""),
        good=example("""\
encryption: {encrypted_per_tenant: [agent_memory], key_access_logging: true}
"""),
        check=_use_unrecorded,
    ),
)
