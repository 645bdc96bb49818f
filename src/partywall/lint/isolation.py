"""Rules about how far the document wants tenants apart, and how they are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from partywall.config.isolation import IsolationModel
from partywall.lint.examples import example
from partywall.lint.findings import Level, Path
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject

__all__ = ["RULES"]

_LOOK_ALIKES: Final = str.maketrans({"_": "-", "o": "0", "l": "1", "i": "1"})
_STRENGTH: Final = {"namespace": 0, "separate_collection": 1, "separate_db": 2}
_MODEL: Final[Path] = ("multi_tenant", "isolation_model")


def _off(subject: Subject) -> Iterator[Hit]:
    if subject.document.multi_tenant.isolation_model is IsolationModel.NONE:
        yield Hit(_MODEL, "refusals between tenants become alerts, and `serve` starts only with a flag that says so")


def _permissive(subject: Subject) -> Iterator[Hit]:
    if subject.document.multi_tenant.isolation_model is IsolationModel.PERMISSIVE:
        yield Hit(_MODEL, "a request that names another tenant is let through as the credential's, with an alert")


def _unverified(subject: Subject) -> Iterator[Hit]:
    if not subject.document.multi_tenant.session_validation.verify_tenant_on_every_request:
        path = ("multi_tenant", "session_validation", "verify_tenant_on_every_request")
        yield Hit(path, "a session is believed once and never asked again whose it is")


def _confusable(subject: Subject) -> Iterator[Hit]:
    first: dict[str, str] = {}
    for tenant in sorted(subject.tenants):
        other = first.setdefault(tenant.translate(_LOOK_ALIKES), tenant)
        if other != tenant:
            yield Hit(subject.tenant_path(tenant), f"`{tenant}` and `{other}` look alike, and are two tenants")


def _looser_tenant(subject: Subject) -> Iterator[Hit]:
    rag = subject.document.rag
    if rag is None:
        return
    for tenant, settings in subject.document.tenants.items():
        own = settings.isolation_strategy
        if own is not None and _STRENGTH[own] < _STRENGTH[rag.isolation_strategy]:
            message = f"`{own}` for `{tenant}` is less than the platform's `{rag.isolation_strategy}`"
            yield Hit(("tenants", tenant, "isolation_strategy"), message)


def _overridable(subject: Subject) -> Iterator[Hit]:
    conversations = subject.document.multi_tenant.conversation_isolation
    if conversations is not None and not conversations.system_prompt.tenant_cannot_override_base:
        path = ("multi_tenant", "conversation_isolation", "system_prompt", "tenant_cannot_override_base")
        yield Hit(path, "a tenant's own prompt replaces the platform's, with the rules in it")


RULES = (
    Rule(
        id="isolation-off",
        level=Level.ERROR,
        title="Isolation is switched off",
        why="`isolation_model: none` turns every refusal between tenants into an alert that somebody may read later.",
        mend="Use `strict`.",
        bad=example("""\
multi_tenant: {isolation_model: none}
"""),
        good=example("""\
multi_tenant: {isolation_model: strict}
"""),
        check=_off,
    ),
    Rule(
        id="isolation-permissive",
        level=Level.WARNING,
        title="Mismatches are reported and not refused",
        why="Data stays apart, as the credential alone chooses. But a client that names the wrong tenant is mixing up "
        "its customers, and `permissive` lets it go on.",
        mend="Use `strict` once the alerts have stopped.",
        bad=example("""\
multi_tenant: {isolation_model: permissive}
"""),
        good=example("""\
multi_tenant: {isolation_model: strict}
"""),
        check=_permissive,
    ),
    Rule(
        id="tenant-not-verified",
        level=Level.ERROR,
        title="Sessions aren't asked whose they are",
        why="A session id that is guessed, leaked or replayed by another tenant would be believed.",
        mend="Leave `verify_tenant_on_every_request` on.",
        bad=example("""\
multi_tenant:
  session_validation: {verify_tenant_on_every_request: false}
"""),
        good=example("""\
multi_tenant:
  session_validation: {verify_tenant_on_every_request: true}
"""),
        check=_unverified,
        also=frozenset({"not-built"}),
    ),
    Rule(
        id="confusable-tenants",
        level=Level.WARNING,
        title="Two tenants whose ids look alike",
        why="Ids are compared byte for byte, so these are two tenants. People compare by eye: keys are minted, data "
        "exported and tenants deleted for the wrong one.",
        mend="Give one of them another id before it has data.",
        bad=example("""\
consumer_groups:
  groups:
    - {name: acme-1, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: acme_l, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        good=example("""\
consumer_groups:
  groups:
    - {name: acme-north, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: acme-south, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        check=_confusable,
    ),
    Rule(
        id="tenant-strategy-looser",
        level=Level.WARNING,
        title="A tenant is kept less apart than the platform says",
        why="Narrower levels may tighten and not loosen. Here one tenant's documents share an index that the platform "
        "promises to divide.",
        mend="Leave the tenant's `isolation_strategy` out, or choose a stronger one.",
        bad=example("""\
rag: {isolation_strategy: separate_db}
tenants: {alpha: {isolation_strategy: namespace}, beta: {}}
"""),
        good=example("""\
rag: {isolation_strategy: namespace}
tenants: {alpha: {isolation_strategy: separate_db}, beta: {}}
"""),
        check=_looser_tenant,
        also=frozenset({"not-built"}),
    ),
    Rule(
        id="base-prompt-overridable",
        level=Level.WARNING,
        title="A tenant may replace the platform's system prompt",
        why="What the platform's prompt forbids, a tenant's own then allows, for all of that tenant's users.",
        mend="Leave `tenant_cannot_override_base` on.",
        bad=example("""\
multi_tenant:
  conversation_isolation:
    system_prompt: {tenant_cannot_override_base: false}
"""),
        good=example("""\
multi_tenant:
  conversation_isolation:
    system_prompt: {tenant_cannot_override_base: true}
"""),
        also=frozenset({"not-built"}),
        check=_overridable,
    ),
)
