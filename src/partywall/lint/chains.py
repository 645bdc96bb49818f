"""Rules about chains: whether the policies that the document names run wherever they should.

Chains add up, so a policy of the global chain runs everywhere. What follows is about the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from partywall.config.kinds import PolicyKind
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, group_path, kinds_of, listed
from partywall.policy.routes import RouteRule

__all__ = ["RULES"]


def _gaps(subject: Subject, kind: PolicyKind | None) -> tuple[list[int], list[RouteRule]]:
    """The groups whose own chain lacks `kind` (or anything), and the routes on which they pass without it."""
    if kind in subject.global_kinds or (kind is None and subject.global_kinds):
        return [], []

    def lacks(kinds: frozenset[PolicyKind]) -> bool:
        return not kinds if kind is None else kind not in kinds

    groups = [index for index, group in enumerate(subject.groups) if lacks(kinds_of(group))]
    routes = [route for route in subject.reach.open_routes(groups) if lacks(kinds_of(route.chain))]
    return groups, routes


def _names(subject: Subject, groups: Sequence[int]) -> str:
    return listed(subject.groups[index].name for index in groups)


def _routes_without_chain(subject: Subject) -> Iterator[Hit]:
    groups, routes = _gaps(subject, None)
    for route in routes:
        message = f"no policy runs on `{route.name}` for {_names(subject, groups)}"
        yield Hit(("routes", route.index, "name"), message)


def _groups_without_chain(subject: Subject) -> Iterator[Hit]:
    if subject.document.routes or not subject.mentioned_kinds:
        return
    for index in _gaps(subject, None)[0]:
        name = subject.groups[index].name
        yield Hit(group_path(index, "name"), f"no policy runs for `{name}`, though others have a chain")


def _no_chain(subject: Subject) -> Iterator[Hit]:
    if not subject.document.routes and not subject.mentioned_kinds:
        yield Hit(("policies", "chain"), "no policy runs on any request")


def _rbac_gaps(subject: Subject) -> Iterator[Hit]:
    rbac = subject.document.policy.rbac
    asked = rbac is not None and (rbac.roles is not None or "deny_if_missing" in rbac.model_fields_set)
    if not asked or PolicyKind.RBAC not in subject.mentioned_kinds:
        return
    groups, routes = _gaps(subject, PolicyKind.RBAC)
    said = {route.index for route in _gaps(subject, None)[1]}
    for route in routes:
        if route.index not in said:
            message = f"`rbac` doesn't run on `{route.name}` for {_names(subject, groups)}"
            yield Hit(("routes", route.index, "name"), message)
    if not subject.document.routes:
        bare = set(_gaps(subject, None)[0])
        for index in groups:
            if index not in bare:
                yield Hit(group_path(index, "chain"), f"`rbac` doesn't run for `{subject.groups[index].name}`")


def _never_run(subject: Subject) -> Iterator[Hit]:
    settings = subject.document.policy
    for name, field in type(settings).model_fields.items():
        kind = PolicyKind(field.alias or name)
        # The decision record is written whether or not a chain says so.
        if getattr(settings, name) is None or kind is PolicyKind.AUDIT_LOGGER or kind in subject.mentioned_kinds:
            continue
        yield Hit(("policy", str(kind)), f"`{kind}` has settings and stands in no chain, so it never runs")


def _no_rbac(subject: Subject) -> Iterator[Hit]:
    mentioned = subject.mentioned_kinds
    if mentioned and PolicyKind.RBAC not in mentioned and subject.document.policy.rbac is None:
        yield Hit(("policies", "chain"), "`rbac` stands in no chain: no user need be named, and tools are free")


def _no_audit(subject: Subject) -> Iterator[Hit]:
    if subject.mentioned_kinds and PolicyKind.AUDIT_LOGGER not in subject.mentioned_kinds:
        yield Hit(("policies", "chain"), "`audit-logger` stands in no chain")


_ON_ONE_ROUTE = example("""\
policies: {chain: []}
routes:
  - {name: chat, path: /v1/chat/completions, chain: [rbac, audit-logger]}
  - {name: rest, path: /v1, match: prefix}
