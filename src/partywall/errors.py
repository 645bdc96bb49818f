"""Everything partywall raises on purpose, and what of it a client may see.

Promises: one root; each leaf carries the refusal code and HTTP status of the outside contract. `str(err)` is for
operators (what, where, why, what to do) and may name ids; `public_message` is the only sentence a client is shown,
and it is the same for every tenant.

Doesn't promise: a wire shape. The gateway renders these in the dialect its client speaks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = [
    "AlreadyBound",
    "BadRequest",
    "BrokenSeal",
    "ConfigError",
    "Conflict",
    "CredentialUnavailable",
    "Denied",
    "IdentityUnavailable",
    "InvalidCredential",
    "InvalidTenantId",
    "KeyDestroyed",
    "KeyUnavailable",
    "KeyVersionRefused",
    "LeakBlocked",
    "MethodNotAllowed",
    "Missing",
    "MissingIdentity",
    "ModelDenied",
    "NotFound",
    "NothingStored",
    "PartywallError",
    "PayloadTooLarge",
    "PiiBlocked",
    "QuotaExceeded",
    "RegionDenied",
    "RequestTimedOut",
    "ScannerUnavailable",
    "ScopeMissing",
    "SealBroken",
    "StoreUnavailable",
    "TenantMismatch",
    "TenantSuspended",
    "ToolDenied",
    "TrailUnavailable",
    "UpstreamRejected",
    "UpstreamUnavailable",
]


class PartywallError(Exception):
    """The root. `code` and `status` are fixed per class; `str()` is for operators and may hold ids, never content."""

    code: ClassVar[str] = "internal_error"
    status: int = 500
    public_message: str = "The gateway could not complete the request."
    recorded_for: str | None = None
    """The verified tenant in whose decision record a refusal belongs; None before a credential held. No authority."""

    def __init__(self, detail: str = "", *, public_message: str | None = None) -> None:
        super().__init__(detail or type(self).public_message)
        if public_message is not None:
            self.public_message = public_message


# -- Mistakes of the program or its operator: never rendered to a client ---------------------------------------------


class ConfigError(PartywallError):
    """The document can't be used. The message says where (file, line, column), why and what to do."""


class InvalidTenantId(PartywallError, ValueError):
    """A tenant id outside `[a-z0-9][a-z0-9_-]{0,62}`."""


class ScopeMissing(PartywallError):
    """Code that touches tenant data ran with no ambient scope bound; the message holds the stack of that place."""


class AlreadyBound(PartywallError):
    """An ambient scope of another tenant is bound already; tenants don't nest."""


# -- What is stored does not open: 500, and a security event ---


class BrokenSeal(StrEnum):
    """Why a sealed record didn't open. For operators and alarms; a client is never told which."""

    TRUNCATED = "truncated"
    """Shorter than the shortest envelope."""
    UNKNOWN_VERSION = "unknown_version"
    """A format that this partywall doesn't know."""
    UNKNOWN_KEY = "unknown_key"
    """A version of the tenant's key that doesn't exist."""
    WRONG_KEY = "wrong_key"
    """The key commitment differs: sealed under another tenant's, store's or epoch's key, or the header was changed."""
    NOT_AUTHENTIC = "not_authentic"
    """The right key, and the tag doesn't hold: changed bytes, or another record or purpose."""
    VERSION_REFUSED = "version_refused"
    """A version of the tenant's key below `min_decryption_version`."""
    WRAPPED_KEY = "wrapped_key"
    """The wrapped key itself is not what the root wrapped for this tenant and version."""


class SealBroken(PartywallError):
    """What is stored does not open: foreign, changed or cut short. The detail names tenant and store, never content."""

    def __init__(self, detail: str, *, reason: BrokenSeal) -> None:
        super().__init__(detail)
        self.reason = reason


class KeyVersionRefused(SealBroken):
    """Sealed under a version of the tenant's key below `min_decryption_version`."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason=BrokenSeal.VERSION_REFUSED)


# -- Who are you: 401 ---


class MissingIdentity(PartywallError):
    """No credential, or an identity header that the document demands is absent."""

    code = "missing_identity"
    status = 401
    public_message = "No credential was presented. Send your API key as a bearer token."


class InvalidCredential(PartywallError):
    """A credential that is unknown, expired, ambiguous or fails verification. All look alike from outside."""

    code = "invalid_credential"
    status = 401
    public_message = "The credential presented is not valid."


# -- You may not: 403 ---


class Denied(PartywallError):
    """A policy said no. Leaves name which wall it was."""

    code = "denied"
    status = 403
    public_message = "This request is not allowed."


class TenantMismatch(Denied):
    """A header, body field, parameter or claim names another tenant than the credential does."""

    code = "tenant_mismatch"
    public_message = "The request names a tenant that the credential does not belong to."


class TenantSuspended(Denied):
    """The credential holds, and its tenant is suspended."""

    code = "tenant_suspended"
    public_message = "This organisation is suspended. Whoever runs the platform can tell why."


class ToolDenied(Denied):
    """A tool that the role may not use."""

    code = "tool_denied"
    public_message = "This role may not use that tool."


class ModelDenied(Denied):
    """A model that this tenant has no target for. The same for a model of somebody else's and one of nobody's."""

    code = "model_denied"
    public_message = "That model is not available to this organisation."


class RegionDenied(Denied):
    """Every target that could answer lies outside the regions that the tenant's data may reach."""

    code = "region_denied"
    public_message = "No target in a permitted region can answer this request."


