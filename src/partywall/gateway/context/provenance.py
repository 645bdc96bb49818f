"""The last look at what goes into a prompt besides the request: whose it is.

Promises: `checked` is the one function that everything stored passes on its way into a prompt, whatever it is and
wherever it was kept. What doesn't say of itself that it is the caller's tenant's is taken out and logged, with its
store and id and nothing of its content (`leakage_detection.context_validation`, `remove_and_log`).

Doesn't promise: to look into texts. A passage that a tenant copied from elsewhere is that tenant's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from partywall.tenancy import TenantId, TenantScope

__all__ = ["ContextItem", "checked"]

_log = logging.getLogger("partywall.gateway")


@dataclass(frozen=True, slots=True)
class ContextItem:
    """Something stored, on its way into a prompt."""

    tenant: TenantId
    """By the word of the record that it comes from."""
    store: str
    id: str
    value: object


def checked(scope: TenantScope, items: Iterable[ContextItem]) -> list[ContextItem]:
    """Those of `items` that are the scope's tenant's own."""
    own = []
    for item in items:
        if item.tenant == scope.tenant:
            own.append(item)
        else:
            _log.error(
                "alarm: kept an item of `%s` (`%s` in `%s`) out of a prompt of `%s`",
                item.tenant,
                item.id,
                item.store,
                scope.tenant,
            )
    return own
