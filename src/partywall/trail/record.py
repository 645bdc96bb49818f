"""What a decision record holds, and its two stored halves.

Promises: the admission half (who asked for what, and the verdict then) is written once and never rewritten; the
completion half (how it ended) is written once beside it. Reading merges them, the completion winning, so that a
verdict changed by the answer shows as it ended. A value that JSON can't carry (a lone surrogate, an integer of
70 digits from a lying upstream) or that is absurdly long is tamed and clipped: it must not stop a record.

Doesn't promise: secrecy or tamper evidence. Both halves are opaque bytes to the database, which is where sealing goes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final

import orjson

from partywall.tenancy import CredentialId, GroupName, Role, TenantId, UserId
from partywall.trail.ids import DecisionId

__all__ = [
    "DecisionRecord",
    "PolicyResult",
    "Verdict",
    "decode",
    "encode_admission",
    "encode_completion",
]

_MAX_BYTES: Final = 16_384
_MAX_TEXT: Final = 512
_MAX_ITEMS: Final = 24
_MAX_INT: Final = 2**53 - 1


class Verdict(StrEnum):
    """What was decided about the request as a whole, or by one policy."""

    ALLOW = "allow"
    BLOCK = "block"
    REDACT = "redact"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy's say. `reason` is for operators and holds no content of the request."""

    kind: str
    stage: str
    verdict: Verdict
    reason: str


@dataclass(slots=True, kw_only=True)
class DecisionRecord:
    """One request. `Trail.admit` and `Trail.complete` write down what it says at that moment.

    It begins as a refusal of nobody's request: what fails before somebody says otherwise is recorded as blocked, and
    among the platform's own. `tenant` is None only for a request that never had a verified tenant.
    """

    id: DecisionId
    time: float
    """When it began, in seconds of the Unix epoch."""
    method: str
    path: str
    tenant: TenantId | None = None
    verdict: Verdict = Verdict.BLOCK
    code: str | None = None
    """The refusal code that the client saw; None when it wasn't refused."""
    reason: str = ""
    policies: tuple[PolicyResult, ...] = ()
    endpoint: str | None = None
    group: GroupName | None = None
    route: str | None = None
    model: str | None = None
    upstream: str | None = None
    user: UserId | None = None
    role: Role | None = None
    credential_id: CredentialId | None = None

    status: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_ms: float | None = None
    outcome: str | None = None
    """How it ended (`completed`, `refused`, `client_gone`, `upstream_failed`, `interrupted`); None while it runs."""
    streamed: bool = False

    admitted: bool = field(default=False, init=False, compare=False)
    """Kept by the trail: the admission half is queued or written, so that what comes next is the completion."""


def encode_admission(record: DecisionRecord) -> bytes:
    """The half that is known before anything leaves the gateway."""
    return _dump(
        {
            "id": record.id,
            "tenant": record.tenant,
            "time": record.time,
            "method": record.method,
            "path": record.path,
            "verdict": record.verdict,
            "code": record.code,
            "reason": record.reason,
            "policies": record.policies,
            "endpoint": record.endpoint,
            "group": record.group,
            "route": record.route,
            "model": record.model,
            "upstream": record.upstream,
            "user": record.user,
            "role": record.role,
            "credential_id": record.credential_id,
        }
    )


def encode_completion(record: DecisionRecord) -> bytes:
    """The half that is known at the end. A fall-back may have changed the upstream, a scan the verdict."""
    return _dump(
        {
            "id": record.id,
            "verdict": record.verdict,
            "code": record.code,
            "reason": record.reason,
            "policies": record.policies,
            "model": record.model,
            "upstream": record.upstream,
            "status": record.status,
            "tokens_in": record.tokens_in,
            "tokens_out": record.tokens_out,
            "latency_ms": record.latency_ms,
            "outcome": record.outcome,
            "streamed": record.streamed,
        }
    )


def decode(admission: bytes, completion: bytes | None) -> DecisionRecord:
    """The record that the two halves make.

    Raises:
        ValueError: they aren't halves of one record, or not what this version writes.
    """
    try:
        merged = orjson.loads(admission)
        if completion is not None:
            ended = orjson.loads(completion)
            if ended["id"] != merged["id"]:
                raise ValueError("the completion belongs to another record")
            merged |= ended
        merged["verdict"] = Verdict(merged["verdict"])
        merged["policies"] = tuple(_policy(item) for item in merged["policies"])
        record = DecisionRecord(**merged)
    except (KeyError, TypeError) as error:
        raise ValueError("the stored halves lack a field or hold one too many") from error
    record.admitted = True
    return record


def _policy(item: dict[str, str]) -> PolicyResult:
    return PolicyResult(item["kind"], item["stage"], Verdict(item["verdict"]), item["reason"])


def _dump(half: dict[str, object]) -> bytes:
    """As JSON; the odd half that can't be, or is too long, is tamed first."""
    try:
        stored = orjson.dumps(half)
        if len(stored) <= _MAX_BYTES:
            return stored
    except TypeError:  # orjson's word for surrogates and for integers past 64 bits
        pass
    return orjson.dumps(_tame(half))


def _tame(value: object) -> object:
    """The nearest value that JSON can hold. Only text grows without bound, so clipping it bounds the whole."""
    if isinstance(value, str):
        return value[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return max(-_MAX_INT, min(value, _MAX_INT))
    if isinstance(value, dict):
        return {key: _tame(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_tame(item) for item in value[:_MAX_ITEMS]]
    if isinstance(value, PolicyResult):
        return _tame(asdict(value))
    return value
