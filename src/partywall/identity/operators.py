"""An operator who acts on a tenant: written down first, and only then given a scope.

Promises: no scope of an operator's is made before a decision record of that tenant says who acts, what it is that they
do and why, and is committed; no trail, no scope. How it ended is written when the block ends. The scope has no group
and no role, and a user only where one was named: policy lets it make no request, so it reaches no model and no tool.

Doesn't promise: that the scope is worth nothing once the block has ended. Nor to know the operator: whoever calls says
who it is, and nothing that a request can reach calls this (tests/identity/test_operators.py).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from partywall.errors import ConfigError
from partywall.tenancy import CredentialId, CredentialKind, TenantId, TenantScope, UserId, parse_tenant_id
from partywall.tenancy._mint import mint
from partywall.trail import DecisionRecord, Trail, Verdict, new_decision_id

__all__ = ["OPERATOR_METHOD", "acting_for"]

OPERATOR_METHOD: Final = "OPERATOR"
"""Stands in a record where a request has its HTTP method."""

_LONGEST: Final = {"who": 120, "what is done": 120, "the reason": 400, "the user": 256}


@asynccontextmanager
async def acting_for(
    trail: Trail, tenant: TenantId, *, who: str, action: str, why: str, user: str | None = None
) -> AsyncIterator[TenantScope]:
    """The scope of `tenant`, for the length of the block and of what is recorded of it.

    `who` is the operator (`cli:` and a login name, `key:` and an operator key's id), `action` what is done, in the
    words of the command. With `user`, it is done in that user's name.

    Raises:
        ConfigError: one of the words is empty, too long or doesn't print.
        InvalidTenantId: that is no tenant's id.
        TrailUnavailable: it can't be recorded, so it isn't done.
    """
    words = {"who": who, "what is done": action, "the reason": why}
    for what, text in words.items() if user is None else {**words, "the user": user}.items():
        _check(what, text)
    credential = CredentialId(f"operator:{who}")
    record = DecisionRecord.begin(new_decision_id(), time.time(), OPERATOR_METHOD, action)
    record.tenant, record.credential_id, record.endpoint = parse_tenant_id(tenant), credential, "operator"
    record.user = None if user is None else UserId(user)
    record.verdict, record.reason = Verdict.ALLOW, why
    # INVARIANT: nothing below this line runs unless the record is committed.
    await trail.admit(record)
    try:
        yield mint(
            tenant=record.tenant,
            group=None,
            credential_kind=CredentialKind.OPERATOR,
            credential_id=credential,
            user=record.user,
        )
        record.outcome = "completed"
    finally:
        record.outcome = record.outcome or "failed"
        record.latency_ms = (time.time() - record.time) * 1000.0
        trail.complete(record)


def _check(what: str, text: str) -> None:
    if type(text) is not str or not text.strip() or not text.isprintable() or len(text) > _LONGEST[what]:
        raise ConfigError(f"an operator acts with {what} in 1 to {_LONGEST[what]} characters that print")
