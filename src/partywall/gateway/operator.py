"""`/admin/v1`: what operators see over HTTP.

Promises: nobody gets past without an operator's key; with none in the document, nobody gets past. Each request, refused
or not, leaves a record among the platform's own before it is answered. Answers hold no secret. Errors are problem
details (RFC 9457).
"""

from __future__ import annotations

import hashlib
import logging
import zlib

import orjson

from partywall.errors import InvalidCredential, MethodNotAllowed, MissingIdentity, PartywallError, TrailUnavailable
from partywall.gateway.exchange import Exchange
from partywall.gateway.http import Header, Request, header_lines
from partywall.platform import Platform, Snapshot
from partywall.tenancy import CredentialId
from partywall.trail import Verdict

__all__ = ["answer_operator"]

_log = logging.getLogger("partywall.gateway")


async def answer_operator(exchange: Exchange, platform: Platform) -> None:
    """Answer one request to an operator's endpoint."""
    exchange.record.endpoint = "admin"
    try:
        status, content_type, body = 200, b"application/json", _answer(exchange, platform)
        exchange.record.verdict = Verdict.ALLOW
        exchange.finish(200, "completed")
    except PartywallError as error:
        exchange.refused(error)
        status, content_type, body = _problem(error)
    try:
        await platform.trail.admit(exchange.record)
    except TrailUnavailable as unrecorded:
        _log.error("the operator's request %s could not be recorded: %s", exchange.id, unrecorded)
        status, content_type, body = _problem(unrecorded)
    exchange.responder.whole(status, header_lines(_headers(exchange.id, content_type)), body)


def _answer(exchange: Exchange, platform: Platform) -> bytes:
    request, snapshot = exchange.request, exchange.serving.snapshot
    exchange.record.credential_id = _authenticate(request, snapshot)
    if request.method != "GET":
        raise MethodNotAllowed(f"`{request.path}` takes GET")
    return _ANSWERS[request.path](snapshot, platform)


def _authenticate(request: Request, snapshot: Snapshot) -> CredentialId:
    value = request.header_map.get(b"authorization", b"")
    scheme, _, key = value.partition(b" ")
    if not value:
        raise MissingIdentity("no operator's key")
    if scheme.lower() != b"bearer" or not snapshot.is_operator(key.decode("latin-1")):
        raise InvalidCredential("not an operator's key")
    return CredentialId(f"key:{hashlib.sha256(key).hexdigest()[:12]}")


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


def _headers(request_id: str, content_type: bytes) -> list[Header]:
    return [
        (b"content-type", content_type),
        (b"cache-control", b"private, no-store"),
        (b"x-request-id", request_id.encode("ascii")),
    ]


def _problem(error: PartywallError) -> tuple[int, bytes, bytes]:
    body = {"type": "about:blank", "title": error.code, "status": error.status, "detail": error.public_message}
    return error.status, b"application/problem+json", orjson.dumps(body)
