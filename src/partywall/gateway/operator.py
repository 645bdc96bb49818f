"""`/admin/v1`: what operators see over HTTP.

Promises: nobody gets past without an operator's key; with none in the document, nobody gets past. Answers hold no
secret. Errors are problem details (RFC 9457).
"""

from __future__ import annotations

import zlib

import orjson

from partywall.errors import InvalidCredential, MethodNotAllowed, MissingIdentity, PartywallError
from partywall.gateway.http import Header, Request, Responder
from partywall.platform import Platform, Snapshot

__all__ = ["answer_operator"]


async def answer_operator(request: Request, responder: Responder, snapshot: Snapshot, platform: Platform) -> None:
    """Answer one request to an operator's endpoint."""
    try:
        _authenticate(request, snapshot)
        if request.method != "GET":
            raise MethodNotAllowed(f"`{request.path}` takes GET")
        body = _ANSWERS[request.path](snapshot, platform)
    except PartywallError as error:
        await responder.whole(error.status, _headers(b"application/problem+json"), _problem(error))
    else:
        await responder.whole(200, _headers(b"application/json"), body)


def _authenticate(request: Request, snapshot: Snapshot) -> None:
    value = request.header_map.get(b"authorization", b"")
    scheme, _, key = value.partition(b" ")
    if not value:
        raise MissingIdentity("no operator's key")
    if scheme.lower() != b"bearer" or not snapshot.is_operator(key.decode("latin-1")):
        raise InvalidCredential("not an operator's key")


def _config(snapshot: Snapshot, platform: Platform) -> bytes:
    document = zlib.decompress(snapshot.published)
    about = orjson.dumps({"source": snapshot.source, "sha256": snapshot.digest, "reload_error": platform.reload_error})
    return about[:-1] + b',"document":' + document + b"}"


def _chains(snapshot: Snapshot, _platform: Platform) -> bytes:
    rules = snapshot.rules
    routes = [*rules.routes] or [None]
    rows = [
        {
            "group": group.name,
            "tenant": group.tenant,
            "route": None if route is None else route.name,
            "chain": [
                {"kind": policy.kind, "stages": sorted(policy.stages), "conditional": bool(policy.conditions)}
                for policy in rules.chain(group, route)
            ],
        }
        for group in rules.groups()
        for route in routes
    ]
    return orjson.dumps({"chains": rows})


_ANSWERS = {"/admin/v1/config": _config, "/admin/v1/chains": _chains}


def _headers(content_type: bytes) -> list[Header]:
    return [(b"content-type", content_type), (b"cache-control", b"private, no-store")]


def _problem(error: PartywallError) -> bytes:
    return orjson.dumps(
        {"type": "about:blank", "title": error.code, "status": error.status, "detail": error.public_message}
    )
