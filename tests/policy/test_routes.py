"""Which route a request takes."""

from __future__ import annotations

from typing import Any

import pytest

from partywall.config.routing import Route
from partywall.errors import MethodNotAllowed, NotFound
from partywall.policy.routes import RouteTable


def table(*routes: dict[str, Any]) -> RouteTable:
    return RouteTable([Route.model_validate({"name": f"r{n}", **route}) for n, route in enumerate(routes)])


def name(routes: RouteTable, path: str, method: str = "POST", **headers: str) -> str | None:
    raw = {key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}
    match = routes.match(method, path, raw)
    return None if match is None else match.name


def test_no_routes_means_every_endpoint() -> None:
    assert name(table(), "/v1/models") is None


def test_priority_then_exact_then_length_then_order() -> None:
    routes = table(
        {"path": "/v1", "match": "prefix"},
        {"path": "/v1/chat", "match": "prefix"},
        {"path": "/v1/chat/completions"},
        {"path": "/v1/chat/completions"},
        {"path": "/v1/embeddings"},
        {"path": "/", "match": "prefix", "priority": -1},
        {"path": "/v1/embeddings", "match": "prefix", "priority": 9},
    )
    assert name(routes, "/v1/chat/completions") == "r2"
    assert name(routes, "/v1/chat/other") == "r1"
    assert name(routes, "/v1/models") == "r0"
    assert name(routes, "/v1/embeddings") == "r6"
    assert name(routes, "/else") == "r5"


@pytest.mark.parametrize("path", ["/team-ab", "/team-ab/v1/models", "/team", "/Team-a/v1/models"])
def test_a_prefix_ends_at_a_segment(path: str) -> None:
    routes = table({"path": "/team-a", "match": "prefix"})
    with pytest.raises(NotFound):
        name(routes, path)
    assert name(routes, "/team-a") == name(routes, "/team-a/v1/models") == "r0"


def test_method_and_headers() -> None:
    routes = table(
        {"path": "/v1/models", "methods": ["GET"]},
        {"path": "/v1/embeddings", "headers": {"X-Team": "red"}},
    )
    assert name(routes, "/v1/models", "GET") == "r0"
    with pytest.raises(MethodNotAllowed):
        name(routes, "/v1/models", "POST")
    assert name(routes, "/v1/embeddings", x_team="red") == "r1"
    for headers in ({}, {"x_team": "Red"}, {"x_team": "red, red"}):
        with pytest.raises(NotFound):
            name(routes, "/v1/embeddings", **headers)


@pytest.mark.parametrize(
    ("route", "path", "endpoint"),
    [
        ({"path": "/team-a", "match": "prefix"}, "/team-a/v1/models", "/v1/models"),
        ({"path": "/team-a/", "match": "prefix"}, "/team-a/v1/models", "/v1/models"),
        ({"path": "/team-a", "match": "prefix"}, "/team-a", "/"),
        ({"path": "/v1", "match": "prefix"}, "/v1/models", "/v1/models"),
        ({"path": "/v1/models"}, "/v1/models", "/v1/models"),
    ],
)
def test_endpoint_within_a_prefix(route: dict[str, Any], path: str, endpoint: str) -> None:
    match = table(route).match("GET", path, {})
    assert match is not None
    assert match.endpoint_path(path) == endpoint