""")

RULES = (
    Rule(
        id="route-without-chain",
        level=Level.ERROR,
        title="A route on which no policy runs",
        why="Who is refused on the other routes comes in by this one: no role is checked, no tool held back, no "
        "header demanded.",
        mend="Put what must always run into `policies.chain`, which runs on every route.",
        bad=_ON_ONE_ROUTE,
        good=example("""\
policies: {chain: [rbac, audit-logger]}
routes:
  - {name: chat, path: /v1/chat/completions}
  - {name: rest, path: /v1, match: prefix}
"""),
        check=_routes_without_chain,
    ),
    Rule(
        id="group-without-chain",
        level=Level.ERROR,
        title="A group for which no policy runs",
        why="Other groups have a chain, so the platform has rules; this group's callers are held to none of them.",
        mend="Put what must always run into `policies.chain`, which runs for every group.",
        bad=example("""\
policies: {chain: []}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm, chain: [rbac, audit-logger]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        good=example("""\
policies: {chain: [rbac, audit-logger]}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        check=_groups_without_chain,
    ),
    Rule(
        id="no-chain",
        level=Level.WARNING,
        title="The document has no chain at all",
        why="Tenants are kept apart, and nothing else is checked: whoever has a key may ask every model for every "
        "tool.",
        mend="Begin with `policies: {chain: [rbac, audit-logger]}`.",
        bad=example("""\
policies: {chain: []}
policy: {}
"""),
        good=example(),
        check=_no_chain,
    ),
    Rule(
        id="rbac-gap",
        level=Level.ERROR,
        title="Roles that are checked on one way and not on another",
        why="The document says which role may use which tool. On this route or for this group nobody looks, so a "
        "client that is refused takes this way.",
        mend="Put `rbac` into `policies.chain`.",
        bad=example("""\
policies: {chain: [audit-logger]}
routes:
  - {name: chat, path: /v1/chat/completions, chain: [rbac]}
  - {name: rest, path: /v1, match: prefix}
"""),
        good=example("""\
policies: {chain: [audit-logger, rbac]}
routes:
  - {name: chat, path: /v1/chat/completions}
  - {name: rest, path: /v1, match: prefix}
"""),
        check=_rbac_gaps,
    ),
    Rule(
        id="policy-never-runs",
        level=Level.ERROR,
        title="A policy with settings and without a place in any chain",
        why="The settings read like a wall. Only a chain makes a policy run, and none names this one.",
        mend="Name the policy in `policies.chain`, or remove its settings.",
        bad=example("""\
policy:
  rbac: {roles: {analyst: {allowed_tools: [search]}}}
  data-routing-policy: {require_zero_data_retention: true}
"""),
        good=example("""\
policies: {chain: [rbac, data-routing-policy, audit-logger]}
policy:
  rbac: {roles: {analyst: {allowed_tools: [search]}}}
  data-routing-policy: {require_zero_data_retention: true}
"""),
        check=_never_run,
    ),
    Rule(
        id="chain-without-rbac",
        level=Level.WARNING,
        title="No chain has `rbac`",
        why="Without it no request need say which of the tenant's users is calling, and every tool goes to everybody.",
        mend="Put `rbac` into `policies.chain`, and roles into `policy.rbac.roles`.",
        bad=example("""\
policies: {chain: [audit-logger]}
policy: {}
"""),
        good=example(),
        check=_no_rbac,
    ),
    Rule(
        id="chain-without-audit-logger",
        level=Level.NOTE,
        title="No chain has `audit-logger`",
        why="Each request leaves its decision record all the same. A reviewer who reads the chain can't know that.",
        mend="Put `audit-logger` into `policies.chain`.",
        bad=example("""\
policies: {chain: [rbac]}
"""),
        good=example(),
        check=_no_audit,
    ),
)
