"""Reading what a gateway recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from partywall.tenancy import TenantId
from partywall.trail import DecisionRecord, TrailReader

__all__ = ["recorded", "until"]

T = TypeVar("T")


def recorded(data_dir: Path, tenant: str | None, *, since: float | None = None) -> list[DecisionRecord]:
    """The decisions of one tenant, or the platform's own for None, oldest first; of requests begun from `since` on."""
    reader = TrailReader(data_dir)
    view = reader.of_platform() if tenant is None else reader.of_tenant(TenantId(tenant))
    return list(view.events(since=since))


def until(look: Callable[[], T | None], seconds: float = 5.0) -> T:
    """What `look` returns as soon as it is true; completions reach the disk a little after the answer."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
    return found
