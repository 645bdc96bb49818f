"""Every path the gateway answers. What isn't listed here is refused, not passed through.

Promises: each endpoint names the guard it stands behind; `tests/gateway/test_endpoints.py` walks this table and proves
that each guard holds. An id is one whole segment of a path and never empty; what it says means nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from partywall.errors import MethodNotAllowed, NotFound
from partywall.gateway.wire import Api

__all__ = ["ENDPOINTS", "Act", "Endpoint", "Guard", "find", "ids_in"]


class Guard(StrEnum):
    """Who may call an endpoint."""

    PUBLIC = "public"
    """Anybody. It tells nothing about any tenant."""
    TENANT = "tenant"
    """A verified tenant, through the pipeline and its chain."""
    OPERATOR = "operator"
    """An operator's key from `server.admin.api_keys`."""


class Act(StrEnum):
    """What is done with what a tenant has stored. Its value stands in decision records."""

    CONVERSATION_CREATE = "conversations.create"
    CONVERSATION_RETRIEVE = "conversations.retrieve"
    CONVERSATION_UPDATE = "conversations.update"
    CONVERSATION_DELETE = "conversations.delete"
    ITEM_CREATE = "conversations.items.create"
    ITEM_LIST = "conversations.items.list"
    ITEM_RETRIEVE = "conversations.items.retrieve"
    ITEM_DELETE = "conversations.items.delete"
    RESPONSE_RETRIEVE = "responses.retrieve"
    RESPONSE_DELETE = "responses.delete"
    RESPONSE_INPUT = "responses.input_items.list"
    FILE_CREATE = "files.create"
    FILE_LIST = "files.list"
    FILE_RETRIEVE = "files.retrieve"
    FILE_DELETE = "files.delete"
    FILE_CONTENT = "files.content"
    STORE_CREATE = "vector_stores.create"
    STORE_LIST = "vector_stores.list"
    STORE_RETRIEVE = "vector_stores.retrieve"
    STORE_UPDATE = "vector_stores.update"
    STORE_DELETE = "vector_stores.delete"
    STORE_SEARCH = "vector_stores.search"
    STORE_FILE_CREATE = "vector_stores.files.create"
    STORE_FILE_LIST = "vector_stores.files.list"
    STORE_FILE_RETRIEVE = "vector_stores.files.retrieve"
    STORE_FILE_UPDATE = "vector_stores.files.update"
    STORE_FILE_DELETE = "vector_stores.files.delete"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    A segment in braces is the id of what is asked for. A path that ends in `/` takes all the rest as one id.
    """

    path: str
    method: str
    guard: Guard
    api: Api | None = None
    act: Act | None = None
    """What it does with what is stored; None for an endpoint that isn't about that."""


def _stored(path: str, method: str, api: Api, act: Act) -> Endpoint:
    return Endpoint(path, method, Guard.TENANT, api, act)


