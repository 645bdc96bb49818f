"""The gateway's endpoints for tenants, as far as lint must know them to tell a route that leads nowhere.

Lint and the gateway are strangers, so this is a table of its own; `tests/lint/test_tables.py` holds it against the
gateway's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from partywall.policy.routes import RouteRule

__all__ = ["ENDPOINTS", "GENERATING", "answers", "served_under"]

ENDPOINTS: Final = (
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
    ("/v1/embeddings", "POST"),
    ("/v1/responses", "POST"),
    ("/v1/messages", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/", "GET"),
    ("/v1/responses/{}", "GET"),
    ("/v1/responses/{}", "DELETE"),
    ("/v1/responses/{}/input_items", "GET"),
    ("/v1/conversations", "POST"),
    ("/v1/conversations/{}", "GET"),
    ("/v1/conversations/{}", "POST"),
    ("/v1/conversations/{}", "DELETE"),
    ("/v1/conversations/{}/items", "POST"),
    ("/v1/conversations/{}/items", "GET"),
    ("/v1/conversations/{}/items/{}", "GET"),
    ("/v1/conversations/{}/items/{}", "DELETE"),
    ("/v1/files", "POST"),
    ("/v1/files", "GET"),
    ("/v1/files/{}", "GET"),
    ("/v1/files/{}", "DELETE"),
    ("/v1/files/{}/content", "GET"),
    ("/v1/vector_stores", "POST"),
    ("/v1/vector_stores", "GET"),
    ("/v1/vector_stores/{}", "GET"),
    ("/v1/vector_stores/{}", "POST"),
    ("/v1/vector_stores/{}", "DELETE"),
    ("/v1/vector_stores/{}/search", "POST"),
    ("/v1/vector_stores/{}/files", "POST"),
    ("/v1/vector_stores/{}/files", "GET"),
    ("/v1/vector_stores/{}/files/{}", "GET"),
    ("/v1/vector_stores/{}/files/{}", "POST"),
    ("/v1/vector_stores/{}/files/{}", "DELETE"),
)
"""Path and method. `{}` is any one segment; a path that ends in `/` takes all the rest as an id."""

GENERATING: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
"""The endpoints by which the same model can be asked the same thing."""


def served_under(route: RouteRule) -> Iterator[tuple[str, str]]:
    """The endpoints that a request on this route can come to."""
    for path, method in ENDPOINTS:
        if route.prefix and not route.path.startswith("/v1"):
            yield path, method  # a prefix of the platform's own stands before the API's path
        elif route.covers(_example(path)) or (not route.prefix and answers(path, route.path)):
            yield path, method


def answers(endpoint: str, path: str) -> bool:
    """Whether a request for `path` comes to that endpoint."""
    if endpoint.endswith("/"):
        return path.startswith(endpoint) and len(path) > len(endpoint)
    asked, listed = path.split("/"), endpoint.split("/")
    return len(asked) == len(listed) and all(
        own == theirs or (own == "{}" and theirs) for own, theirs in zip(listed, asked, strict=True)
    )


def _example(endpoint: str) -> str:
    """A path that comes to that endpoint."""
    path = endpoint.replace("{}", "x")
    return f"{path}x" if path.endswith("/") else path
