"""Every path the gateway answers. What isn't listed here is refused, not passed through.

Promises: each endpoint names the guard it stands behind; `tests/gateway/test_endpoints.py` walks this table and proves
that each guard holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from partywall.errors import MethodNotAllowed, NotFound
from partywall.gateway.wire import Api

__all__ = ["ENDPOINTS", "Endpoint", "Guard", "find"]


class Guard(StrEnum):
    """Who may call an endpoint."""

    PUBLIC = "public"
    """Anybody. It tells nothing about any tenant."""
    TENANT = "tenant"
    """A verified tenant, through the pipeline and its chain."""
    OPERATOR = "operator"
    """An operator's key from `server.admin.api_keys`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path. A path that ends in `/` takes one more segment: the id of what is asked for."""

    path: str
    method: str
    guard: Guard
    api: Api | None = None


ENDPOINTS: Final = (
    Endpoint("/healthz", "GET", Guard.PUBLIC),
    Endpoint("/readyz", "GET", Guard.PUBLIC),
    Endpoint("/v1/chat/completions", "POST", Guard.TENANT, Api.CHAT),
    Endpoint("/v1/completions", "POST", Guard.TENANT, Api.COMPLETIONS),
    Endpoint("/v1/embeddings", "POST", Guard.TENANT, Api.EMBEDDINGS),
    Endpoint("/v1/responses", "POST", Guard.TENANT, Api.RESPONSES),
    Endpoint("/v1/messages", "POST", Guard.TENANT, Api.MESSAGES),
    Endpoint("/v1/models", "GET", Guard.TENANT, Api.MODELS),
    Endpoint("/v1/models/", "GET", Guard.TENANT, Api.MODELS),
    Endpoint("/admin/v1/config", "GET", Guard.OPERATOR),
    Endpoint("/admin/v1/chains", "GET", Guard.OPERATOR),
)

_EXACT: Final[Mapping[str, Endpoint]] = {e.path: e for e in ENDPOINTS if not e.path.endswith("/")}
_WITH_ID: Final = tuple(e for e in ENDPOINTS if e.path.endswith("/"))


def find(method: str, path: str) -> Endpoint:
    """The endpoint of a request.

    Raises:
        NotFound: nothing is listed under `path`.
        MethodNotAllowed: the path takes another method.
    """
    endpoint = _EXACT.get(path)
    if endpoint is None:
        endpoint = next((e for e in _WITH_ID if path.startswith(e.path) and len(path) > len(e.path)), None)
    if endpoint is None:
        raise NotFound(f"no endpoint `{path[:200]}`")
    if method != endpoint.method:
        raise MethodNotAllowed(f"`{endpoint.path}` takes {endpoint.method}, not {method[:20]}")
    return endpoint
