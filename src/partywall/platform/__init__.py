"""The library's front door: one document and one data directory, open."""

from partywall.platform.platform import Platform
from partywall.platform.snapshot import Snapshot

__all__ = ["Platform", "Snapshot"]
