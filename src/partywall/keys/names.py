"""The places where a tenant's data lies. Each has data keys of its own.

Promises: the values are part of what is sealed (docs/spec/envelope.md), so one that has sealed anything is never
renamed and never given to another place.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Store"]


class Store(StrEnum):
    """A place of data. Its value enters the key derivation and the AAD."""

    CONVERSATIONS = "conversations"
    MEMORY = "memory"
    PREFERENCES = "preferences"
    DOCUMENTS = "documents"
    GRAPH = "graph"
    CACHE = "cache"
    VAULT = "vault"
    TRAIL = "trail"
    SESSIONS = "sessions"
    FORENSICS = "forensics"
    PROMPTS = "prompts"
