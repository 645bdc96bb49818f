"""Rules about whose a target is.

A target belongs to the tenants that it lists, else to those whose groups name it as upstream, else to everybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from partywall.config.providers import Target
from partywall.config.routing import Route
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, group_path, listed, target_path
from partywall.lint.vendors import credential, vendor

__all__ = ["RULES"]

_TOKEN: Final = re.compile(r"[a-z0-9]+")
_ABOUT_TENANTS: Final = ("tenant", "team", "org", "customer", "consumer", "group", "client")
_SHORTEST_TELLING_ID: Final = 3
_MOST_WORDS: Final = 12
"""Words of a name that are looked at."""


def _upstreams_of_others(subject: Subject) -> Iterator[Hit]:
    owners = {rule.id: rule.owners for rule in subject.rules.targets}
    for index, group in enumerate(subject.groups):
        for name in group.upstream or ():
            claimed_by = owners.get(name)
            if claimed_by is not None and group.tenant_id not in claimed_by:
                whose = listed(claimed_by) if claimed_by else "nobody"
                message = f"the group `{group.name}` of `{group.tenant_id}` names `{name}`, which belongs to {whose}"
                yield Hit(group_path(index, "upstream"), message)


def _routes_to_others(subject: Subject) -> Iterator[Hit]:
    targets = {rule.id: rule for rule in subject.rules.targets}
    tenant_of = {name: name for name in subject.tenants} | {_joined(name): name for name in subject.tenants}
    tenant_of = {group.name: group.tenant_id for group in subject.groups} | tenant_of
    tenant_headers = frozenset(name.lower() for name in subject.document.server.identity_headers.tenant)
    for index, route in enumerate(subject.document.routes):
        meant = {tenant_of[word] for word in _words_for_tenants(route, tenant_headers) if word in tenant_of}
        for name in route.upstream or () if meant else ():
            rule = targets.get(name)
            if rule is not None and rule.owners and not any(map(rule.open_to, meant)):
                message = f"the route is meant for {listed(meant)} and leads to `{name}`, which belongs to "
                yield Hit(("routes", index, "upstream"), message + listed(rule.owners))


def _words_for_tenants(route: Route, tenant_headers: frozenset[str]) -> Iterator[str]:
    """What of a route could name a tenant: its own part of the path, headers about tenants, and its name."""
    segments = route.path.strip("/").split("/")
    own = segments[: segments.index("v1")] if "v1" in segments else segments
    yield from own
    # A route called `chat` is named for the path, though a tenant of that name exists.
    yield from (name for name in _runs(route.name) if name not in segments)
    for name, value in route.headers.items():
        if name.lower() in tenant_headers or any(word in name.lower() for word in _ABOUT_TENANTS):
            yield value


def _named_for_a_tenant(subject: Subject) -> Iterator[Hit]:
    ids = {_joined(tenant): tenant for tenant in subject.tenants if len(tenant) >= _SHORTEST_TELLING_ID}
    for index, target in enumerate(subject.document.providers.targets):
        named = {ids[name] for name in _names_within(target) if name in ids}
        others = subject.reach.tenants(target.id) - named if named and target.tenants is None else frozenset()
        if others:
            message = f"`{target.id}` is named for {listed(named)}, and {listed(others)} may use it too"
            yield Hit(target_path(index, "id"), message)


def _names_within(target: Target) -> Iterator[str]:
    """Every run of words in the target's id and in the name of its secret, but for its vendor and its region."""
    key = credential(target)
    harmless = {vendor(target), _joined(target.region or "")}
    for text in (target.id, key[1] if key is not None and key[0] != "api_key" else ""):
        yield from (name for name in _runs(text) if name not in harmless)


def _runs(text: str) -> Iterator[str]:
    """Every run of words in `text`, joined by dashes."""
    words = _TOKEN.findall(text.lower())[:_MOST_WORDS]
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield "-".join(words[start:end])


def _joined(text: str) -> str:
    return "-".join(_TOKEN.findall(text.lower()))


def _unused(subject: Subject) -> Iterator[Hit]:
    reach = subject.reach
    for index, target in enumerate(subject.document.providers.targets):
        if subject.groups and not (reach.tenants(target.id) and reach.is_led_to(target.id)):
            yield Hit(target_path(index, "id"), f"no group comes to `{target.id}` on any route")


RULES = (
    Rule(
        id="upstream-of-another-tenant",
        level=Level.ERROR,
        title="A group names another tenant's target",
        why="A target's `tenants` says whose it is. Here a group of somebody else's asks for it; one list edited, and "
        "its requests carry the other tenant's credential.",
        mend="Give the group a target of its own tenant's, or add the tenant to the target's `tenants` if it is "
        "shared.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, tenants: [alpha]}
    - {id: beta-llm, provider: parrot, tenants: [beta]}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: [beta-llm, alpha-llm]}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, tenants: [alpha]}
    - {id: beta-llm, provider: parrot, tenants: [beta]}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: [beta-llm]}
"""),
        check=_upstreams_of_others,
    ),
    Rule(
        id="route-to-another-tenant",
        level=Level.ERROR,
        title="A tenant's route leads to another's upstream",
        why="The route says whom it is for, by its path or a header, and its upstream is somebody else's account: a "
        "copied route whose upstream was forgotten.",
        mend="Lead the route to a target of the tenant that it is meant for.",
        bad=example("""\
routes:
  - {name: alpha, path: /alpha, match: prefix, upstream: alpha-llm}
  - {name: beta, path: /beta, match: prefix, upstream: [beta-llm, alpha-llm]}
"""),
        good=example("""\
routes:
  - {name: alpha, path: /alpha, match: prefix, upstream: alpha-llm}
  - {name: beta, path: /beta, match: prefix, upstream: beta-llm}
"""),
        check=_routes_to_others,
    ),
    Rule(
        id="open-target-named-for-tenant",
        level=Level.WARNING,
        title="A target is named for one tenant, and others may use it",
        why="A target that nobody claims is everybody's. When its name or its secret's name says whose it is, the "
        "claim was forgotten, and the others' requests go out on that tenant's account.",
        mend="Claim it: `tenants: [...]` at the target, or `upstream` in the tenant's groups alone.",
        bad=example("""\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
    - {name: gamma, api_keys: [OPERATOR_KEY]}
"""),
        good=example("""\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
"""),
        check=_named_for_a_tenant,
    ),
    Rule(
        id="unused-target",
        level=Level.NOTE,
        title="A target that no group comes to",
        why="Its credential is in use for nothing, and the next group without an `upstream` may get it by accident.",
        mend="Remove the target, or name it as the `upstream` it was meant to be.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot}
    - {id: spare, provider: parrot}
"""),
        good=example(),
        check=_unused,
    ),
)
