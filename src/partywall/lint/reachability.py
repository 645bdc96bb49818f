"""Rules about routes and groups that don't come together, and about routes that are never taken."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from partywall.config.routing import Group
from partywall.lint.endpoints import served_under
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.route_index import RouteIndex
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, group_path, listed
from partywall.policy.globs import matcher
from partywall.policy.targets import TargetRule

__all__ = ["RULES"]


def _groups_without_route(subject: Subject) -> Iterator[Hit]:
    known = {target.id for target in subject.document.providers.targets}
    for index, group in enumerate(subject.groups):
        # A misspelt upstream is `unknown-upstream`, and one fault is enough.
        if subject.reach.has_route(index) or not known.issuperset(group.upstream or ()):
            continue
        path = group_path(index, "name" if group.upstream is None else "upstream")
        yield Hit(path, f"the group `{group.name}` can use {_nothing(subject, index, group)}")


def _nothing(subject: Subject, index: int, group: Group) -> str:
    if not subject.reach.targets(index):
        return "no target" if group.upstream is None else "none of its upstreams"
    led = listed({owner for rule in subject.rules.targets for owner in rule.owners or ()} - {group.tenant_id})
    return "no route: none leads to a target of its own" + (f", but to those of {led}" if led else "")


def _routes_without_group(subject: Subject) -> Iterator[Hit]:
    if not subject.groups:
        return
    usable = {route.index for route in subject.reach.open_routes(range(len(subject.groups)))}
    known = {target.id for target in subject.document.providers.targets}
    for index, route in enumerate(subject.document.routes):
        if index not in usable and known.issuperset(route.upstream or ()):
            path = ("routes", index, "name" if route.upstream is None else "upstream")
            yield Hit(path, f"no group may use a target that `{route.name}` leads to")


def _shadowed(subject: Subject) -> Iterator[Hit]:
    index = RouteIndex()
    for route in subject.rules.routes:
        earlier = index.shadow(route)
        if earlier is not None:
            message = f"`{earlier}` takes every request that `{route.name}` could take, and is tried first"
            yield Hit(("routes", route.index, "path"), message)
        index.add(route)


def _nowhere(subject: Subject) -> Iterator[Hit]:
    for route in subject.rules.routes:
        endpoints = list(served_under(route))
        methods = route.methods
        if not endpoints:
            yield Hit(("routes", route.index, "path"), f"no endpoint of the gateway lies under `{route.path}`")
        elif methods is not None and methods.isdisjoint(method for _, method in endpoints):
            taken = " or ".join(sorted({method for _, method in endpoints}))
            yield Hit(("routes", route.index, "methods"), f"the endpoints under `{route.path}` take {taken} only")


def _no_model(subject: Subject) -> Iterator[Hit]:
    for index, group in enumerate(subject.groups):
        settings = subject.document.tenants.get(group.tenant_id)
        lists = (group.allowed_models, None if settings is None else settings.allowed_models)
        given = [globs for globs in lists if globs is not None]
        pool = subject.reach.targets(index)
        if given and pool and not any(_passes(target, given) for target in pool):
            own = group.allowed_models is not None
            path = group_path(index, "allowed_models") if own else ("tenants", group.tenant_id, "allowed_models")
            yield Hit(path, f"no target of the group `{group.name}` has a model that its `allowed_models` let through")


def _passes(target: TargetRule, lists: list[tuple[str, ...]]) -> bool:
    if target.model is None:
        return all(lists)  # it serves any model, so each list that has an entry lets something through
    names = (target.id, target.model, f"{target.vendor}/{target.model}")
    return any(all(_matcher(globs)(name) for globs in lists) for name in names)


_matcher = lru_cache(maxsize=1024)(matcher)


RULES = (
    Rule(
        id="group-without-route",
        level=Level.ERROR,
        title="A group that no route leads to a target",
        why="Every call of the group is refused. The quick way out is to open somebody else's target to it.",
        mend="Give the group an `upstream` of its own and a route that leads there.",
        bad=example("""\
routes:
  - {name: chat, path: /v1, match: prefix, upstream: alpha-llm}
"""),
        good=example("""\
routes:
  - {name: chat, path: /v1, match: prefix, upstream: [alpha-llm, beta-llm]}
"""),
        check=_groups_without_route,
        also=frozenset({"unused-target"}),
    ),
    Rule(
        id="route-without-group",
        level=Level.WARNING,
        title="A route that no group can use",
        why="It refuses everybody today. It is also the way by which a target comes into reach when somebody widens a "
        "group for another reason.",
        mend="Remove the route, or name a target that a group of the tenant may use.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot}
    - {id: gamma-llm, provider: parrot, tenants: [gamma]}
routes:
  - {name: chat, path: /v1, match: prefix}
  - {name: gamma, path: /gamma, match: prefix, upstream: gamma-llm}
tenants: {alpha: {}, beta: {}, gamma: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot}
routes:
  - {name: chat, path: /v1, match: prefix}
tenants: {alpha: {}, beta: {}}
"""),
        check=_routes_without_group,
        also=frozenset({"tenant-without-credential", "unused-target"}),
    ),
    Rule(
        id="route-shadowed",
        level=Level.ERROR,
        title="A route that is never taken",
        why="An earlier route takes all of its requests. Its chain never runs and its upstream is never used, so the "
        "wall that somebody wrote here isn't there.",
        mend="Give the narrower route the higher `priority`, or remove it.",
        bad=example("""\
routes:
  - {name: everything, path: /v1, match: prefix, priority: 10}
  - {name: chat, path: /v1/chat/completions, chain: [data-routing-policy]}
"""),
        good=example("""\
routes:
  - {name: everything, path: /v1, match: prefix}
  - {name: chat, path: /v1/chat/completions, chain: [data-routing-policy], priority: 10}
"""),
        check=_shadowed,
    ),
    Rule(
        id="route-leads-nowhere",
        level=Level.WARNING,
        title="A route under which the gateway serves nothing",
        why="The requests that it was written for take another route, without its chain, or none.",
        mend="Write the path as the API has it, or use `match: prefix` for everything below it.",
        bad=example("""\
routes:
  - {name: all, path: /v1, match: prefix}
  - {name: chat, path: /v1/chat/completion, chain: [data-routing-policy]}
"""),
        good=example("""\
routes:
  - {name: all, path: /v1, match: prefix}
  - {name: chat, path: /v1/chat/completions, chain: [data-routing-policy]}
"""),
        check=_nowhere,
    ),
    Rule(
        id="no-model-allowed",
        level=Level.WARNING,
        title="A group that may use no model",
        why="An empty list means none here, not all as elsewhere; globs that match no target come to the same.",
        mend="Name models that the group's targets serve, or leave `allowed_models` out.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, model: parrot-1}
    - {id: beta-llm, provider: parrot, model: parrot-1}
tenants: {alpha: {allowed_models: [gpt-*]}, beta: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, model: parrot-1}
    - {id: beta-llm, provider: parrot, model: parrot-1}
tenants: {alpha: {allowed_models: [parrot-*]}, beta: {}}
"""),
        check=_no_model,
    ),
)
