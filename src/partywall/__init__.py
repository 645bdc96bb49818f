"""partywall keeps every organisation on its own side of the wall.

`Platform` is the library's front door: it opens a document and a data directory, and turns a request's headers into
the `TenantScope` that everything of a tenant's requires. Errors are in `partywall.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partywall.platform import Platform
    from partywall.tenancy import TenantScope

__all__ = ["Platform", "TenantScope"]

_HOMES = {"Platform": "partywall.platform", "TenantScope": "partywall.tenancy"}


def __getattr__(name: str) -> object:
    """Load a public name when it is asked for (PEP 562): `partywall lint` needs neither sockets nor cryptography."""
    if name not in _HOMES:
        raise AttributeError(f"module `partywall` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOMES[name]), name)
