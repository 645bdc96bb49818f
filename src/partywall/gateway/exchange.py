"""One request on its way: what the pipeline's steps hand to each other, and what the record will say."""

from __future__ import annotations

import time
from collections.abc import Mapping

from partywall.config.providers import CacheUsage
from partywall.errors import PartywallError, UpstreamUnavailable
from partywall.gateway.http import Request, Responder
from partywall.gateway.serving import Serving
from partywall.gateway.wire import Api, Usage
from partywall.policy import Decision
from partywall.tenancy import TenantId, TenantScope
from partywall.trail import DecisionRecord, Verdict, new_decision_id

__all__ = ["Exchange"]


class Exchange:
    """A request, the document it began under, and its record. One per request, used by one task."""

    __slots__ = ("api", "began", "decision", "query", "record", "request", "responder", "scope", "serving")

    def __init__(self, request: Request, responder: Responder, serving: Serving) -> None:
        self.request = request
        self.responder = responder
        self.serving = serving
        self.began = time.perf_counter()
        self.api: Api | None = None
        self.scope: TenantScope | None = None
        self.decision: Decision | None = None
        self.query: Mapping[str, str] = {}
        self.record = DecisionRecord.begin(new_decision_id(), time.time(), request.method[:20], request.path[:500])

    @property
    def id(self) -> str:
        """The decision's id; clients see it as the request id."""
        return self.record.id

    def identified(self, scope: TenantScope) -> None:
        """The credential was verified.

        Raises:
            TenantSuspended: its tenant isn't served. The record says whose the request was.
            StoreUnavailable: nobody can tell whether it is.
        """
        record = self.record
        record.tenant = scope.tenant
        record.group = scope.group
        record.user = scope.user
        record.role = scope.role
        record.credential_id = scope.credential_id
        self.serving.standing.require_active(scope.tenant)
        self.scope = scope

    def require_standing(self) -> None:
        """Before anything of an answer leaves: the tenant may have been suspended since. Raises as `identified`."""
        if self.scope is not None:
            self.serving.standing.require_active(self.scope.tenant)

    def cache_usage(self) -> CacheUsage:
        """What the client may be told about the caches of the upstream that answers."""
        upstream = self.serving.upstreams.get(self.record.upstream or "")
        return CacheUsage.STRIP if upstream is None or self.api is None else upstream.cache_usage[self.api]

    def refused(self, error: PartywallError) -> None:
        """The request ends in a refusal."""
        record = self.record
        if record.tenant is None and error.recorded_for is not None:
            record.tenant = TenantId(error.recorded_for)
        record.verdict = Verdict.BLOCK
        record.code, record.reason = error.code, str(error)
        failed = isinstance(error, UpstreamUnavailable)
        self.finish(error.status, "upstream_failed" if failed else "refused")

    def decided(self, decision: Decision) -> None:
        """Policy has spoken; more may be noted when the answer is checked."""
        self.decision = decision
        self.record.verdict = decision.verdict
        self.record.policies = decision.results

    def finish(self, status: int, outcome: str, usage: Usage | None = None) -> None:
        """The request has ended, one way or another."""
        record = self.record
        record.status = status
        record.outcome = outcome
        record.latency_ms = (time.perf_counter() - self.began) * 1000.0
        if usage is not None:
            record.tokens_in, record.tokens_out = usage
        if self.decision is not None:
            record.policies = self.decision.results
            if record.verdict is not Verdict.BLOCK:
                record.verdict = self.decision.verdict