_RESPONSE: Final = "/v1/responses/{response_id}"
_CONVERSATIONS: Final = "/v1/conversations"
_CONVERSATION: Final = "/v1/conversations/{conversation_id}"
_ITEMS: Final = "/v1/conversations/{conversation_id}/items"
_FILES: Final = "/v1/files"
_FILE: Final = "/v1/files/{file_id}"
_STORES: Final = "/v1/vector_stores"
_STORE: Final = "/v1/vector_stores/{vector_store_id}"
_STORE_FILES: Final = "/v1/vector_stores/{vector_store_id}/files"
_STORE_FILE: Final = "/v1/vector_stores/{vector_store_id}/files/{file_id}"
_ITEM: Final = "/v1/conversations/{conversation_id}/items/{item_id}"

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
    _stored(_RESPONSE, "GET", Api.RESPONSES, Act.RESPONSE_RETRIEVE),
    _stored(_RESPONSE, "DELETE", Api.RESPONSES, Act.RESPONSE_DELETE),
    _stored("/v1/responses/{response_id}/input_items", "GET", Api.RESPONSES, Act.RESPONSE_INPUT),
    _stored(_CONVERSATIONS, "POST", Api.CONVERSATIONS, Act.CONVERSATION_CREATE),
    _stored(_CONVERSATION, "GET", Api.CONVERSATIONS, Act.CONVERSATION_RETRIEVE),
    _stored(_CONVERSATION, "POST", Api.CONVERSATIONS, Act.CONVERSATION_UPDATE),
    _stored(_CONVERSATION, "DELETE", Api.CONVERSATIONS, Act.CONVERSATION_DELETE),
    _stored(_ITEMS, "POST", Api.CONVERSATIONS, Act.ITEM_CREATE),
    _stored(_ITEMS, "GET", Api.CONVERSATIONS, Act.ITEM_LIST),
    _stored(_ITEM, "GET", Api.CONVERSATIONS, Act.ITEM_RETRIEVE),
    _stored(_ITEM, "DELETE", Api.CONVERSATIONS, Act.ITEM_DELETE),
    _stored(_FILES, "POST", Api.FILES, Act.FILE_CREATE),
    _stored(_FILES, "GET", Api.FILES, Act.FILE_LIST),
    _stored(_FILE, "GET", Api.FILES, Act.FILE_RETRIEVE),
    _stored(_FILE, "DELETE", Api.FILES, Act.FILE_DELETE),
    _stored("/v1/files/{file_id}/content", "GET", Api.FILES, Act.FILE_CONTENT),
    _stored(_STORES, "POST", Api.VECTOR_STORES, Act.STORE_CREATE),
    _stored(_STORES, "GET", Api.VECTOR_STORES, Act.STORE_LIST),
    _stored(_STORE, "GET", Api.VECTOR_STORES, Act.STORE_RETRIEVE),
    _stored(_STORE, "POST", Api.VECTOR_STORES, Act.STORE_UPDATE),
    _stored(_STORE, "DELETE", Api.VECTOR_STORES, Act.STORE_DELETE),
    _stored("/v1/vector_stores/{vector_store_id}/search", "POST", Api.VECTOR_STORES, Act.STORE_SEARCH),
    _stored(_STORE_FILES, "POST", Api.VECTOR_STORES, Act.STORE_FILE_CREATE),
    _stored(_STORE_FILES, "GET", Api.VECTOR_STORES, Act.STORE_FILE_LIST),
    _stored(_STORE_FILE, "GET", Api.VECTOR_STORES, Act.STORE_FILE_RETRIEVE),
    _stored(_STORE_FILE, "POST", Api.VECTOR_STORES, Act.STORE_FILE_UPDATE),
    _stored(_STORE_FILE, "DELETE", Api.VECTOR_STORES, Act.STORE_FILE_DELETE),
    Endpoint("/admin/v1/config", "GET", Guard.OPERATOR),
    Endpoint("/admin/v1/chains", "GET", Guard.OPERATOR),
)

_Methods = dict[str, Endpoint]


def _by_path(endpoints: Iterable[Endpoint]) -> dict[str, _Methods]:
    paths: dict[str, _Methods] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return paths


_EXACT: Final[Mapping[str, _Methods]] = _by_path(e for e in ENDPOINTS if not e.path.endswith("/") and "{" not in e.path)
"""Where every generation endpoint is: found in one look."""
_WITH_REST: Final = tuple(_by_path(e for e in ENDPOINTS if e.path.endswith("/")).items())
_WITH_IDS: Final = tuple(
    (tuple(None if part.startswith("{") else part for part in path.split("/")), methods)
    for path, methods in _by_path(e for e in ENDPOINTS if "{" in e.path).items()
)
"""Paths as segments, None for an id."""


def find(method: str, path: str) -> Endpoint:
    """The endpoint of a request.

    Raises:
        NotFound: nothing is listed under `path`.
        MethodNotAllowed: the path takes other methods.
    """
    methods = _EXACT.get(path)
    if methods is None:
        methods = _with_id(path)
        if methods is None:
            raise NotFound(f"no endpoint `{path[:200]}`")
    endpoint = methods.get(method)
    if endpoint is None:
        listed = next(iter(methods.values())).path
        raise MethodNotAllowed(f"`{listed}` takes {', '.join(methods)}, not {method[:20]}")
    return endpoint


def ids_in(endpoint: Endpoint, path: str) -> tuple[str, ...]:
    """The ids in a path that leads to `endpoint`, as they were sent, in their order."""
    return tuple(
        sent for listed, sent in zip(endpoint.path.split("/"), path.split("/"), strict=True) if listed.startswith("{")
    )


def _with_id(path: str) -> _Methods | None:
    for start, methods in _WITH_REST:
        if path.startswith(start) and len(path) > len(start):
            return methods
    parts = path.split("/")
    for listed, methods in _WITH_IDS:
        if len(listed) == len(parts) and all(
            part if name is None else part == name for name, part in zip(listed, parts, strict=True)
        ):
            return methods
    return None
