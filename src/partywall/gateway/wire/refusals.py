"""Our refusals as the official clients of OpenAI and Anthropic read them.

Promises: the client raises the exception class that belongs to the status, with our code in reach (`error.code`; for
Anthropic's client also its own `error_code`); a refusal that no retry can mend says so; only `public_message` is
written, never `str(error)`; nothing here may be kept by a shared cache.
"""

from __future__ import annotations

import math
from typing import Final

import orjson

from partywall.errors import PartywallError
from partywall.gateway.wire.shapes import JsonObject

__all__ = ["Header", "anthropic_error", "headers", "openai_error", "responses_failure", "sse"]

Header = tuple[bytes, bytes]
"""A raw header, name in lower case."""

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's names for classes of errors (https://platform.claude.com/docs/en/api/errors), used for OpenAI too, whose
client ignores them. Other statuses: `invalid_request_error` below 500, `api_error` from there on."""

_RETRY_HELPS: Final = frozenset({408, 429})
_HAS_RETRY_AFTER: Final = frozenset({429, 503})

_FIXED: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, no-store"),
)


def headers(error: PartywallError, request_id: str) -> list[Header]:
    """All headers of the refusal but `content-length`.

    `retry-after` is sent with 429 and 503 when the error has a `retry_after_seconds`.
    """
    identity = request_id.encode("ascii")
    made = [*_FIXED, (b"x-request-id", identity), (b"request-id", identity)]
    status = error.status
    if status < 500 and status not in _RETRY_HELPS:
        made.append((b"x-should-retry", b"false"))
    if status == 401:
        made.append((b"www-authenticate", b"Bearer"))  # RFC 9110, section 11.6.1: a 401 names a scheme
    seconds = _retry_after(error)
    if seconds is not None and status in _HAS_RETRY_AFTER:
        made.append((b"retry-after", b"%d" % seconds))
    return made


def openai_error(error: PartywallError) -> JsonObject:
    """`error` as OpenAI writes one: the body of a refusal, and the event that makes its client raise in a stream."""
    return {
        "error": {
            "message": error.public_message,
            "type": _type(error.status),
            "param": None,
            "code": error.code,
        }
    }


def anthropic_error(error: PartywallError, request_id: str) -> JsonObject:
    """`error` as Anthropic writes one. `details.error_code` is what its client shows as `error_code`."""
    return {
        "type": "error",
        "error": {
            "type": _type(error.status),
            "message": error.public_message,
            "code": error.code,
            "details": {"error_code": error.code},
        },
        "request_id": request_id,
    }


def responses_failure(error: PartywallError, request_id: str) -> JsonObject:
    """The terminal event of a Responses stream that failed, for clients that don't stop at the error before it."""
    return {
        "type": "response.failed",
        "sequence_number": 0,
        "response": {
            "id": request_id,
            "object": "response",
            "status": "failed",
            "error": {"code": error.code, "message": error.public_message},
            "output": [],
        },
    }


def sse(data: JsonObject, name: bytes = b"") -> bytes:
    """One server-sent event."""
    start = b"event: " + name + b"\ndata: " if name else b"data: "
    return start + orjson.dumps(data) + b"\n\n"


def _retry_after(error: PartywallError) -> int | None:
    seconds = getattr(error, "retry_after_seconds", None)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        return None
    return math.ceil(seconds)


def _type(status: int) -> str:
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
