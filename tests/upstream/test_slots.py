"""Slots are one tenant's at a time: against a model of what each slot holds, and the cases that a model walks past."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.config.providers import Target
from partywall.errors import BadRequest, ConfigError
from partywall.tenancy import TenantId
from partywall.upstream.api import Api
from partywall.upstream.slots import DOUBT_SECONDS, Lease, SlotTable
from partywall.upstream.targets import compile_targets

ALPHA, BETA, GAMMA = TenantId("alpha"), TenantId("beta"), TenantId("gamma")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(text: str = "hello") -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}]}


def table(count: int = 3, clock: Clock | None = None) -> SlotTable:
    made = SlotTable(range(count), clock=clock or Clock())
    made.is_proved = True
    return made


def answered(slots: SlotTable, tenant: TenantId, text: str = "hello") -> tuple[int, bool]:
    lease = slots.take(tenant, asked(text))
    lease.answered()
    return lease.slot_id, lease.reuses


# -- Against a model ---

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "answered", "refused", "lost", "late", "wait", "doubt"]),
        st.sampled_from([ALPHA, BETA, GAMMA]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=150)
def test_no_request_reuses_what_another_tenant_left(steps: list[tuple[str, TenantId, int]]) -> None:
    """The model: what a server's slots hold. A request that broke off may still be worked on, any time in its doubt."""
    clock = Clock()
    slots = table(3, clock)
    holds: dict[int, set[TenantId]] = {}
    open_leases: list[tuple[Lease, TenantId]] = []
    straying: list[tuple[int, TenantId, float]] = []

    def worked_on(slot_id: int, tenant: TenantId, *, reuses: bool) -> None:
        holds[slot_id] = (holds.get(slot_id, set()) if reuses else set()) | {tenant}

    for step, tenant, number in steps:
        if step == "take":
            lease = slots.take(tenant, asked(f"{tenant} {number}" * 100))
            if lease.reuses:
                assert holds.get(lease.slot_id, set()) <= {tenant}
                worked_on(lease.slot_id, tenant, reuses=True)
            open_leases.append((lease, tenant))
        elif step in ("answered", "refused", "lost") and open_leases:
            lease, owner = open_leases.pop(number % len(open_leases))
            if step == "lost":
                straying.append((lease.slot_id, owner, clock.now + DOUBT_SECONDS))
            elif step == "answered":
                worked_on(lease.slot_id, owner, reuses=lease.reuses)
            getattr(lease, step)()
        elif step == "late" and straying:
            slot_id, owner, until = straying[number % len(straying)]
            if clock.now < until:
                worked_on(slot_id, owner, reuses=True)
        elif step == "wait":
            clock.now += DOUBT_SECONDS / 3
        elif step == "doubt":
            slots.doubt_the_server()
            slots.is_proved = True


# -- Cases ---


def test_a_tenant_keeps_its_slot_and_reuses_it() -> None:
    slots = table()
    assert answered(slots, ALPHA) == (0, False)
    assert answered(slots, BETA) == (1, False)
    assert answered(slots, ALPHA) == (0, True)
    assert answered(slots, BETA) == (1, True)


def test_a_third_tenant_takes_the_slot_that_lay_idle_longest_and_reuses_nothing_of_it() -> None:
    clock = Clock()
    slots = table(3, clock)
    answered(slots, ALPHA)
    clock.now = 1.0
    answered(slots, BETA)
    clock.now = 2.0
    assert answered(slots, GAMMA) == (0, False)
    assert answered(slots, GAMMA) == (0, True)
    assert answered(slots, ALPHA)[1] is False


def test_a_slot_is_not_reused_before_the_first_request_was_answered_to_its_end() -> None:
    slots = table(2)
    for end in ("refused", "lost"):
        lease = slots.take(ALPHA, asked())
        assert not lease.reuses
        getattr(lease, end)()
    assert answered(slots, ALPHA) == (0, False)
    assert answered(slots, ALPHA) == (0, True)


def test_a_slot_in_doubt_stays_with_its_tenant() -> None:
    clock = Clock()
    slots = table(2, clock)
    slots.take(ALPHA, asked()).lost()
    assert answered(slots, BETA) == (1, False)  # the common one, which reuses nothing
    assert answered(slots, BETA) == (1, False)
    clock.now = DOUBT_SECONDS + 1
    assert answered(slots, BETA) == (0, False)


