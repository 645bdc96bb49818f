"""A route that lint calls shadowed is one that no request takes, on random routes."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from partywall.config.routing import Route
from partywall.errors import MethodNotAllowed, NotFound
from partywall.lint.route_index import RouteIndex
from partywall.policy.routes import RouteTable

PATHS = ("/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions", "/v1x", "/team")
ASKED = (*PATHS, "/v1/chat/", "/v1/models", "/team/v1/chat", "/teams", "/v1x/y")
HEADERS: tuple[dict[str, str], ...] = ({}, {"x-a": "1"}, {"x-b": "2"}, {"x-a": "1", "x-b": "2"}, {"x-a": "3"})


@st.composite
def routes(draw: st.DrawFn) -> tuple[Route, ...]:
    def one(number: int) -> Route:
        values: dict[str, Any] = {
            "name": f"r{number}",
            "path": draw(st.sampled_from(PATHS)),
            "match": draw(st.sampled_from(["exact", "prefix"])),
            "methods": draw(st.sampled_from([None, ["GET"], ["POST"], ["GET", "POST"]])),
            "headers": draw(st.sampled_from(HEADERS)),
            "priority": draw(st.integers(0, 1)),
        }
        return Route.model_validate(values)

    return tuple(one(number) for number in range(draw(st.integers(1, 5))))


def taken(table: RouteTable) -> set[str]:
    """The routes that some request takes."""
    names: set[str] = set()
    for path, method, headers in product(ASKED, ("GET", "POST", "PUT"), HEADERS):
        raw = {name.encode(): value.encode() for name, value in headers.items()}
        try:
            route = table.match(method, path, raw)
        except (NotFound, MethodNotAllowed):
            continue
        assert route is not None
        names.add(route.name)
    return names


@given(routes())
def test_no_request_takes_a_shadowed_route(drawn: tuple[Route, ...]) -> None:
    table, index = RouteTable(drawn), RouteIndex()
    alive = taken(table)
    for route in table:
        if index.shadow(route) is not None:
            assert route.name not in alive
        index.add(route)


@given(routes())
def test_a_route_covered_by_one_other_is_found(drawn: tuple[Route, ...]) -> None:
    table, index = RouteTable(drawn), RouteIndex()
    earlier: list[Any] = []
    for route in table:
        stem = route.path.rstrip("/") if route.prefix else route.path
        covered = any(
            (other.covers(stem) if other.prefix else not route.prefix and other.path == route.path)
            and set(other.headers) <= set(route.headers)
            and (other.methods is None or (route.methods is not None and route.methods <= other.methods))
            for other in earlier
        )
        assert not covered or index.shadow(route) is not None
        index.add(route)
        earlier.append(route)


def test_methods_of_two_routes_on_one_path_add_up() -> None:
    table = RouteTable(
        Route.model_validate({"name": name, "path": "/v1", "match": "prefix", "methods": methods})
        for name, methods in (("get", ["GET"]), ("post", ["POST"]), ("both", ["GET", "POST"]))
    )
    index = RouteIndex()
    shadows = {}
    for route in table:
        shadows[route.name] = index.shadow(route)
        index.add(route)
    assert shadows == {"get": None, "post": None, "both": "get"}


def test_a_route_with_many_headers_is_still_answered() -> None:
    headers = {f"x-{number}": "1" for number in range(40)}
    table = RouteTable(
        Route.model_validate({"name": name, "path": "/v1", "headers": given, "priority": priority})
        for name, given, priority in (("all", {}, 1), ("many", headers, 0))
    )
    index = RouteIndex()
    first, second = table
    index.add(first)
    assert index.shadow(second) == "all"
