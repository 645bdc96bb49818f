"""The one ambient binding, for code that can't take a scope as an argument.

LangChain callbacks, SQLAlchemy events and log processors are called by somebody else's code. They ask here.

Promises: `current()` with nothing bound raises, with the stack of the place that forgot; a bound scope is seen only by
the task that bound it and by tasks started from it inside the block; another tenant's scope can't be bound inside one.

Doesn't promise: to follow work into a thread pool or a queue. Pass the scope there as an argument.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from partywall.errors import AlreadyBound, ScopeMissing
from partywall.tenancy.scope import TenantScope

__all__ = ["bind", "current"]

_bound: ContextVar[TenantScope | None] = ContextVar("partywall_scope", default=None)


@contextmanager
def bind(scope: TenantScope) -> Iterator[TenantScope]:
    """Bind `scope` for the block.

    Raises:
        TypeError: `scope` is no TenantScope (None included).
        AlreadyBound: another tenant's scope is bound; one request serves one tenant.
    """
    if not isinstance(scope, TenantScope):
        raise TypeError(f"bind() takes a TenantScope, not {type(scope).__name__}")
    outer = _bound.get()
    if outer is not None and outer.tenant != scope.tenant:
        raise AlreadyBound(f"`{outer.tenant}` is bound here; work for `{scope.tenant}` needs a task of its own")
    token = _bound.set(scope)
    try:
        yield scope
    finally:
        _bound.reset(token)


def current() -> TenantScope:
    """The scope bound around this call.

    Raises:
        ScopeMissing: none is bound. The message carries the caller's stack, outermost first.
    """
    scope = _bound.get()
    if scope is None:
        stack = "".join(traceback.format_stack()[:-1])
        raise ScopeMissing(
            "no tenant scope is bound here, and there is no default tenant; "
            f"wrap the call in `with tenancy.bind(scope):`, called from:\n{stack}"
        )
    return scope
