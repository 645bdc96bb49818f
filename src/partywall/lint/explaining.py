"""`lint --explain`: for every (group, route), what runs and where it leads.

Promises: the chains and targets are those that `policy` decides by. Each policy says which level asked for it, at which
stages it runs and under which conditions.

Doesn't promise: which target serves a model; `allowed_models` and `data-routing-policy` look at the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import orjson

from partywall.config.document import Document
from partywall.config.masking import MASK, could_be_secret, names_secret
from partywall.config.routing import ChainEntry, Condition, Group, Stage
from partywall.config.snippets import excerpt
from partywall.policy.chains import EffectivePolicy
from partywall.policy.routes import RouteRule
from partywall.policy.rules import GroupRule, Rules
from partywall.policy.targets import TargetRule
from partywall.tenancy import TenantId

__all__ = ["Explained", "Mention", "Running", "explain", "render_explain_json", "render_explain_text"]

Origin = Literal["global", "group", "route"]


@dataclass(frozen=True, slots=True)
class Mention:
    """One entry of one chain. What looks like a secret in a condition is masked."""

    level: Origin
    stage: str | None
    when: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Running:
    """One policy of an effective chain. `conditional` is false as soon as one mention has no condition."""

    kind: str
    stages: tuple[str, ...]
    conditional: bool
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """What happens to one group's requests on one route; `route` is None in a document without routes."""

    group: str
    tenant: str
    route: str | None
    path: str | None
    chain: tuple[Running, ...]
    upstreams: tuple[str, ...]
    """The targets that the tenant may use there, in order."""
    held_back: tuple[str, ...]
    """Targets that it could use, but for its regions or its requirement of zero retention."""


def explain(document: Document) -> list[Explained]:
    """Every group on every route, groups in document order, routes in the order in which they are tried."""
    return list(_explained(document))


def _explained(document: Document) -> Iterator[Explained]:
    rules = Rules(document)
    group_rules = {rule.name: rule for rule in rules.groups()}
    routes: list[RouteRule | None] = [*rules.routes] or [None]
    chains: dict[tuple[int, int], tuple[Running, ...]] = {}
    for group in document.consumer_groups.groups:
        for route in routes:
            # Groups without a chain of their own share one empty tuple, and so what runs.
            key = (id(group.chain), route.index if route is not None else -1)
            if key not in chains:
                chains[key] = _running(document, rules, group_rules[group.name], route)
            yield _pair(rules, group, route, chains[key])


def _pair(rules: Rules, group: Group, route: RouteRule | None, chain: tuple[Running, ...]) -> Explained:
    tenant = TenantId(group.tenant_id)
    targets = rules.targets.available(tenant, group.upstream, None if route is None else route.upstream)
    usable = [target.id for target in targets if _fits(rules, tenant, target)]
    return Explained(
        group=group.name,
        tenant=tenant,
        route=None if route is None else route.name,
        path=None if route is None else route.path,
        chain=chain,
        upstreams=tuple(usable),
        held_back=tuple(target.id for target in targets if target.id not in usable),
    )


def _fits(rules: Rules, tenant: TenantId, target: TargetRule) -> bool:
    rule = rules.tenant(tenant)
    in_region = rule.regions is None or target.region in rule.regions
    return in_region and (target.zero_data_retention or not rule.require_zero_data_retention)


def _running(document: Document, rules: Rules, group: GroupRule, route: RouteRule | None) -> tuple[Running, ...]:
    levels: tuple[tuple[Origin, tuple[ChainEntry, ...]], ...] = (
        ("global", document.policies.chain),
        ("group", group.chain),
        ("route", () if route is None else route.chain),
    )
    return tuple(_policy(policy, levels) for policy in rules.chain(group, route))


def _policy(policy: EffectivePolicy, levels: tuple[tuple[Origin, tuple[ChainEntry, ...]], ...]) -> Running:
    mentions = tuple(
        Mention(level, entry.stage, None if entry.when is None else _shown(entry.when))
        for level, chain in levels
        for entry in chain
        if entry.kind is policy.kind
    )
    stages = tuple(stage.value for stage in Stage if stage in policy.stages)
    return Running(policy.kind.value, stages, bool(policy.conditions), mentions)


def _shown(when: Condition) -> dict[str, object]:
    shown: dict[str, object] = when.model_dump(exclude_none=True)
    if when.header is not None:
        hidden = {name for name, value in when.header.items() if names_secret(name) or could_be_secret(value)}
        shown["header"] = {name: MASK if name in hidden else value for name, value in when.header.items()}
    return shown


# -- Rendering ---


def render_explain_json(explained: list[Explained]) -> str:
    """The answer of `explain` as JSON, with a final line break."""
    return orjson.dumps({"pairs": explained}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def render_explain_text(explained: list[Explained]) -> str:
    """The answer of `explain` for people, group by group, with a final line break."""
    lines: list[str] = []
    for (group, tenant), pairs in groupby(explained, key=lambda pair: (pair.group, pair.tenant)):
        lines.append(f"group {group} (tenant {tenant})")
        for pair in pairs:
            lines += _lines(pair)
        lines.append("")
    return "\n".join(lines) if lines else "no groups\n"


def _lines(pair: Explained) -> Iterator[str]:
    yield "  " + ("any endpoint" if pair.route is None else f"route {pair.route} ({excerpt(pair.path or '')})")
    yield f"    upstream   {', '.join(pair.upstreams) or 'none: every request for a model is refused'}"
    if pair.held_back:
        yield f"    held back  {', '.join(pair.held_back)} (region or retention)"
    if not pair.chain:
        yield "    chain      none: no policy runs"
    for number, policy in enumerate(pair.chain):
        label = "chain" if number == 0 else ""
        yield f"    {label:<10} {policy.kind}: {', '.join(policy.stages)}; {_from(policy)}"


def _from(policy: Running) -> str:
    if not policy.conditional:
        levels = [mention.level for mention in policy.mentions if mention.when is None]
        return f"always (from {', '.join(dict.fromkeys(levels))})"
    return "when " + " or ".join(f"{_condition(mention)} (from {mention.level})" for mention in policy.mentions)


def _condition(mention: Mention) -> str:
    return " and ".join(f"{key} = {_value(value)}" for key, value in (mention.when or {}).items()) or "anything"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {excerpt(str(item))}" for name, item in value.items())
    return " | ".join(excerpt(str(item)) for item in value) if isinstance(value, tuple) else excerpt(str(value))
