"""Chains add up: a narrower level adds and tightens, never removes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.config.kinds import PolicyKind
from partywall.config.routing import ChainEntry, Condition, Stage
from partywall.policy.chains import DEFAULT_STAGES, Facts, merge

KINDS = st.sampled_from([PolicyKind.RBAC, PolicyKind.AUDIT_LOGGER, PolicyKind.DATA_ROUTING_POLICY])
CONDITIONS = st.builds(
    Condition,
    path=st.none() | st.sampled_from(["/v1/chat", "/v1/embeddings"]),
    tenant=st.none() | st.sampled_from([("alpha",), ("beta",)]),
    header=st.none() | st.just({"X-Team": "red"}),
    model=st.none() | st.just(("gpt-*",)),
)
ENTRIES = st.builds(
    ChainEntry,
    kind=KINDS,
    when=st.none() | CONDITIONS,
    stage=st.none() | st.sampled_from(list(Stage)),
)
CHAINS = st.lists(ENTRIES, max_size=4).map(tuple)
FACTS = st.builds(
    Facts,
    method=st.just("POST"),
    path=st.sampled_from(["/v1/chat/completions", "/v1/embeddings", "/v1/models"]),
    api=st.just("chat.completions"),
    model=st.none() | st.sampled_from(["gpt-4o", "claude"]),
    headers=st.sampled_from([{}, {b"x-team": b"red"}, {b"x-team": b"blue"}]),
)


def facts(path: str = "/v1/chat/completions", **headers: str) -> Facts:
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Facts("POST", path, "chat.completions", "gpt-4o", raw)


@given(CHAINS, CHAINS, CHAINS, FACTS, st.sampled_from(["alpha", "beta"]), st.sampled_from(list(Stage)))
def test_narrower_levels_never_remove(
    wide: tuple[ChainEntry, ...],
    group: tuple[ChainEntry, ...],
    route: tuple[ChainEntry, ...],
    request: Facts,
    tenant: str,
    stage: Stage,
) -> None:
    """Whatever ran with the wider levels alone still runs with the narrower ones added."""

    def running(*levels: tuple[ChainEntry, ...]) -> set[PolicyKind]:
        return {p.kind for p in merge(levels, "partywall") if p.applies(stage, tenant, request)}

    assert running(wide) <= running(wide, group) <= running(wide, group, route)


@settings(deadline=None)
@given(CHAINS, FACTS, st.sampled_from(["alpha", "beta"]), st.sampled_from(list(Stage)))
def test_what_always_runs_runs_whatever_the_request_is(
    chain: tuple[ChainEntry, ...], request: Facts, tenant: str, stage: Stage
) -> None:
    for policy in merge([chain], "partywall"):
        unconditional = any(entry.kind is policy.kind and entry.when is None for entry in chain)
        assert policy.always == (policy.stages if unconditional else frozenset())
        assert policy.applies(stage, tenant, request) or stage not in policy.always


@given(CHAINS, CHAINS)
def test_each_kind_once_in_order_of_first_mention(wide: tuple[ChainEntry, ...], narrow: tuple[ChainEntry, ...]) -> None:
    kinds = [policy.kind for policy in merge((wide, narrow), "partywall")]
    assert kinds == list(dict.fromkeys(entry.kind for entry in (*wide, *narrow)))


def test_conditions_are_anded() -> None:
    when = Condition.model_validate({"path": "/v1/chat", "header": {"X-Team": "red"}, "tenant": "alpha"})
    (policy,) = merge([(ChainEntry(kind=PolicyKind.RBAC, when=when),)], "partywall")
    assert policy.applies(Stage.PRE_REQUEST, "alpha", facts(x_team="red"))
    assert not policy.applies(Stage.PRE_REQUEST, "beta", facts(x_team="red"))
    assert not policy.applies(Stage.PRE_REQUEST, "alpha", facts(x_team="blue"))
    assert not policy.applies(Stage.PRE_REQUEST, "alpha", facts("/v1/embeddings", x_team="red"))


def test_gateway_condition_is_settled_when_compiled() -> None:
    entry = ChainEntry(kind=PolicyKind.RBAC, when=Condition.model_validate({"gateway": ["eu"]}))
    assert merge([(entry,)], "eu")[0].applies(Stage.PRE_REQUEST, "alpha", facts())
    assert not merge([(entry,)], "us")[0].applies(Stage.PRE_REQUEST, "alpha", facts())


def test_default_stages_cover_request_and_answer_for_rbac() -> None:
    (policy,) = merge([(ChainEntry(kind=PolicyKind.RBAC),)], "partywall")
    assert policy.stages == DEFAULT_STAGES[PolicyKind.RBAC] == {Stage.PRE_REQUEST, Stage.PRE_RESPONSE}
