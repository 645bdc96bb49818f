"""The shelf against a list that does the same in the obvious way."""

from __future__ import annotations

import asyncio
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from partywall.tenancy import TenantId
from partywall.upstream.client import Origin, PoolKey
from partywall.upstream.client.connection import Connection, ConnectionOwner, Route
from partywall.upstream.client.shelf import IdleShelf

ROUTES = [
    Route(PoolKey(TenantId(tenant), target), Origin("http", "10.0.0.1", 80), True)
    for tenant in ("alpha", "beta")
    for target in ("chat", "embed")
]
MAX_TOTAL, MAX_PER_ROUTE, TIMEOUT = 4, 2, 10.0


class ShelfMachine(RuleBasedStateMachine):
    """`model` is every idle connection with the time it was put, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.shelf = IdleShelf(idle_timeout_seconds=TIMEOUT, max_total=MAX_TOTAL, max_per_route=MAX_PER_ROUTE)
        self.model: list[tuple[Connection, float]] = []

    @rule(route=st.sampled_from(ROUTES))
    def put(self, route: Route) -> None:
        connection = Connection(route, cast("ConnectionOwner", self), cast("asyncio.AbstractEventLoop", None))
        self.model.append((connection, self.now))
        expected = []
        same = [entry for entry in self.model if entry[0].route == route]
        if len(same) > MAX_PER_ROUTE:
            expected.append(same[0])
            self.model.remove(same[0])
        if len(self.model) > MAX_TOTAL:
            expected.append(self.model.pop(0))
        assert self.shelf.put(connection, self.now) == [entry[0] for entry in expected]

    @rule(route=st.sampled_from(ROUTES))
    def take(self, route: Route) -> None:
        same = [entry for entry in self.model if entry[0].route == route and self.now - entry[1] <= TIMEOUT]
        taken = self.shelf.take(route, self.now)
        assert taken is (same[-1][0] if same else None)
        if same:
            assert taken is not None
            assert taken.route == route
            self.model.remove(same[-1])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.model))
        self.shelf.discard(entry[0])
        self.shelf.discard(entry[0])
        self.model.remove(entry)

    @rule()
    def expire(self) -> None:
        old = [entry for entry in self.model if self.now - entry[1] > TIMEOUT]
        assert self.shelf.expire(self.now) == [entry[0] for entry in old]
        self.model = self.model[len(old) :]

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def same_content(self) -> None:
        assert list(self.shelf) == [entry[0] for entry in self.model]
        assert len(self.shelf) == len(self.model)
        assert self.shelf.next_expiry() == (self.model[0][1] + TIMEOUT if self.model else None)
        # No empty stack is left behind for a route that is gone.
        assert set(self.shelf._by_route) == {entry[0].route for entry in self.model}


ShelfMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestShelf = ShelfMachine.TestCase
