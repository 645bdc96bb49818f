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
from partywall.gateway.endpoints import Act, Endpoint, ids_in
from partywall.gateway.exchange import Exchange
from partywall.gateway.faces.uploads import Upload, read_upload
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
    upload: Upload | None = None
    """What a form brought along."""
    hints: list[str] = field(default_factory=list)
    """What the request says about its tenant."""

    def page(self, *, most: int = _LARGEST_PAGE, default: int = _DEFAULT_PAGE) -> PageAsked:
        """Which part of a list the query asks for, newest first unless it says otherwise.

        More than 100 may be asked for where OpenAI lets one ask for more; a page has 100 all the same, and says that
        there is more.

        Raises:
            BadRequest: it asks for none.
        """
        order = self.query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise malformed("`order` must be `asc` or `desc`")
        limit = self.query.get("limit", str(default))
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 5 and 1 <= int(limit) <= most):
            raise malformed(f"`limit` must be a number from 1 to {most}")
        if "before" in self.query:
            raise malformed("`before` isn't known here; ask for another `order`, and `after`")
        after = self.query.get("after")
        if after is not None and not is_id(after):
            raise Missing(f"no such record of `{self.scope.tenant}`")
        return PageAsked(after, min(int(limit), _LARGEST_PAGE), order == "desc")

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
    body, upload = await _sent(exchange, endpoint)
    hints = [*tenant_hints(exchange.query)]
    # Of a copy: what is stored stays as the client wrote it; it only has to agree.
    metadata = body.get("metadata")
    hints += hints_in_body(api, {**body, "metadata": dict(metadata)} if isinstance(metadata, dict) else dict(body))
    return Call(scope, ids, exchange.query, body, stores, upload, hints)


async def _sent(exchange: Exchange, endpoint: Endpoint) -> tuple[JsonObject, Upload | None]:
    """The body: an object in JSON, or the fields of a form and its file."""
    if endpoint.method != "POST":
        return {}, None
    request, server = exchange.request, exchange.serving.snapshot.server
    takes_file = endpoint.act is Act.FILE_CREATE
    limit = server.max_upload_bytes if takes_file else server.max_body_bytes
    raw = request.body_at_once(limit_bytes=limit)
    if raw is None:
        raw = await request.body(limit_bytes=limit, timeout_seconds=server.body_timeout_seconds)
    if takes_file:
        upload = read_upload(raw, request.header_map.get(b"content-type", b""))
        return {**upload.fields}, upload
    body = parsed_json(raw) if raw else {}
    if not isinstance(body, dict):
        raise malformed("the request body must be a JSON object")
    return body, None


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
