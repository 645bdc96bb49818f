"""What the backend has to know before it reaches its server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from partywall.tenancy import Secret

__all__ = ["MIGRATE_COMMAND", "PROBES", "ValkeySettings"]

MIGRATE_COMMAND: Final = "partywall storage migrate"
PROBES: Final = ("PROBE-1", "PROBE-2")
"""Two identities that prove the wall at start-up. Capitals stand in no tenant's id."""


@dataclass(frozen=True)
class ValkeySettings:
    """How the serving process reaches its Valkey."""

    url: Callable[[], Secret]
    """The address of the serving user, read anew for each connection, so that a rotated password is taken up."""
    password_of: Callable[[str], Secret]
    """The password of a tenant's user (or of a probe's): derived from the deployment's key, and stored nowhere."""
    max_connections: int = 16
    timeout_seconds: float = 3.0
    """For each call, with everything that it waits for."""
