"""System prompts on their way into a request: the platform's first, the tenant's next, then whatever the client says.

Promises: where the document asks for them, no request leaves without them: what can't be read refuses. The record says
that they were put there after they were, by version and digest, never by their text.

Doesn't promise: that a model obeys the first of several instructions that contradict each other.
"""

from __future__ import annotations

import hashlib

from partywall.config.routing import Stage
from partywall.gateway.wire import JsonObject, Wire
from partywall.platform.snapshot import Instructions
from partywall.policy import Decision
from partywall.stores import SystemPrompts
from partywall.tenancy import TenantScope
from partywall.trail import Verdict

__all__ = ["instruct"]

_DIGEST_CHARS = 16


async def instruct(
    scope: TenantScope,
    instructions: Instructions,
    prompts: SystemPrompts | None,
    wire: Wire,
    body: JsonObject,
    decision: Decision,
) -> None:
    """Put the system prompts into `body`, and say so in `decision`. The last thing that is done to a request.

    `prompts` is needed where tenants have their own.

    Raises:
        KeyUnavailable, StoreUnavailable: the tenant's prompt can't be read.
        BadRequest: the request has a shape in which nobody can tell what would come first.
    """
    if not wire.takes_instructions:
        return
    parts, told = [], []
    if instructions.base is not None:
        parts.append(instructions.base)
        told.append(f"the platform's ({instructions.base_digest[:_DIGEST_CHARS]})")
    own = None if prompts is None else await prompts.find(scope)
    if own is not None:
        parts.append(own.text)
        digest = hashlib.sha256(own.text.encode()).hexdigest()
        told.append(f"the tenant's version {own.version} ({digest[:_DIGEST_CHARS]})")
    if not parts:
        return
    taken = wire.put_instructions(body, parts)
    removed = f"; took out {', '.join(taken)}" if taken else ""
    decision.note("system-prompt", Stage.PRE_REQUEST, Verdict.ALLOW, f"put first: {', then '.join(told)}{removed}")