def test_a_busy_slot_is_nobody_elses_and_the_common_one_is_left() -> None:
    slots = table(2)
    slots.take(ALPHA, asked())
    assert answered(slots, BETA) == (1, False)
    assert answered(slots, ALPHA) == (1, False)


def test_a_tenant_with_a_slot_takes_no_other_tenants() -> None:
    slots = table(3)
    answered(slots, ALPHA)
    answered(slots, BETA)
    slots.take(ALPHA, asked())
    assert answered(slots, ALPHA) == (2, False)
    assert answered(slots, BETA) == (1, True)


def test_two_conversations_of_a_tenant_have_a_slot_each_while_there_are_free_ones() -> None:
    slots = table(3)
    one, other = "the sea " * 50, "the hill " * 50
    assert answered(slots, ALPHA, one) == (0, False)
    assert answered(slots, ALPHA, other) == (1, False)
    assert answered(slots, ALPHA, one + "is wide") == (0, True)
    assert answered(slots, ALPHA, other + "is high") == (1, True)


def test_nothing_is_reused_before_the_server_is_proved_or_after_it_failed() -> None:
    slots = SlotTable((4, 7))
    assert answered(slots, ALPHA) == (7, False)
    slots.is_proved = True
    assert answered(slots, ALPHA) == (4, False)
    assert answered(slots, ALPHA) == (4, True)
    slots.doubt_the_server()
    assert answered(slots, ALPHA) == (7, False)
    slots.is_proved = True
    assert answered(slots, ALPHA) == (4, False)


def test_a_table_in_doubt_lends_nothing_at_first() -> None:
    clock = Clock()
    slots = SlotTable((0, 1), is_doubted=True, clock=clock)
    slots.is_proved = True
    assert answered(slots, ALPHA) == (1, False)
    clock.now = DOUBT_SECONDS
    assert answered(slots, ALPHA) == (0, False)


@pytest.mark.parametrize("count", [2, "2", True, 1.5, [1]])
def test_several_answers_are_refused(count: object) -> None:
    """The server works on each in a slot of its own, whosever that is."""
    slots = table(2)
    if count is not True:  # True equals 1, here and in JSON's readers
        with pytest.raises(BadRequest):
            slots.take(ALPHA, asked() | {"n": count})
    assert answered(slots, ALPHA) == (0, False)


def test_a_lease_writes_over_what_stands_there() -> None:
    body: dict[str, object] = {"id_slot": 9, "cache_prompt": True, **asked()}
    slots = table(2)
    slots.take(ALPHA, body).pin(body)
    assert (body["id_slot"], body["cache_prompt"]) == (0, False)


# -- The document ---


def target(**members: Any) -> Target:
    return Target.model_validate({"id": "t", "provider": "llama.cpp", "base_url": "http://127.0.0.1:1", **members})


def test_a_target_with_slots_makes_no_embeddings() -> None:
    """They name no slot, and would land in anybody's."""
    with_slots, without = (compile_targets({"t": target(slots=slots)})["t"] for slots in ((0, 1), None))
    assert with_slots.slots == (0, 1)
    assert Api.EMBEDDINGS not in with_slots.paths
    assert Api.EMBEDDINGS in without.paths


@pytest.mark.parametrize("slots", [[0], [], [-1, 0], [0, "x"]])
def test_odd_slots_are_refused(slots: object) -> None:
    with pytest.raises(ValueError, match="slots"):
        target(slots=slots)


def test_slots_that_nobody_can_know_apart_are_refused() -> None:
    with pytest.raises(ConfigError, match="stands twice"):
        compile_targets({"t": target(slots=[0, 0])})
    with pytest.raises(ConfigError, match=r"llama\.cpp"):
        compile_targets({"t": target(slots=[0, 1], provider="vllm")})
    for other in (target(id="u"), target(id="u", slots=[2, 3]), target(id="u", provider="acme")):
        with pytest.raises(ConfigError, match="same server"):
            compile_targets({"t": target(slots=[0, 1]), "u": other})
    elsewhere = target(id="u", base_url="http://127.0.0.1:2")
    assert len(compile_targets({"t": target(slots=[0, 1]), "u": elsewhere})) == 2
