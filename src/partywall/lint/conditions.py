"""Rules about conditions and stages: policies that a client can step around, and policies that act at no time.

What a condition may ask of a request, a client wrote, but for the tenant. So a condition on a header or a model chooses
what runs only as long as the client plays along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from partywall.config.kinds import PolicyKind
from partywall.config.routing import ChainEntry, Condition, Stage
from partywall.lint.endpoints import ENDPOINTS, GENERATING, answers, served_under
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.route_index import RouteIndex
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, kinds_of, listed
from partywall.policy.chains import DEFAULT_STAGES

__all__ = ["RULES"]


def _dodgeable(subject: Subject) -> Iterator[Hit]:
    everywhere = _always_run_somehow(subject)
    generating = _generating_endpoints(subject)
    for path, entry, beside in subject.entries():
        # The record is written whatever a chain says.
        if entry.when is None or entry.kind is PolicyKind.AUDIT_LOGGER or entry.kind in everywhere:
            continue
        how = _way_around(entry.when, generating)
        if how is not None and not any(other.kind is entry.kind and other.when is None for other in beside):
            yield Hit((*path, "when"), f"a client steps around `{entry.kind}` by {how}")


def _always_run_somehow(subject: Subject) -> frozenset[PolicyKind]:
    """The kinds that every group's own chain, or every route's, runs without a condition."""
    for holders in (subject.groups, subject.document.routes):
        chains = [_unconditional(holder.chain) for holder in holders]
        if chains and all(chains):
            return frozenset.intersection(*chains)
    return frozenset()


def _unconditional(chain: Iterable[ChainEntry]) -> frozenset[PolicyKind]:
    return frozenset(entry.kind for entry in chain if entry.when is None)


def _generating_endpoints(subject: Subject) -> frozenset[str]:
    """The endpoints that ask a model something, as far as the routes lead there."""
    routes = subject.rules.routes
    served = {path for route in routes for path, _ in served_under(route)} if routes else set(GENERATING)
    return frozenset(GENERATING) & served


def _way_around(when: Condition, generating: frozenset[str]) -> str | None:
    if when.header:
        return f"leaving out the header {listed(when.header)}"
    if when.model is not None and not any(set(glob) == {"*"} for glob in when.model):
        return "calling the model by another of its names, or asking for another"
    open_endpoints = [path for path in generating if when.path is not None and not path.startswith(when.path)]
    return f"asking at {listed(open_endpoints)}" if open_endpoints else None


def _route_dodged(subject: Subject) -> Iterator[Hit]:
    index, turns = RouteIndex(), {route.index: turn for turn, route in enumerate(subject.rules.routes)}
    for route in subject.rules.routes:
        index.add(route)
    for route in subject.rules.routes:
        own = kinds_of(route.chain) - subject.global_kinds - {PolicyKind.AUDIT_LOGGER}
        instead = min(index.without_headers(route), key=lambda other: turns[other.index], default=None)
        missing = own - kinds_of(instead.chain) if instead is not None else frozenset()
        if instead is not None and missing:
            message = f"without its headers a request takes `{instead.name}`, where {listed(missing)} doesn't run"
            yield Hit(("routes", route.index, "headers"), message)


def _idle(subject: Subject) -> Iterator[Hit]:
    for path, entry, beside in subject.entries():
        acts = _stages_that_act(entry.kind)
        if entry.stage is not None and acts is not None and acts.isdisjoint(_stages(entry.kind, beside)):
            when = listed(acts)
            yield Hit((*path, "stage"), f"`{entry.kind}` does nothing at `{entry.stage}`; it acts at {when}")


def _answers_unchecked(subject: Subject) -> Iterator[Hit]:
    for path, entry, beside in subject.entries():
        acts = _stages_that_act(entry.kind)
        if entry.stage is None or acts is None:
            continue
        stages = _stages(entry.kind, beside)
        if not acts.isdisjoint(stages) and not acts <= stages:
            missing = listed(acts - stages)
            yield Hit((*path, "stage"), f"`{entry.kind}` runs at `{entry.stage}` only, and not at {missing}")


def _stages_that_act(kind: PolicyKind) -> frozenset[Stage] | None:
    return None if kind is PolicyKind.AUDIT_LOGGER else DEFAULT_STAGES.get(kind)


def _stages(kind: PolicyKind, chain: Iterable[ChainEntry]) -> frozenset[Stage]:
    """The stages at which `chain` runs `kind`; only a mention without a stage brings all that it acts at."""
    stages: set[Stage] = set()
    for entry in chain:
        if entry.kind is kind:
            stages |= {entry.stage} if entry.stage is not None else DEFAULT_STAGES.get(kind, frozenset(Stage))
    return frozenset(stages)


def _never_met(subject: Subject) -> Iterator[Hit]:
    for path, entry, _ in subject.entries():
        when = entry.when
        if when is None:
            continue
        for key in ("model", "tenant", "gateway"):
            if getattr(when, key) == ():
                yield Hit((*path, "when", key), f"the empty list matches no request, so `{entry.kind}` never runs here")
        if when.path is not None and not _is_asked(when.path):
            message = f"no endpoint's path begins with `{when.path}`, so `{entry.kind}` never runs here"
            yield Hit((*path, "when", "path"), message)


def _is_asked(path: str) -> bool:
    return any(answers(endpoint, path) or _may_begin(endpoint, path) for endpoint, _ in ENDPOINTS)


def _may_begin(endpoint: str, start: str) -> bool:
    """Whether a path that comes to the endpoint can begin with `start`."""
    *whole, last = start.split("/")
    listed = endpoint.split("/")[: len(whole) + 1]
    return (
        len(listed) == len(whole) + 1
        and all(own in ("{}", theirs) for own, theirs in zip(listed, whole, strict=False))
        and (listed[-1] == "{}" or listed[-1].startswith(last))
    )


RULES = (
    Rule(
        id="dodgeable-policy",
        level=Level.WARNING,
        title="A policy that the client decides about",
        why="The condition asks for something that the client writes. A caller who would be refused leaves it out or "
        "writes it otherwise, and the policy doesn't run.",
        mend="Name the policy without a condition, or condition it on `tenant`, which comes from the credential.",
        bad=example("""\
