"""One call of a stored object's endpoint, checked as far as all of them have in common.

Promises: whatever a client sends (another type, no JSON, an id that can't be one), it ends in a refusal of its own kind
and never in a failure. An id that can't be anybody's is refused like one that isn't the caller's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

import orjson

from partywall.errors import ConfigError, Missing, NothingStored
from partywall.gateway.endpoints import Endpoint, ids_in
from partywall.gateway.exchange import Exchange
from partywall.gateway.inspect import parsed_json, tenant_hints
from partywall.gateway.wire import Api, JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.gateway.wire.strip import tenant_hints as hints_in_body
from partywall.platform import Platform
from partywall.stores import Stores
from partywall.tenancy import TenantScope

__all__ = ["Call", "Face", "PageAsked", "Told", "is_id", "listed", "read_call", "told"]

_LONGEST_ID_BYTES: Final = 256
_LARGEST_PAGE: Final = 100
_DEFAULT_PAGE: Final = 20


class Told(NamedTuple):
    """What a face answers."""

    body: bytes
    done: str
    """What was done, for the record: counts and kinds, nothing of the content."""
    content_type: bytes = b"application/json"


class PageAsked(NamedTuple):
    """Which part of a list is wanted."""

    after: str | None
    limit: int
    backwards: bool


@dataclass(slots=True)
class Call:
    """What a face is given."""

    scope: TenantScope
    ids: tuple[str, ...]
    """From the path, in their order, decoded."""
    query: Mapping[str, str]
    body: JsonObject
    stores: Stores
    hints: list[str] = field(default_factory=list)
    """What the request says about its tenant."""

    def page(self, *, backwards: bool = True) -> PageAsked:
        """Which part of a list the query asks for; `backwards` unless it says otherwise.

        Raises:
            BadRequest: it asks for none.
        """
        order = self.query.get("order", "desc" if backwards else "asc")
        if order not in ("asc", "desc"):
            raise malformed("`order` must be `asc` or `desc`")
        limit = self.query.get("limit", str(_DEFAULT_PAGE))
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= _LARGEST_PAGE):
            raise malformed(f"`limit` must be a number from 1 to {_LARGEST_PAGE}")
        after = self.query.get("after")
        if after is not None and not is_id(after):
            raise Missing(f"no such record of `{self.scope.tenant}`")
        return PageAsked(after, int(limit), order == "desc")

    def includes(self, what: str) -> bool:
        """Whether the query's `include` names `what`."""
        asked = f"{self.query.get('include', '')},{self.query.get('include[]', '')}"
        return what in asked.split(",")


Face = Callable[[Call], Awaitable[Told]]


async def read_call(
    exchange: Exchange, scope: TenantScope, endpoint: Endpoint, api: Api, path: str, platform: Platform
) -> Call:
    """What `exchange` asks of a stored object.

    Raises:
        NothingStored: the document has no `encryption`.
        Missing: an id that nobody's can be.
        BadRequest, PayloadTooLarge, RequestTimedOut: the body is none of ours.
    """
    try:
        stores = platform.stores
    except ConfigError as error:
        raise NothingStored(str(error)) from None
    ids = tuple(unquote(sent) for sent in ids_in(endpoint, path))
    if not all(map(is_id, ids)):
        raise Missing(f"no such record of `{scope.tenant}`")
    body = await _body(exchange) if endpoint.method == "POST" else {}
    hints = [*tenant_hints(exchange.query)]
    # Of a copy: what is stored stays as the client wrote it; it only has to agree.
    metadata = body.get("metadata")
    hints += hints_in_body(api, {**body, "metadata": dict(metadata)} if isinstance(metadata, dict) else dict(body))
    return Call(scope, ids, exchange.query, body, stores, hints)


async def _body(exchange: Exchange) -> JsonObject:
    server = exchange.serving.snapshot.server
    raw = exchange.request.body_at_once(limit_bytes=server.max_body_bytes)
    if raw is None:
        raw = await exchange.request.body(
            limit_bytes=server.max_body_bytes, timeout_seconds=server.body_timeout_seconds
        )
    body = parsed_json(raw) if raw else {}
    if not isinstance(body, dict):
        raise malformed("the request body must be a JSON object")
    return body


def is_id(value: str) -> bool:
    """Whether `value` could be anybody's id."""
    try:
        return 1 <= len(value.encode()) <= _LONGEST_ID_BYTES
    except UnicodeEncodeError:
        return False


def told(answer: JsonObject, done: str) -> Told:
    """An answer in JSON."""
    return Told(orjson.dumps(answer), done)


def listed(data: list[JsonObject], *, has_more: bool) -> JsonObject:
    """A page as OpenAI writes one."""
    ids = [item.get("id") for item in data]
    ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return {"object": "list", "data": data, "has_more": has_more, **ends}
