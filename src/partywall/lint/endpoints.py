"""The gateway's endpoints for tenants, as far as lint must know them to tell a route that leads nowhere.

Lint and the gateway are strangers, so this is a table of its own; `tests/lint/test_endpoints.py` holds it against the
gateway's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from partywall.policy.routes import RouteRule

__all__ = ["ENDPOINTS", "GENERATING", "served_under"]

ENDPOINTS: Final = (
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
    ("/v1/embeddings", "POST"),
    ("/v1/responses", "POST"),
    ("/v1/messages", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/", "GET"),
)
"""Path and method. A path that ends in `/` takes one more segment."""

GENERATING: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
"""The endpoints by which the same model can be asked the same thing."""


def served_under(route: RouteRule) -> Iterator[tuple[str, str]]:
    """The endpoints that a request on this route can come to."""
    for path, method in ENDPOINTS:
        example = f"{path}x" if path.endswith("/") else path
        if route.prefix and not route.path.startswith("/v1"):
            yield path, method  # a prefix of the platform's own stands before the API's path
        elif route.covers(example) or (path.endswith("/") and not route.prefix and route.path.startswith(path)):
            yield path, method
