"""What a decision record holds. The rooms above fill it in; the trail writes it down twice.

Promises: plain values, no behaviour, nothing of a request's content: names, counts, verdicts and reasons.

Doesn't promise: that a reason is free of content. Whoever writes one sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from partywall.tenancy import CredentialId, GroupName, Role, TenantId, UserId
from partywall.trail.ids import DecisionId

__all__ = ["DecisionRecord", "PolicyResult", "Verdict"]


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


@dataclass(kw_only=True)
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
    """How it ended: `completed`, `refused`, `client_gone`, `upstream_failed`, or `failed` for what an operator did.
    None while it runs or if it never did."""
    streamed: bool = False

    admitted_policies: tuple[PolicyResult, ...] | None = field(default=None, init=False, compare=False, repr=False)
    """Kept by the trail: what `policies` was when the admission half was queued or written."""

    @classmethod
    def begin(cls, id: DecisionId, time: float, method: str, path: str) -> Self:  # noqa: A002  # the fields' own names
        """A record of which nothing more is known. The rest stays with the class until somebody says it.

        (No slots, for this reason: the constructor writes all of its fields, most of them for nothing.)
        """
        record = cls.__new__(cls)
        record.id, record.time, record.method, record.path = id, time, method, path
        return record

    @property
    def admitted(self) -> bool:
        """Whether the admission half is queued or written, so that what comes next is the completion."""
        return self.admitted_policies is not None