policies:
  chain: [{rbac: {when: {header: {X-Agent: "true"}}}}, audit-logger]
"""),
        good=example("""\
policies:
  chain: [{rbac: {when: {tenant: [alpha, beta]}}}, audit-logger]
"""),
        check=_dodgeable,
    ),
    Rule(
        id="route-dodged-by-header",
        level=Level.WARNING,
        title="A stricter route that a client can avoid",
        why="The route is taken only with its headers, and the client writes those. Without them the request takes a "
        "wider route with fewer policies.",
        mend="Put the policies into the chain of the group or the platform, where no header decides.",
        bad=example("""\
routes:
  - {name: sensitive, path: /v1, match: prefix, headers: {X-Data: phi}, chain: [data-routing-policy], priority: 1}
  - {name: all, path: /v1, match: prefix}
"""),
        good=example("""\
routes:
  - {name: sensitive, path: /v1, match: prefix, headers: {X-Data: phi}, chain: [data-routing-policy], priority: 1}
  - {name: all, path: /v1, match: prefix, chain: [data-routing-policy]}
"""),
        check=_route_dodged,
    ),
    Rule(
        id="policy-at-idle-stage",
        level=Level.ERROR,
        title="A policy at a stage where it does nothing",
        why="The chain reads as if the policy ran. At this stage it has nothing to look at, so it never refuses "
        "anything.",
        mend="Leave `stage` out: a policy knows its own.",
        bad=example("""\
policies:
  chain: [{rbac: {stage: post-response}}, audit-logger]
"""),
        good=example(),
        check=_idle,
    ),
    Rule(
        id="answers-unchecked",
        level=Level.WARNING,
        title="A policy narrowed to one of its stages",
        why="A model asks for tools that nobody offered it. Roles that are checked on the request alone don't stop "
        "the call in the answer, and the other way round no identity is demanded.",
        mend="Leave `stage` out, or name the policy once for each stage.",
        bad=example("""\
policies:
  chain: [{rbac: {stage: pre-request}}, audit-logger]
"""),
        good=example("""\
policies:
  chain: [{rbac: {stage: pre-request}}, {rbac: {stage: pre-response}}, audit-logger]
"""),
        check=_answers_unchecked,
    ),
    Rule(
        id="condition-never-met",
        level=Level.ERROR,
        title="A condition that no request meets",
        why="The policy stands in the chain and never runs. A path is compared with the API's own path, without the "
        "prefix of a route.",
        mend="Mend the condition; to bind a policy to a route, put it into that route's chain.",
        bad=example("""\
routes:
  - {name: alpha, path: /alpha, match: prefix}
policies:
  chain: [rbac, audit-logger, {data-routing-policy: {when: {path: /alpha}}}]
"""),
        good=example("""\
routes:
  - {name: alpha, path: /alpha, match: prefix, chain: [data-routing-policy]}
policies:
  chain: [rbac, audit-logger]
"""),
        check=_never_met,
        also=frozenset({"dodgeable-policy"}),
    ),
)