class LeakBlocked(Denied):
    """What was about to leave contained another tenant's content."""

    code = "leak_blocked"
    public_message = "The answer was withheld by a leak check."


class PiiBlocked(Denied):
    """Personal data in a place where the document blocks it."""

    code = "pii_blocked"
    public_message = "The request contains personal data that may not be sent."


# -- What you asked for ---


class BadRequest(PartywallError):
    """Malformed: not JSON, not UTF-8, too deep, a field of the wrong type."""

    code = "invalid_request"
    status = 400
    public_message = "The request could not be understood."


class UpstreamRejected(PartywallError):
    """The upstream understood and refused the request (its 400, 404, 409, 413, 422): the client's to mend."""

    code = "invalid_request"
    status = 400
    public_message = "The model's API refused the request."

    def __init__(self, detail: str, *, status: int, public_message: str | None = None) -> None:
        super().__init__(detail, public_message=public_message)
        self.status = status


class NotFound(PartywallError):
    """No such path, model or record. Another tenant's record looks exactly like this."""

    code = "not_found"
    status = 404
    public_message = "Not found."


class Missing(NotFound):
    """No such record of this tenant and user. The words are the same whether nobody has it or somebody else does."""


class NothingStored(NotFound):
    """The document has no `encryption`, so nothing is stored for anybody: nothing in clear."""

    public_message = "Nothing is stored here: this gateway's document has no `encryption`."


class Conflict(PartywallError):
    """A record of this tenant and user is there already, or was changed by somebody else in the same moment."""

    code = "conflict"
    status = 409
    public_message = "The record exists already or was changed meanwhile."


class MethodNotAllowed(PartywallError):
    """The path exists, the method doesn't."""

    code = "method_not_allowed"
    status = 405
    public_message = "That method is not allowed here."


class RequestTimedOut(PartywallError):
    """The client was too slow to send its body."""

    code = "request_timeout"
    status = 408
    public_message = "The request body did not arrive in time."


class PayloadTooLarge(PartywallError):
    """The body exceeds `server.max_body_bytes`."""

    code = "payload_too_large"
    status = 413
    public_message = "The request body is too large."


class QuotaExceeded(PartywallError):
    """A limit of the tenant, group, key or model is used up."""

    code = "quota_exceeded"
    status = 429
    public_message = "The quota for this organisation is used up for now."


# -- We can't right now: 5xx ---


class UpstreamUnavailable(PartywallError):
    """No target of this tenant could answer: unreachable (502), circuit open (503) or too slow (504)."""

    code = "upstream_unavailable"
    status = 502
    public_message = "The model behind this request is not available."

    def __init__(
        self,
        detail: str = "",
        *,
        status: int = 502,
        public_message: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail, public_message=public_message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class CredentialUnavailable(UpstreamUnavailable):
    """The secret that `secret_key_ref` names could not be read. Nothing falls back to another credential."""


class TrailUnavailable(PartywallError):
    """The decision could not be recorded, so the request is refused: no trail, no data."""

    code = "trail_unavailable"
    status = 503
    public_message = "The request was refused because it could not be recorded."


class StoreUnavailable(PartywallError):
    """What is stored can't be read or written now: a disk, a lock, a file that isn't what it was."""

    code = "store_unavailable"
    status = 503
    public_message = "What is stored for this organisation cannot be reached right now."


class ScannerUnavailable(PartywallError):
    """What must be looked into can't be: the scanner failed."""

    code = "scanner_unavailable"
    status = 503
    public_message = "The content could not be checked, so it was not passed on."


class IdentityUnavailable(PartywallError):
    """The keys that verify tokens can't be fetched. Nobody is let in on a guess."""

    code = "identity_unavailable"
    status = 503
    public_message = "Tokens cannot be verified right now."


class KeyUnavailable(PartywallError):
    """The tenant's key can't be had: its root is down, slow, sealed or refuses. Nothing falls back to another key."""

    code = "key_unavailable"
    status = 503
    public_message = "The key that protects this organisation's data is not available right now."


class KeyDestroyed(KeyUnavailable):
    """The tenant's key was destroyed, for good. A client can't tell this from an outage; an operator can."""
