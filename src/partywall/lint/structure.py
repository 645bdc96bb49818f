"""Rules about parts that don't fit together, and about what this build can't honour.

The faults themselves are `config.integrity`'s and `config.unbuilt`'s, so that lint and `serve` can't disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from partywall.config.unbuilt import unbuilt
from partywall.lint.examples import example
from partywall.lint.findings import Level, Path
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, listed, target_path

__all__ = ["RULES"]


def _faults(rule: str, subject: Subject) -> Iterator[Hit]:
    return (Hit(fault.path, fault.message) for fault in subject.faults if fault.rule == rule)


def _not_built(subject: Subject) -> Iterator[Hit]:
    return (Hit(item.path, item.message) for item in unbuilt(subject.document))


def _unknown_tenants(subject: Subject) -> Iterator[Hit]:
    for path, names in _tenant_references(subject):
        for name in names:
            if name not in subject.tenants:
                yield Hit(path, f"no group acts for a tenant `{name}`, and `tenants` doesn't declare one")


def _tenant_references(subject: Subject) -> Iterator[tuple[Path, Iterable[str]]]:
    document = subject.document
    for index, target in enumerate(document.providers.targets):
        yield target_path(index, "tenants"), target.tenants or ()
    for path, entry, _ in subject.entries():
        if entry.when is not None and entry.when.tenant is not None:
            yield (*path, "when", "tenant"), entry.when.tenant
    for index, issuer in enumerate(document.server.jwt):
        yield ("server", "jwt", index, "tenants"), issuer.tenants or ()
    for index, server in enumerate(document.tools.servers if document.tools is not None else ()):
        yield ("tools", "servers", index, "credentials"), server.credentials
    if document.limits is not None:
        yield ("limits", "tenants"), document.limits.tenants
    if document.telemetry is not None:
        yield ("telemetry", "tenants"), document.telemetry.tenants


def _listed_twice(subject: Subject) -> Iterator[Hit]:
    for index, target in enumerate(subject.document.providers.targets):
        names = target.tenants or ()
        twice = {name for name in names if names.count(name) > 1} if len(set(names)) != len(names) else set()
        if twice:
            yield Hit(target_path(index, "tenants"), f"{listed(twice)} stands twice; was another tenant meant?")


RULES = (
    Rule(
        id="name-twice",
        level=Level.ERROR,
        title="Two groups or two routes have one name",
        why="Decision records and limits name the group and the route. With two of a name, nobody can tell whose it "
        "was.",
        mend="Give each group and each route a name of its own.",
        bad=example("""\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: alpha, tenant: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        good=example(),
        check=partial(_faults, "name-twice"),
    ),
    Rule(
        id="unknown-upstream",
        level=Level.ERROR,
        title="An upstream that no target has",
        why="A misspelt upstream leads nowhere today. Tomorrow somebody gives a target that name, and traffic follows "
        "it.",
        mend="Name a target of `providers.targets`.",
        bad=example("""\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [alpha-llm, alfa-llm]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        good=example("""\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [alpha-llm]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        check=partial(_faults, "unknown-upstream"),
    ),
    Rule(
        id="undeclared-tenant",
        level=Level.ERROR,
        title="A group acts for a tenant that isn't declared",
        why="Once `tenants` lists the organisations, a group for another one is a typo, and its callers get a tenant "
        "without regions, models or limits.",
        mend="Declare the tenant under `tenants`, or mend the group's `tenant`.",
        bad=example("""\
tenants: {alpha: {}}
"""),
        good=example("""\
tenants: {alpha: {}, beta: {}}
"""),
        check=partial(_faults, "undeclared-tenant"),
    ),
    Rule(
        id="key-in-two-groups",
        level=Level.ERROR,
        title="One API key in two groups",
        why="The key is what tells tenants apart. Whoever holds this one would be in both groups.",
        mend="Mint a key for each group: `partywall tenants mint-key`.",
        bad=example("""\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [ALPHA_KEY], upstream: beta-llm}
"""),
        good=example(),
        check=partial(_faults, "key-in-two-groups"),
    ),
    Rule(
        id="storage-address",
        level=Level.ERROR,
        title="A database without its address, or an address without its database",
        why="A server that isn't named can't keep anything apart. An owner's connection string that serves too owns "
        "the tables, and the owner may switch row-level security off.",
        mend="Give `postgres` a `dsn_ref` of a role that owns nothing, and `owner_dsn_ref` another one; likewise "
        "`valkey`, with `cache_url_ref` and `cache_owner_url_ref`.",
        bad=example("""\
storage: {backend: postgres}
encryption: {encrypted_per_tenant: [conversation_logs, agent_memory]}
"""),
        good=example("""\
storage: {backend: postgres, dsn_ref: {env: SERVING_DSN}, owner_dsn_ref: {env: OWNER_DSN}}
encryption: {encrypted_per_tenant: [conversation_logs, agent_memory]}
"""),
        check=partial(_faults, "storage-address"),
    ),
    Rule(
        id="system-prompts-unsealed",
        level=Level.ERROR,
        title="Tenants' own system prompts without keys to seal them",
        why="What a tenant has its models told is its own, and is kept under its own key or not at all.",
        mend="Add `encryption: {}`, or take `per_tenant_config` out.",
        bad=example("""\
multi_tenant:
  conversation_isolation:
    system_prompt: {per_tenant_config: true}
"""),
        good=example("""\
encryption: {encrypted_per_tenant: [audit_logs]}
multi_tenant:
  conversation_isolation:
    system_prompt: {per_tenant_config: true}
"""),
        check=partial(_faults, "system-prompts-unsealed"),
    ),
    Rule(
        id="answers-unsealed",
        level=Level.ERROR,
        title="Answers that are kept without keys to seal them",
        why="An answer is the tenant's as much as a conversation is; it is kept under its own key or not at all.",
        mend="Add `encryption: {}`, or let `cache.mode` be `off`.",
        bad=example("""\
cache: {mode: exact}
"""),
        good=example("""\
cache: {mode: exact}
encryption: {encrypted_per_tenant: [audit_logs]}
"""),
        check=partial(_faults, "answers-unsealed"),
    ),
    Rule(
        id="unknown-tenant",
        level=Level.ERROR,
        title="A setting for a tenant that doesn't exist",
        why="A policy, a claim on a target or a limit for a misspelt tenant protects nobody, and the tenant that was "
        "meant goes without. Whoever is given that id later inherits it.",
        mend="Write the id as its group or `tenants` has it, or remove the setting.",
        bad=example("""\
policies:
  chain: [rbac, audit-logger, {data-routing-policy: {when: {tenant: [aplha]}}}]
"""),
        good=example("""\
policies:
  chain: [rbac, audit-logger, {data-routing-policy: {when: {tenant: [alpha]}}}]
"""),
        check=_unknown_tenants,
    ),
    Rule(
        id="tenant-listed-twice",
        level=Level.NOTE,
        title="A target lists one tenant twice",
        why="Harmless in itself. Often the second one was copied, and another tenant was meant.",
        mend="List each tenant once.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot, tenants: [beta, beta]}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot, tenants: [beta]}
"""),
        check=_listed_twice,
    ),
    Rule(
        id="not-built",
        level=Level.NOTE,
        title="The document asks for what this build can't do",
        why="`serve` refuses the document, so that nothing it states is silently left out.",
        mend="Remove the setting until its room is built.",
        bad=example("""\
telemetry: {otlp_endpoint: "https://traces.example"}
"""),
        good=example(),
        check=_not_built,
    ),
)
