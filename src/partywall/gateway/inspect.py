"""What the client says about itself and its request: facts for policy to judge, none of them authority.

Promises: every place where a client can name a tenant is read (query, body, metadata) and handed to policy; the fields
by which it could choose a cache partition, a credential or an upstream are taken out and their names reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import orjson

from partywall.errors import BadRequest
from partywall.gateway.context.asked import FILE_SEARCH, Asked, take_asked
from partywall.gateway.http import Request
from partywall.gateway.wire import Wire
from partywall.gateway.wire.shapes import JsonObject, squash
from partywall.gateway.wire.strip_list import TENANT_FIELDS
from partywall.policy import Facts

__all__ = ["inspect_body", "inspect_query", "parsed_json", "tenant_hints"]

_MAX_PARAMETERS: Final = 100
_LIST: Final = "include[]"
_SMALL_BYTES: Final = 64 * 1024
_MAX_CONTAINERS: Final = 200_000
"""Opening brackets in a body, those in text included."""


def inspect_query(request: Request) -> dict[str, str]:
    """The query's parameters. A repeated one is refused: two readers would pick different ones.

    `include[]` is a list by its name; its values are joined with commas.
    """
    if not request.query:
        return {}
    try:
        pairs = parse_qsl(
            request.query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict"
        )
    except ValueError as error:
        raise BadRequest(f"query: {error}", public_message="The query string is malformed.") from None
    parameters = dict(pairs)
    if _LIST in parameters:
        parameters[_LIST] = ",".join(value for name, value in pairs if name == _LIST)
        pairs = [pair for pair in pairs if pair[0] != _LIST] + [(_LIST, "")]
    if len(parameters) != len(pairs):
        raise BadRequest("repeated parameter", public_message="A query parameter is repeated.")
    return parameters


def tenant_hints(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the parameters that name a tenant."""
    return tuple(value for name, value in parameters.items() if squash(name) in TENANT_FIELDS)


def inspect_body(
    raw: bytes, request: Request, wire: Wire, path: str, query: Mapping[str, str], *, stores: bool
) -> tuple[JsonObject, tuple[str, ...], Facts, Asked | None]:
    """Parse and check a body: cleaned of what clients don't decide, the names of that, and what was learnt from it.

    And what it asks of what its tenant has stored, if there are `stores`.

    Raises:
        BadRequest: it isn't JSON of this API's shape.
    """
    body = wire.check_request(parsed_json(raw))
    asked = take_asked(wire.api, body, stores=stores)
    hints = wire.tenant_hints(body)
    if query:
        hints += tenant_hints(query)
    stripped = tuple(wire.strip_request(body))
    tools = wire.requested_tools(body)
    if asked is not None and asked.searches:
        tools.append(FILE_SEARCH)
    facts = Facts(
        request.method,
        path,
        wire.api,
        str(body["model"]),
        request.header_map,
        tools=tuple(tools),
        forced_tool=wire.forced_tool(body),
        chooses_tools=isinstance(body.get("tool_choice"), dict),
        tenant_hints=tuple(hints),
    )
    return body, stripped, facts, asked


def parsed_json(raw: bytes) -> object:
    """The JSON of a body.

    Raises:
        BadRequest: it is none, or has so many objects that looking at them would hold everybody up.
    """
    if len(raw) > _SMALL_BYTES and raw.count(b"{") + raw.count(b"[") > _MAX_CONTAINERS:
        # Each costs some hundred bytes of memory and a look: forty times what the client paid to send it.
        raise BadRequest("too many objects", public_message=f"More than {_MAX_CONTAINERS} objects and lists.")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"body: {error.msg} at byte {error.pos}", public_message=f"The body is not valid JSON: {error.msg}."
        ) from None
